//! What is understood but not built yet is refused by name: the list to shrink.

use super::error::{Complaint, ConfigError, Place};
use super::keyword;
use super::{Config, PortName, Protocol};

/// The longest time-out that the clock of a connection can hold.
const LONGEST_TIMEOUT_S: u64 = 1000;
/// The longest time between two requests.
const LONGEST_INTERVAL_S: u64 = 900;
/// The longest message whose bytes are all kept.
const LONGEST_RANDOM_BYTES: u32 = 16 << 20;

/// Refuses the first thing that is not built yet.
pub(super) fn refuse(config: &Config) -> Result<(), ConfigError> {
    let missing = protocol(config)
        .or_else(|| keywords(config))
        .or_else(|| sizes(config))
        .or_else(|| encapsulation(config))
        .or_else(|| times(config));
    missing.map_or(Ok(()), Err)
}

fn at(place: &Place, keyword: &'static str, what: &str, hint: &str) -> ConfigError {
    let why = format!("{what} is not supported yet");
    ConfigError::new(place, keyword, Complaint::new(why, hint))
}

fn protocol(config: &Config) -> Option<ConfigError> {
    let place = config.given("protocol")?;
    (config.protocol == Protocol::Udp).then(|| at(place, "protocol", "udp", ""))
}

fn keywords(config: &Config) -> Option<ConfigError> {
    let used = |name: &str| name != "pipeline" || config.pipeline > 0;
    config.given.iter().find_map(|(name, place)| {
        let keyword = keyword::find(name)?;
        (!keyword.built && used(name)).then(|| at(place, name, name, ""))
    })
}

fn sizes(config: &Config) -> Option<ConfigError> {
    let place = config.given("payload_size")?;
    if config.payload_sizes.len() > 1 {
        return Some(at(place, "payload_size", "a size for each core", "give one size for all"));
    }
    let long = config.payload_sizes.iter().any(|size| *size > LONGEST_RANDOM_BYTES);
    (config.payload_random && long).then(|| {
        at(place, "payload_size", "random filler of more than 16 MiB", "remove payload_random")
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
    let deep = config.taken_from_mtu() > 0 && config.queues() > 1;
    let port = config.ports.iter().find(|port| deep && !told_apart(&port.name))?;
    let what = format!("{what} with several workers on {}", port.name);
    Some(at(&port.place, "port", &what, "one core per port works"))
}

fn times(config: &Config) -> Option<ConfigError> {
    let timeout_s = u64::from(config.retransmit_timeout_s);
    let interval_us = config.keepalive?.interval_us;
    let most_us = LONGEST_INTERVAL_S.min(LONGEST_TIMEOUT_S - 4 * timeout_s) * 1_000_000;
    (interval_us > most_us).then_some(())?;
    let place = config.given("keepalive")?;
    let hint = format!("at most {} s, with this retransmit_timeout", most_us / 1_000_000);
    Some(at(place, "keepalive", &format!("an interval of {} s", interval_us / 1_000_000), &hint))
}
