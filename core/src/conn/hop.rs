//! Another walk over the tuples: every step changes client address, client port, and server, and
//! still every tuple comes once in each round. (Where clients and ports begin anew, a port may come
//! twice in a row, with another address.)
//!
//! Two wheels that turn together meet every pair of their places only if their sizes have no common
//! divisor. So one of them is held back by a place whenever a pair would come again.

/// Two wheels that turn together.
#[derive(Clone, Copy, Debug)]
struct Diagonal {
    sizes: (u32, u32),
    places: (u32, u32),
    /// Where the second wheel stood when the first began.
    start: u32,
    /// How often it can be held back: the greatest common divisor of the sizes.
    starts: u32,
}

impl Diagonal {
    fn new(sizes: (u32, u32)) -> Diagonal {
        let (mut starts, mut rest) = sizes;
        while rest > 0 {
            (starts, rest) = (rest, starts % rest);
        }
        Diagonal { sizes, places: (0, 0), start: 0, starts }
    }

    /// One step of both wheels.
    #[inline]
    fn turn(&mut self) {
        let ((one, other), (size, other_size)) = (self.places, self.sizes);
        self.places.0 = if one + 1 < size { one + 1 } else { 0 };
        self.places.1 = if other + 1 < other_size { other + 1 } else { 0 };
        if self.places == (0, self.start) {
            self.start = if self.start + 1 < self.starts { self.start + 1 } else { 0 };
            self.places.1 = self.start;
        }
    }
}

/// The walk: clients against their ports, and these pairs against the servers and theirs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hop {
    clients: Diagonal,
    servers: Diagonal,
}

impl Hop {
    /// A walk over so many client addresses, client ports, and pairs of server address and port;
    /// all together fit 32 bits.
    pub(super) fn new(clients: u32, client_ports: u32, servers: u32) -> Hop {
        Hop {
            clients: Diagonal::new((clients, client_ports)),
            servers: Diagonal::new((clients * client_ports, servers)),
        }
    }

    /// Where it stands: client address, client port, and pair of server address and port.
    pub(super) fn at(&self) -> (u32, u32, u32) {
        let (client, client_port) = self.clients.places;
        (client, client_port, self.servers.places.1)
    }

    /// One step.
    #[inline]
    pub(super) fn turn(&mut self) {
        self.clients.turn();
        self.servers.turn();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_tuple_comes_once_a_round_and_all_changes_with_each() {
        for clients in [1, 2, 3, 6, 12] {
            for ports in [1, 4, 6, 9] {
                for servers in [1, 2, 6, 7] {
                    let mut hop = Hop::new(clients, ports, servers);
                    for round in 0..2 {
                        let mut seen = HashSet::new();
                        let mut same_port = 0;
                        for _ in 0..clients * ports * servers {
                            let was = hop.at();
                            assert!(seen.insert(was), "{was:?} again in round {round}");
                            hop.turn();
                            let is = hop.at();
                            assert!(clients == 1 || is.0 != was.0, "{was:?} {is:?}");
                            same_port += u32::from(ports > 1 && is.1 == was.1);
                        }
                        assert!(same_port <= servers, "{clients} {ports}: {same_port} times");
                        assert_eq!(hop.at(), (0, 0, 0));
                    }
                }
            }
        }
    }
}
