//! Damaged configurations: each is refused with its line and word, or accepted with a stated
//! meaning. None panics, and none changes what will happen without saying so.
//!
//! `DPERF_MUTATIONS=1000000` tries as many; `DPERF_MUTATION=17` tries number 17 and prints it.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::{env, fs};

use super::{CLIENT, SERVER};
use crate::config::{ConfigError, Read, Source, convert, keyword, read};
use crate::plan::{Plan, PlanRecord, explain};

/// How many are tried when nobody asks for more.
const ROUNDS: u64 = 20_000;

/// A small generator of chance (SplitMix64): a number of the test is its seed.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn of<'t, T>(&mut self, list: &'t [T]) -> &'t T {
        &list[self.below(list.len())]
    }
}

/// What a word may become.
const WORDS: &[&str] = &[
    "0",
    "1",
    "2",
    "-1",
    "+1",
    "00",
    "7x",
    "x7",
    "254",
    "255",
    "256",
    "65534",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999999999999999",
    ".",
    ".5",
    "1.5",
    "1.2.3",
    "1.001k",
    "2.4m",
    "4g",
    "1K",
    "k",
    "0x",
    "0x1f",
    "0xg",
    "10ms",
    "10us",
    "0us",
    "1s",
    "901s",
    "1m",
    "1h",
    "1d",
    "1e9",
    "nan",
    "inf",
    "#",
    "#x",
    "x#",
    "/",
    "-",
    "10.0.1.1",
    "10.0.2.1",
    "10.0.1.0/24",
    "10.0.0.0/8",
    "10.0.9.1-10.0.9.9",
    "0.0.0.0",
    "255.255.255.255",
    "::1",
    "::",
    "2001:db8::/120",
    "2001:db8::1",
    "link:b",
    "0000:03:00.1",
    "bond4:2(0000:81:10.0)",
    "0-1",
    "1-0",
    "client",
    "server",
    "tcp",
    "http",
    "udp",
    "tap",
    "é",
    "\u{feff}",
    "\u{3000}",
];

/// Our own examples, and dperf's where they are.
pub(super) fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let beside = root.join("../../shared/compat/dperf-confs");
    let dperfs = env::var_os("DPERF_CONFS").map_or(beside, PathBuf::from);
    let mut folders = vec![root.join("../configs"), dperfs];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            match path.extension() {
                Some(extension) if extension == "conf" => files.push(path),
                _ if path.is_dir() => folders.push(path),
                _ => {}
            }
        }
    }
    files.sort();
    files
}

/// The configurations that are damaged.
fn bases() -> Vec<String> {
    let texts = files().into_iter().map(|path| fs::read_to_string(path).unwrap());
    let bases: Vec<String> = [CLIENT, SERVER].map(str::to_owned).into_iter().chain(texts).collect();
    assert!(bases.len() > 20, "configs/ is there");
    bases
}

/// Lines of words, damaged as lines and words; then perhaps as bytes.
fn mutant(bases: &[String], chance: &mut Chance) -> Vec<u8> {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let base = chance.of(bases);
    let mut lines: Vec<Vec<String>> =
        base.lines().filter(|line| !line.starts_with('#')).map(words).collect();
    for _ in 0..=chance.below(3) {
        let other = chance.of(bases);
        damage(&mut lines, other, chance);
    }
    let ending = if chance.below(50) == 0 { "\r\n" } else { "\n" };
    let text: Vec<String> = lines.iter().map(|line| line.join(" ")).collect();
    let mut bytes = text.join(ending).into_bytes();
    if chance.below(4) == 0 && !bytes.is_empty() {
        let at = chance.below(bytes.len());
        match chance.below(3) {
            0 => bytes[at] ^= 1 << chance.below(8),
            1 => bytes[at] = chance.next() as u8,
            _ => {
                bytes.remove(at);
            }
        }
    }
    bytes
}

fn damage(lines: &mut Vec<Vec<String>>, other: &str, chance: &mut Chance) {
    if lines.is_empty() {
        return;
    }
    let (at, to) = (chance.below(lines.len()), chance.below(lines.len()));
    if lines[at].is_empty() {
        lines[at].push(String::new());
    }
    let (word, second) = (chance.below(lines[at].len()), chance.below(lines[at].len()));
    match chance.below(12) {
        0 => drop(lines.remove(at)),
        1 => lines.swap(at, to),
        2 => lines.insert(to, lines[at].clone()),
        3 => drop(lines[at].remove(word)),
        4 => lines[at].swap(word, second),
        5 => {
            let twin = lines[at][word].clone();
            lines[at].insert(word, twin);
        }
        6 => lines[at].push((*chance.of(WORDS)).to_owned()),
        7 => {
            let examples: Vec<&str> = keyword::all().map(|keyword| keyword.example).collect();
            let line = chance.of(&examples).split(' ').map(str::to_owned).collect();
            lines.insert(to, line);
        }
        8 => {
            let foreign: Vec<&str> = other.lines().collect();
            lines.insert(to, chance.of(&foreign).split(' ').map(str::to_owned).collect());
        }
        9 => {
            let names: Vec<&str> = keyword::all().map(|keyword| keyword.name).collect();
            lines[at][0] = (*chance.of(&names)).to_owned();
        }
        _ => lines[at][word] = (*chance.of(WORDS)).to_owned(),
    }
}

/// Everything that decides what will happen.
fn meaning(read: &Read, plan: &Plan) -> String {
    let config = &read.config;
    let ports: Vec<_> =
        config.ports.iter().map(|p| (&p.name, p.local, p.gateway, p.gateway_mac)).collect();
    let exception = config.exception.as_ref().map(|way| (way.kind, &way.name));
    let workers: Vec<_> = plan
        .workers
        .iter()
        .map(|w| (&w.name, w.cpu, &w.clients, &w.servers, &w.destinations, w.core))
        .collect();
    let machine = (&config.socket_mem, config.simd512, config.dpdk_log_level, &config.eal);
    let output = (config.quiet, config.clear_screen, config.duration_s, config.mtu);
    format!("{ports:?} {exception:?} {workers:?} {machine:?} {output:?} {:?}", plan.messages)
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// What an accepted configuration means, and what is said of it.
fn answer(bytes: &[u8]) -> Result<(String, String, Read), ConfigError> {
    let source = Source { name: "m.conf".to_owned(), bytes: bytes.to_vec() };
    let read = read(std::slice::from_ref(&source))?;
    let plan = Plan::assumed(&read.config)?;
    let record = PlanRecord::new(&read.config, &plan, &[]);
    let said = serde_json::to_string(&record).unwrap();
    assert!(!explain(&read.config, &plan, &read.notes).is_empty());
    let meaning = meaning(&read, &plan);
    means_the_same_in_toml(&source, &meaning);
    Ok((meaning, said, read))
}

fn means_the_same_in_toml(source: &Source, expected: &str) {
    let toml = convert(source).unwrap();
    let source = Source { name: "m.toml".to_owned(), bytes: toml.clone().into_bytes() };
    let read = read(&[source]).unwrap_or_else(|error| panic!("{error}\n{toml}"));
    let plan = Plan::assumed(&read.config).unwrap_or_else(|error| panic!("{error}\n{toml}"));
    assert!(meaning(&read, &plan) == expected, "another meaning:\n{toml}");
}

/// A refusal names its line, and the word that stands there.
fn is_placed(error: &ConfigError, bytes: &[u8]) {
    let line = bytes.split(|byte| *byte == b'\n').nth(error.place.line as usize - 1);
    let line = line.unwrap_or_else(|| panic!("there is no line {}: {error}", error.place.line));
    assert!(!error.complaint.why.is_empty() && error.place.column >= 1, "{error}");
    let text = String::from_utf8_lossy(line);
    let mark = if error.place.line == 1 { "\u{feff}" } else { "" };
    let text = text.strip_prefix(mark).unwrap_or(&text);
    let rest: String = text.chars().skip(error.place.column as usize - 1).collect();
    assert!(rest.starts_with(&*error.word), "'{}' does not stand there: {error}", error.word);
}

/// Keywords with one number: what its units multiply it by, and what is told behind it.
const NUMBERS: &[(&str, Units, &str)] = &[
    ("cps", SCALES, ""),
    ("cc", SCALES, ""),
    ("payload_size", SCALES, ""),
    ("send_window", SCALES, ""),
    ("launch_num", WHOLE, ""),
    ("mss", WHOLE, ""),
    ("seed", WHOLE, ""),
    ("duration", TIMES, " s"),
    ("slow_start", TIMES, " s"),
    ("retransmit_timeout", &[("", 1), ("s", 1)], " s"),
];
/// Units and what they stand for.
type Units = &'static [(&'static str, u128)];
const WHOLE: Units = &[("", 1)];
const SCALES: Units =
    &[("", 1), ("k", 1000), ("K", 1000), ("m", 1_000_000), ("M", 1_000_000), ("g", 1_000_000_000)];
const TIMES: Units = &[("", 1), ("s", 1), ("m", 60), ("h", 3600), ("d", 86400)];

/// What anybody would take a number for.
fn plainly(word: &str, units: &[(&str, u128)]) -> Option<u128> {
    let end = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
    let (number, unit) = word.split_at(end);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits: u128 = format!("0{whole}{part}").parse().ok()?;
    let divisor = 10u128.checked_pow(part.len() as u32)?;
    let product = digits.checked_mul(*factor)?;
    product.is_multiple_of(divisor).then_some(product / divisor)
}

/// A number is taken for what it plainly is, or its line has a note.
fn numbers_are_plain(bytes: &[u8], said: &str, read: &Read) {
    let said: serde_json::Value = serde_json::from_str(said).unwrap();
    let text = String::from_utf8_lossy(bytes);
    for (line, number) in text.lines().zip(1..) {
        let words = line.split([' ', '\t', '\r', '\x0b', '\x0c']).filter(|word| !word.is_empty());
        let mut words = words.take_while(|word| !word.starts_with('#'));
        let (Some(name), Some(word), None) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        let known = NUMBERS.iter().find(|(known, ..)| *known == name);
        let Some((_, units, unit)) = known else { continue };
        let told = said["settings"][name].as_str().unwrap();
        let same = match plainly(word, units) {
            Some(0) => told.starts_with('0') || matches!(told, "no limit" | "chosen per worker"),
            Some(value) => told == format!("{value}{unit}"),
            None => false,
        };
        // What is given again replaces a zero: the note stands with the last.
        let replaced = read.config.given(name).is_none_or(|place| place.line != number);
        let noted = read.notes.iter().any(|note| note.place.line == number);
        assert!(same || replaced || noted, "{number}: '{line}' is {told}, and nothing is said");
    }
}

#[test]
fn damaged_configurations_are_refused_or_say_what_they_mean() {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let bases = bases();
    let (from, to) = match number("DPERF_MUTATION") {
        Some(one) => (one, one + 1),
        None => (0, number("DPERF_MUTATIONS").unwrap_or(ROUNDS)),
    };
    let mut meanings: HashMap<u64, u64> = HashMap::new();
    let mut accepted = 0u64;
    for round in from..to {
        let bytes = mutant(&bases, &mut Chance(round));
        let text = || String::from_utf8_lossy(&bytes).into_owned();
        if to - from == 1 {
            println!("{}", text());
        }
        let outcome = std::panic::catch_unwind(|| match answer(&bytes) {
            Ok((meaning, said, read)) => {
                numbers_are_plain(&bytes, &said, &read);
                Some((hash(&said), hash(&meaning)))
            }
            Err(error) => {
                is_placed(&error, &bytes);
                None
            }
        });
        let Ok(outcome) = outcome else { panic!("DPERF_MUTATION={round}:\n{}", text()) };
        if let Some((said, meaning)) = outcome {
            accepted += 1;
            let known = *meanings.entry(said).or_insert(meaning);
            assert!(known == meaning, "DPERF_MUTATION={round} has two meanings:\n{}", text());
        }
    }
    let tried = to - from;
    println!("{accepted} of {tried} accepted, {} different", meanings.len());
    assert!(tried < 1000 || (tried / 20..tried * 19 / 20).contains(&accepted), "{accepted}");
}
