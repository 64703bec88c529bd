//! TOML as people meet it: converted, checked, run, and described by a schema that others can read.

use std::process::Command;

use dperf_tests::namespace::skip;
use dperf_tests::process::Folder;
use serde_json::Value;

use crate::run::{code, pair, records, root, run, says};

fn examples(ending: &str) -> Vec<String> {
    let entries = std::fs::read_dir(root().join("configs")).expect("configs/");
    let files = entries.map(|entry| entry.expect("a file").path().display().to_string());
    let mut files: Vec<String> = files.filter(|file| file.ends_with(ending)).collect();
    files.sort();
    files
}

/// What `check --json` says of a file, without what names the file itself.
fn plan(file: &str) -> Value {
    let ended = run(&["check", "--json", file]);
    assert_eq!(code(&ended), Some(0), "{}", ended.err);
    let mut plan = records(&ended).remove(0);
    // Old names that mean the same are gone.
    let kept = |note: &&Value| !note.to_string().contains("is the old name");
    let notes = plan["notes"].as_array().map(|notes| notes.iter().filter(kept).count());
    plan["notes"] = notes.into();
    plan
}

#[test]
fn a_converted_example_is_planned_alike() {
    let folder = Folder::new();
    let request = "link-file-request.txt";
    folder.write(request, std::fs::read(root().join("configs").join(request)).expect("a file"));
    for file in examples(".conf") {
        let copy = folder.write("copy.toml", says(&["convert", &file])).display().to_string();
        assert_eq!(plan(&copy), plan(&file), "{file}");
    }
}

#[test]
fn dperfs_flags_take_toml_too() {
    let folder = Folder::new();
    let [_, client] = pair(&folder, "", "", "cps 1k");
    let toml = folder.write("client.toml", says(&["convert", &client])).display().to_string();
    assert_eq!(run(&["-t", "-c", &toml]).out, "Config file OK\n");
    let wrong = std::fs::read_to_string(&toml).expect("just written").replace("\"1k\"", "\"1q\"");
    let wrong = folder.write("wrong.toml", wrong).display().to_string();
    let ended = run(&["check", &wrong]);
    assert_eq!((code(&ended), ended.out.as_str()), (Some(2), ""));
    assert!(ended.err.contains("wrong.toml:") && ended.err.contains("'1q'"), "{}", ended.err);
    assert_eq!(code(&run(&["convert", &toml])), Some(2));
}

/// What a validator that is not ours says of every example, with the schema that is committed.
const VALIDATE: &str = "
import json, sys, tomllib, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft7Validator.check_schema(schema)
validator = jsonschema.Draft7Validator(schema)
for name in sys.argv[2:]:
    for error in validator.iter_errors(tomllib.load(open(name, 'rb'))):
        print(name, list(error.absolute_path), error.message[:200])
";

fn validated(files: &[String]) -> Option<String> {
    let schema = root().join("docs/config.schema.json");
    let mut python = Command::new("python3");
    let output = python.args(["-c", VALIDATE]).arg(schema).args(files).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn the_schema_fits_every_example_and_no_nonsense() {
    let folder = Folder::new();
    let mut files = examples(".toml");
    assert!(!files.is_empty());
    for (index, file) in examples(".conf").iter().enumerate() {
        let name = format!("{index}.toml");
        files.push(folder.write(&name, says(&["convert", file])).display().to_string());
    }
    let Some(said) = validated(&files) else {
        return skip("the_schema_fits_every_example_and_no_nonsense", "python3-jsonschema");
    };
    assert_eq!(said, "");
    for (index, nonsense) in [
        "cpz = 5",
        "cps = true",
        "cps = \"1q\"",
        "mode = \"both\"",
        "tos = 256",
        "quiet = 5",
        "[[port]]\nname = \"link:a\"",
        "[[role]]\ncpz = 5",
        "keepalive = { every = 5 }",
    ]
    .into_iter()
    .enumerate()
    {
        let file = folder.write(&format!("nonsense{index}.toml"), nonsense).display().to_string();
        assert_ne!(validated(&[file]).unwrap_or_default(), "", "{nonsense}");
    }
}

#[test]
fn the_schema_is_what_the_program_says() {
    let committed = std::fs::read_to_string(root().join("docs/config.schema.json"));
    assert_eq!(says(&["keywords", "--schema"]), committed.expect("a file"));
}
