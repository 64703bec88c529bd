//! Memory for the frames of a port that is not open, by the arithmetic with which its back end
//! allocates it; and for its way to the kernel, which is reckoned alike when it is open.

use crate::config::{Config, ExceptionKind, Port, PortName};
use crate::port::dpdk_buffers::{Buffers, DESCRIPTORS, Memory, to_kernel_mb};
use crate::port::{Facts, KernelSees, af_xdp, link, memif, packet_socket};

use super::ETHERNET_BYTES;

/// Bytes for the frames of the `port`-th port, if its interface has the MTU that is asked for and
/// the other end of a link is like this one.
pub(super) fn assumed(config: &Config, port: usize) -> u64 {
    let frame_bytes = config.mtu + ETHERNET_BYTES;
    let queues = config.queues() as u16;
    let of_dpdk = |devices: &[String], bond_mode| {
        let buffers = Buffers { devices, bond_mode, queues, frame_bytes };
        u64::from(buffers.memory_mb(DESCRIPTORS, memory(config))) << 20
    };
    match &config.ports[port].name {
        PortName::Link(_) => {
            let hashed = queues > 1 && config.rss;
            link::memory_bytes([queues; 2], hashed, frame_bytes, link::FRAMES)
        }
        PortName::AfPacket(_) => packet_socket::memory_bytes(queues, frame_bytes),
        PortName::Memif(memif) => {
            memif::memory_bytes(queues, frame_bytes, memif.listens(config.role))
        }
        PortName::AfXdp(_) => af_xdp::memory_bytes(queues, frame_bytes),
        PortName::Pci(device) | PortName::Vdev(device) => {
            of_dpdk(std::slice::from_ref(device), None)
        }
        PortName::Bond { mode, members, .. } => of_dpdk(members, Some(*mode)),
    }
}

/// Bytes for the frames of a port's way to the kernel.
pub(super) fn to_kernel(config: &Config, facts: &Facts) -> u64 {
    match (&config.exception, facts.kernel_sees) {
        (Some(way), KernelSees::Nothing) if way.kind == ExceptionKind::VhostNet => {
            let frame_bytes = config.mtu + ETHERNET_BYTES;
            u64::from(to_kernel_mb(frame_bytes, config.queues(), memory(config))) << 20
        }
        _ => 0,
    }
}

/// Where DPDK takes its memory from, if there are huge pages.
fn memory(config: &Config) -> Memory {
    let mut words = config.eal.iter().flat_map(|words| words.split_whitespace());
    let refused = words.any(|word| word == "--no-huge");
    if refused { Memory::Ordinary } else { Memory::Huge }
}

/// Whether it is assumed that there are huge pages.
pub(super) fn assumes_huge_pages(config: &Config) -> bool {
    let uses_dpdk = |port: &Port| port.name.is_dpdk() || config.reaches_kernel_by_dpdk(port);
    config.ports.iter().any(uses_dpdk) && memory(config) == Memory::Huge
}
