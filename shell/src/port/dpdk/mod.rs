//! Ports of the Data Plane Development Kit: any device DPDK drives, real or virtual, one pool of
//! buffers per queue.
//!
//! The order of things: [`start`] the EAL once, [`open`] ports, move each queue to its core, where
//! [`register`] makes the thread known to DPDK; drop the queues, [`stop`].

use std::slice;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use dperf_core::port::Offloads;

use super::Opened;
use super::dpdk_buffers::{Buffers, Memory};

mod args;
mod bond;
mod describe;
mod device;
mod eal;
mod pool;
mod queue;
mod steer;
mod thread;

#[cfg(test)]
mod tests;

pub use args::{EalArgs, pci_address};
pub use bond::{Bond, agree};
pub use eal::start;
pub use queue::DpdkQueue;
pub use steer::SteerWish;
pub use thread::{Registered, register};

/// What a port shall be.
#[derive(Clone, Debug)]
pub struct PortWish {
    /// A PCI address named in [`EalArgs::pci`], or a virtual device with its arguments:
    /// `net_memif0,role=client,socket=/run/x.sock`. A bond's name is only told to people.
    pub device: String,
    /// The devices that are to be one.
    pub bond: Option<Bond>,
    /// Receive and transmit queues, one pair per worker.
    pub queues: u16,
    /// Descriptors of each ring; the device may round them.
    pub descriptors: u16,
    /// The longest frame: MTU + 14.
    pub frame_bytes: u16,
    /// Work the device shall take over if it offers to.
    pub offloads: Offloads,
    /// How frames shall find their queue.
    pub steer: SteerWish,
    /// How long to wait for a peer that is to answer at a socket.
    pub peer_wait: Duration,
}

/// How often a peer is called.
const PEER_LOOK: Duration = Duration::from_millis(100);

impl PortWish {
    /// What its buffers depend on.
    fn buffers(&self) -> Buffers<'_> {
        Buffers {
            devices: match &self.bond {
                Some(bond) => &bond.members,
                None => slice::from_ref(&self.device),
            },
            bond_mode: self.bond.as_ref().map(|bond| bond.mode),
            queues: self.queues,
            frame_bytes: self.frame_bytes,
        }
    }

    /// MiB of buffers it needs: its share in [`EalArgs::huge_mb`] or [`EalArgs::ordinary_mb`].
    pub fn memory_mb(&self, memory: Memory) -> u32 {
        self.buffers().memory_mb(self.descriptors, memory)
    }
}

/// Stops DPDK, if it runs, and removes what it left on disk. All queues are dropped by then.
///
/// # Errors
/// A port is still open, or frames were never given back: DPDK's memory must stay then.
pub fn stop() -> Result<()> {
    if eal::check_running().is_err() {
        return Ok(());
    }
    ensure!(!device::any_open(), "DPDK cannot stop: a port is open");
    let adrift = queue::adrift();
    ensure!(adrift == 0, "DPDK cannot stop: {adrift} frames were not given back");
    pool::free_orphans();
    eal::stop()
}

/// Opens a port: configured and started, its link perhaps still down. It stops and closes when the
/// last of its queues is dropped.
///
/// # Errors
/// One sentence with the fix: no such device, too few queues, frames too long, no memory, no peer
/// within `peer_wait`, or `stopped` said so.
pub fn open(wish: &PortWish, stopped: &dyn Fn() -> bool) -> Result<Opened> {
    let begun = Instant::now();
    loop {
        match queue::open(wish) {
            Ok(opened) => return Ok(opened),
            Err(error) if error.is::<device::NoPeer>() => {
                if stopped() || begun.elapsed() >= wish.peer_wait {
                    return Err(error);
                }
                std::thread::sleep(PEER_LOOK);
            }
            Err(error) => return Err(error),
        }
    }
}
