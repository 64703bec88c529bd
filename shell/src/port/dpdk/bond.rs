//! Several devices bonded into one port by DPDK's bonding driver: its members, how the driver is
//! told of them, and how long they may take to get their links.
//!
//! In mode 4 (IEEE 802.3ad) the members speak LACP with the switch. DPDK does so from within the
//! burst calls and wants both at least ten times a second: an idle queue of such a port sends
//! bursts of nothing ([`Bond::is_lacp`]).

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::args::pci_address;

/// How long all members may take to get their links.
const MEMBERS_WAIT: Duration = Duration::from_secs(16);
/// How often they are looked at.
const MEMBERS_LOOK: Duration = Duration::from_millis(20);

/// Packets of LACP under way on one member, at most.
const LACP_PACKETS: u32 = 64;
/// Packets of mode 6 that one member may hold beside the load's.
const ADAPTIVE_PACKETS: u32 = 512;

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
    pub(super) fn is_lacp(&self) -> bool {
        self.mode == 4
    }

    /// Buffers beside the queues' own, if each queue's ring has `descriptors` places.
    pub(super) fn more_buffers(&self, descriptors: u32) -> u32 {
        let of_member = match self.mode {
            4 => descriptors + LACP_PACKETS,
            6 => ADAPTIVE_PACKETS,
            _ => 0,
        };
        of_member * self.members.len() as u32
    }

    /// Waits until every member has its link; says which have none.
    ///
    /// # Errors
    /// `stopped` said so.
    pub fn wait(&self, name: &str, stopped: &dyn Fn() -> bool) -> Result<Option<String>> {
        let begun = Instant::now();
        loop {
            let without = |member: &&String| !super::device::has_link(&port_name(member));
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
            std::thread::sleep(MEMBERS_LOOK);
        }
    }
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
        assert!(bond.is_lacp() && bond.more_buffers(100) == 2 * 164);
    }
}
