//! What a port probably is, for plans without a device.

use dperf_core::port::Offloads;
use dperf_core::wire::ethernet::MacAddr;

use super::{ETHERNET_BYTES, buffers};
use crate::config::{Config, PortName};
use crate::port::{Delivery, Facts, KernelSees, rss};

impl Facts {
    /// What the `port`-th port of `config` is like if nothing is amiss with its device.
    pub fn assumed(config: &Config, port: usize) -> Facts {
        let name = &config.ports[port].name;
        let offloads = match name {
            PortName::Pci(_) | PortName::Bond { .. } => Offloads::all(),
            PortName::Link(_)
            | PortName::Memif(_)
            | PortName::AfPacket(_)
            | PortName::AfXdp(_)
            | PortName::Vdev(_) => Offloads::empty(),
        };
        let kernel_sees = match name {
            PortName::AfPacket(_) => KernelSees::Copy,
            PortName::AfXdp(_) => KernelSees::Rest,
            _ => KernelSees::Nothing,
        };
        Facts {
            mac: MacAddr([2, 0, 0, 0, 0, port as u8]),
            frame_bytes: config.mtu + ETHERNET_BYTES,
            offloads,
            kernel_sees,
            delivery: delivery(config, port),
            buffer_bytes: buffers::assumed(config, port),
        }
    }
}

/// A network card knows rules where dperf asks it for them, and the usual hash otherwise.
fn delivery(config: &Config, port: usize) -> Delivery {
    let (name, queues) = (&config.ports[port].name, config.queues());
    match name {
        _ if queues == 1 => Delivery::Unknown,
        PortName::Link(_) if config.rss => {
            Delivery::Hashed(rss::even(config.is_ipv6(), queues as u16))
        }
        _ if name.pairs_queues() => Delivery::Paired,
        PortName::Pci(_) | PortName::Bond { .. } | PortName::Vdev(_)
            if config.has_server_each(port) =>
        {
            Delivery::ByServer
        }
        _ => Delivery::Hashed(rss::even(config.is_ipv6(), queues as u16)),
    }
}
