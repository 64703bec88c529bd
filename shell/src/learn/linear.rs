//! A hash that is a sum over exclusive or, put together from what was seen of it: each tuple whose
//! queue is known is one equation for what the bits of a tuple add.

use std::net::IpAddr;

use dperf_core::steer::{Hash, Rss};

use super::Tuple;
use crate::port::rss;

/// Words of the bits of the longest tuple, and one bit that is always set.
const WORDS: usize = 5;

/// Bits, counted from the front.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Bits([u64; WORDS]);

impl Bits {
    const NONE: Bits = Bits([0; WORDS]);

    /// The bits of the answer to `tuple`, in the order of [`Hash`], and behind them one that stands
    /// for what every tuple adds.
    fn of(tuple: &Tuple) -> Bits {
        let octets = |address| match address {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        let mut bytes = octets(tuple.server);
        bytes.extend(octets(tuple.client));
        bytes.extend(tuple.server_port.to_be_bytes());
        bytes.extend(tuple.client_port.to_be_bytes());
        bytes.push(0x80);
        let mut bits = Bits::NONE;
        for (place, byte) in bytes.into_iter().enumerate() {
            bits.0[place / 8] |= u64::from(byte) << (56 - place % 8 * 8);
        }
        bits
    }

    fn has(&self, bit: usize) -> bool {
        self.0[bit / 64] >> (63 - bit % 64) & 1 != 0
    }

    fn add(&mut self, other: &Bits) {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word ^= other);
    }

    /// The first bit that is set.
    fn first(&self) -> Option<usize> {
        let word = self.0.iter().position(|word| *word != 0)?;
        Some(word * 64 + self.0[word].leading_zeros() as usize)
    }
}

/// What is known of a hash.
#[derive(Default)]
pub(super) struct Linear {
    /// Sums of tuples with the sums of their queues. The first bit of each is in none behind it.
    known: Vec<(usize, Bits, u16)>,
}

impl Linear {
    /// What is left of a tuple and a queue when all that is known is taken off.
    fn unknown(&self, tuple: &Tuple, queue: u16) -> (Bits, u16) {
        let (mut bits, mut queue) = (Bits::of(tuple), queue);
        for (first, of, sum) in &self.known {
            if bits.has(*first) {
                bits.add(of);
                queue ^= sum;
            }
        }
        (bits, queue)
    }

    /// The queue of a tuple, if it follows from what is known.
    pub(super) fn queue_of(&self, tuple: &Tuple) -> Option<u16> {
        let (bits, queue) = self.unknown(tuple, 0);
        (bits == Bits::NONE).then_some(queue)
    }

    /// Takes note that the answer to `tuple` came on `queue`; false if that cannot be.
    #[must_use]
    pub(super) fn note(&mut self, tuple: &Tuple, queue: u16) -> bool {
        let (bits, sum) = self.unknown(tuple, queue);
        match bits.first() {
            Some(first) => {
                self.known.push((first, bits, sum));
                true
            }
            None => sum == 0,
        }
    }

    /// The device's choice among `queues`, a power of two. It is right for every tuple whose queue
    /// follows from what is known.
    pub(super) fn choice(&self, ipv6: bool, queues: u16) -> Rss<'static> {
        let mut adds = [0_u16; 64 * WORDS];
        for (first, bits, sum) in self.known.iter().rev() {
            let others = (first + 1..adds.len()).filter(|bit| bits.has(*bit));
            adds[*first] = others.fold(*sum, |sum, bit| sum ^ adds[bit]);
        }
        let tuple_bits = if ipv6 { 288 } else { 96 };
        let always = adds[tuple_bits];
        let hash = Hash::new(ipv6, |bit| adds[bit].into());
        rss::lend(hash, (0..queues).map(|sum| sum ^ always).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_toeplitz_hash_is_found_from_as_many_tuples_as_bits_differ() {
        for (ipv6, queues) in [(false, 2), (false, 4), (true, 8)] {
            let device = rss::even(ipv6, queues);
            let address = |net: u8, host: u16| match ipv6 {
                false => IpAddr::from([10, net, (host >> 8) as u8, host as u8]),
                true => IpAddr::from([0xfd00, net.into(), 0, 0, 0, 0, 0, host]),
            };
            let tuple = |number: u64| {
                let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                Tuple {
                    client: address(1, (mixed >> 20) as u16 & 0x1ff),
                    client_port: (mixed >> 30) as u16,
                    server: address(2, (mixed >> 50) as u16 & 7),
                    server_port: 80 + (mixed >> 60) as u16 % 4,
                }
            };
            let queue = |tuple: &Tuple| {
                let octets = |address| match address {
                    IpAddr::V4(v4) => v4.octets().to_vec(),
                    IpAddr::V6(v6) => v6.octets().to_vec(),
                };
                let (server, client) = (octets(tuple.server), octets(tuple.client));
                device.queue_of((&server, tuple.server_port), (&client, tuple.client_port))
            };
            let mut linear = Linear::default();
            for tuple in (1..200).map(tuple) {
                assert!(linear.note(&tuple, queue(&tuple)));
            }
            // 9 bits of clients, 16 of their ports, 3 of servers, 2 of theirs, and the rest.
            assert_eq!(linear.known.len(), 31);
            let found = linear.choice(ipv6, queues);
            for tuple in (200..2000).map(tuple) {
                let (server, client) = match (tuple.server, tuple.client) {
                    (IpAddr::V4(s), IpAddr::V4(c)) => (s.octets().to_vec(), c.octets().to_vec()),
                    (IpAddr::V6(s), IpAddr::V6(c)) => (s.octets().to_vec(), c.octets().to_vec()),
                    _ => unreachable!(),
                };
                let at = ((&*server, tuple.server_port), (&*client, tuple.client_port));
                assert_eq!(found.queue_of(at.0, at.1), queue(&tuple));
                assert_eq!(linear.queue_of(&tuple), Some(queue(&tuple)));
            }
            assert!(!linear.note(&tuple(7), queue(&tuple(7)) ^ 1), "it is no such hash");
        }
    }
}
