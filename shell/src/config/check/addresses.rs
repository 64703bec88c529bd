//! Addresses are of one family, belong to one side each, and there is one line of them per port.

use std::collections::HashMap;
use std::net::IpAddr;

use dperf_core::plan::Role;

use super::Done;
use crate::config::error::{Complaint, ConfigError, Place};
use crate::config::value::MAX_ADDRESSES;
use crate::config::{Addresses, Config};

fn refuse(place: &Place, keyword: &'static str, why: String, hint: &str) -> Done {
    Err(ConfigError::new(place, keyword, Complaint::new(why, hint)))
}

/// Client and server addresses are all IPv4 or all IPv6.
pub(super) fn one_family(config: &Config) -> Done {
    let lines = config.clients.iter().map(|line| ("client", line));
    let mut lines = lines.chain(config.servers.iter().map(|line| ("server", line)));
    let Some((_, first)) = lines.next() else {
        return Ok(());
    };
    match lines.find(|(_, line)| is_ipv6(line) != is_ipv6(first)) {
        None => Ok(()),
        Some((keyword, line)) => {
            let why = format!("{} is not of the family of {}", line.list[0], first.list[0]);
            refuse(&line.place, keyword, why, "clients and servers are all IPv4 or all IPv6")
        }
    }
}

fn is_ipv6(line: &Addresses) -> bool {
    line.list.iter().any(IpAddr::is_ipv6)
}

/// No client address is given twice.
pub(super) fn distinct_clients(config: &Config) -> Done {
    distinct("client", &config.clients)
}

/// No server address is given twice.
pub(super) fn distinct_servers(config: &Config) -> Done {
    distinct("server", &config.servers)
}

fn distinct(keyword: &'static str, lines: &[Addresses]) -> Done {
    let mut seen = HashMap::new();
    for line in lines {
        for address in &line.list {
            if let Some(earlier) = seen.insert(*address, &line.place) {
                let why = format!("{address} is a {keyword} address already");
                return refuse(&line.place, keyword, why, &format!("it was given at {earlier}"));
            }
        }
        if seen.len() as u128 > MAX_ADDRESSES {
            let why = format!("there are more than {MAX_ADDRESSES} {keyword} addresses");
            return refuse(&line.place, keyword, why, "");
        }
    }
    Ok(())
}

/// Nobody is client and server at once, and a port's own address and its gateway are on the side
/// where they belong. That the gateway is the other side itself is the usual back-to-back set-up.
pub(super) fn no_conflicts(config: &Config) -> Done {
    let (clients, servers) = (lines_by_address(&config.clients), lines_by_address(&config.servers));
    for line in &config.clients {
        if let Some((address, servers)) = common(&line.list, &servers) {
            let why = format!("{address} is a server address as well");
            let hint = format!("it is one by {}; leave it out of the clients", servers.place);
            return refuse(&line.place, "client", why, &hint);
        }
    }
    let ((own, ours), (other, theirs)) = match config.role {
        Role::Client => (("client", &clients), ("server", &servers)),
        Role::Server => (("server", &servers), ("client", &clients)),
    };
    for port in &config.ports {
        if let Some((address, line)) = common(&[port.local], theirs) {
            let why = format!("our own address {address} is a {other} address");
            let hint = format!("it is one by {}; we are the {own}", line.place);
            return refuse(&port.place, "port", why, &hint);
        }
        if let Some((address, line)) = common(&[port.gateway], ours) {
            let why = format!("the gateway {address} is a {own} address");
            let hint = format!("it is one by {}; but we are the {own}", line.place);
            return refuse(&port.place, "port", why, &hint);
        }
    }
    Ok(())
}

type Lines<'c> = HashMap<IpAddr, &'c Addresses>;

fn lines_by_address(lines: &[Addresses]) -> Lines<'_> {
    lines.iter().flat_map(|line| line.list.iter().map(move |address| (*address, line))).collect()
}

fn common<'c>(addresses: &[IpAddr], lines: &Lines<'c>) -> Option<(IpAddr, &'c Addresses)> {
    addresses.iter().find_map(|address| lines.get(address).map(|line| (*address, *line)))
}

/// Ports have different addresses of their own.
pub(super) fn distinct_ports(config: &Config) -> Done {
    let mut seen = HashMap::new();
    for port in &config.ports {
        if let Some(earlier) = seen.insert(port.local, &port.place) {
            let why = format!("{} is the address of another port", port.local);
            return refuse(&port.place, "port", why, &format!("it was given at {earlier}"));
        }
    }
    Ok(())
}

/// A port's addresses are of the family of what it carries; a tunnel runs over IPv4.
pub(super) fn port_families(config: &Config) -> Done {
    let wanted = config.is_ipv6() && config.vxlans.is_empty();
    match config.ports.iter().find(|port| port.local.is_ipv6() != wanted) {
        None => Ok(()),
        Some(port) => {
            let family = if wanted { "IPv6" } else { "IPv4" };
            let why = format!("{} is not an {family} address", port.local);
            let hint = match config.vxlans.is_empty() {
                true => "ports are of the family of clients and servers",
                false => "tunnels run over IPv4",
            };
            refuse(&port.place, "port", why, hint)
        }
    }
}

/// One server line per port; on a client one client line per port, on a server at least one.
pub(super) fn lines_per_port(config: &Config) -> Done {
    let ports = config.ports.len();
    let servers = config.servers.len();
    if servers != ports {
        let why = format!("{servers} server lines do not match {ports} ports");
        return Err(config.refuse("server", why, "each port needs one line: server ADDRESS COUNT"));
    }
    let clients = config.clients.len();
    if config.role == Role::Client && clients != ports {
        let why = format!("{clients} client lines do not match {ports} ports");
        return Err(config.refuse("client", why, "each port needs one line: client ADDRESS COUNT"));
    }
    if clients == 0 {
        let hint = "say who is answered: client ADDRESS COUNT";
        return Err(config.refuse("client", "there is no client line", hint));
    }
    Ok(())
}
