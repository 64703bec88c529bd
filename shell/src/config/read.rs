//! Words to values: each line goes to the keyword of the table that its first word names.

use std::sync::Arc;

use super::error::{Complaint, ConfigError, Note, Place};
use super::keyword::{self, Keyword};
use super::toml;
use super::words::{self, Word};
use super::{Config, Role, Source};

/// Reads every line of every source; nothing is compared across lines yet except repetition.
pub(super) fn words(sources: &[Source]) -> Result<(Config, Vec<Note>), ConfigError> {
    let mut reading = Reading::new(end(sources));
    let done = sources.iter().try_for_each(|source| reading.source(source));
    reading.end(done)
}

/// Reads the lines of one role of a TOML file.
pub(super) fn lines(
    source: &Source,
    lines: Vec<toml::Line>,
) -> Result<(Config, Vec<Note>), ConfigError> {
    let mut reading = Reading::new(end(std::slice::from_ref(source)));
    let done = reading.toml(lines);
    reading.end(done)
}

/// The lines of a TOML file that is to be one role.
fn only_role(source: &Source) -> Result<Vec<toml::Line>, ConfigError> {
    let mut roles = toml::roles(source)?;
    match (roles.pop(), roles.len()) {
        (Some(only), 0) => Ok(only),
        (_, others) => {
            let why = format!("there are {} roles where one is wanted", others + 1);
            let hint = "give the file to `dperf-shell run` or `check`";
            let place = Place { file: Arc::from(source.name.as_str()), line: 1, column: 1 };
            Err(ConfigError::new(&place, "", Complaint::new(why, hint)))
        }
    }
}

/// What has been read so far.
struct Reading {
    config: Config,
    notes: Vec<Note>,
}

impl Reading {
    fn new(end: Place) -> Reading {
        Reading { config: Config::new(end), notes: Vec::new() }
    }

    /// What was read, if all went well.
    fn end(self, done: Result<(), ConfigError>) -> Result<(Config, Vec<Note>), ConfigError> {
        match done {
            Ok(()) => Ok((self.config, self.notes)),
            Err(error) => Err(error.after(self.notes)),
        }
    }

    fn source(&mut self, source: &Source) -> Result<(), ConfigError> {
        if toml::is_toml(source) {
            return self.toml(only_role(source)?);
        }
        words::lines(source).try_for_each(|line| self.line(&line?))
    }

    fn toml(&mut self, lines: Vec<toml::Line>) -> Result<(), ConfigError> {
        lines.iter().try_for_each(|line| {
            let words: Vec<Word<'_>> = line.iter().map(toml::OwnedWord::lend).collect();
            self.line(&words)
        })
    }

    fn line(&mut self, words: &[Word<'_>]) -> Result<(), ConfigError> {
        match words {
            [first, arguments @ ..] => {
                one_line(&mut self.config, &mut self.notes, first, arguments)
            }
            [] => Ok(()),
        }
    }
}

fn one_line(
    config: &mut Config,
    notes: &mut Vec<Note>,
    first: &Word,
    arguments: &[Word],
) -> Result<(), ConfigError> {
    let Some(keyword) = keyword::find(first.text) else {
        return Err(unknown(first));
    };
    not_repeated(config, keyword, first)?;
    let named = |error| ConfigError { keyword: keyword.name, ..error };
    right_count(keyword, first, arguments).map_err(named)?;
    keyword.reads.read(config, first, arguments).map_err(named)?;
    let of_words = config.remarks.drain(..);
    notes.extend(of_words.map(|note| named_note(keyword, note)));
    if arguments.len() > DPERF_ARGUMENTS {
        let text =
            format!("{} arguments; dperf drops all behind {DPERF_ARGUMENTS}", arguments.len());
        notes.push(named_note(keyword, first.note(text)));
    }
    if !keyword.remark.is_empty() {
        let text = format!("{} {}", keyword.name, keyword.remark);
        notes.push(Note { place: first.place.clone(), text });
    }
    if config.given(keyword.name).is_none() {
        config.given.push((keyword.name, first.place.clone()));
    }
    Ok(())
}

/// How many arguments of a line dperf looks at.
const DPERF_ARGUMENTS: usize = 31;

fn named_note(keyword: &Keyword, note: Note) -> Note {
    Note { text: format!("{}: {}", keyword.name, note.text), ..note }
}

/// As in dperf, what was given so far is as if it were not given.
fn is_unset(config: &Config, name: &str) -> bool {
    match name {
        "mode" => config.role == Role::Client,
        "cps" => config.cps == 0,
        "launch_num" => config.launch_num == 0,
        "pipeline" => config.pipeline == 0,
        "tos" => config.tos == 0,
        "http_method" => !config.http_post,
        "payload_size" => config.payload_sizes == [0],
        _ => false,
    }
}

fn not_repeated(config: &mut Config, keyword: &Keyword, first: &Word) -> Result<(), ConfigError> {
    let twins = [keyword.name, keyword.alias_of];
    let aliases = keyword::all().filter(|other| other.alias_of == keyword.name);
    let mut names = twins.into_iter().chain(aliases.map(|other| other.name));
    let earlier = names.find_map(|name| Some((name, config.given(name)?)));
    match earlier {
        Some((name, place)) if is_unset(config, name) => {
            let text = format!("what stands at {place} is replaced, as in dperf");
            config.remarks.push(first.note(text));
            config.given.retain(|(given, _)| *given != name);
            Ok(())
        }
        Some((name, place)) if !keyword.repeats => {
            let why = format!("'{}' is given twice", first.text);
            let hint = format!("'{name}' stands at {place} already; keep one of them");
            Err(ConfigError { keyword: keyword.name, ..first.error(Complaint::new(why, hint)) })
        }
        _ => Ok(()),
    }
}

fn right_count(keyword: &Keyword, first: &Word, arguments: &[Word]) -> Result<(), ConfigError> {
    if arguments.first().is_some_and(|word| word.text == "=") {
        let why = "'=' stands in TOML, this is read as dperf's language";
        return Err(arguments[0].error(Complaint::new(why, "name the file .toml")));
    }
    let (least, most) = keyword.argument_counts();
    let hint = format!("write: {} {}", keyword.name, keyword.form);
    if arguments.len() < least {
        let why = match arguments.len() {
            0 => "its argument is missing".to_owned(),
            few => format!("{few} of at least {least} arguments are there"),
        };
        return Err(first.error(Complaint::new(why, hint)));
    }
    match arguments.get(most) {
        None => Ok(()),
        Some(extra) => {
            let why = format!("'{}' is one argument too many", extra.text);
            Err(extra.error(Complaint::new(why, hint.trim_end().to_owned())))
        }
    }
}

fn unknown(word: &Word) -> ConfigError {
    let why = format!("unknown keyword '{}'", word.text);
    let near = keyword::all().map(|k| (distance(word.text, k.name), k.name)).min();
    let hint = match near {
        Some((changes, name)) if changes <= 1 + name.len() / 4 => format!("did you mean '{name}'?"),
        _ => "'dperf-shell keywords' lists all of them".to_owned(),
    };
    word.error(Complaint::new(why, hint))
}

/// How many letters must be changed, added or removed to turn `from` into `to` (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().take(64).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in to.bytes().enumerate() {
            let exchange = diagonal + usize::from(!a.eq_ignore_ascii_case(&b));
            diagonal = row[j + 1];
            row[j + 1] = exchange.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

fn end(sources: &[Source]) -> Place {
    let (file, line) = match sources.last() {
        Some(source) => (source.name.as_str(), words::last_line(source)),
        None => ("configuration", 1),
    };
    Place { file: Arc::from(file), line, column: 1 }
}
