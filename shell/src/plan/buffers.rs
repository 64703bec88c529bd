//! Memory for the frames of a port, by the arithmetic with which its back end allocates it.

use super::ETHERNET_BYTES;
use crate::config::{Config, ExceptionKind, PortName};
use crate::port::dpdk_buffers::{Buffers, DESCRIPTORS, to_kernel_mb};
use crate::port::{af_xdp, link, packet_socket};

/// Bytes for the frames of the `port`-th port, its way to the kernel included.
pub(super) fn buffer_bytes(config: &Config, port: usize) -> u64 {
    let frame_bytes = config.mtu + ETHERNET_BYTES;
    let queues = config.queues() as u16;
    let each = |bytes: u64| u64::from(queues) * bytes;
    let of_dpdk = |devices: &[String], bond_mode| {
        let buffers = Buffers { devices, bond_mode, queues, frame_bytes };
        u64::from(buffers.memory_mb(DESCRIPTORS)) << 20
    };
    let own = match &config.ports[port].name {
        PortName::Link(_) => link::memory_bytes(queues, queues > 1 && config.rss, frame_bytes),
        PortName::AfPacket(_) => each(packet_socket::memory_bytes(frame_bytes)),
        PortName::AfXdp(_) => each(af_xdp::memory_bytes(frame_bytes)),
        PortName::Pci(device) | PortName::Vdev(device) => {
            of_dpdk(std::slice::from_ref(device), None)
        }
        PortName::Bond { mode, members, .. } => of_dpdk(members, Some(*mode)),
    };
    let to_kernel = match &config.exception {
        Some(way) if way.kind == ExceptionKind::VhostNet => {
            u64::from(to_kernel_mb(frame_bytes, config.queues())) << 20
        }
        _ => 0,
    };
    own + to_kernel
}
