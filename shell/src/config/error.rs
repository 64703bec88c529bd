//! Every refusal says what is wrong, where it stands and what to do about it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Characters of a word that are shown at most.
pub(super) const LONGEST_WORD: usize = 100;

/// Where a word stands: lines and columns count from 1, columns in characters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The source's name, usually a file.
    pub file: Arc<str>,
    /// The line.
    pub line: u32,
    /// The column of the word's first character.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// What is wrong with a value, told by somebody who does not know where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Complaint {
    /// What is wrong.
    pub why: String,
    /// What to do about it; may be empty.
    pub hint: String,
}

impl Complaint {
    /// A complaint with a way out.
    pub fn new(why: impl Into<String>, hint: impl Into<String>) -> Complaint {
        Complaint { why: why.into(), hint: hint.into() }
    }
}

/// The first thing that is wrong with a configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// Where the offending word stands.
    pub place: Place,
    /// The keyword concerned; empty if there is none.
    pub keyword: &'static str,
    /// The offending word; empty if something is missing.
    pub word: Box<str>,
    /// What is wrong and what to do about it.
    pub complaint: Complaint,
    /// What was to be said of what had been read before: it may be the cause.
    pub notes: Box<[Note]>,
}

impl ConfigError {
    /// The `complaint` about what stands at `place`.
    pub fn new(place: &Place, keyword: &'static str, complaint: Complaint) -> ConfigError {
        let (place, word, notes) = (place.clone(), Box::default(), Box::default());
        ConfigError { place, keyword, word, complaint, notes }
    }

    /// The error, after `notes`.
    #[must_use]
    pub fn after(self, notes: Vec<Note>) -> ConfigError {
        ConfigError { notes: notes.into(), ..self }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.keyword.is_empty() {
            write!(f, "{}: ", self.keyword)?;
        }
        f.write_str(&shortened(&self.complaint.why))?;
        if !self.complaint.hint.is_empty() {
            write!(f, "\n  hint: {}", shortened(&self.complaint.hint))?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// The text with what is left out of every word that is too long.
fn shortened(text: &str) -> Cow<'_, str> {
    let whole = |word: &str| word.chars().nth(LONGEST_WORD).is_none();
    if text.split(' ').all(whole) {
        return text.into();
    }
    let cut = |word: &str| {
        let Some((at, _)) = word.char_indices().nth(LONGEST_WORD) else { return word.to_owned() };
        let (head, rest) = word.split_at(at);
        // Its end tells where the word ends.
        let end = rest.trim_start_matches(|c| !"',:;.".contains(c));
        let end = if end.chars().count() < 4 { end } else { "" };
        let bare = word.trim_matches(|c| "\"',:;.".contains(c));
        format!("{head}...{end} ({} characters)", bare.chars().count())
    };
    text.split(' ').map(cut).collect::<Vec<_>>().join(" ").into()
}

/// Something that is ignored, or that means something else than it did in dperf.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// What the note is about.
    pub place: Place,
    /// One line.
    pub text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.place.file, self.place.line, shortened(&self.text))
    }
}
