//! Text to words: every word knows where it stands, and nothing is dropped without a message.
//!
//! A line is a keyword and its arguments, separated by white space. `#` starts a comment that goes
//! on to the end of the line when it stands at the start of a line or behind white space; within a
//! word it is a character like any other (`http_path /a#b`). Lines and words are of any length and
//! any number. A line ends with LF or CR LF. Words are UTF-8; comments may be in any encoding.
//! There is no quoting and no continuation.

use std::sync::Arc;

use super::Source;
use super::error::{Complaint, ConfigError, Note, Place};
use super::lenient::Lenient;

/// One word and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Word<'s> {
    /// Its characters; never empty.
    pub(super) text: &'s str,
    /// Where it stands.
    pub(super) place: Place,
}

impl Word<'_> {
    /// Reads the word's value; a complaint about it gets to know where the word stands.
    pub(super) fn read<T>(
        &self,
        value: impl FnOnce(&str) -> Result<T, Complaint>,
    ) -> Result<T, ConfigError> {
        value(self.text).map_err(|complaint| self.error(complaint))
    }

    /// Reads the word's value with dperf's leniency; what is odd about the word goes to `notes`.
    pub(super) fn read_leniently<T>(
        &self,
        notes: &mut Vec<Note>,
        value: impl FnOnce(&str) -> Lenient<T>,
    ) -> Result<T, ConfigError> {
        let (value, remark) = self.read(value)?;
        notes.extend(remark.map(|text| self.note(text)));
        Ok(value)
    }

    /// A note about this word.
    pub(super) fn note(&self, text: impl Into<String>) -> Note {
        Note { place: self.place.clone(), text: text.into() }
    }

    /// The complaint about this word.
    pub(super) fn error(&self, complaint: Complaint) -> ConfigError {
        let word = self.text.into();
        ConfigError { word, ..ConfigError::new(&self.place, "", complaint) }
    }
}

/// The lines of `source` that are neither blank nor comment, in order.
pub(super) fn lines(source: &Source) -> impl Iterator<Item = Result<Vec<Word<'_>>, ConfigError>> {
    let file: Arc<str> = Arc::from(source.name.as_str());
    let text = source.bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&source.bytes);
    text.split(|byte| *byte == b'\n')
        .zip(1..)
        .map(move |(line, number)| {
            let start = Place { file: file.clone(), line: number, column: 1 };
            split(line, &start).map(|(words, _)| words)
        })
        .filter(|words| words.as_ref().map_or(true, |words| !words.is_empty()))
}

/// Every line of `source`, also those without a word, with its comment.
pub(super) fn lines_with_comments(
    source: &Source,
) -> impl Iterator<Item = Result<(Vec<Word<'_>>, Option<String>), ConfigError>> {
    let file: Arc<str> = Arc::from(source.name.as_str());
    let text = source.bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&source.bytes);
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.split(|byte| *byte == b'\n').zip(1..).map(move |(line, number)| {
        let (words, comment) = split(line, &Place { file: file.clone(), line: number, column: 1 })?;
        Ok((words, comment.map(|comment| String::from_utf8_lossy(comment).trim_end().to_owned())))
    })
}

/// How many lines `source` has: where something missing is reported.
pub(super) fn last_line(source: &Source) -> u32 {
    let breaks = source.bytes.iter().filter(|byte| **byte == b'\n').count();
    let open_end = usize::from(source.bytes.last().is_some_and(|byte| *byte != b'\n'));
    u32::try_from((breaks + open_end).max(1)).unwrap_or(u32::MAX)
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The words of a line, and its comment from the `#` on.
fn split<'s>(
    line: &'s [u8],
    start: &Place,
) -> Result<(Vec<Word<'s>>, Option<&'s [u8]>), ConfigError> {
    if let Some(at) = line.iter().position(|byte| is_control(*byte)) {
        return Err(control_byte(line, at, start));
    }
    let mut words = Vec::new();
    let (mut from, mut before) = (0, 1);
    while let Some(skip) = line[from..].iter().position(|byte| !is_blank(*byte)) {
        from += skip;
        let end = line[from..].iter().position(|byte| is_blank(*byte));
        let end = end.map_or(line.len(), |length| from + length);
        if line[from] == b'#' {
            return Ok((words, Some(&line[from..])));
        }
        before += skip as u32;
        let place = Place { column: before, ..start.clone() };
        let word = word(&line[from..end], place)?;
        before += word.text.chars().count() as u32;
        words.push(word);
        from = end;
    }
    Ok((words, None))
}

fn word(bytes: &[u8], place: Place) -> Result<Word<'_>, ConfigError> {
    let text = std::str::from_utf8(bytes).map_err(|_| {
        let why = format!("'{}' is not UTF-8 text", bytes.escape_ascii());
        ConfigError::new(&place, "", Complaint::new(why, "save the file as UTF-8"))
    })?;
    let word = Word { text, place };
    match text.chars().find(|c| c.is_whitespace() || c.is_control() || *c == '\u{feff}') {
        None => Ok(word),
        Some(odd) => Err(word.error(Complaint::new(
            format!("'{text}' contains {}, which separates no words", odd.escape_unicode()),
            "separate words by plain spaces or tabs",
        ))),
    }
}

fn control_byte(line: &[u8], at: usize, start: &Place) -> ConfigError {
    let place = Place { column: column(line, at), ..start.clone() };
    let why = format!("the control byte 0x{:02x} has no place in a configuration", line[at]);
    let hint = match line[at] {
        0 => "is this a configuration file? Save it as UTF-8 text, not as UTF-16",
        _ => "remove it; only tabs and line ends are allowed",
    };
    ConfigError::new(&place, "", Complaint::new(why, hint))
}

/// The column of the byte at `at`: characters, if what precedes it is UTF-8, else bytes.
fn column(line: &[u8], at: usize) -> u32 {
    let before = std::str::from_utf8(&line[..at]).map_or(at, |text| text.chars().count());
    u32::try_from(before + 1).unwrap_or(u32::MAX)
}

/// The bytes of C's `isspace` that do not end a line.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)
}

fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && !is_blank(byte)
}
