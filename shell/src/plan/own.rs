//! How many tuples each worker may call its own where a hash divides them: counted exactly, and
//! without looking at each.
//!
//! The hash of a tuple is the sum, by exclusive or, of what its four parts add. How often each sum
//! comes out is the convolution of how often each part adds what, and the Walsh-Hadamard transform
//! turns that into a product.

use std::net::IpAddr;

use dperf_core::plan::PortRange;
use dperf_core::steer::Rss;

/// The tuples of a port as its answers carry them: from servers to clients.
pub(super) struct Tuples<'a> {
    pub(super) clients: &'a [IpAddr],
    pub(super) servers: &'a [IpAddr],
    pub(super) client_ports: PortRange,
    pub(super) listen: PortRange,
}

impl Tuples<'_> {
    /// Those whose answers come to `queue`.
    pub(super) fn of_queue(&self, rss: &Rss<'_>, queue: u16) -> u64 {
        let (hash, table) = (rss.hash(), rss.table());
        let ports = |range: PortRange| (0..range.count).map(move |place| range.at(place));
        let octets = |address: &IpAddr, of: &dyn Fn(&[u8]) -> u32| match address {
            IpAddr::V4(v4) => of(&v4.octets()),
            IpAddr::V6(v6) => of(&v6.octets()),
        };
        let clients = self.clients.iter().map(|to| octets(to, &|to| hash.of_destination(to)));
        let servers = self.servers.iter().map(|from| octets(from, &|from| hash.of_source(from)));
        let mut sums = spectrum(table.len(), clients);
        for part in [
            spectrum(table.len(), servers),
            spectrum(table.len(), ports(self.client_ports).map(|to| hash.of_ports(0, to))),
            spectrum(table.len(), ports(self.listen).map(|from| hash.of_ports(from, 0))),
        ] {
            sums.iter_mut().zip(part).for_each(|(sum, part)| *sum *= part);
        }
        transform(&mut sums);
        let own = sums.iter().zip(table).filter(|(_, of)| **of == queue);
        let own: i128 = own.map(|(sum, _)| sum).sum();
        u64::try_from(own / table.len().max(1) as i128).unwrap_or(u64::MAX)
    }
}

/// The transform of how often each of `entries` low parts of a hash is added.
fn spectrum(entries: usize, added: impl Iterator<Item = u32>) -> Vec<i128> {
    let mut counts = vec![0; entries];
    for hash in added {
        if let Some(count) = counts.get_mut(hash as usize & entries.wrapping_sub(1)) {
            *count += 1;
        }
    }
    transform(&mut counts);
    counts
}

/// The Walsh-Hadamard transform; twice, it is the length times what it was.
fn transform(values: &mut [i128]) {
    let mut half = 1;
    while half < values.len() {
        for pair in values.chunks_exact_mut(2 * half) {
            let (low, high) = pair.split_at_mut(half);
            for (low, high) in low.iter_mut().zip(high) {
                (*low, *high) = (*low + *high, *low - *high);
            }
        }
        half *= 2;
    }
}
