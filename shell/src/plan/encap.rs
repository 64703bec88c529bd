//! What a worker's frames travel in: the port's VLAN tags, or the worker's own end of its tunnel.

use std::net::{IpAddr, Ipv4Addr};

use dperf_core::plan::{AddressList, Encap, Role, Vxlan};

use super::{Draft, OwnedList};
use crate::config::Config;

/// Our ends of the tunnel of a port, if it has one.
pub(super) fn own_ends(config: &Config, port: usize) -> Vec<IpAddr> {
    config.vxlans.get(port).map(|tunnel| tunnel.local.clone()).unwrap_or_default()
}

/// `encap` with the `ends` of the port's tunnel.
pub(super) fn lend(encap: Encap<'static>, ends: OwnedList) -> Encap<'static> {
    match encap {
        Encap::Vxlan(tunnel) => Encap::Vxlan(Vxlan { ends: ends.lend(), ..tunnel }),
        plain => plain,
    }
}

impl Draft<'_> {
    /// What the frames of the worker with these addresses travel in.
    pub(super) fn encap(&self, clients: &[IpAddr], servers: &[IpAddr]) -> Encap<'static> {
        let config = self.config;
        let Some(tunnel) = config.vxlans.get(self.port) else {
            return config.vlan.map_or(Encap::None, Encap::Vlan);
        };
        let own = match config.role {
            Role::Client => clients,
            Role::Server => servers,
        };
        // One end, or one for each queue.
        let end = |ends: &[IpAddr]| match ends.get(self.queue % ends.len().max(1)) {
            Some(IpAddr::V4(end)) => *end,
            _ => Ipv4Addr::UNSPECIFIED,
        };
        Encap::Vxlan(Vxlan {
            vni: tunnel.vni,
            source: tunnel.inner.0,
            destination: tunnel.inner.1,
            host: own.first().copied().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            local: end(&tunnel.local),
            remote: end(&tunnel.remote),
            ends: AddressList::new(&[], &[]),
        })
    }
}
