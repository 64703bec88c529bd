//! A file in dperf's language as TOML that means the same, with its comments.
//!
//! Keywords keep their order. Ports come last, each with the addresses that belong to it.

use dperf_core::plan::Role;

use super::error::ConfigError;
use super::keyword::{self, Keyword};
use super::toml::{OF_A_PORT, arguments, has_names, is_toml};
use super::words::{Word, lines_with_comments};
use super::{Complaint, Place, Source, read};

/// What the first line tells editors.
const SCHEMA: &str = "#:schema https://raw.githubusercontent.com/dperf-shell/dperf-shell/main/docs/config.schema.json";

/// `source` as TOML.
///
/// # Errors
/// A line of it cannot be read.
pub fn convert(source: &Source) -> Result<String, ConfigError> {
    if is_toml(source) {
        let place = Place { file: source.name.as_str().into(), line: 1, column: 1 };
        return Err(ConfigError::new(&place, "", Complaint::new("the file is TOML already", "")));
    }
    let (config, _) = read::words(std::slice::from_ref(source))?;
    let entries = entries(source)?;
    let ports = count(&entries, "port");
    let of_ports = |name: &str| {
        let of_role = name != "client" || config.role == Role::Client;
        OF_A_PORT.contains(&name) && of_role && count(&entries, name) == ports
    };
    let mut text = format!("{SCHEMA}\n");
    for (index, entry) in entries.iter().enumerate() {
        let name = entry.name();
        if name == "port" || of_ports(name) {
            continue;
        }
        let repeats = entry.keyword.is_some_and(|keyword| keyword.repeats);
        let first = entries.iter().position(|other| other.name() == name);
        let last = entries.iter().rposition(|other| other.name() == name);
        if !repeats && last != Some(index) && entry.keyword.is_some() {
            text += &entry.replaced();
        } else if !repeats || first == last {
            text += &entry.text(name, "", false);
        } else if first == Some(index) {
            text += &array(name, entries.iter().filter(|other| other.name() == name));
        }
    }
    for port in 0..ports {
        text += "\n[[port]]\n";
        text += &nth(&entries, "port", port).map_or(String::new(), Entry::port);
        for name in OF_A_PORT.into_iter().filter(|name| of_ports(name)) {
            text += &nth(&entries, name, port).map_or(String::new(), |e| e.text(name, "", true));
        }
    }
    Ok(text)
}

/// A line with the comments before it.
struct Entry<'s> {
    /// Comments and blank lines before it.
    before: Vec<String>,
    /// Its keyword; none at the end of the file.
    keyword: Option<&'static Keyword>,
    arguments: Vec<Word<'s>>,
    comment: Option<String>,
}

fn entries(source: &Source) -> Result<Vec<Entry<'_>>, ConfigError> {
    let mut entries = Vec::new();
    let mut before = Vec::new();
    for line in lines_with_comments(source) {
        let (mut words, comment) = line?;
        if words.is_empty() {
            before.push(comment.unwrap_or_default());
            continue;
        }
        let arguments = words.split_off(1);
        let keyword = words.first().and_then(|first| keyword::find(first.text));
        entries.push(Entry { before: std::mem::take(&mut before), keyword, arguments, comment });
    }
    entries.push(Entry { before, keyword: None, arguments: Vec::new(), comment: None });
    Ok(entries)
}

fn count(entries: &[Entry], name: &str) -> usize {
    entries.iter().filter(|entry| entry.name() == name).count()
}

fn nth<'e, 's>(entries: &'e [Entry<'s>], name: &str, index: usize) -> Option<&'e Entry<'s>> {
    entries.iter().filter(|entry| entry.name() == name).nth(index)
}

impl Entry<'_> {
    /// The keyword's name; old names that mean the same are gone.
    fn name(&self) -> &'static str {
        match self.keyword {
            Some(keyword) if keyword.name == "lport_range" => keyword.alias_of,
            Some(keyword) => keyword.name,
            None => "",
        }
    }

    fn before(&self, indent: &str) -> String {
        let line = |line: &String| match line.is_empty() {
            true => "\n".to_owned(),
            false => format!("{indent}{}\n", clean(line)),
        };
        self.before.iter().map(line).collect()
    }

    fn behind(&self) -> String {
        self.comment.as_ref().map_or(String::new(), |comment| format!("  {}", clean(comment)))
    }

    /// `key = value`; `in_port`: within a port, where an array is one line.
    fn text(&self, name: &str, indent: &str, in_port: bool) -> String {
        let before = self.before(indent);
        let Some(keyword) = self.keyword else { return before };
        let value = self.value(keyword, !in_port && keyword.repeats);
        format!("{before}{indent}{name} = {value}{}\n", self.behind())
    }

    /// A line that another line replaces.
    fn replaced(&self) -> String {
        let words: Vec<&str> = self.arguments.iter().map(|word| word.text).collect();
        format!("{}# replaced below: {} {}\n", self.before(""), self.name(), words.join(" "))
    }

    /// The keys of a port.
    fn port(&self) -> String {
        let names = ["name", "address", "gateway", "mac"];
        let keys = names.iter().zip(&self.arguments);
        let keys: String =
            keys.map(|(name, word)| format!("{name} = {}\n", scalar(word))).collect();
        let behind = match self.behind() {
            behind if behind.is_empty() => behind,
            behind => format!("{}\n", behind.trim_start()),
        };
        format!("{}{behind}{keys}", self.before(""))
    }

    /// The value; `nested` where an array would be several lines.
    fn value(&self, keyword: &Keyword, nested: bool) -> String {
        let forms = arguments(keyword);
        match &self.arguments[..] {
            [] => "true".to_owned(),
            [only] => scalar(only),
            words if has_names(&forms) => {
                let mut words = words.iter().peekable();
                let mut pairs = Vec::new();
                for form in &forms {
                    let skips = |word: &&Word| {
                        form.optional
                            && !form.endless
                            && forms.iter().any(|other| other.endless)
                            && !word.text.bytes().all(|byte| byte.is_ascii_digit())
                    };
                    match words.peek() {
                        Some(word) if !skips(word) => {}
                        _ => continue,
                    }
                    let value = match form.endless {
                        true => list(words.by_ref()),
                        false => words.next().map_or(String::new(), scalar),
                    };
                    pairs.push(format!("{} = {value}", form.name));
                }
                format!("{{ {} }}", pairs.join(", "))
            }
            words if nested => format!("[{}]", list(words.iter())),
            words => list(words.iter()),
        }
    }
}

/// Several lines of one keyword.
fn array<'e, 's: 'e>(name: &str, entries: impl Iterator<Item = &'e Entry<'s>>) -> String {
    let mut text = String::new();
    for entry in entries {
        let Some(keyword) = entry.keyword else { continue };
        let value = entry.value(keyword, false);
        text += &format!("{}    {value},{}\n", entry.before("    "), entry.behind());
    }
    format!("{name} = [\n{text}]\n")
}

fn list<'w, 's: 'w>(words: impl Iterator<Item = &'w Word<'s>>) -> String {
    let words: Vec<String> = words.map(scalar).collect();
    format!("[{}]", words.join(", "))
}

/// A number where TOML has one that is read as the same word, else a text.
fn scalar(word: &Word) -> String {
    let text = word.text;
    let plain = text == "0" || !text.starts_with('0');
    if plain && text.len() <= 18 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A comment as TOML may have it.
fn clean(comment: &str) -> String {
    comment.chars().filter(|c| !c.is_control() || *c == '\t').collect()
}
