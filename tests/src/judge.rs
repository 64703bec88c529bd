//! Judges that nobody here wrote: what they say of us, case by case, and one row about it for the
//! table of `make judges`.
//!
//! What a judge is known to hold against us stands in a list with a reason in each line. The list
//! may only shrink: a case of it that passes, or is no more, fails the test as well.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

/// The environment variable that names the file for the rows.
const ROWS: &str = "DPERF_JUDGES";

/// One judge at work.
#[derive(Debug)]
pub struct Judge<'l> {
    name: &'l str,
    /// Case and reason.
    expected: BTreeMap<&'l str, &'l str>,
    cases: u64,
    passed: u64,
    failed: BTreeMap<String, String>,
    skipped: BTreeMap<&'static str, u64>,
}

impl<'l> Judge<'l> {
    /// A judge whose cases are all expected to pass, except those of `list`: one in each line,
    /// `CASE | REASON`; lines that begin with `#` say something else.
    ///
    /// # Panics
    /// A line of the list has no reason.
    #[must_use]
    pub fn new(name: &'l str, list: &'l str) -> Judge<'l> {
        let lines = list.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        let entry = |line: &'l str| {
            let (case, reason) = line.split_once(" | ").unwrap_or_default();
            assert!(!reason.trim().is_empty(), "{name}: no reason in this line: {line}");
            (case.trim(), reason.trim())
        };
        Judge {
            name,
            expected: lines.map(entry).collect(),
            cases: 0,
            passed: 0,
            failed: BTreeMap::new(),
            skipped: BTreeMap::new(),
        }
    }

    /// What became of a case: nothing to say against us, or what is wrong.
    pub fn case(&mut self, case: impl Into<String>, verdict: Result<(), String>) {
        self.cases += 1;
        match verdict {
            Ok(()) => self.passed += 1,
            Err(why) => _ = self.failed.insert(case.into(), why),
        }
    }

    /// A case that is not ours to take.
    pub fn skip(&mut self, why: &'static str) {
        self.cases += 1;
        *self.skipped.entry(why).or_default() += 1;
    }

    /// Writes the row.
    ///
    /// # Panics
    /// The judge found fault where the list expects none, or none where it expects one; there was
    /// no case at all.
    pub fn finish(self) {
        let told = |(case, why): (&String, &String)| format!("{}: {case}\n  {why}\n", self.name);
        let new = self.failed.iter().filter(|(case, _)| !self.expected.contains_key(&case[..]));
        let mut wrong: String = new.map(told).collect();
        for case in self.expected.keys().filter(|case| !self.failed.contains_key(**case)) {
            let _ = writeln!(wrong, "{}: {case}\n  fails no more: strike it off", self.name);
        }
        let forgiven = self.failed.keys().filter(|case| self.expected.contains_key(&case[..]));
        let skipped: u64 = self.skipped.values().sum();
        let why = self.skipped.iter().map(|(why, count)| format!("{count} {why}"));
        let counts = [self.cases, self.passed, forgiven.count() as u64, skipped];
        row(self.name, counts, &why.collect::<Vec<_>>().join("; "));
        assert!(wrong.is_empty(), "\n{wrong}");
        assert!(self.cases > 0, "{}: not a single case", self.name);
    }
}

/// The folder of a judge that no package registry has, as the environment variable `variable`
/// says. None, a line about it, and a row, where it is not set.
#[must_use]
pub fn folder(name: &str, variable: &str) -> Option<std::path::PathBuf> {
    let folder = std::env::var_os(variable).map(Into::into);
    if folder.is_none() {
        absent(name, &format!("{variable}, the folder of it (docs/TESTING.md says where from)"));
    }
    folder
}

/// A judge that is not here for lack of `what`: a line, and its row.
pub fn absent(name: &str, what: &str) {
    println!("skipped: {name} needs {what}");
    row(name, [0; 4], &format!("all: needs {what}"));
}

/// Adds a row to the table: cases, passed, expected to fail, skipped, and why skipped.
fn row(name: &str, counts: [u64; 4], why: &str) {
    let Some(path) = std::env::var_os(ROWS) else { return };
    let line = format!("{name}|{}|{why}\n", counts.map(|count| count.to_string()).join("|"));
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(line.as_bytes())).expect("a row for the table");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(passes: &[&str], fails: &[&str]) {
        let mut judge = Judge::new("a judge", "# pinned\na b | RFC 1, section 2\n");
        for case in passes {
            judge.case(*case, Ok(()));
        }
        for case in fails {
            judge.case(*case, Err("why".to_owned()));
        }
        judge.finish();
    }

    #[test]
    fn what_is_expected_to_fail_may() {
        judge(&["c"], &["a b"]);
    }

    #[test]
    #[should_panic(expected = "a judge: c\n  why")]
    fn nothing_else_may() {
        judge(&[], &["a b", "c"]);
    }

    #[test]
    #[should_panic(expected = "a b\n  fails no more")]
    fn the_list_only_shrinks() {
        judge(&["a b"], &[]);
    }

    #[test]
    #[should_panic(expected = "no reason in this line: a b")]
    fn every_line_has_a_reason() {
        let _ = Judge::new("a judge", "a b\n");
    }
}
