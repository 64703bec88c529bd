//! Several devices bonded into one port by DPDK's bonding driver: its members, how the driver is
//! told of them, and how long they may take to get their links.
//!
//! In mode 4 (IEEE 802.3ad) the members speak LACP with the switch. DPDK does so from within the
//! burst calls and wants both at least ten times a second: an idle queue of such a port sends
//! bursts of nothing ([`Bond::is_lacp`]). Until the switch agrees no member sends anything, and the
//! driver only tells by not taking frames: so [`agree`] offers it one.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use dperf_core::frame::Tray;
use dperf_core::port::PacketQueue;
use dperf_core::wire::ethernet::MacAddr;

use super::args::pci_address;
use super::describe;
use crate::port::Opened;

/// How long all members may take to get their links.
const MEMBERS_WAIT: Duration = Duration::from_secs(16);
/// From the first member that sends until all do, on both sides.
const SETTLE: Duration = Duration::from_millis(500);
/// How often both are looked at.
const LOOK: Duration = Duration::from_millis(20);
/// From a bond's stop until its driver looks at it no more: it looks every 10 ms from a thread of
/// DPDK's, at memory that a bond that is closed has no more, and ends when it finds it stopped.
pub(super) const LAST_LOOK: Duration = Duration::from_millis(100);

/// A type for one's own experiments (IEEE 802 local experimental ethertype 1).
const EXPERIMENT: [u8; 2] = [0x88, 0xb5];

/// Devices that are one port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bond {
    /// The bonding mode, 0 to 6.
    pub mode: u8,
    /// The transmit policy: 0 layer 2, 1 layers 2 and 3, 2 layers 3 and 4.
    pub policy: u8,
    /// PCI addresses, and virtual devices with their arguments.
    pub members: Vec<String>,
}

impl Bond {
    /// The driver's arguments for a device `name`.
    pub(super) fn device(&self, name: &str) -> String {
        let policy = ["l2", "l23", "l34"].get(usize::from(self.policy)).unwrap_or(&"l2");
        let mut device = format!("{name},mode={},xmit_policy={policy}", self.mode);
        // DPDK 23.11 has another word for it.
        let word = dpdk_sys::SHIM_BOND_MEMBER.to_str().unwrap_or("slave");
        for member in &self.members {
            device += &format!(",{word}={}", port_name(member));
        }
        device
    }

    /// Its members agree with a switch, packet by packet, that they are one.
    pub fn is_lacp(&self) -> bool {
        self.mode == 4
    }

    /// Waits until every member has its link; says which have none.
    ///
    /// # Errors
    /// `stopped` said so.
    pub fn wait(&self, name: &str, stopped: &dyn Fn() -> bool) -> Result<Option<String>> {
        let begun = Instant::now();
        loop {
            let without = |member: &&String| !describe::has_link(&port_name(member));
            let without: Vec<String> =
                self.members.iter().filter(without).map(|member| port_name(member)).collect();
            if without.is_empty() {
                return Ok(None);
            }
            if stopped() {
                bail!("port {name}: stopped while waiting for the links of its members");
            }
            if begun.elapsed() >= MEMBERS_WAIT {
                let seconds = MEMBERS_WAIT.as_secs();
                let without = without.join(" and ");
                return Ok(Some(format!("{name}: no link at {without} within {seconds} s")));
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// Lets the members of each bond agree with their switch, all bonds at once: they may be each
/// other's.
///
/// # Errors
/// A switch did not agree within `limit`, or `stopped` said so.
pub fn agree(
    bonds: &mut [(String, &mut Opened)],
    limit: Duration,
    stopped: &dyn Fn() -> bool,
) -> Result<()> {
    let begun = Instant::now();
    let mut settled = begun;
    let mut agreed = vec![false; bonds.len()];
    loop {
        for ((_, port), agreed) in bonds.iter_mut().zip(&mut agreed) {
            let mac = port.facts.mac;
            let Some(queue) = port.queues.first_mut() else { continue };
            let mut tray = Tray::new();
            queue.receive(&mut tray);
            queue.give_back(&mut tray);
            if !*agreed && takes_one(&mut **queue, mac) {
                *agreed = true;
                settled = Instant::now() + SETTLE;
            }
        }
        let missing = agreed.iter().position(|agreed| !agreed);
        if missing.is_none() && Instant::now() >= settled {
            return Ok(());
        }
        if let Some((name, _)) = missing.and_then(|missing| bonds.get(missing)) {
            if stopped() {
                bail!("port {name}: stopped while waiting for the switch");
            }
            if begun.elapsed() >= limit {
                bail!(
                    "port {name}: the switch does not agree within {} s that its members are one: \
                     set LACP (802.3ad) up there, or use another bonding mode",
                    limit.as_secs()
                );
            }
        }
        std::thread::sleep(LOOK);
    }
}

/// Offers a frame to nobody but ourselves; true if the queue takes it.
fn takes_one(queue: &mut dyn PacketQueue, mac: MacAddr) -> bool {
    let mut tray = Tray::new();
    queue.take(1, &mut tray);
    for frame in tray.frames_mut() {
        if frame.set_len(60) {
            let head = [&mac.0[..], &mac.0, &EXPERIMENT].concat();
            frame.bytes_mut().fill(0);
            frame.bytes_mut()[..head.len()].copy_from_slice(&head);
        }
    }
    let taken = queue.transmit(&mut tray) == 1;
    queue.give_back(&mut tray);
    taken
}

/// What DPDK calls the port of a device.
pub(super) fn port_name(device: &str) -> String {
    let name = || device.split(',').next().unwrap_or_default().to_owned();
    pci_address(device).unwrap_or_else(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_is_told_everything() {
        let bond = Bond {
            mode: 4,
            policy: 2,
            members: vec!["81:10.0".into(), "net_af_packet1,iface=eth0".into()],
        };
        let device = bond.device("net_bonding3");
        let expected =
            "net_bonding3,mode=4,xmit_policy=l34,slave=0000:81:10.0,slave=net_af_packet1";
        assert_eq!(device.replace("member=", "slave="), expected);
        assert!(bond.is_lacp());
    }
}
