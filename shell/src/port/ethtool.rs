//! What the driver of a network interface says of it (linux/ethtool.h): one structure of words,
//! one system call.
#![allow(unsafe_code)]

use std::os::fd::BorrowedFd;

use dperf_core::steer::{Hash, KEY_BYTES, Rss};

use super::ifreq::{ioctl, request};
use super::rss;

// Commands.
const DRIVER: u32 = 0x03;
const FLAGS: u32 = 0x25;
const HASHED_FIELDS: u32 = 0x29;
const RECEIVE_OFFLOAD: u32 = 0x2b;
const CHANNELS: u32 = 0x3c;
const RSS: u32 = 0x46;

/// Bytes of a driver's name.
const NAME_BYTES: usize = 32;
/// The most entries of a table, and bytes of a key, that are believed.
const LONGEST: u32 = 4096;

/// What a load's packets are, as far as a hash cares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Flows {
    pub(super) ipv6: bool,
    pub(super) udp: bool,
}

/// Asks about the interface `name`: `words` begin with the command and are as many as it reads and
/// writes. False if the driver does not know it.
fn ask(socket: BorrowedFd<'_>, name: &str, words: &mut [u32]) -> bool {
    let Some(mut asked) = request(name) else { return false };
    asked.ifr_ifru.ifru_data = words.as_mut_ptr().cast();
    ioctl(socket, libc::SIOCETHTOOL, &mut asked).is_ok()
}

/// The name of its driver.
pub(super) fn driver(socket: BorrowedFd<'_>, name: &str) -> Option<String> {
    // struct ethtool_drvinfo: the command, names, five numbers.
    let mut words = [0; 49];
    words[0] = DRIVER;
    if !ask(socket, name, &mut words) {
        return None;
    }
    let bytes: Vec<u8> = words[1..].iter().flat_map(|word| word.to_ne_bytes()).collect();
    let driver = bytes[..NAME_BYTES].split(|byte| *byte == 0).next()?;
    Some(String::from_utf8_lossy(driver).into_owned())
}

/// Whether the kernel or the device joins received TCP segments before they come to the socket.
pub(super) fn joins_segments(socket: BorrowedFd<'_>, name: &str) -> bool {
    const LARGE_RECEIVE_OFFLOAD: u32 = 1 << 15;
    value(socket, name, RECEIVE_OFFLOAD) != 0
        || value(socket, name, FLAGS) & LARGE_RECEIVE_OFFLOAD != 0
}

/// Whether the device takes VLAN tags off received frames and tells them beside.
pub(super) fn takes_tags_off(socket: BorrowedFd<'_>, name: &str) -> bool {
    const RECEIVE_VLAN: u32 = 1 << 8;
    value(socket, name, FLAGS) & RECEIVE_VLAN != 0
}

/// What a command that gives one number says; 0 if the driver does not know it.
fn value(socket: BorrowedFd<'_>, name: &str, command: u32) -> u32 {
    // struct ethtool_value: the command and what it is asked for.
    let mut words = [command, 0];
    if ask(socket, name, &mut words) { words[1] } else { 0 }
}

/// Receive queues; one if its driver does not say.
pub(super) fn rx_queues(socket: BorrowedFd<'_>, name: &str) -> u32 {
    // struct ethtool_channels: the command, four limits, then rx, tx, other, combined.
    let mut words = [CHANNELS, 0, 0, 0, 0, 0, 0, 0, 0];
    if ask(socket, name, &mut words) { (words[5] + words[8]).max(1) } else { 1 }
}

/// How its device chooses one of `queues` for packets of `flows`.
///
/// # Errors
/// What it does not say, or cannot do.
pub(super) fn hash(
    socket: BorrowedFd<'_>,
    name: &str,
    queues: u32,
    flows: Flows,
) -> Result<Rss<'static>, &'static str> {
    // struct ethtool_rxfh: the command, a context, entries of the table and bytes of the key, the
    // function (8 bits); then the table and the key.
    const HEAD: usize = 6;
    const TOEPLITZ: u8 = 1;
    let mut head = [RSS, 0, 0, 0, 0, 0];
    if !ask(socket, name, &mut head) || head[2] == 0 || head[3] < KEY_BYTES as u32 {
        return Err("its driver does not tell the hash and its table (ethtool -x)");
    }
    let (entries, key_bytes) = (head[2].min(LONGEST), head[3].min(LONGEST));
    let mut words = vec![0; HEAD + entries as usize + key_bytes.div_ceil(4) as usize];
    words[..4].copy_from_slice(&[RSS, 0, entries, key_bytes]);
    if !ask(socket, name, &mut words) {
        return Err("its driver does not tell the hash and its table (ethtool -x)");
    }
    let function = words[4].to_ne_bytes()[0];
    if function != 0 && function & TOEPLITZ == 0 {
        return Err("its hash is not Toeplitz's: ethtool -X NAME hfunc toeplitz");
    }
    let (table, key) = words[HEAD..].split_at(entries as usize);
    if !table.len().is_power_of_two() || table.iter().any(|queue| *queue >= queues) {
        return Err("its table is of an odd length or names other queues: ethtool -X NAME default");
    }
    let key: Vec<u8> = key.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let key = &key[..key_bytes as usize];
    let ports = match hashed_fields(socket, name, flows) {
        Some(fields) => ports_of(fields)?,
        // Every driver that has the function has them.
        None => true,
    };
    let table = table.iter().map(|queue| *queue as u16).collect();
    Ok(rss::lend(Hash::toeplitz(key, flows.ipv6, ports), table))
}

/// Which fields of `flows` the device hashes; none if the driver does not say.
fn hashed_fields(socket: BorrowedFd<'_>, name: &str, flows: Flows) -> Option<u64> {
    // struct ethtool_rxnfc: the command, the kind of flow, the fields (64 bits), and more that is
    // not written for this command.
    let kind = match (flows.ipv6, flows.udp) {
        (false, false) => 1,
        (false, true) => 2,
        (true, false) => 5,
        (true, true) => 6,
    };
    let mut words = [0; 64];
    words[..2].copy_from_slice(&[HASHED_FIELDS, kind]);
    let said = ask(socket, name, &mut words);
    let [low, high] = [words[2], words[3]].map(u32::to_ne_bytes);
    let fields = u64::from_ne_bytes([low, high].concat().try_into().unwrap_or([0; 8]));
    (said && fields != 0).then_some(fields)
}

/// Ports are among the fields: addresses and both ports, or addresses alone.
fn ports_of(fields: u64) -> Result<bool, &'static str> {
    const ADDRESSES: u64 = 1 << 4 | 1 << 5;
    const PORTS: u64 = 1 << 6 | 1 << 7;
    match fields {
        fields if fields == ADDRESSES | PORTS => Ok(true),
        ADDRESSES => Ok(false),
        _ => Err("it hashes other fields than addresses and ports: ethtool -N NAME rx-flow-hash"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;
    use crate::port::packet_socket::tests::namespace::{alone, sh};

    #[test]
    fn a_virtual_cable_has_a_driver_and_queues_and_no_hash() {
        alone("a_virtual_cable_has_a_driver_and_queues_and_no_hash", || {
            sh("ip link add va numrxqueues 3 numtxqueues 3 type veth peer name vb");
            let probe = UdpSocket::bind(("0.0.0.0", 0)).unwrap();
            let socket = probe.as_fd();
            assert_eq!(driver(socket, "va").as_deref(), Some("veth"));
            assert_eq!((driver(socket, "lo"), driver(socket, "absent")), (None, None));
            assert_eq!((rx_queues(socket, "va"), rx_queues(socket, "lo")), (3, 1));
            let flows = Flows { ipv6: false, udp: false };
            assert!(hash(socket, "va", 3, flows).unwrap_err().contains("ethtool -x"));
        });
    }

    #[test]
    fn fields_are_addresses_with_or_without_ports() {
        assert_eq!((ports_of(0xf0), ports_of(0x30)), (Ok(true), Ok(false)));
        assert!(ports_of(0x70).is_err() && ports_of(0x10).is_err());
    }
}
