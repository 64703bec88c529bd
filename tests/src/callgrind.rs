//! Instructions counted by callgrind and told apart by room: however busy the machine is, the same
//! program comes to the same number.
//!
//! An instruction belongs to the room whose source line it was made from; one that was made from
//! the standard library or another crate, to the room that it was inlined into.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Instructions by room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Count(BTreeMap<String, u64>);

impl Count {
    /// Instructions in all.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// What this count has beyond `other`.
    #[must_use]
    pub fn less(&self, other: &Count) -> Count {
        let rest = |(room, count): (&String, &u64)| {
            let of_other = other.0.get(room).copied().unwrap_or_default();
            (room.clone(), count.saturating_sub(of_other))
        };
        Count(self.0.iter().map(rest).collect())
    }
}

/// Runs `program` under callgrind and counts its instructions.
///
/// # Panics
/// Valgrind or addr2line (binutils) is not installed, or the program fails.
pub fn count(program: &Path, arguments: &[&str]) -> Count {
    let out = Scratch::new();
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--dump-instr=yes", "--compress-pos=no"])
        .args(["--compress-strings=no", &format!("--callgrind-out-file={}", out.0.display())])
        .arg(program)
        .args(arguments)
        .output()
        .expect("valgrind is installed: make packages");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", program.display());
    let profile = fs::read_to_string(&out.0).expect("callgrind writes its profile");
    let costs = read(&profile, &program.display().to_string());
    let rooms = rooms(program, costs.own.keys());
    let mut count = Count::default();
    for (address, cost) in costs.own {
        let room = rooms.get(&address).map_or("elsewhere", String::as_str);
        *count.0.entry(room.to_owned()).or_default() += cost;
    }
    *count.0.entry("libc".to_owned()).or_default() += costs.libraries;
    count
}

/// A table of `counts`, each over so many events: a row for each room, a column for each scenario.
pub fn table(counts: &[(&str, &Count, f64)]) -> String {
    let mut rooms: Vec<&String> = counts.iter().flat_map(|(_, count, _)| count.0.keys()).collect();
    rooms.sort();
    rooms.dedup();
    let mut text = format!("{:<12}", "room");
    for (name, ..) in counts {
        let _ = write!(text, "{name:>16}");
    }
    let mut row = |name: &str, of: &dyn Fn(&Count) -> u64| {
        let cells: Vec<f64> =
            counts.iter().map(|(_, all, events)| of(all) as f64 / events).collect();
        if cells.iter().any(|cell| *cell >= 0.05) {
            let _ = write!(text, "\n{name:<12}");
            cells.iter().for_each(|cell| {
                let _ = write!(text, "{cell:>16.1}");
            });
        }
    };
    for room in rooms {
        row(room, &|count| count.0.get(room).copied().unwrap_or_default());
    }
    row("all", &Count::total);
    text + "\n"
}

/// A profile's costs: of each address of the program, and of the libraries together.
#[derive(Debug, Default, PartialEq, Eq)]
struct Costs {
    own: BTreeMap<u64, u64>,
    libraries: u64,
}

/// Reads a profile whose names and positions are written out: `ob=` names the object of the lines
/// that follow, each of which is address, source line and cost; the line behind `calls=` is the
/// cost of what was called, which has lines of its own.
fn read(profile: &str, program: &str) -> Costs {
    let mut costs = Costs::default();
    let (mut ours, mut called) = (false, false);
    for line in profile.lines() {
        if let Some(object) = line.strip_prefix("ob=") {
            ours = object == program;
        } else if line.starts_with("calls=") {
            called = true;
        } else if line.starts_with("0x") && !core::mem::take(&mut called) {
            let mut words = line.split(' ');
            let address = words.next().and_then(|word| u64::from_str_radix(&word[2..], 16).ok());
            let cost = words.nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
            match address {
                Some(address) if ours => *costs.own.entry(address).or_default() += cost,
                _ => costs.libraries += cost,
            }
        }
    }
    costs
}

/// The room of each address, by the program's debug information.
fn rooms<'a>(program: &Path, addresses: impl Iterator<Item = &'a u64>) -> BTreeMap<u64, String> {
    let asked = Scratch::new();
    let lines: String = addresses.map(|address| format!("{address:#x}\n")).collect();
    fs::write(&asked.0, lines).expect("a scratch file is written");
    let output = Command::new("addr2line")
        .args(["--inlines", "--addresses", "--exe"])
        .arg(program)
        .stdin(Stdio::from(File::open(&asked.0).expect("it is there")))
        .output()
        .expect("addr2line (binutils) is installed: make packages");
    let mut found = BTreeMap::new();
    let mut address = 0;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        if let Some(digits) = line.strip_prefix("0x") {
            address = u64::from_str_radix(digits, 16).unwrap_or(0);
        } else if let Some(room) = room_of(line) {
            // The innermost comes first.
            found.entry(address).or_insert(room);
        }
    }
    found
}

/// The room of a source file: a file or folder of the core, or one of the other crates.
fn room_of(file: &str) -> Option<String> {
    if file.contains("/library/") || file.contains("/registry/") {
        return None;
    }
    if let Some((_, in_core)) = file.split_once("/core/src/") {
        // The list of rooms is none itself.
        let room = in_core.split(['/', '.']).next().filter(|room| *room != "lib");
        return room.map(str::to_owned);
    }
    let others = [("/shell/src/", "link"), ("/tests/", "benchmark")];
    others.iter().find(|(part, _)| file.contains(part)).map(|(_, room)| (*room).to_owned())
}

/// A file that is removed when it is no longer needed.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Relaxed);
        let name = format!("dperf-callgrind-{}-{number}", std::process::id());
        Scratch(std::env::temp_dir().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_read_without_what_was_called() {
        let profile = "version: 1\nob=/bin/ours\nfn=main\n0x10 5 3\ncfn=memcpy\ncob=/lib/libc.so\n\
                       calls=2 0x99 0\n0x14 6 700\n0x18 7 2\n0x10 5 4\n\nob=/lib/libc.so\n\
                       fn=memcpy\n0x99 0 700\n";
        let costs = read(profile, "/bin/ours");
        assert_eq!(costs.own, BTreeMap::from([(0x10, 7), (0x18, 2)]));
        assert_eq!(costs.libraries, 700);
    }

    #[test]
    fn a_line_belongs_to_its_room() {
        let room = |file| room_of(file);
        assert_eq!(room("/x/core/src/tcp/input.rs:9").as_deref(), Some("tcp"));
        assert_eq!(room("/x/core/src/parse.rs:10 (discriminator 2)").as_deref(), Some("parse"));
        assert_eq!(room("/x/shell/src/port/link.rs:1").as_deref(), Some("link"));
        assert_eq!(room("/x/tests/benches/core.rs:1").as_deref(), Some("benchmark"));
        assert_eq!(room("/rustc/0123/library/core/src/num/mod.rs:1"), None);
        assert_eq!(room("/x/registry/src/i/zerocopy-0.8.1/src/lib.rs:1"), None);
        assert_eq!(room("/x/core/src/lib.rs:?"), None);
        assert_eq!(room("??:?"), None);
    }

    #[test]
    fn the_difference_of_two_counts_is_told_per_event() {
        let count = |pairs: &[(&str, u64)]| {
            Count(pairs.iter().map(|(room, count)| ((*room).to_owned(), *count)).collect())
        };
        let (short, long) = (count(&[("tcp", 10)]), count(&[("tcp", 30), ("wire", 4)]));
        let rest = long.less(&short);
        assert_eq!((rest.total(), rest), (24, count(&[("tcp", 20), ("wire", 4)])));
        let text = table(&[("short", &long.less(&short), 2.0)]);
        let lines: Vec<Vec<&str>> = text.lines().map(|l| l.split_whitespace().collect()).collect();
        assert_eq!(lines[1..], [vec!["tcp", "10.0"], vec!["wire", "2.0"], vec!["all", "12.0"]]);
    }
}
