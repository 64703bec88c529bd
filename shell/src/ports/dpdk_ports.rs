//! The DPDK half: one EAL for all roles.

use anyhow::Context;

use super::{Config, Opened, PEER_WAIT, PortName, Result, rules};
use crate::port::dpdk::{self, Bond, EalArgs, PortWish, SteerWish, pci_address};
use crate::port::dpdk_buffers::{self, DESCRIPTORS, Memory};
use dperf_core::port::Offloads;

/// DPDK runs until this is stopped.
pub(super) struct Running(());

impl Running {
    pub(super) fn stop(self) -> Result<()> {
        dpdk::stop()
    }
}

fn device(name: &PortName) -> String {
    match name {
        PortName::Pci(device) | PortName::Vdev(device) => device.clone(),
        other => other.to_string(),
    }
}

fn bond(name: &PortName) -> Option<Bond> {
    let PortName::Bond { mode, policy, members } = name else { return None };
    Some(Bond { mode: *mode, policy: *policy, members: members.clone() })
}

fn wish(config: &Config, name: &PortName) -> PortWish {
    PortWish {
        device: device(name),
        bond: bond(name),
        queues: config.queues() as u16,
        descriptors: DESCRIPTORS,
        frame_bytes: config.mtu + 14,
        offloads: Offloads::all(),
        steer: SteerWish::default(),
        peer_wait: PEER_WAIT,
    }
}

/// MiB for the ways to the kernel that are DPDK's.
fn to_kernel_mb(config: &Config, memory: Memory) -> u32 {
    let ports =
        config.ports.iter().filter(|port| config.reaches_kernel_by_dpdk(port)).count() as u32;
    ports * dpdk_buffers::to_kernel_mb(config.mtu + 14, config.queues(), memory)
}

/// What the configuration tells DPDK's EAL.
fn eal_words(config: &Config) -> Vec<String> {
    let mut words = vec![format!("--log-level={}", config.dpdk_log_level)];
    words.extend(config.simd512.then(|| "--force-max-simd-bitwidth=512".to_string()));
    words.extend(config.eal.iter().cloned());
    words
}

pub(super) fn start(roles: &[&Config]) -> Result<Option<Running>> {
    let ports =
        || roles.iter().flat_map(|config| config.ports.iter().map(move |port| (*config, port)));
    let of_dpdk = || ports().filter(|(_, port)| port.name.is_dpdk());
    let memory_mb = |memory| {
        let of_ports = of_dpdk().map(|(config, port)| wish(config, &port.name).memory_mb(memory));
        let to_kernel = roles.iter().map(|config| to_kernel_mb(config, memory));
        of_ports.chain(to_kernel).sum()
    };
    let (huge_mb, ordinary_mb) = (memory_mb(Memory::Huge), memory_mb(Memory::Ordinary));
    if huge_mb == 0 {
        return Ok(None);
    }
    let extra: Vec<String> = roles.iter().flat_map(|config| eal_words(config)).collect();
    let socket_mem = roles.iter().find(|config| !config.socket_mem.is_empty());
    let devices = of_dpdk().flat_map(|(_, port)| port.name.devices());
    dpdk::start(&EalArgs {
        pci: devices.filter_map(pci_address).collect(),
        huge_mb,
        ordinary_mb,
        socket_mem: socket_mem.map(|config| config.socket_mem.clone()),
        worker_cpus: roles.iter().flat_map(|config| &config.cpus).map(|&cpu| cpu.into()).collect(),
        extra: extra.join(" "),
    })?;
    Ok(Some(Running(())))
}

pub(super) fn open(config: &Config, index: usize, stopped: &dyn Fn() -> bool) -> Result<Opened> {
    let wish = wish(config, &config.ports[index].name);
    dpdk::open(&PortWish { steer: rules::steer(config, index), ..wish }, stopped)
}

pub(super) fn wait_for_links(
    roles: &[&Config],
    opened: &mut [Vec<Opened>],
    stopped: &dyn Fn() -> bool,
) -> Result<()> {
    let mut with_lacp = Vec::new();
    for (config, ports) in roles.iter().zip(opened) {
        for (port, opened) in config.ports.iter().zip(ports) {
            if !port.name.is_dpdk() {
                continue;
            }
            let (name, bond) = (device(&port.name), bond(&port.name));
            let missing = bond.as_ref().map(|bond| bond.wait(&name, stopped)).transpose()?;
            opened.notes.extend(missing.flatten());
            opened
                .wait_for_link(&name, PEER_WAIT, stopped)
                .with_context(|| port.place.to_string())?;
            if bond.is_some_and(|bond| bond.is_lacp()) {
                with_lacp.push((name, opened));
            }
        }
    }
    dpdk::agree(&mut with_lacp, PEER_WAIT, stopped)
}

#[cfg(test)]
mod tests;
