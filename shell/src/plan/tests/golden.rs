//! Every file of `configs` gives the plan that is committed beside the other test data.

use std::path::{Path, PathBuf};
use std::{env, fs};

use dperf_core::plan::Role;

use crate::config::{PortName, Source, read, read_roles};
use crate::plan::{Plan, explain};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn files(ending: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(root().join("configs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(ending))
        .collect();
    names.sort();
    names
}

/// The names of the examples in dperf's language, without their ending.
fn names() -> Vec<String> {
    files(".conf").iter().map(|name| name.trim_end_matches(".conf").to_owned()).collect()
}

/// From where tests run: what a file names lies beside it.
fn file(name: &str) -> Source {
    let bytes = fs::read(root().join("configs").join(name)).unwrap();
    Source { name: format!("../configs/{name}"), bytes }
}

fn source(name: &str) -> Source {
    file(&format!("{name}.conf"))
}

#[test]
fn every_example_is_planned_as_before() {
    let update = env::var_os("UPDATE_GOLDEN").is_some();
    let files = [files(".conf"), files(".toml")].concat();
    assert!(files.len() >= 20, "{files:?}");
    for name in files {
        let reads = read_roles(&file(&name)).unwrap_or_else(|error| panic!("{error}"));
        let explained = reads.iter().map(|read| {
            let plan = Plan::assumed(&read.config).unwrap_or_else(|error| panic!("{error}"));
            explain(&read.config, &plan, &read.notes)
        });
        let text = explained.collect::<Vec<_>>().join("\n").replace("../configs/", "configs/");
        let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
        let golden = root().join(format!("tests/data/plans/{stem}.txt"));
        if update {
            fs::write(&golden, &text).unwrap();
        }
        let committed = fs::read_to_string(&golden).unwrap_or_default();
        assert!(
            committed == text,
            "the plan of {name} changed (UPDATE_GOLDEN=1 accepts it):\n{text}"
        );
    }
}

#[test]
fn examples_come_in_pairs_that_meet() {
    for name in names() {
        let Some(scenario) = name.strip_suffix("-client") else {
            assert!(name.ends_with("-server"), "{name}");
            continue;
        };
        let client = read(&[source(&name)]).unwrap().config;
        let server = read(&[source(&format!("{scenario}-server"))]).unwrap().config;
        assert_eq!((client.role, server.role), (Role::Client, Role::Server), "{scenario}");
        assert_eq!(client.queues(), server.queues(), "{scenario}");
        assert_eq!(
            (client.listen, client.protocol),
            (server.listen, server.protocol),
            "{scenario}"
        );
        assert_eq!(client.keepalive.is_some(), server.keepalive.is_some(), "{scenario}");
        for (ours, theirs) in client.ports.iter().zip(&server.ports) {
            assert_eq!((ours.local, ours.gateway), (theirs.gateway, theirs.local), "{scenario}");
            if let PortName::Link(_) = ours.name {
                assert_eq!(ours.name, theirs.name, "{scenario}");
            }
        }
        let lists = |lines: &[crate::config::Addresses]| -> Vec<_> {
            lines.iter().map(|line| line.list.clone()).collect()
        };
        assert_eq!(lists(&client.clients), lists(&server.clients), "{scenario}");
        assert_eq!(lists(&client.servers), lists(&server.servers), "{scenario}");
    }
}
