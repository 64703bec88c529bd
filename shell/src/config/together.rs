//! What must be true across the roles of one process: each link joins a client and a server, no
//! device is opened twice. A client and a server that will not understand each other leave a note.

use std::collections::HashMap;

use dperf_core::plan::{PortRange, Role};

use super::error::{Complaint, ConfigError, Note};
use super::{Config, Port, PortName, Read};

/// Checks roles that run in one process, in their order.
///
/// # Errors
/// The first port that the roles cannot have together, with its place.
pub fn together(reads: &mut [Read]) -> Result<(), ConfigError> {
    let roles: Vec<&Config> = reads.iter().map(|read| &read.config).collect();
    let mut notes = Vec::new();
    for (here, there) in facing(&roles) {
        notes.extend(mismatch(here, there, true));
    }
    let owned = one_owner(&roles);
    if owned.is_ok() {
        for name in links(&roles) {
            let (here, there) = ends(&roles, name)?;
            notes.extend(mismatch(here, there, false));
        }
        notes.extend(shared_core(&roles));
    }
    if let Some(last) = reads.last_mut() {
        last.notes.extend(notes);
    }
    owned
}

fn refuse(port: &Port, why: String, hint: &str) -> ConfigError {
    ConfigError::new(&port.place, "port", Complaint::new(why, hint))
}

/// A device belongs to one role.
fn one_owner(roles: &[&Config]) -> Result<(), ConfigError> {
    let mut owners = HashMap::new();
    for (role, port) in ports(roles) {
        // What has two ends may have both of them here.
        let has_ends = matches!(port.name, PortName::Link(_) | PortName::Memif(_));
        for device in port.name.devices().into_iter().filter(|_| !has_ends) {
            let (owner, earlier) = *owners.entry(device).or_insert((role, port));
            if owner != role {
                let why = format!("'{device}' is the other role's, at {}", earlier.place);
                return Err(refuse(port, why, "each role has its own ports"));
            }
        }
    }
    Ok(())
}

/// Every port with the index of its role.
fn ports<'r>(roles: &[&'r Config]) -> impl Iterator<Item = (usize, &'r Port)> {
    let of_role =
        |(index, config): (usize, &'r Config)| config.ports.iter().map(move |port| (index, port));
    roles.iter().copied().enumerate().flat_map(of_role)
}

/// The names of all links, each once, in order.
fn links<'r>(roles: &[&'r Config]) -> Vec<&'r str> {
    let mut names = Vec::new();
    for (_, port) in ports(roles) {
        if let PortName::Link(name) = &port.name
            && !names.contains(&name.as_str())
        {
            names.push(name.as_str());
        }
    }
    names
}

/// An end of a link: the role, and which of its ports.
type End<'r> = (&'r Config, usize);

/// Both ends of a link, the first one first.
fn ends<'r>(roles: &[&'r Config], name: &str) -> Result<(End<'r>, End<'r>), ConfigError> {
    let is_end = |port: &Port| matches!(&port.name, PortName::Link(is) if is == name);
    let of_role = |config: &'r Config| {
        let ports = config.ports.iter().enumerate().filter(|(_, port)| is_end(port));
        ports.map(move |(index, _)| (config, index))
    };
    let ends: Vec<End<'r>> = roles.iter().copied().flat_map(of_role).collect();
    let port = |(config, index): End<'r>| &config.ports[index];
    match ends[..] {
        [here, there] if here.0.role == there.0.role => {
            let role = here.0.role.name();
            let why = format!("link:{name} has a {role} on both ends");
            Err(refuse(port(there), why, "it joins a client's file and a server's"))
        }
        [here, there] => Ok((here, there)),
        _ => {
            let count = ends.len();
            let why = format!("link:{name} has {count} end(s) in this process, it needs two");
            let hint = "run the client's and the server's file together, `dperf-shell run \
                        SERVER.conf CLIENT.conf`";
            Err(refuse(port(ends[0]), why, hint))
        }
    }
}

/// The ports of a client and a server without links, which face each other in their order.
fn facing<'r>(roles: &[&'r Config]) -> Vec<(End<'r>, End<'r>)> {
    let [one, other] = roles else { return Vec::new() };
    let linked = ports(roles).any(|(_, port)| matches!(port.name, PortName::Link(_)));
    if one.role == other.role || linked || one.ports.len() != other.ports.len() {
        return Vec::new();
    }
    (0..one.ports.len()).map(|index| ((*one, index), (*other, index))).collect()
}

/// What will go wrong between the ends of a link, or between two ports, where something may stand
/// that `translates`.
fn mismatch(one: End<'_>, other: End<'_>, translates: bool) -> Vec<Note> {
    let is_client = one.0.role == Role::Client;
    let ((client, index), (server, at)) = if is_client { (one, other) } else { (other, one) };
    let place = client.ports[index].place.clone();
    let unless = if translates { ", unless something in between translates" } else { "" };
    let silent = (!client.flood).then(|| silence((client, index), (server, at))).flatten();
    let silent = silent.map(|why| format!("the other end will not answer{unless}: {why}"));
    let closes = !client.is_udp()
        && !client.flood
        && client.keepalive.is_some()
        && server.keepalive.is_none();
    let closes = closes.then(|| {
        "the server closes after each answer: it has no keepalive, and the client has".to_owned()
    });
    let (client_s, server_s) = (client.end_s(), server.end_s());
    let matters = translates || server.given("duration").is_some();
    let early = (matters && server_s < client_s).then(|| {
        let then = if translates {
            "unless both run in one process"
        } else {
            "and in one process both end then"
        };
        format!("the server ends at {server_s} s, the client's load at {client_s} s, {then}")
    });
    let told = silent.into_iter().chain(closes).chain(early);
    told.map(|text| Note { place: place.clone(), text }).collect()
}

/// Why the server will not answer the client that looks at answers.
fn silence((client, index): End<'_>, (server, at): End<'_>) -> Option<String> {
    let asked = &client.servers.get(index)?.list;
    let served = &server.servers.get(at)?.list;
    let asking = &client.clients.get(index)?.list;
    let ends = |ports: PortRange| [ports.first, ports.at(ports.count - 1)];
    let misses =
        |all: PortRange, some: PortRange| ends(some).iter().any(|port| all.find(*port).is_none());
    let is_known = |address| server.clients.iter().any(|line| line.list.contains(address));
    if client.is_udp() != server.is_udp() {
        return Some("one side speaks UDP, the other TCP".to_owned());
    }
    if misses(server.listen, client.listen) {
        let ([from, to], [first, last]) = (ends(server.listen), ends(client.listen));
        return Some(format!(
            "the server listens on {from} to {to}, the client asks {first} to {last}"
        ));
    }
    if misses(server.client_ports, client.client_ports) {
        let ([from, to], [first, last]) = (ends(server.client_ports), ends(client.client_ports));
        return Some(format!(
            "the server knows client ports {from} to {to}, the client has {first} to {last}"
        ));
    }
    if let Some(address) = asked.iter().find(|address| !served.contains(address)) {
        return Some(format!("the server has no address {address}"));
    }
    let stranger = asking.iter().find(|address| !is_known(address))?;
    Some(format!("the server knows no client {stranger}"))
}

/// Workers of two roles on one core.
fn shared_core(roles: &[&Config]) -> Option<Note> {
    let [one, others @ ..] = roles else { return None };
    let config = others.iter().find(|other| other.cpus.iter().any(|cpu| one.cpus.contains(cpu)))?;
    let cpu = config.cpus.iter().find(|cpu| one.cpus.contains(cpu))?;
    let text = format!("in one run both roles have workers on cpu {cpu}: rates will suffer");
    Some(Note { place: config.given("cpu")?.clone(), text })
}
