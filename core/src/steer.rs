//! Which receive queue a packet comes to, where a device chooses by a hash of addresses and ports
//! (receive-side scaling).
//!
//! A hash that is linear over exclusive or, as Toeplitz's is, is the sum of what each byte of the
//! tuple adds to it. So it is kept as one table per byte, whatever its bits are made of, and a
//! hash costs one look-up per byte.

use core::fmt;

use crate::wire::ethernet::{ETHERNET_BYTES, VLAN_BYTES, ethertype};
use crate::wire::ipv4::protocol;

/// Bytes of the key that a Toeplitz hash of the longest tuple takes: 36 and 4.
pub const KEY_BYTES: usize = 40;

/// What each value of a byte adds.
type Byte = [u32; 256];

/// A hash of a packet's tuple: addresses, then ports, each with the source first. Of one family.
#[derive(Clone)]
pub struct Hash {
    /// Of an IPv4 address, the first four count.
    source: [Byte; 16],
    destination: [Byte; 16],
    source_port: [Byte; 2],
    destination_port: [Byte; 2],
    address_bytes: usize,
}

impl Hash {
    /// A hash to which bit `i` of the tuple, counted from the front, adds `bit(i)`.
    pub fn new(ipv6: bool, bit: impl Fn(usize) -> u32) -> Hash {
        let address_bytes = if ipv6 { 16 } else { 4 };
        let byte = |place: usize| {
            core::array::from_fn(|value| {
                let set = (0..8).filter(|at| value << at & 0x80 != 0);
                set.fold(0, |sum, at| sum ^ bit(8 * place + at))
            })
        };
        let address = |first: usize, at: usize| {
            if at < address_bytes { byte(first + at) } else { [0; 256] }
        };
        let ports = 2 * address_bytes;
        Hash {
            source: core::array::from_fn(|at| address(0, at)),
            destination: core::array::from_fn(|at| address(address_bytes, at)),
            source_port: core::array::from_fn(|at| byte(ports + at)),
            destination_port: core::array::from_fn(|at| byte(ports + 2 + at)),
            address_bytes,
        }
    }

    /// The Toeplitz hash that network cards compute with `key`; a key that is too short goes on
    /// with zeros. Without `ports` it is of the addresses alone.
    pub fn toeplitz(key: &[u8], ipv6: bool, ports: bool) -> Hash {
        let address_bits = if ipv6 { 256 } else { 64 };
        Hash::new(ipv6, |bit| {
            // The 32 bits of the key that begin at this one.
            let at = |place: usize| u64::from(key.get(bit / 8 + place).copied().unwrap_or(0));
            let word = (0..5).fold(0, |high, place| high << 8 | at(place));
            if bit < address_bits || ports { (word >> (8 - bit % 8)) as u32 } else { 0 }
        })
    }

    /// What the source address adds.
    #[inline]
    pub fn of_source(&self, octets: &[u8]) -> u32 {
        sum(&self.source, octets)
    }

    /// What the destination address adds.
    #[inline]
    pub fn of_destination(&self, octets: &[u8]) -> u32 {
        sum(&self.destination, octets)
    }

    /// What the ports add.
    #[inline]
    pub fn of_ports(&self, source: u16, destination: u16) -> u32 {
        sum(&self.source_port, &source.to_be_bytes())
            ^ sum(&self.destination_port, &destination.to_be_bytes())
    }
}

#[inline]
fn sum(parts: &[Byte], bytes: &[u8]) -> u32 {
    parts.iter().zip(bytes).fold(0, |sum, (part, byte)| sum ^ part[usize::from(*byte)])
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hash").field("address_bytes", &self.address_bytes).finish_non_exhaustive()
    }
}

/// A device's choice: a hash, and the table whose entries are queues.
#[derive(Clone, Copy, Debug)]
pub struct Rss<'m> {
    hash: &'m Hash,
    /// The hash's low bits choose.
    table: &'m [u16],
}

impl<'m> Rss<'m> {
    /// The table has as many entries as a power of two, as those of devices have: entries beyond
    /// are never looked at. Without any, everything comes to queue 0.
    pub fn new(hash: &'m Hash, table: &'m [u16]) -> Rss<'m> {
        let entries = table.len().checked_ilog2().map_or(0, |bits| 1 << bits);
        Rss { hash, table: &table[..entries] }
    }

    /// The hash.
    #[inline]
    pub fn hash(&self) -> &'m Hash {
        self.hash
    }

    /// The table's entries, which are queues.
    pub fn table(&self) -> &'m [u16] {
        self.table
    }

    /// The queue of a packet with this hash.
    #[inline]
    pub fn queue(&self, hash: u32) -> u16 {
        let place = hash as usize & self.table.len().wrapping_sub(1);
        self.table.get(place).copied().unwrap_or(0)
    }

    /// The queue of a packet from `source` to `destination`, whose addresses are octets in network
    /// order.
    pub fn queue_of(&self, source: (&[u8], u16), destination: (&[u8], u16)) -> u16 {
        let addresses = self.hash.of_source(source.0) ^ self.hash.of_destination(destination.0);
        self.queue(addresses ^ self.hash.of_ports(source.1, destination.1))
    }

    /// The queue of a frame, as a network card finds it: behind VLAN tags, TCP and UDP by their
    /// ports, fragments and other protocols by their addresses. What is not of the hash's family
    /// comes to the queue of hash 0.
    pub fn queue_of_frame(&self, frame: &[u8]) -> u16 {
        self.queue(self.hash_of_frame(frame).unwrap_or(0))
    }

    fn hash_of_frame(&self, frame: &[u8]) -> Option<u32> {
        let fields = fields_of_frame(frame, self.hash.address_bytes)?;
        let addresses =
            self.hash.of_source(fields.source) ^ self.hash.of_destination(fields.destination);
        let ports = fields.ports.map_or(0, |(from, to)| self.hash.of_ports(from, to));
        Some(addresses ^ ports)
    }
}

/// What a network card hashes of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fields<'f> {
    /// The source address, in network order.
    pub source: &'f [u8],
    /// The destination address, in network order.
    pub destination: &'f [u8],
    /// Source and destination port, of TCP and UDP.
    pub ports: Option<(u16, u16)>,
}

/// What a network card hashes of a frame with addresses of `address_bytes`, behind VLAN tags; none
/// if it is of another family, or none.
pub fn fields_of_frame(frame: &[u8], address_bytes: usize) -> Option<Fields<'_>> {
    let mut at = ETHERNET_BYTES;
    let mut kind = half(frame, at - 2)?;
    while matches!(kind, ethertype::VLAN | ethertype::QINQ) {
        at += VLAN_BYTES;
        kind = half(frame, at - 2)?;
    }
    let packet = frame.get(at..)?;
    let (wanted, addresses_at, transport, ports_at) = match kind {
        ethertype::IPV4 => {
            let fragment = half(packet, 6)? & 0x3fff != 0;
            let header_bytes = usize::from(packet.first()? & 15) * 4;
            (4, 12, packet.get(9)?, (!fragment).then_some(header_bytes))
        }
        ethertype::IPV6 => (16, 8, packet.get(6)?, Some(40)),
        _ => return None,
    };
    if wanted != address_bytes {
        return None;
    }
    let source = packet.get(addresses_at..addresses_at + wanted)?;
    let destination = packet.get(addresses_at + wanted..addresses_at + 2 * wanted)?;
    let ports = match ports_at {
        Some(at) if matches!(*transport, protocol::TCP | protocol::UDP) => {
            Some((half(packet, at)?, half(packet, at + 2)?))
        }
        _ => None,
    };
    Some(Fields { source, destination, ports })
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|pair| u16::from_be_bytes(*pair))
}

/// Which tuples are a client worker's own.
#[derive(Clone, Copy, Debug)]
pub enum Steering<'m> {
    /// All that its plan names.
    Whole,
    /// Those whose answers the device brings to its queue.
    Hashed {
        /// How the device chooses.
        rss: Rss<'m>,
        /// The worker's queue.
        queue: u16,
    },
}

#[cfg(test)]
mod tests;
