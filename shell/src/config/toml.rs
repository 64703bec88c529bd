//! TOML to the lines of dperf's language: a key is a keyword, its value the words behind it. So
//! both formats have one table of keywords, one way to read a word and one set of checks.
//!
//! | value | line |
//! |---|---|
//! | `true` | the keyword alone; `false` is no line |
//! | text or number | one argument |
//! | array | the arguments; of a keyword that repeats: one line for each element |
//! | table | the arguments by their names in lower case: `{ interval = "1ms", requests = 5 }` |
//!
//! A `[[port]]` may hold its own `client`, `server` and `vxlan`. Each `[[role]]` makes a
//! configuration of its own from its keys and those at the top of the file.

use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::Source;
use super::error::{Complaint, ConfigError, Place};
use super::keyword::{self, Keyword};
use super::words::Word;

/// The keywords whose n-th line belongs to the n-th port.
pub(super) const OF_A_PORT: [&str; 3] = ["client", "server", "vxlan"];
/// The key of a configuration among several.
pub(super) const ROLE: &str = "role";

/// A keyword and its arguments.
pub(super) type Line = Vec<OwnedWord>;

/// A word that owns its text.
#[derive(Clone, Debug)]
pub(super) struct OwnedWord {
    text: String,
    place: Place,
}

impl OwnedWord {
    /// The word as reading needs it.
    pub(super) fn lend(&self) -> Word<'_> {
        Word { text: &self.text, place: self.place.clone() }
    }
}

/// One argument of a keyword, as its form says.
pub(super) struct Argument {
    /// Its name in a table.
    pub(super) name: String,
    /// It may be left out.
    pub(super) optional: bool,
    /// It stands for any number of words.
    pub(super) endless: bool,
}

/// A source is TOML if its name says so.
pub(super) fn is_toml(source: &Source) -> bool {
    source.name.ends_with(".toml")
}

/// The lines of each configuration in `source`: several if it has roles.
pub(super) fn roles(source: &Source) -> Result<Vec<Vec<Line>>, ConfigError> {
    let text = std::str::from_utf8(&source.bytes).map_err(|error| {
        let before = String::from_utf8_lossy(&source.bytes[..error.valid_up_to()]).into_owned();
        let place = Document::new(source, &before).place(before.len());
        let complaint = Complaint::new("a byte is not UTF-8 text", "save the file as UTF-8");
        ConfigError::new(&place, "", complaint)
    })?;
    let document = Document::new(source, text);
    let table = DeTable::parse(text).map_err(|error| {
        let place = document.place(error.span().map_or(0, |span| span.start));
        let why = format!("this is not TOML: {}", error.message().replace('\n', "; "));
        let hint = "a line is KEYWORD = VALUE; text stands in quotes: duration = \"60s\"";
        ConfigError::new(&place, "", Complaint::new(why, hint))
    })?;
    let mut shared = Vec::new();
    let mut roles = Vec::new();
    for (key, value) in in_order(table.get_ref()) {
        if key.get_ref() == ROLE {
            for role in document.tables(value)? {
                roles.push(document.lines(role)?);
            }
        } else {
            shared.extend(document.key(key, value)?);
        }
    }
    if roles.is_empty() {
        return Ok(vec![shared]);
    }
    Ok(roles.into_iter().map(|own| shared.iter().cloned().chain(own).collect()).collect())
}

/// The arguments of a keyword.
pub(super) fn arguments(keyword: &Keyword) -> Vec<Argument> {
    let words = keyword.form.split_whitespace();
    let argument = |word: &str| {
        let name = word.trim_start_matches('[').trim_end_matches("...").trim_end_matches(']');
        let name = name.split(['|', '[']).next().unwrap_or(name);
        Argument {
            name: name.to_ascii_lowercase(),
            optional: word.starts_with('['),
            endless: word.ends_with("...") && !word.contains(','),
        }
    };
    words.map(argument).collect()
}

/// A keyword's arguments have names of their own, so that a table can tell them.
pub(super) fn has_names(arguments: &[Argument]) -> bool {
    let known = |index: usize| arguments[..index].iter().any(|a| a.name == arguments[index].name);
    arguments.len() > 1 && !(0..arguments.len()).any(known)
}

type Key<'d> = Spanned<std::borrow::Cow<'d, str>>;
type Value<'d> = Spanned<DeValue<'d>>;

/// Keys in the order of the file.
fn in_order<'t, 'd>(table: &'t DeTable<'d>) -> Vec<(&'t Key<'d>, &'t Value<'d>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// A text, and where its lines begin.
struct Document<'d> {
    file: Arc<str>,
    text: &'d str,
    starts: Vec<usize>,
}

impl<'d> Document<'d> {
    fn new(source: &Source, text: &'d str) -> Document<'d> {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        let starts = std::iter::once(0).chain(breaks).collect();
        Document { file: Arc::from(source.name.as_str()), text, starts }
    }

    /// Where the byte at `offset` stands.
    fn place(&self, offset: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let before = self.text.get(self.starts[line - 1]..offset).unwrap_or_default();
        let column = before.chars().filter(|c| *c != '\u{feff}').count() + 1;
        Place { file: self.file.clone(), line: line as u32, column: column as u32 }
    }

    fn refuse<T>(
        &self,
        span: std::ops::Range<usize>,
        keyword: &'static str,
        why: String,
        hint: String,
    ) -> Result<T, ConfigError> {
        Err(ConfigError::new(&self.place(span.start), keyword, Complaint::new(why, hint)))
    }

    fn word(&self, text: impl Into<String>, span: std::ops::Range<usize>) -> OwnedWord {
        OwnedWord { text: text.into(), place: self.place(span.start) }
    }

    /// The lines of a table of keywords.
    fn lines(&self, table: &DeTable<'d>) -> Result<Vec<Line>, ConfigError> {
        let entries = in_order(table).into_iter().map(|(key, value)| self.key(key, value));
        entries.collect::<Result<Vec<_>, _>>().map(|lines| lines.concat())
    }

    /// The lines of one key.
    fn key(&self, key: &Key<'d>, value: &Value<'d>) -> Result<Vec<Line>, ConfigError> {
        let first = self.word(key.get_ref().as_ref(), key.span());
        let Some(keyword) = keyword::find(key.get_ref()) else {
            // Reading refuses it, with a hint.
            return Ok(vec![vec![first]]);
        };
        match value.get_ref() {
            DeValue::Array(lines) if keyword.repeats => {
                let lines = lines.iter().map(|value| self.line(keyword, &first, value));
                lines.collect::<Result<Vec<_>, _>>().map(|lines| lines.concat())
            }
            _ => self.line(keyword, &first, value),
        }
    }

    /// The line of one value, with those of its port.
    fn line(
        &self,
        keyword: &'static Keyword,
        first: &OwnedWord,
        value: &Value<'d>,
    ) -> Result<Vec<Line>, ConfigError> {
        let mut line = vec![first.clone()];
        match value.get_ref() {
            DeValue::Boolean(on) => match (keyword.form, keyword.argument_counts().0) {
                ("0|1", _) => line.push(self.word(if *on { "1" } else { "0" }, value.span())),
                (_, 0) => return Ok(if *on { vec![line] } else { Vec::new() }),
                _ => {
                    let why = format!("{on} says nothing about it");
                    let hint = format!("its value is {}", keyword.form);
                    return self.refuse(value.span(), keyword.name, why, hint);
                }
            },
            DeValue::Array(words) => line.extend(self.words(keyword, words)?),
            DeValue::Table(table) => return self.named(keyword, line, table, value.span()),
            _ => line.push(self.scalar(keyword, value)?),
        }
        Ok(vec![line])
    }

    fn words(&self, keyword: &Keyword, words: &DeArray<'d>) -> Result<Line, ConfigError> {
        words.iter().map(|word| self.scalar(keyword, word)).collect()
    }

    /// Arguments by their names.
    fn named(
        &self,
        keyword: &'static Keyword,
        mut line: Line,
        table: &DeTable<'d>,
        span: std::ops::Range<usize>,
    ) -> Result<Vec<Line>, ConfigError> {
        let arguments = arguments(keyword);
        let names: Vec<&str> = arguments.iter().map(|argument| argument.name.as_str()).collect();
        let of_port = |name: &str| keyword.name == "port" && OF_A_PORT.contains(&name);
        if !has_names(&arguments) {
            let hint = format!("write its arguments as an array: {}", keyword.form);
            return self.refuse(span, keyword.name, "it has no named arguments".to_owned(), hint);
        }
        let odd = |(key, _): &(&Key<'d>, _)| {
            !names.contains(&key.get_ref().as_ref()) && !of_port(key.get_ref())
        };
        if let Some((key, _)) = in_order(table).into_iter().find(odd) {
            let why = format!("'{}' is none of its arguments", key.get_ref());
            return self.refuse(key.span(), keyword.name, why, names.join(", "));
        }
        for argument in &arguments {
            let value = table.iter().find(|(key, _)| *key.get_ref() == argument.name);
            match value.map(|(_, value)| (value, value.get_ref())) {
                Some((_, DeValue::Array(words))) if argument.endless => {
                    line.extend(self.words(keyword, words)?);
                }
                Some((value, _)) => line.push(self.scalar(keyword, value)?),
                None if argument.optional => {}
                None => {
                    let why = format!("its '{}' is missing", argument.name);
                    return self.refuse(span, keyword.name, why, names.join(", "));
                }
            }
        }
        let mut lines = vec![line];
        for (key, value) in in_order(table).into_iter().filter(|(key, _)| of_port(key.get_ref())) {
            let first = self.word(key.get_ref().as_ref(), key.span());
            if let Some(keyword) = keyword::find(key.get_ref()) {
                lines.extend(self.line(keyword, &first, value)?);
            }
        }
        Ok(lines)
    }

    /// One word.
    fn scalar(&self, keyword: &Keyword, value: &Value<'d>) -> Result<OwnedWord, ConfigError> {
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) => {
                match i128::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => number.to_string(),
                    Err(_) => number.as_str().to_owned(),
                }
            }
            DeValue::Float(number) => number.as_str().to_owned(),
            other => {
                let why = format!("a value of type {} is none of its arguments", other.type_str());
                let hint = format!("texts and numbers are: {}", keyword.form);
                return self.refuse(value.span(), keyword.name, why, hint);
            }
        };
        let odd = |c: &char| c.is_control() || c.is_whitespace() && *c != ' ';
        match text.chars().find(odd) {
            _ if text.trim().is_empty() => {
                self.refuse(value.span(), keyword.name, "the text is empty".into(), String::new())
            }
            Some(odd) => {
                let why = format!("the text contains {}", odd.escape_unicode());
                self.refuse(value.span(), keyword.name, why, "remove it".into())
            }
            None => Ok(self.word(text, value.span())),
        }
    }

    /// The tables of an array of tables.
    fn tables<'v>(&self, value: &'v Value<'d>) -> Result<Vec<&'v DeTable<'d>>, ConfigError> {
        let tables = match value.get_ref() {
            DeValue::Array(array) => array.iter().map(|value| value.get_ref().as_table()).collect(),
            _ => None,
        };
        let why = || "a role is a table of keywords".to_owned();
        let hint = || "write [[role]], and its keywords behind it".to_owned();
        tables.map_or_else(|| self.refuse(value.span(), "", why(), hint()), Ok)
    }
}
