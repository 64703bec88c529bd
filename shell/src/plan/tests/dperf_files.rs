//! dperf's own example files: each gives a plan, or is refused for exactly the reason listed here.
//!
//! They are not part of this repository: `DPERF_CONFS` names their folder, or they lie beside it.

use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::config::{Source, read};
use crate::plan::Plan;

const PLANNED: &str = "";

/// Each file and what its refusal says.
const FILES: &[(&str, &str)] = &[
    ("bond/bond.conf", PLANNED),
    ("http/client-cps.conf", PLANNED),
    ("http/server-cps.conf", PLANNED),
    ("ipv6/client-cps-ipv6.conf", PLANNED),
    ("ipv6/server-cps-ipv6.conf", "12:1: client: 2001:6:6:241::27 is a server address as well"),
    ("kni/kni-ipv6.conf", "13:1: client: 2001:6:6:241::55 is a server address as well"),
    ("kni/kni.conf", PLANNED),
    ("multi-instance/client-cps-1.conf", PLANNED),
    ("multi-instance/server-cps-1.conf", PLANNED),
    ("performance/cc/client/client-cc-port1-1.conf", PLANNED),
    ("performance/cc/client/client-cc-port2-2.conf", PLANNED),
    ("performance/cc/client/client-cc-port2-4.conf", PLANNED),
    ("performance/cc/server/server-cc-port1-1.conf", PLANNED),
    ("performance/cc/server/server-cc-port2-2.conf", PLANNED),
    ("performance/cc/server/server-cc-port2-4.conf", PLANNED),
    ("performance/cps/client/client-cps-port1-1.conf", PLANNED),
    ("performance/cps/client/client-cps-port2-2.conf", PLANNED),
    ("performance/cps/client/client-cps-port2-4.conf", PLANNED),
    ("performance/cps/client/client-cps-port2-6.conf", PLANNED),
    ("performance/cps/server/server-cps-port1-1.conf", PLANNED),
    ("performance/cps/server/server-cps-port2-2.conf", PLANNED),
    ("performance/cps/server/server-cps-port2-4.conf", PLANNED),
    ("performance/cps/server/server-cps-port2-6.conf", PLANNED),
    ("performance/tps/client/client-tps-port1-1.conf", PLANNED),
    ("performance/tps/client/client-tps-port2-2.conf", PLANNED),
    ("performance/tps/client/client-tps-port2-4.conf", PLANNED),
    ("performance/tps/server/server-tps-port1-1.conf", PLANNED),
    ("performance/tps/server/server-tps-port2-2.conf", PLANNED),
    ("performance/tps/server/server-tps-port2-4.conf", PLANNED),
    ("performance/tx-pps/flood-1.conf", PLANNED),
    ("performance/tx-pps/flood-2.conf", PLANNED),
    ("performance/tx-pps/flood-4.conf", PLANNED),
    ("performance/tx-pps/flood-6.conf", PLANNED),
    ("performance/tx-pps/flood-8.conf", PLANNED),
    ("udp/client.conf", PLANNED),
    ("udp/server-cps-ipv6.conf", "12:1: client: 2001:6:6:241::27 is a server address as well"),
    ("udp/server.conf", PLANNED),
    ("vxlan/ipv4/vxlan-client1.conf", PLANNED),
    ("vxlan/ipv4/vxlan-client5.conf", PLANNED),
    ("vxlan/ipv4/vxlan-server1.conf", PLANNED),
    ("vxlan/ipv4/vxlan-server5.conf", PLANNED),
    ("vxlan/ipv6/vxlan-client-ipv6-5.conf", PLANNED),
    ("vxlan/ipv6/vxlan-client-ipv6-udp.conf", PLANNED),
    ("vxlan/ipv6/vxlan-client-ipv6.conf", PLANNED),
    ("vxlan/ipv6/vxlan-server-ipv6-5.conf", PLANNED),
    ("vxlan/ipv6/vxlan-server-ipv6-udp.conf", PLANNED),
    ("vxlan/ipv6/vxlan-server-ipv6.conf", PLANNED),
];

fn folder() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/compat/dperf-confs");
    let folder = env::var_os("DPERF_CONFS").map_or(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: dperf's example files: {} absent", folder.display());
    None
}

#[test]
fn dperfs_files_are_planned_or_refused_by_name() {
    let Some(folder) = folder() else {
        return;
    };
    assert_eq!(FILES.len(), 47);
    let mut planned = 0;
    for (name, expected) in FILES {
        let bytes = fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let source = Source { name: (*name).to_owned(), bytes };
        let outcome = read(&[source]).and_then(|read| Plan::assumed(&read.config));
        match outcome {
            Ok(_) => {
                assert_eq!(*expected, PLANNED, "{name} was planned");
                planned += 1;
            }
            Err(error) => {
                let text = error.to_string();
                let told = *expected != PLANNED && text.contains(expected);
                assert!(told && text.starts_with(&format!("{name}:")), "{text}");
            }
        }
    }
    assert_eq!(planned, 44);
}

#[test]
fn all_files_are_listed() {
    let Some(folder) = folder() else {
        return;
    };
    let mut found = Vec::new();
    let mut folders = vec![folder.clone()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "conf") {
                found.push(path.strip_prefix(&folder).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    let listed: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
    assert_eq!(found, listed);
}
