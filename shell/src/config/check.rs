//! What must be true across keywords: dperf's rules in dperf's order, the first that fails wins.
//!
//! Defaults that depend on other keywords are filled in on the way; whatever is ignored, or means
//! something else than in dperf, leaves a note.

mod addresses;
mod load;
mod payload;

use std::collections::HashMap;

use dperf_core::plan::Role;

use super::error::{Complaint, ConfigError, Note, Place};
use super::keyword::{self, Otherwise, Side};
use super::{Config, MOST_TX_BURST, MTU, Protocol};

type Done = Result<(), ConfigError>;

/// Checks everything, fills in what depends on something else.
pub(super) fn all(config: &mut Config, notes: &mut Vec<Note>) -> Done {
    sides(config, notes)?;
    addresses::one_family(config)?;
    mss(config)?;
    load::keepalive(config)?;
    load::pipeline(config)?;
    http(config)?;
    load::ramp(config, notes);
    addresses::distinct_clients(config)?;
    addresses::distinct_servers(config)?;
    addresses::no_conflicts(config)?;
    addresses::distinct_ports(config)?;
    payload::check(config, notes)?;
    ports_and_cores(config, notes)?;
    vxlan_and_vlan(config)?;
    addresses::port_families(config)?;
    addresses::lines_per_port(config)?;
    steering(config, notes)?;
    change_dip(config)?;
    load::targets(config, notes)?;
    without_tcp(config)?;
    flow_isolate(config)?;
    super::exception::check(config, notes)?;
    without_dpdk(config, notes);
    tx_burst(config, notes);
    whole_messages(config, notes);
    meanings(config, notes);
    Ok(())
}

/// Leaves a note about `keyword`, if it was given.
fn note(config: &Config, notes: &mut Vec<Note>, keyword: &str, text: impl Into<String>) {
    if let Some(place) = config.given(keyword) {
        notes.push(Note { place: place.clone(), text: text.into() });
    }
}

/// A keyword of the other side is refused, or ignored as if it were not there.
fn sides(config: &mut Config, notes: &mut Vec<Note>) -> Done {
    let (role, other) = match config.role {
        Role::Client => ("client", "server"),
        Role::Server => ("server", "client"),
    };
    let mut ignored = Vec::new();
    for (name, place) in &config.given {
        let side = keyword::find(name).map_or(Side::Both, |keyword| keyword.side);
        let wrong = match (config.role, side) {
            (Role::Server, Side::Client(otherwise)) | (Role::Client, Side::Server(otherwise)) => {
                otherwise
            }
            _ => continue,
        };
        match wrong {
            Otherwise::Refused => {
                let hint = format!("remove the line, or move it to the {other}'s configuration");
                let why = format!("a {role} has no such keyword, only a {other} has");
                return Err(ConfigError::new(place, name, Complaint::new(why, hint)));
            }
            Otherwise::Ignored => {
                let text = format!("{name} is ignored: it is for the {other}");
                notes.push(Note { place: place.clone(), text });
                ignored.push(*name);
            }
        }
    }
    config.given.retain(|(name, _)| !ignored.contains(name));
    if config.role == Role::Server {
        (config.flood, config.client_hop, config.disable_ack) = (false, false, false);
    }
    Ok(())
}

/// Bytes of IP header, by family.
fn ip_header_bytes(config: &Config) -> u16 {
    if config.is_ipv6() { 40 } else { 20 }
}

/// Bytes of an IP packet that the MTU leaves inside a tunnel, or behind two tags.
fn inner_mtu(config: &Config) -> u16 {
    config.mtu - config.taken_from_mtu()
}

fn mss(config: &mut Config) -> Done {
    const TCP_HEADER_BYTES: u16 = 20;
    let most = inner_mtu(config) - ip_header_bytes(config) - TCP_HEADER_BYTES;
    if config.mss > most {
        let why = format!("{} bytes are more than fit one packet, {most}", config.mss);
        let hint = match config.mtu {
            MTU => "lower it, or use jumbo",
            _ => "lower it",
        };
        return Err(config.refuse("mss", why, hint));
    }
    if config.mss == 0 {
        config.mss = most;
    }
    Ok(())
}

fn http(config: &Config) -> Done {
    for name in ["http_host", "http_path"] {
        if config.given(name).is_some() && config.protocol != Protocol::Http {
            let hint = "add the line: protocol http";
            return Err(config.refuse(name, "it needs protocol http", hint));
        }
    }
    if config.given("payload_file").is_some()
        && config.given("http_path").is_some()
        && !config.http_post
    {
        let why = "a GET from a file has its path in the file";
        return Err(config.refuse("http_path", why, "remove http_path or payload_file"));
    }
    Ok(())
}

fn ports_and_cores(config: &Config, notes: &mut Vec<Note>) -> Done {
    let (ports, cores) = (config.ports.len(), config.cpus.len());
    if ports == 0 {
        let hint = "add a line such as: port 0000:03:00.1 10.0.1.1 10.0.1.254";
        return Err(config.refuse("port", "there is no port", hint));
    }
    if cores == 0 {
        return Err(config.refuse("cpu", "there is no core", "add a line such as: cpu 0"));
    }
    if !cores.is_multiple_of(ports) {
        let why =
            format!("the number of cores, {cores}, is not a multiple of that of ports, {ports}");
        return Err(config.refuse("cpu", why, "every port has the same number of workers"));
    }
    let mut taken: HashMap<&str, &Place> = HashMap::new();
    for port in &config.ports {
        for device in port.name.devices() {
            if let Some(earlier) = taken.insert(device, &port.place) {
                let why = format!("'{device}' is used twice");
                let hint = format!("it is a port already at {earlier}");
                return Err(ConfigError::new(&port.place, "port", Complaint::new(why, hint)));
            }
        }
    }
    let mut distinct = config.cpus.clone();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < cores {
        let text = format!("{cores} workers share {} cores: rates will suffer", distinct.len());
        note(config, notes, "cpu", text);
    }
    Ok(())
}

fn vxlan_and_vlan(config: &Config) -> Done {
    if let Some(first) = config.vxlans.first() {
        let refuse = |place: &Place, why: String| {
            let hint = "one vxlan line per port; LOCAL has an address per worker of the port, \
                        REMOTE one, or as many";
            Err(ConfigError::new(place, "vxlan", Complaint::new(why, hint)))
        };
        if config.vxlans.len() != config.ports.len() {
            let (tunnels, ports) = (config.vxlans.len(), config.ports.len());
            return refuse(&first.place, format!("{tunnels} tunnels do not match {ports} ports"));
        }
        for vxlan in &config.vxlans {
            let (local, remote) = (vxlan.local.len(), vxlan.remote.len());
            let queues = config.queues();
            if local != queues || (remote != 1 && remote != queues) {
                let why = format!("{local} and {remote} ends do not match {queues} workers a port");
                return refuse(&vxlan.place, why);
            }
        }
        if config.given("vlan").is_some() {
            return Err(config.refuse("vlan", "it cannot be combined with vxlan", ""));
        }
    }
    let bond = config.ports.iter().any(|port| port.name.to_string().starts_with("bond"));
    if bond && config.given("vlan").is_some() {
        return Err(config.refuse("vlan", "it cannot be combined with a bond", ""));
    }
    Ok(())
}

/// Which worker a flow comes to must be known.
fn steering(config: &Config, notes: &mut Vec<Note>) -> Done {
    if !config.rss_words.is_empty() {
        let words = config.rss_words.join(" ");
        note(config, notes, "rss", format!("'{words}' of older dperf versions is ignored"));
    }
    let queues = config.queues();
    if queues == 1 {
        note(config, notes, "rss", "rss is ignored: each port has one worker");
        return Ok(());
    }
    if config.rss && !config.vxlans.is_empty() {
        return Err(config.refuse("rss", "it cannot be combined with vxlan", ""));
    }
    if config.rss {
        return Ok(());
    }
    for (port, servers) in config.ports.iter().zip(&config.servers) {
        if !port.name.is_dperfs() {
            continue;
        }
        let count = servers.list.len();
        if count != queues {
            let why = format!("{count} server addresses do not match {queues} workers of the port");
            let hint = "give as many server addresses as workers, or use rss";
            return Err(ConfigError::new(&servers.place, "server", Complaint::new(why, hint)));
        }
    }
    Ok(())
}

fn change_dip(config: &Config) -> Done {
    let Some(first) = config.change_dips.first() else {
        return Ok(());
    };
    let refuse = |place: &Place, why: &str| {
        Err(ConfigError::new(place, "change_dip", Complaint::new(why, "")))
    };
    if !config.flood {
        return refuse(&first.place, "it needs flood");
    }
    if !config.vxlans.is_empty() {
        return refuse(&first.place, "it cannot be combined with vxlan");
    }
    for dips in &config.change_dips {
        if dips.list.iter().any(|address| address.is_ipv6() != config.is_ipv6()) {
            return refuse(&dips.place, "its addresses are not of the family of the others");
        }
    }
    let addresses: usize = config.change_dips.iter().map(|dips| dips.list.len()).sum();
    if addresses < config.cpus.len() {
        return refuse(&first.place, "there are fewer addresses than workers");
    }
    Ok(())
}

fn without_tcp(config: &Config) -> Done {
    if config.is_udp() && config.fast_close {
        return Err(config.refuse("fast_close", "UDP has nothing to close", "remove the line"));
    }
    Ok(())
}

fn flow_isolate(config: &Config) -> Done {
    if config.given("flow_isolate").is_none() {
        return Ok(());
    }
    if config.rss {
        return Err(config.refuse("flow_isolate", "it cannot be combined with rss", ""));
    }
    if config.queues() > 1 && (0..config.ports.len()).any(|port| !config.has_server_each(port)) {
        let why = "it needs as many server addresses as workers on each port";
        return Err(config.refuse(
            "flow_isolate",
            why,
            "change the server lines, or one core each",
        ));
    }
    match config.ports.iter().find(|port| port.gateway_mac.is_none()) {
        None => Ok(()),
        Some(port) => {
            let why = "flow_isolate needs the gateway's MAC address";
            let hint = "write it at the end of the line";
            Err(ConfigError::new(&port.place, "port", Complaint::new(why, hint)))
        }
    }
}

fn without_dpdk(config: &Config, notes: &mut Vec<Note>) {
    if !config.ports.iter().any(|port| port.name.is_dpdk()) {
        for name in ["eal", "flow_isolate", "socket_mem", "simd512"] {
            note(config, notes, name, format!("{name} is ignored: no port is driven by DPDK"));
        }
    }
}

/// A worker hands over no more frames than it writes in a turn.
fn tx_burst(config: &mut Config, notes: &mut Vec<Note>) {
    if config.tx_burst > MOST_TX_BURST {
        let asked = config.tx_burst;
        config.tx_burst = MOST_TX_BURST;
        let text = format!("{asked} is taken as {MOST_TX_BURST}: a worker writes no more at once");
        note(config, notes, "tx_burst", format!("tx_burst {text}"));
    }
}

/// What would be written into a message that is written already, or has no header.
fn whole_messages(config: &Config, notes: &mut Vec<Note>) {
    if config.flood && !config.is_udp() {
        return;
    }
    let is_file = !config.payload_file.is_empty();
    let why = if is_file {
        "payload_file has the whole message"
    } else {
        "so short a message has no header"
    };
    let header = ["http_host", "http_path", "http_method"];
    let header = header.into_iter().filter(|_| config.is_plain() && !config.is_udp());
    for name in header.chain(is_file.then_some("payload_random")) {
        note(config, notes, name, format!("{name} is ignored: {why}"));
    }
}

/// What is read as in dperf and meant differently.
fn meanings(config: &Config, notes: &mut Vec<Note>) {
    let (unused, why): (&[&str], _) = match (config.is_udp(), config.flood) {
        (true, _) => (&["mss", "send_window", "disable_ack", "http_method"], "it is not for UDP"),
        (false, true) => {
            let names = &[
                "payload_size",
                "payload_file",
                "payload_random",
                "http_method",
                "http_host",
                "http_path",
                "fast_close",
                "disable_ack",
            ];
            (names, "a flood of TCP is SYN alone")
        }
        (false, false) => (&[], ""),
    };
    for name in unused {
        note(config, notes, name, format!("{name} is ignored: {why}"));
    }
    if let (Some(keepalive), Role::Client) = (config.keepalive, config.role)
        && keepalive.requests > 0
    {
        let (ours, theirs) = (keepalive.requests, u32::from(keepalive.requests) + 1);
        let theirs = match (config.is_udp(), config.flood) {
            (false, false) => format!("dperf sends {theirs}"),
            (true, _) => "dperf sends them without end over UDP".to_owned(),
            (false, true) => "dperf's flood has no end".to_owned(),
        };
        let text = format!("requests on each connection: {ours}; {theirs}");
        note(config, notes, "keepalive", text);
    }
}
