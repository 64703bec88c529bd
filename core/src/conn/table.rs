//! From a 4-tuple to its slot and back, by arithmetic: no hash, no search, no start-up.
//!
//! Slots lie in dperf's order: server address fastest, then server port, client port, client
//! address slowest. They are opened in that order, or hop by hop (`hop`). Memory is lent and must
//! be all zero: every connection is closed.

use crate::plan::{AddressList, CorePlan, PortRange, Role};
use crate::prefetch::prefetch;

use super::divisor::Divisor;
use super::hop::Hop;
use super::own::Own;
use super::slot::Slot;

/// Number of a slot in its table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlotId(pub u32);

/// The addresses and ports of one connection. Addresses are [`crate::plan::number`]s.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tuple {
    /// Client address.
    pub client: u128,
    /// Server address.
    pub server: u128,
    /// Client port.
    pub client_port: u16,
    /// Server port.
    pub server_port: u16,
}

/// Tuples tried by one [`Table::open_next`] before it gives up for now.
const TRIES: u32 = 32;
/// Tuples of other cores that it passes over at most.
const STRANGERS: u32 = 1024;

/// The connections of one core.
#[derive(Debug)]
pub struct Table<'m> {
    pub(crate) slots: &'m mut [Slot],
    /// The geometry of the tuple space.
    pub space: Space<'m>,
    /// The tuple that is opened next.
    cursor: Cursor,
    /// Another walk, if that is asked for.
    hop: Option<Hop>,
    /// Tells the tuples apart, if some of them are other cores'.
    own: Option<Own<'m>>,
}

/// The tuple space: which tuples there are, and which number each has.
#[derive(Clone, Copy, Debug)]
pub struct Space<'m> {
    /// Which end of them is ours.
    pub role: Role,
    /// Client addresses.
    pub clients: AddressList<'m>,
    /// Server addresses.
    pub servers: AddressList<'m>,
    client_ports: PortRange,
    listen: PortRange,
    /// How many there are of each but the last: client ports, server ports, server addresses.
    by: [Divisor; 3],
}

/// Where a tuple stands in the space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Index of the client address.
    pub client: u32,
    /// Index of the server address.
    pub server: u32,
    /// The client's port.
    pub client_port: u16,
    /// The server's port.
    pub server_port: u16,
}

/// An odometer over the tuple space.
#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    id: u32,
    client: u32,
    client_place: u32,
    server_place: u32,
    server: u32,
}

impl<'m> Space<'m> {
    /// The tuple space of `plan`.
    pub fn new(plan: &CorePlan<'m>) -> Space<'m> {
        let sizes = [plan.client_ports.count, plan.listen.count, plan.servers.count()];
        Space {
            role: plan.role,
            clients: plan.clients,
            servers: plan.servers,
            client_ports: plan.client_ports,
            listen: plan.listen,
            by: sizes.map(Divisor::new),
        }
    }

    /// The tuple that has the number `id`.
    #[inline(always)]
    pub fn place(&self, id: SlotId) -> Place {
        let [client_ports, listen, servers] = self.by;
        let (mut rest, mut server, mut server_place) = (id.0, 0, 0);
        // One server with one port is most usual.
        if self.servers.count() > 1 || self.listen.count > 1 {
            (rest, server) = servers.split(rest);
            (rest, server_place) = listen.split(rest);
        }
        let (client, client_place) = client_ports.split(rest);
        let (client_port, server_port) =
            (self.client_ports.at(client_place), self.listen.at(server_place));
        Place { client, server, client_port, server_port }
    }

    /// The slot of `tuple`, if it is one of ours.
    pub fn find(&self, tuple: &Tuple) -> Option<SlotId> {
        let client = self.clients.find(tuple.client)?;
        let server = self.servers.find(tuple.server)?;
        self.number(client, server, tuple.client_port, tuple.server_port)
    }

    #[inline]
    fn number(
        &self,
        client: u32,
        server: u32,
        client_port: u16,
        server_port: u16,
    ) -> Option<SlotId> {
        let client_place = self.client_ports.find(client_port)?;
        let server_place = self.listen.find(server_port)?;
        let id =
            (client * self.client_ports.count + client_place) * self.listen.count + server_place;
        Some(SlotId(id * self.servers.count() + server))
    }
}

impl<'m> Table<'m> {
    /// A table over lent, zeroed memory; `None` if it is smaller than the plan's connections need,
    /// or its tuple space is beyond 32 bits.
    pub fn new(plan: &CorePlan<'m>, slots: &'m mut [Slot]) -> Option<Table<'m>> {
        let fits = plan.slots() <= slots.len() as u64 && plan.tuples() <= u64::from(u32::MAX);
        let hop = || {
            let servers = plan.listen.count * plan.servers.count();
            Hop::new(plan.clients.count(), plan.client_ports.count, servers)
        };
        fits.then(|| Table {
            slots: &mut slots[..plan.slots() as usize],
            space: Space::new(plan),
            cursor: Cursor::default(),
            hop: plan.client_hop.then(hop),
            own: Own::new(plan),
        })
    }

    /// How many connections are kept.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Brings the slot near, ahead of its use.
    #[inline]
    pub fn hint(&self, id: SlotId) {
        if let Some(slot) = self.slots.get(id.0 as usize) {
            prefetch(slot);
        }
    }

    /// The slot.
    #[cfg(test)]
    pub(crate) fn slot(&mut self, id: SlotId) -> Option<&mut Slot> {
        self.slots.get_mut(id.0 as usize)
    }

    /// All slots, to be read.
    pub fn slots(&self) -> &[Slot] {
        self.slots
    }

    /// The next closed slot in walking order. Tuples in use and those of other cores are passed
    /// over, at most a few at a time; `None` when none of those was free.
    #[inline]
    pub fn open_next(&mut self) -> Option<SlotId> {
        for _ in 0..TRIES.min(self.slots.len() as u32) {
            if !self.reach_own() {
                return None;
            }
            let id = self.cursor.id;
            self.step();
            if self.slots.get(id as usize).is_some_and(Slot::is_closed) {
                return Some(SlotId(id));
            }
        }
        None
    }

    /// The number of the next tuple in walking order, whether that was opened before or not.
    /// `None`, for now, if none of this core's is within reach.
    #[inline]
    pub fn next_tuple(&mut self) -> Option<SlotId> {
        if !self.reach_own() {
            return None;
        }
        let id = self.cursor.id;
        self.step();
        Some(SlotId(id))
    }

    /// The cursor goes on to a tuple of this core's; false if there is none within reach.
    #[inline]
    fn reach_own(&mut self) -> bool {
        self.own.is_none() || self.seek_own()
    }

    /// As [`Table::reach_own`], if some tuples are other cores'.
    #[inline(never)]
    fn seek_own(&mut self) -> bool {
        for _ in 0..STRANGERS {
            let Cursor { client, server, client_place, server_place, .. } = self.cursor;
            let space = &self.space;
            let ports = (space.client_ports.at(client_place), space.listen.at(server_place));
            let Some(own) = &mut self.own else { return true };
            if own.has((&space.clients, client), (&space.servers, server), ports) {
                return true;
            }
            self.step();
        }
        false
    }

    /// The cursor goes on by one tuple: an odometer, for a core passes over many of others.
    #[inline]
    fn step(&mut self) {
        if self.hop.is_some() {
            return self.leap();
        }
        let (space, at) = (&self.space, &mut self.cursor);
        at.id += 1;
        at.server += 1;
        if at.server < space.servers.count() {
            return;
        }
        at.server = 0;
        at.server_place += 1;
        if at.server_place < space.listen.count {
            return;
        }
        at.server_place = 0;
        at.client_place += 1;
        if at.client_place < space.client_ports.count {
            return;
        }
        at.client_place = 0;
        at.client += 1;
        if at.client == space.clients.count() {
            *at = Cursor::default();
        }
    }

    /// The cursor goes on by one hop.
    #[inline(never)]
    fn leap(&mut self) {
        let Some(hop) = &mut self.hop else { return };
        hop.turn();
        let (client, client_place, pair) = hop.at();
        let servers = self.space.servers.count().max(1);
        let Space { client_ports, listen, .. } = &self.space;
        let id = (client * client_ports.count + client_place) * listen.count * servers + pair;
        let (server_place, server) = (pair / servers, pair % servers);
        self.cursor = Cursor { id, client, client_place, server_place, server };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{AddressBlock, Keepalive, Role, number};
    use crate::steer::{Hash, Rss, Steering};
    use crate::tcp::tests::plan;
    use core::net::IpAddr;
    use std::vec;
    use std::vec::Vec;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn every_tuple_has_its_own_slot_and_is_found_again() {
        let clients = [ip("10.0.0.1"), ip("10.0.0.2"), ip("10.0.0.9")];
        let client_blocks = [
            AddressBlock { first: number(clients[0]), count: 2, base: 0 },
            AddressBlock { first: number(clients[2]), count: 1, base: 2 },
        ];
        let servers = [ip("10.0.1.1"), ip("10.0.1.2")];
        let server_blocks = [AddressBlock { first: number(servers[0]), count: 2, base: 0 }];
        let space = Space::new(&CorePlan {
            clients: AddressList::new(&client_blocks, &clients),
            servers: AddressList::new(&server_blocks, &servers),
            client_ports: PortRange { first: 65533, count: 3 },
            listen: PortRange { first: 80, count: 2 },
            ..plan(Role::Client)
        });
        let tuple_of = |id| {
            let Place { client, server, client_port, server_port } = space.place(id);
            let (client, server) = (clients[client as usize], servers[server as usize]);
            Tuple { client: number(client), server: number(server), client_port, server_port }
        };
        let mut slots = vec![Slot::default(); 36];
        let cursor = Cursor::default();
        let mut table = Table { slots: &mut slots, space, cursor, hop: None, own: None };
        let mut seen = Vec::new();
        for round in 0..36u32 {
            let id = table.open_next().unwrap();
            assert_eq!(id.0, round, "walking order is index order");
            table.slot(id).unwrap().state = crate::conn::State::SynSent;
            let tuple = tuple_of(id);
            assert_eq!(table.space.find(&tuple), Some(id));
            assert!(!seen.contains(&tuple));
            seen.push(tuple);
        }
        assert_eq!(table.open_next(), None, "all are in use");
        table.slot(SlotId(7)).unwrap().state = crate::conn::State::Closed;
        let found = (0..3).find_map(|_| table.open_next());
        assert_eq!(found, Some(SlotId(7)));
        // The other walk finds them all as well.
        slots.fill_with(Slot::default);
        let hop = Some(Hop::new(3, 3, 4));
        let mut table = Table { slots: &mut slots, space, cursor, hop, own: None };
        let mut before = None;
        for _ in 0..36 {
            let id = table.open_next().unwrap();
            table.slot(id).unwrap().state = crate::conn::State::SynSent;
            let client = space.place(id).client;
            assert!(before.is_none_or(|was: u32| was != client));
            before = Some(client);
        }
        assert_eq!(table.open_next(), None, "all were opened");
        let stranger = Tuple { client_port: 80, ..seen[0] };
        assert_eq!(table.space.find(&stranger), None);
    }

    #[test]
    fn a_number_says_its_tuple_whatever_there_is_one_of() {
        let clients = [ip("10.0.0.1"), ip("10.0.0.2")];
        let servers = [ip("10.0.1.1"), ip("10.0.1.2")];
        let blocks =
            |first: &[IpAddr], count| [AddressBlock { first: number(first[0]), count, base: 0 }];
        for [client, client_ports, server, listen] in
            (0..16).map(|bits: usize| [0, 1, 2, 3].map(|at| 1 + (bits >> at & 1)))
        {
            let (from, to) = (blocks(&clients, client as u32), blocks(&servers, server as u32));
            let space = Space::new(&CorePlan {
                clients: AddressList::new(&from, &clients[..client]),
                servers: AddressList::new(&to, &servers[..server]),
                client_ports: PortRange { first: 1000, count: client_ports as u32 },
                listen: PortRange { first: 80, count: listen as u32 },
                ..plan(Role::Client)
            });
            for id in (0..(client * client_ports * server * listen) as u32).map(SlotId) {
                let Place { client, server, client_port, server_port } = space.place(id);
                assert_eq!(space.number(client, server, client_port, server_port), Some(id));
            }
        }
    }

    /// A link of a slot with the highest number would be the end of its chain.
    #[test]
    fn there_is_a_number_for_every_tuple_and_one_for_none() {
        let (addresses, servers) = (vec![ip("10.0.0.1"); 65_537], [ip("10.0.1.1")]);
        let of = |clients, client_ports| CorePlan {
            clients: AddressList::new(&[], &addresses[..clients]),
            servers: AddressList::new(&[], &servers),
            client_ports: PortRange { first: 0, count: client_ports },
            listen: PortRange { first: 80, count: 1 },
            flood: true,
            keepalive: None,
            ..plan(Role::Client)
        };
        let [most, one_more] = [of(65_537, 65_535), of(65_536, 65_536)];
        assert_eq!([most, one_more].map(|plan| plan.tuples()), [(1 << 32) - 1, 1 << 32]);
        assert!(Table::new(&most, &mut []).is_some());
        assert!(Table::new(&one_more, &mut []).is_none());
    }

    /// A client of 60 tuples between two and three of these addresses.
    fn sixty_tuples(addresses: &[IpAddr; 3]) -> CorePlan<'_> {
        CorePlan {
            clients: AddressList::new(&[], &addresses[..2]),
            servers: AddressList::new(&[], addresses),
            client_ports: PortRange { first: 1000, count: 5 },
            listen: PortRange { first: 80, count: 2 },
            ..plan(Role::Client)
        }
    }

    #[test]
    fn it_takes_as_much_of_the_memory_as_there_are_tuples() {
        let servers = [ip("10.0.1.1"), ip("10.0.1.2"), ip("10.0.1.3")];
        let plan = sixty_tuples(&servers);
        let mut slots = vec![Slot::default(); 70];
        assert_eq!(Table::new(&plan, &mut slots).unwrap().len(), 60);
        assert_eq!(Table::new(&plan, &mut slots[..60]).unwrap().len(), 60);
        assert!(Table::new(&plan, &mut slots[..59]).is_none());
    }

    /// A flood's connections that end with their first packet have no slots, and go round for ever.
    #[test]
    fn what_is_not_kept_comes_in_the_same_order() {
        let servers = [ip("10.0.1.1"), ip("10.0.1.2"), ip("10.0.1.3")];
        let kept = CorePlan {
            flood: true,
            keepalive: Some(Keepalive { interval_us: 1, requests: 0 }),
            ..sixty_tuples(&servers)
        };
        let plan = CorePlan { keepalive: None, ..kept };
        let server = CorePlan { role: Role::Server, ..plan };
        assert_eq!([kept, plan, server].map(|plan| plan.slots()), [60, 0, 60]);
        let mut slots = vec![Slot::default(); 60];
        let mut all = Table::new(&kept, &mut slots).unwrap();
        let mut none = Table::new(&plan, &mut []).unwrap();
        assert_eq!((none.len(), none.open_next()), (0, None));
        for _ in 0..150 {
            assert_eq!(none.next_tuple().unwrap(), all.open_next().unwrap());
        }
    }

    #[test]
    fn the_cores_of_a_port_open_every_tuple_once_and_where_its_answer_comes() {
        let clients = [ip("10.0.0.1"), ip("10.0.0.2")];
        let servers = [ip("10.0.1.1"), ip("10.0.1.2"), ip("10.0.1.3")];
        let blocks = |first, count| [AddressBlock { first: number(first), count, base: 0 }];
        let (client_blocks, server_blocks) = (blocks(clients[0], 2), blocks(servers[0], 3));
        let key: [u8; 16] = core::array::from_fn(|at| (at * 89 + 17) as u8);
        let hash = Hash::toeplitz(&key, false, true);
        let queues: Vec<u16> = (0..64).map(|entry| entry % 3).collect();
        let rss = Rss::new(&hash, &queues);
        let of_core = |queue| CorePlan {
            clients: AddressList::new(&client_blocks, &clients),
            servers: AddressList::new(&server_blocks, &servers),
            client_ports: PortRange { first: 1000, count: 50 },
            listen: PortRange { first: 80, count: 2 },
            steering: Steering::Hashed { rss, queue },
            ..plan(Role::Client)
        };
        let answered_on = |at: Place| {
            let [server, client] = [servers[at.server as usize], clients[at.client as usize]]
                .map(|address| number(address) as u32);
            let from = (&server.to_be_bytes()[..], at.server_port);
            rss.queue_of(from, (&client.to_be_bytes(), at.client_port))
        };
        let mut opened = [0; 600];
        for queue in 0..3 {
            let mut slots = vec![Slot::default(); 600];
            let mut table = Table::new(&of_core(queue), &mut slots).unwrap();
            while let Some(id) = table.open_next() {
                opened[id.0 as usize] += 1;
                table.slot(id).unwrap().state = crate::conn::State::SynSent;
                assert_eq!(answered_on(table.space.place(id)), queue);
            }
        }
        assert_eq!(opened, [1; 600]);
        // And the same ones where it keeps none.
        for queue in 0..3 {
            let flood = CorePlan { flood: true, keepalive: None, ..of_core(queue) };
            let mut table = Table::new(&flood, &mut []).unwrap();
            for _ in 0..100 {
                let id = table.next_tuple().unwrap();
                assert_eq!(answered_on(table.space.place(id)), queue);
            }
        }
        let nobody = Steering::Hashed { rss, queue: 7 };
        let flood = CorePlan { flood: true, keepalive: None, steering: nobody, ..of_core(0) };
        assert_eq!(Table::new(&flood, &mut []).unwrap().next_tuple(), None);
        let mut slots = vec![Slot::default(); 600];
        let mut server = Table::new(&CorePlan { role: Role::Server, ..of_core(0) }, &mut slots);
        assert_eq!(server.as_mut().unwrap().open_next(), Some(SlotId(0)), "a server has all");
    }
}
