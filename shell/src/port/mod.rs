//! Packet I/O back ends: each opens a port and mints its queues, once, to be moved to their cores.

pub mod af_xdp;
pub mod bpf;
mod buffers;
#[cfg(feature = "dpdk")]
pub mod dpdk;
pub mod dpdk_buffers;
mod ethtool;
pub mod ifreq;
mod interface;
pub mod kernel_silence;
pub mod link;
pub mod memif;
pub mod packet_socket;
mod pool;
pub mod rss;
mod socket_option;
pub mod together;

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use dperf_core::port::{Offloads, PacketQueue, PortState};
use dperf_core::steer::Rss;
use dperf_core::wire::ethernet::MacAddr;

/// What the kernel gets to see of the frames that reach a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KernelSees {
    /// Nothing: the port belongs to us alone.
    Nothing,
    /// A copy of everything (a packet socket).
    Copy,
    /// What is not the load's: the kernel stays in charge (an XDP socket).
    Rest,
}

/// How a frame finds its queue, where a port has several.
#[derive(Clone, Copy, Debug)]
pub enum Delivery {
    /// Queue i talks to the peer's queue i and to no other (in-process links, memif).
    Paired,
    /// By rules: the frames of worker q's server address come to queue q.
    ByServer,
    /// By a hash of addresses and ports.
    Hashed(Rss<'static>),
    /// Nobody knows; a flow is taken to stay on its queue.
    Unknown,
}

/// What an opened port turned out to be; the second half of every plan.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// The port's MAC address.
    pub mac: MacAddr,
    /// The longest frame, in bytes without FCS.
    pub frame_bytes: u16,
    /// What the device does for us.
    pub offloads: Offloads,
    /// What the kernel sees.
    pub kernel_sees: KernelSees,
    /// How a frame finds its queue.
    pub delivery: Delivery,
    /// Memory for its frames in bytes, the kernel's rings included.
    pub buffer_bytes: u64,
}

/// An opened port: its facts and one queue per worker.
pub struct Opened {
    /// What it turned out to be.
    pub facts: Facts,
    /// One queue per worker, in order. Each moves to its core.
    pub queues: Vec<Box<dyn PacketQueue>>,
    /// What the user should know, one line each.
    pub notes: Vec<String>,
    /// Why a peer was refused, where it is the back end that does so.
    pub refusals: Option<Receiver<String>>,
}

/// The note about a change to the system that outlives a program that is killed.
pub fn undo(remedy: &str) -> String {
    format!("if this program is killed, undo with: {remedy}")
}

impl Opened {
    /// Waits until the link of the port `name` is up. With several ports in one process: open all,
    /// then wait.
    ///
    /// # Errors
    /// The link stayed down for `limit`, the device is gone, or `stopped` said so.
    pub fn wait_for_link(
        &mut self,
        name: &str,
        limit: Duration,
        stopped: &dyn Fn() -> bool,
    ) -> Result<()> {
        let begun = Instant::now();
        for queue in &mut self.queues {
            loop {
                match queue.state() {
                    PortState::Up => break,
                    PortState::Gone => bail!("port {name}: the device is gone"),
                    PortState::Down if stopped() => {
                        bail!("port {name}: stopped while waiting for the link")
                    }
                    PortState::Down if begun.elapsed() >= limit => {
                        let refusal = self.refusals.as_ref().and_then(|all| all.try_recv().ok());
                        let why = refusal.map_or_else(
                            || "look at the cable, or start the peer".to_owned(),
                            |why| format!("a peer was refused: {why}"),
                        );
                        bail!("port {name}: no link within {} s: {why}", limit.as_secs_f32());
                    }
                    PortState::Down => std::thread::sleep(Duration::from_millis(10)),
                }
            }
        }
        Ok(())
    }
}
