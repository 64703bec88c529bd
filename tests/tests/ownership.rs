//! What must not compile does not, and for the reason given. Beside each `compile_fail` example in
//! the documentation stands its twin that compiles and differs in one line; so it is that line that
//! the compiler refuses. (Stable rustdoc does not compare the error codes: this test does.)

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the house")
}

/// Every source file of the core and of the shell, by its name from the root.
fn sources() -> Vec<String> {
    fn add(folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                add(&path, found);
            } else if let Ok(name) = path.strip_prefix(root()) {
                found.push(name.display().to_string());
            }
        }
    }
    let mut found = Vec::new();
    for folder in ["core/src", "shell/src"] {
        add(&root().join(folder), &mut found);
    }
    found.sort();
    found
}

/// An example in the documentation.
#[derive(Debug)]
struct Example {
    /// What stands behind the opening quotes.
    label: String,
    lines: Vec<String>,
}

/// Every example in the module documentation of `file`.
fn examples(file: &str) -> Vec<Example> {
    let text = fs::read_to_string(root().join(file)).expect("the file is there");
    let mut examples = Vec::new();
    let mut open: Option<Example> = None;
    for line in text.lines().map_while(|line| line.strip_prefix("//!")) {
        let line = line.strip_prefix(' ').unwrap_or(line);
        match (line.strip_prefix("```"), &mut open) {
            (Some(label), None) => {
                open = Some(Example { label: label.to_owned(), lines: Vec::new() });
            }
            (Some(_), Some(_)) => examples.extend(open.take()),
            (None, Some(example)) => {
                example.lines.push(line.strip_prefix("# ").unwrap_or(line).to_owned());
            }
            (None, None) => {}
        }
    }
    examples
}

/// `bad` is `good` with one line changed or added.
fn one_line_apart(bad: &[String], good: &[String]) -> bool {
    let before = bad.iter().zip(good).take_while(|(a, b)| a == b).count();
    let (bad, good) = (&bad[before..], &good[before..]);
    let behind = bad.iter().rev().zip(good.iter().rev()).take_while(|(a, b)| a == b).count();
    bad.len() - behind == 1 && good.len() - behind <= 1
}

/// A proof: what must not compile, why, and its twin.
struct Proof {
    file: String,
    code: String,
    bad: Vec<String>,
    good: Vec<String>,
}

/// Every proof; fails if one names no code or has no twin.
fn proofs() -> Vec<Proof> {
    let mut proofs = Vec::new();
    for file in sources() {
        let (bad, good): (Vec<_>, Vec<_>) =
            examples(&file).into_iter().partition(|example| example.label.contains("compile_fail"));
        for Example { label, lines } in bad {
            let code = label.strip_prefix("compile_fail,E").filter(|code| code.len() == 4);
            let code = code.unwrap_or_else(|| panic!("{file}: {label} names no error code"));
            let twin = good.iter().find(|twin| one_line_apart(&lines, &twin.lines));
            let twin = twin.unwrap_or_else(|| panic!("{file}: {label} has no twin: {lines:#?}"));
            let good = twin.lines.clone();
            proofs.push(Proof { file: file.clone(), code: format!("E{code}"), bad: lines, good });
        }
    }
    proofs
}

/// Compiled libraries of `name` beside this test, the newest first.
fn libraries(name: &str) -> Vec<PathBuf> {
    let test = std::env::current_exe().expect("this test is a file");
    let folder = test.parent().expect("it lies in a folder");
    let entries = fs::read_dir(folder).expect("the folder can be read");
    let mut found: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "rlib"))
        .filter(|path| {
            let file = path.file_name().and_then(|file| file.to_str());
            file.is_some_and(|file| file.starts_with(&format!("lib{name}-")))
        })
        .collect();
    found.sort_by_key(|path| fs::metadata(path).and_then(|file| file.modified()).ok());
    found.reverse();
    assert!(!found.is_empty(), "{name} is built beside this test");
    found
}

/// The two libraries that a program is compiled against.
struct Libraries {
    core: PathBuf,
    shell: PathBuf,
}

impl Libraries {
    /// The error codes that `lines` gets, as the body of a function.
    fn codes(&self, lines: &[String], name: &str) -> BTreeSet<String> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let source = folder.join(format!("{name}.rs"));
        let text = format!("#![allow(unused)]\npub fn proof() {{\n{}\n}}\n", lines.join("\n"));
        fs::write(&source, text).expect("the folder for tests can be written");
        let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
            .args(["--edition=2024", "--crate-type=lib", "--emit=metadata", "--error-format=json"])
            .arg("--extern")
            .arg(format!("dperf_core={}", self.core.display()))
            .arg("--extern")
            .arg(format!("dperf_shell={}", self.shell.display()))
            .arg("-L")
            .arg(format!("dependency={}", self.core.parent().unwrap_or(folder).display()))
            .arg("-o")
            .arg(folder.join(format!("{name}.rmeta")))
            .arg(&source)
            .current_dir(root())
            .output()
            .expect("the compiler runs");
        let messages = String::from_utf8_lossy(&output.stderr);
        let mut codes: BTreeSet<String> = messages
            .split("\"code\":{\"code\":\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .filter(|code| code.starts_with('E'))
            .map(str::to_owned)
            .collect();
        if !output.status.success() && codes.is_empty() {
            codes.insert(messages.into_owned());
        }
        codes
    }

    /// A pair that fits together, and fits what the sources say now.
    fn find(twin: &[String]) -> Libraries {
        let mut why = BTreeSet::new();
        for shell in libraries("dperf_shell") {
            for core in libraries("dperf_core") {
                let pair = Libraries { core, shell: shell.clone() };
                why = pair.codes(twin, "fits");
                if why.is_empty() {
                    return pair;
                }
            }
        }
        panic!("no pair of libraries compiles this:\n{}\n{why:?}", twin.join("\n"));
    }
}

#[test]
fn what_must_not_compile_does_not_and_its_twin_does() {
    let proofs = proofs();
    // An example that uses both libraries tells whether they belong together.
    let both = |proof: &&Proof| {
        let text = proof.good.join("\n");
        text.contains("dperf_core") && text.contains("dperf_shell")
    };
    let example = proofs.iter().find(both).expect("the link's proofs name both");
    let libraries = Libraries::find(&example.good);
    for (number, Proof { file, code, bad, good }) in proofs.iter().enumerate() {
        let codes = libraries.codes(good, &format!("good{number}"));
        assert!(codes.is_empty(), "{file}: the twin of {code}: {codes:?}");
        let codes = libraries.codes(bad, &format!("bad{number}"));
        assert_eq!(codes, BTreeSet::from([code.clone()]), "{file}:\n{}", bad.join("\n"));
    }
}

/// The list of attempts for people is the list of the examples.
#[test]
fn every_attempt_is_listed() {
    let text = fs::read_to_string(root().join("docs/RACES.md")).expect("the list is there");
    let row = |line: &str| -> Option<(String, String)> {
        let mut cells = line.strip_prefix("| ")?.split(" | ").skip(1);
        let (code, _) = cells.next()?.split_once(": ")?;
        let file = cells.next()?.strip_prefix('[')?.split(']').next()?;
        Some((file.to_owned(), code.to_owned()))
    };
    let mut listed: Vec<_> = text.lines().filter_map(row).collect();
    let mut made: Vec<_> =
        proofs().into_iter().map(|Proof { file, code, .. }| (file, code)).collect();
    listed.sort();
    made.sort();
    assert_eq!(listed, made, "docs/RACES.md lists other attempts than there are");
}
