//! How much load a client's configuration comes to once its ramp is over.

use serde::Serialize;

use super::Plan;
use crate::config::Config;
use dperf_core::plan::Role;

/// What a frame takes on the wire beyond its bytes: preamble 8, FCS 4, gap 12.
const WIRE_EXTRA_BYTES: u64 = 24;
/// The shortest frame without its FCS.
const FRAME_MIN_BYTES: u64 = 60;
/// An answer is acknowledged by the next request, unless that is further away than this.
const ACK_WAIT_US: u64 = 20_000;
/// Bytes of options in a SYN.
pub(super) const SYN_OPTION_BYTES: u64 = 8;
/// Bytes of an Ethernet header, of a TCP and of a UDP header.
const ETHERNET_BYTES: u64 = 14;
pub(super) const TCP_BYTES: u64 = 20;
pub(super) const UDP_BYTES: u64 = 8;

/// A client's load once the ramp is over, if every request is answered at once.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LoadRecord {
    /// Connections opened a second.
    pub connections_per_s: f64,
    /// Requests sent a second.
    pub requests_per_s: f64,
    /// Packets sent a second.
    pub tx_packets_per_s: f64,
    /// Packets received a second.
    pub rx_packets_per_s: f64,
    /// Bits sent a second, as they occupy the wire.
    pub tx_wire_bits_per_s: f64,
}

impl LoadRecord {
    /// A part of it.
    pub(super) fn part(self, share: f64) -> LoadRecord {
        LoadRecord {
            connections_per_s: self.connections_per_s * share,
            requests_per_s: self.requests_per_s * share,
            tx_packets_per_s: self.tx_packets_per_s * share,
            rx_packets_per_s: self.rx_packets_per_s * share,
            tx_wire_bits_per_s: self.tx_wire_bits_per_s * share,
        }
    }

    /// Two parts together.
    pub(super) fn plus(self, other: LoadRecord) -> LoadRecord {
        LoadRecord {
            connections_per_s: self.connections_per_s + other.connections_per_s,
            requests_per_s: self.requests_per_s + other.requests_per_s,
            tx_packets_per_s: self.tx_packets_per_s + other.tx_packets_per_s,
            rx_packets_per_s: self.rx_packets_per_s + other.rx_packets_per_s,
            tx_wire_bits_per_s: self.tx_wire_bits_per_s + other.tx_wire_bits_per_s,
        }
    }
}

/// Connections and requests a second; `None` if they depend on the other side.
fn rates(config: &Config) -> Option<(f64, f64)> {
    let cps = config.cps as f64;
    let Some(keepalive) = config.keepalive else {
        return Some((cps, cps));
    };
    let interval_s = keepalive.interval_us as f64 / 1e6;
    if interval_s == 0.0 {
        return None;
    }
    match (config.cc as f64, f64::from(keepalive.requests)) {
        (0.0, 0.0) => None,
        (cc, 0.0) => Some((0.0, cc / interval_s)),
        (0.0, requests) => Some((cps, cps * requests)),
        (cc, requests) => {
            // The last answer ends a connection: it lives one interval less than it has requests.
            let connections = cps.min(cc / (interval_s * (requests - 1.0)));
            Some((connections, connections * requests))
        }
    }
}

/// The load of `config`; `None` for a server, and where it depends on how fast answers come.
pub(super) fn load(config: &Config, plan: &Plan) -> Option<LoadRecord> {
    if config.role == Role::Server {
        return None;
    }
    let (connections, requests) = rates(config)?;
    let message_bytes = u64::from(plan.messages[0].total_bytes);
    if config.is_udp() || config.flood {
        return Some(one_way(config, message_bytes, connections, requests));
    }
    let head = ip_head(config) + TCP_BYTES;
    let spaced = config.keepalive.is_some_and(|keepalive| keepalive.interval_us > ACK_WAIT_US);
    let acks = if spaced && !config.disable_ack { (requests - connections).max(0.0) } else { 0.0 };
    // Who closes a kept connection acknowledges the other's FIN as well.
    let last_acks = match (config.keepalive, config.fast_close) {
        (Some(_), false) => connections,
        _ => 0.0,
    };
    let answers_to_close = if config.fast_close { 0.0 } else { connections };
    let syn_bits = connections * wire_bits(head + SYN_OPTION_BYTES);
    let bare = connections + acks + last_acks;
    let request_bits = wire_bits(head + message_bytes);
    Some(LoadRecord {
        connections_per_s: connections,
        requests_per_s: requests,
        tx_packets_per_s: connections + requests + bare,
        rx_packets_per_s: connections + requests + answers_to_close,
        tx_wire_bits_per_s: syn_bits + requests * request_bits + bare * wire_bits(head),
    })
}

/// One packet for each request: datagrams, or the SYN of a flood.
fn one_way(config: &Config, message_bytes: u64, connections: f64, requests: f64) -> LoadRecord {
    let packets = requests * f64::from(config.pipeline.max(1));
    let frame_bytes = ip_head(config)
        + match config.is_udp() {
            true => UDP_BYTES + message_bytes,
            false => TCP_BYTES + SYN_OPTION_BYTES,
        };
    LoadRecord {
        connections_per_s: connections,
        // A SYN asks for nothing yet.
        requests_per_s: if config.is_udp() { packets } else { 0.0 },
        tx_packets_per_s: packets,
        rx_packets_per_s: if config.flood { 0.0 } else { packets },
        tx_wire_bits_per_s: packets * wire_bits(frame_bytes),
    }
}

/// Bytes of all headers up to the IP header.
pub(super) fn ip_head(config: &Config) -> u64 {
    let around = u64::from(config.added_to_frames());
    ETHERNET_BYTES + around + if config.is_ipv6() { 40 } else { 20 }
}

/// Bits that a frame takes on the wire.
fn wire_bits(frame_bytes: u64) -> f64 {
    (frame_bytes.max(FRAME_MIN_BYTES) + WIRE_EXTRA_BYTES) as f64 * 8.0
}
