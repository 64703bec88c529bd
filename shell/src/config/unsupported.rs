//! What is understood but not built yet is refused by name: the list to shrink.

use super::error::{Complaint, ConfigError, Place};
use super::keyword;
use super::{Config, Port, PortName, queue_of};

/// Refuses the first thing that is not built yet.
pub(super) fn refuse(config: &Config) -> Result<(), ConfigError> {
    let missing = keywords(config).or_else(|| encapsulation(config)).or_else(|| steering(config));
    missing.map_or(Ok(()), Err)
}

fn at(place: &Place, keyword: &'static str, what: &str, hint: &str) -> ConfigError {
    let why = format!("{what} is not supported yet");
    ConfigError::new(place, keyword, Complaint::new(why, hint))
}

fn keywords(config: &Config) -> Option<ConfigError> {
    config.given.iter().find_map(|(name, place)| {
        let keyword = keyword::find(name)?;
        (!keyword.built).then(|| at(place, name, name, ""))
    })
}

/// What is told apart by addresses must lie where they are looked for.
fn encapsulation(config: &Config) -> Option<ConfigError> {
    let what = match (&config.vlan, config.vxlans.is_empty()) {
        (_, false) => "vxlan",
        (Some(_), true) => "vlan",
        (None, true) => return None,
    };
    let port = config.ports.iter().find(|port| matches!(port.name, PortName::AfXdp(_)));
    if let Some(port) = port {
        let hint = "use af_packet:INTERFACE";
        return Some(at(&port.place, "port", &format!("{what} on {}", port.name), hint));
    }
    let deep = config.taken_from_mtu() > 0 && config.queues() > 1 && !config.flood;
    let port = config.ports.iter().find(|port| deep && !port.name.pairs_queues())?;
    let what = format!("{what} with several workers on {}", port.name);
    Some(at(&port.place, "port", &what, "one core per port works"))
}

/// Several workers on one port need a device that brings each flow to its worker; but for a flood,
/// which hears nothing.
fn steering(config: &Config) -> Option<ConfigError> {
    if config.queues() == 1 || config.flood {
        return None;
    }
    let steered = |(index, port): &(usize, &Port)| {
        port.name.pairs_queues() || port.name.steers_by_address() && by_address(config, *index)
    };
    let (_, port) = config.ports.iter().enumerate().find(|port| !steered(port))?;
    let (method, hint) = match config.rss {
        true => ("rss with several workers", "one core per port works"),
        false => ("FDIR with several workers", "one core per port works"),
    };
    Some(at(&port.place, "port", &format!("{method} on {}", port.name), hint))
}

/// Each worker has one server address, and the port can tell them apart: by their low bits.
fn by_address(config: &Config, port: usize) -> bool {
    let (servers, queues) = (&config.servers[port].list, config.queues());
    let mut queues_used: Vec<usize> =
        servers.iter().map(|server| queue_of(*server, queues)).collect();
    queues_used.sort_unstable();
    queues_used.dedup();
    !config.rss && servers.len() == queues && queues_used.len() == queues
}
