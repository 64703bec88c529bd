//! vhost-net: the kernel's own threads carry packets between its interface and rings in our memory.
//!
//! DPDK's virtio-user device sets it up: to DPDK it is a device like any other, with one queue per
//! worker, and to the kernel it is a TAP interface, which disappears when the device is closed.

use std::fs::File;
use std::io::Error;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use dperf_core::exception::{Delivered, ExceptionPath};
use dperf_core::frame::Frame;
use dperf_core::port::{Offloads, PortState};
use dperf_core::wire::ethernet::MacAddr;

use super::device_path::DevicePath;
use super::tap::{self, Hold};
use crate::port::Facts;
use crate::port::dpdk::{self, PortWish, SteerWish};
use crate::port::dpdk_buffers::{TO_KERNEL_DESCRIPTORS, TO_KERNEL_QUEUES};

/// Where the kernel takes vhost's requests.
const VHOST_NET: &str = "/dev/vhost-net";
/// One worker's queue to the kernel.
struct VhostQueue {
    path: DevicePath,
    interface: Arc<Hold>,
    state: PortState,
}

/// The device behind the interface `name`. It takes no work over: so the kernel completes every
/// checksum and cuts its packets to the MTU before it hands them on.
fn wish(name: &str, mac: MacAddr, frame_bytes: u16, queues: usize) -> PortWish {
    PortWish {
        device: format!(
            "virtio_user_{name},path={VHOST_NET},iface={name},mac={mac},queues={queues},\
             queue_size={TO_KERNEL_DESCRIPTORS}"
        ),
        bond: None,
        queues: queues as u16,
        descriptors: TO_KERNEL_DESCRIPTORS,
        frame_bytes,
        offloads: Offloads::empty(),
        steer: SteerWish::default(),
        peer_wait: std::time::Duration::ZERO,
    }
}

/// Makes the interface `name` and one path per worker; one that all share, if there are no more
/// queues.
///
/// # Errors
/// One sentence that says what is missing and how to provide it.
pub(super) fn open(
    name: &str,
    facts: &Facts,
    workers: usize,
    notes: &mut Vec<String>,
) -> Result<Vec<Box<dyn ExceptionPath>>> {
    if let Err(why) = File::options().read(true).write(true).open(VHOST_NET) {
        return Err(refused(name, &why));
    }
    if workers <= TO_KERNEL_QUEUES && tap::would_give(name, workers)? {
        let queues = open_queues(name, facts, workers)?;
        return Ok(queues.into_iter().map(|queue| Box::new(queue) as _).collect());
    }
    tap::would_give(name, 1)?;
    let alone = open_queues(name, facts, 1)?.pop().context("a device without a queue")?;
    notes.push(super::said_shared(name, workers));
    Ok(super::shared(alone, workers))
}

fn open_queues(name: &str, facts: &Facts, count: usize) -> Result<Vec<VhostQueue>> {
    let wish = wish(name, facts.mac, facts.frame_bytes, count);
    let opened = dpdk::open(&wish, &|| false).with_context(|| {
        format!("interface '{name}': DPDK does not make it: see 'dmesg', or write 'exception tap'")
    })?;
    tap::set_up(name, facts)?;
    let interface = Arc::new(tap::hold(name)?);
    let queue = |queue| VhostQueue {
        path: DevicePath::new(queue),
        interface: Arc::clone(&interface),
        state: PortState::Up,
    };
    Ok(opened.queues.into_iter().map(queue).collect())
}

/// Why there is no vhost-net, in one sentence with the fix.
fn refused(name: &str, why: &Error) -> anyhow::Error {
    let fix = match why.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            "run as root, or give this user the right to read and write it"
        }
        _ => "'modprobe vhost_net', or give the container the device",
    };
    anyhow!("interface '{name}': {VHOST_NET}: {why}: {fix}; or write 'exception tap'")
}

impl ExceptionPath for VhostQueue {
    fn deliver(&mut self, packets: &[Frame]) -> Delivered {
        match self.state {
            // Its rings stay, and nobody would ever read them.
            PortState::Gone => Delivered { done: packets.len(), refused: packets.len() },
            PortState::Up | PortState::Down => self.path.deliver(packets),
        }
    }

    fn collect(&mut self, blanks: &mut [Frame]) -> usize {
        self.path.collect(blanks)
    }

    fn oversized(&mut self) -> u64 {
        self.path.oversized()
    }

    /// DPDK does not notice that the interface was deleted.
    fn state(&mut self) -> PortState {
        self.state = if self.interface.is_gone() { PortState::Gone } else { PortState::Up };
        self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_the_fix() {
        let said = |code| refused("dperfs0", &Error::from_raw_os_error(code)).to_string();
        for (code, fix) in [(libc::ENOENT, "modprobe vhost_net"), (libc::EACCES, "run as root")] {
            let text = said(code);
            assert!(text.contains(fix) && text.contains("'dperfs0'"), "{text}");
            assert!(text.contains("exception tap"), "{text}");
        }
    }
}
