//! What is understood but not built yet is refused by name: the list to shrink.

use super::error::{Complaint, ConfigError, Place};
use super::keyword;
use super::{Config, PortName};

/// Refuses the first thing that is not built yet.
pub(super) fn refuse(config: &Config) -> Result<(), ConfigError> {
    let missing = keywords(config).or_else(|| encapsulation(config));
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
    // Rules look at a tunnel's ends; nothing looks behind two tags.
    let told_apart =
        |name: &PortName| name.pairs_queues() || name.is_dpdk() && !config.vxlans.is_empty();
    let deep = config.taken_from_mtu() > 0 && config.queues() > 1 && !config.flood;
    let port = config.ports.iter().find(|port| deep && !told_apart(&port.name))?;
    let what = format!("{what} with several workers on {}", port.name);
    Some(at(&port.place, "port", &what, "one core per port works"))
}
