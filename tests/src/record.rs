//! The record of what the core cost before: a file in the repository that a count is held against,
//! so that it never grows by the way.

/// Where the record lies.
pub const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/record/instructions.csv");

/// Growth that passes, in percent.
pub const TOLERANCE: f64 = 2.0;

/// One line of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The scenario's name.
    pub scenario: String,
    /// Instructions per packet event.
    pub instructions: f64,
    /// What compiled the program.
    pub compiler: String,
}

/// What a record's first line says.
const TITLE: &str = "scenario,instructions,compiler";

/// A record of `entries`.
pub fn write(entries: &[Entry]) -> String {
    let line = |entry: &Entry| {
        format!("{},{:.1},{}\n", entry.scenario, entry.instructions, entry.compiler)
    };
    TITLE.to_owned() + "\n" + &entries.iter().map(line).collect::<String>()
}

/// Reads a record.
///
/// # Errors
/// Says which line is none.
pub fn read(text: &str) -> Result<Vec<Entry>, String> {
    let entry = |line: &str| {
        let mut cells = line.splitn(3, ',');
        let scenario = cells.next()?.to_owned();
        let instructions = cells.next()?.parse().ok()?;
        Some(Entry { scenario, instructions, compiler: cells.next()?.to_owned() })
    };
    let lines = text.lines().filter(|line| *line != TITLE);
    lines.map(|line| entry(line).ok_or_else(|| format!("not a line of a record: {line}"))).collect()
}

/// What a count came to, held against the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is within the tolerance.
    Holds(String),
    /// It was made by another compiler: nothing can be said.
    Apart(String),
    /// It has grown, or is not in the record.
    Fails(String),
}

/// Holds `counted` against `record`.
pub fn judge(record: &[Entry], counted: &Entry) -> Verdict {
    let Entry { scenario, instructions, compiler } = counted;
    let Some(before) = record.iter().find(|entry| entry.scenario == *scenario) else {
        return Verdict::Fails(format!("{scenario}: {instructions:.1}, and not in the record"));
    };
    let growth = 100.0 * (instructions / before.instructions - 1.0);
    let figures =
        format!("{scenario}: {instructions:.1} after {:.1} ({growth:+.1} %)", before.instructions);
    if before.compiler != *compiler {
        return Verdict::Apart(format!(
            "skipped: {figures}, recorded with {}, counted with {compiler}",
            before.compiler
        ));
    }
    if growth > TOLERANCE { Verdict::Fails(figures) } else { Verdict::Holds(figures) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(scenario: &str, instructions: f64, compiler: &str) -> Entry {
        Entry { scenario: scenario.to_owned(), instructions, compiler: compiler.to_owned() }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let entries = [entry("short-1k", 413.7, "rustc 1.95.0 (x, y)"), entry("b", 2.0, "c")];
        assert_eq!(read(&write(&entries)).as_deref(), Ok(&entries[..]));
        assert!(read("short-1k,many,rustc\n").unwrap_err().contains("short-1k,many,rustc"));
    }

    #[test]
    fn growth_beyond_the_tolerance_fails() {
        let record = [entry("short-1k", 400.0, "rustc 1")];
        let verdict = |instructions| judge(&record, &entry("short-1k", instructions, "rustc 1"));
        assert!(matches!(verdict(407.9), Verdict::Holds(_)));
        assert!(matches!(verdict(200.0), Verdict::Holds(_)));
        assert!(matches!(verdict(408.1), Verdict::Fails(_)));
        assert!(matches!(judge(&record, &entry("new", 1.0, "rustc 1")), Verdict::Fails(_)));
        let apart = judge(&record, &entry("short-1k", 500.0, "rustc 2"));
        assert!(matches!(apart, Verdict::Apart(said) if said.contains("rustc 1")));
    }
}
