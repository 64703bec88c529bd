//! dperf's own command line.

use dperf_tests::process::Folder;

use crate::run::{code, pair, run, says};

#[test]
fn files_are_tested_and_add_up() {
    let folder = Folder::new();
    let [_, client] = pair(&folder, "", "", "cps 1k");
    for words in [
        &["-c", &client, "-t"][..],
        &["-t", "-c", &client],
        &["-conf", &client, "-test"],
        &["--conf", &client, "--test"],
        &[&format!("-conf={client}"), "-t"],
    ] {
        let ended = run(words);
        assert_eq!((code(&ended), ended.out.as_str()), (Some(0), "Config file OK\n"), "{words:?}");
    }
    let text = std::fs::read_to_string(&client).expect("just written");
    let (first, second) = text.split_at(text.find("server ").expect("a line"));
    let half = |name, text: &str| folder.write(name, text).display().to_string();
    let (first, second) = (half("first", first), half("second", second));
    assert_eq!(run(&["-t", "-c", &first, "-c", &second]).out, "Config file OK\n");
    for half in [&first, &second] {
        let ended = run(&["-t", "-c", half]);
        assert_eq!((code(&ended), ended.out.as_str()), (Some(2), ""));
        assert!(ended.err.contains(half), "{}", ended.err);
    }
}

/// What is read differently from dperf, or ignored, is said on stderr.
#[test]
fn notes_do_not_disturb_the_test() {
    let folder = Folder::new();
    let [_, client] = pair(&folder, "", "", "cps 1k\nrss l3l4 mq_rx_none");
    let ended = run(&["-t", "-c", &client]);
    assert_eq!((code(&ended), ended.out.as_str()), (Some(0), "Config file OK\n"));
    assert!(ended.err.contains("'l3l4 mq_rx_none' of older dperf versions"), "{}", ended.err);
}

#[test]
fn one_configuration_runs_as_one_role() {
    let folder = Folder::new();
    let [_, client] = pair(&folder, "", "", "cps 1k");
    // Both ends of a link need two configurations: `run` takes those.
    let ended = run(&["-c", &client]);
    assert_eq!((code(&ended), ended.out.as_str()), (Some(2), ""));
    assert!(ended.err.contains("dperf-shell run"), "{}", ended.err);
}

#[test]
fn help_version_and_manual_are_told() {
    let manual = says(&["keywords"]);
    let entry = manual.split("  duration TIME").nth(1).unwrap_or_default();
    let entry: Vec<&str> = entry.lines().take(2).map(str::trim).collect();
    assert_eq!(entry, ["how long the load lasts after the ramp", "default: 60s"], "{manual}");
    for words in [["-m"], ["--manual"], ["-manual"]] {
        assert_eq!(says(&words), manual);
    }
    for words in [["-v"], ["--version"], ["-version"]] {
        assert_eq!(says(&words), format!("{}\n", env!("CARGO_PKG_VERSION")));
    }
    for words in [["-h"], ["--help"], ["-help"]] {
        let help = says(&words);
        for word in ["--conf", "--test", "run", "check", "keywords", "demo", "Exit status"] {
            assert!(help.contains(word), "no '{word}' in\n{help}");
        }
    }
    for verb in ["run", "check", "keywords", "demo"] {
        assert!(says(&[verb, "--help"]).contains("Usage: dperf-shell"), "{verb}");
    }
}
