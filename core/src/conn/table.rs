//! From a 4-tuple to its slot and back, by arithmetic: no hash, no search, no start-up.
//!
//! Slots lie in dperf's order: server address fastest, then server port, client port, client
//! address slowest. They are opened in that order, or hop by hop (`hop`). Memory is lent and must
//! be all zero: every connection is closed.

use crate::plan::{AddressList, CorePlan, PortRange};
use crate::prefetch::prefetch;

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
    /// Client addresses.
    pub clients: AddressList<'m>,
    /// Server addresses.
    pub servers: AddressList<'m>,
    client_ports: PortRange,
    listen: PortRange,
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
        Space {
            clients: plan.clients,
            servers: plan.servers,
            client_ports: plan.client_ports,
            listen: plan.listen,
        }
    }

    /// The slot of `tuple`, if it is one of ours.
    pub fn find(&self, tuple: &Tuple) -> Option<SlotId> {
        let client = self.clients.find(tuple.client)?;
        let server = self.servers.find(tuple.server)?;
        self.number(client, server, tuple.client_port, tuple.server_port)
    }

    /// Writes into `slot` which tuple is at the cursor.
    #[inline]
    fn describe(&self, at: &Cursor, slot: &mut Slot) {
        slot.client = at.client as u16;
        slot.server = at.server as u16;
        slot.client_port = self.client_ports.at(at.client_place);
        slot.server_port = self.listen.at(at.server_place);
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
    #[inline]
    pub fn slot(&mut self, id: SlotId) -> Option<&mut Slot> {
        self.slots.get_mut(id.0 as usize)
    }

    /// All slots, to be read.
    pub fn slots(&self) -> &[Slot] {
        self.slots
    }

    /// The next closed slot in walking order, described with its tuple. Tuples in use and those
    /// of other cores are passed over, at most a few at a time; `None` when none of those was free.
    #[inline]
    pub fn open_next(&mut self) -> Option<SlotId> {
        for _ in 0..TRIES.min(self.slots.len() as u32) {
            if !self.reach_own() {
                return None;
            }
            let at = self.cursor;
            self.step();
            let Some(slot) = self.slots.get_mut(at.id as usize) else { continue };
            if slot.is_closed() {
                self.space.describe(&at, slot);
                return Some(SlotId(at.id));
            }
        }
        None
    }

    /// Describes a slot that is none of the table's with the next tuple in walking order, whether
    /// that was opened before or not. False, for now, if none of this core's is within reach.
    #[inline]
    pub fn describe_next(&mut self, slot: &mut Slot) -> bool {
        if !self.reach_own() {
            return false;
        }
        self.space.describe(&self.cursor, slot);
        self.step();
        true
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

    /// The cursor goes on by one tuple: an odometer, since dividing would be slow.
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
        let space = Space {
            clients: AddressList::new(&client_blocks, &clients),
            servers: AddressList::new(&server_blocks, &servers),
            client_ports: PortRange { first: 65533, count: 3 },
            listen: PortRange { first: 80, count: 2 },
        };
        let mut slots = vec![Slot::default(); 36];
        let cursor = Cursor::default();
        let mut table = Table { slots: &mut slots, space, cursor, hop: None, own: None };
        let mut seen = Vec::new();
        for round in 0..36u32 {
            let id = table.open_next().unwrap();
            assert_eq!(id.0, round, "walking order is index order");
            let slot = table.slot(id).unwrap();
            slot.state = crate::conn::State::SynSent;
            let tuple = Tuple {
                client: number(clients[usize::from(slot.client)]),
                server: number(servers[usize::from(slot.server)]),
                client_port: slot.client_port,
                server_port: slot.server_port,
            };
            assert_eq!(table.space.find(&tuple), Some(id));
            assert!(!seen.contains(&tuple));
            seen.push(tuple);
        }
        assert_eq!(table.open_next(), None, "all are in use");
        table.slot(SlotId(7)).unwrap().state = crate::conn::State::Closed;
        let found = (0..3).find_map(|_| table.open_next());
        assert_eq!(found, Some(SlotId(7)));
        // The other walk finds them all as well, and describes them as they are found.
        slots.fill_with(Slot::default);
        let hop = Some(Hop::new(3, 3, 4));
        let mut table = Table { slots: &mut slots, space, cursor, hop, own: None };
        let mut before = None;
        for _ in 0..36 {
            let id = table.open_next().unwrap();
            let slot = table.slot(id).unwrap();
            slot.state = crate::conn::State::SynSent;
            let (client, client_port) = (slot.client, slot.client_port);
            let tuple = Tuple {
                client: number(clients[usize::from(client)]),
                server: number(servers[usize::from(slot.server)]),
                client_port,
                server_port: slot.server_port,
            };
            assert_eq!(table.space.find(&tuple), Some(id));
            assert!(before.is_none_or(|was: (u16, u16)| was.0 != client));
            before = Some((client, client_port));
        }
        assert_eq!(table.open_next(), None, "all were opened");
        let stranger = Tuple { client_port: 80, ..seen[0] };
        assert_eq!(table.space.find(&stranger), None);
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
    fn what_is_not_kept_is_described_in_the_same_order() {
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
        let tuple = |slot: &Slot| (slot.client, slot.server, slot.client_port, slot.server_port);
        for _ in 0..150 {
            let id = all.open_next().unwrap();
            let mut next = Slot::default();
            assert!(none.describe_next(&mut next));
            assert_eq!(tuple(&next), tuple(all.slot(id).unwrap()));
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
        let answered_on = |slot: &Slot| {
            let [server, client] =
                [servers[usize::from(slot.server)], clients[usize::from(slot.client)]]
                    .map(|address| number(address) as u32);
            let from = (&server.to_be_bytes()[..], slot.server_port);
            rss.queue_of(from, (&client.to_be_bytes(), slot.client_port))
        };
        let mut opened = [0; 600];
        for queue in 0..3 {
            let mut slots = vec![Slot::default(); 600];
            let mut table = Table::new(&of_core(queue), &mut slots).unwrap();
            while let Some(id) = table.open_next() {
                opened[id.0 as usize] += 1;
                let slot = table.slot(id).unwrap();
                slot.state = crate::conn::State::SynSent;
                assert_eq!(answered_on(slot), queue);
            }
        }
        assert_eq!(opened, [1; 600]);
        // And describes the same ones where it keeps none.
        for queue in 0..3 {
            let flood = CorePlan { flood: true, keepalive: None, ..of_core(queue) };
            let mut table = Table::new(&flood, &mut []).unwrap();
            let mut slot = Slot::default();
            for _ in 0..100 {
                assert!(table.describe_next(&mut slot));
                assert_eq!(answered_on(&slot), queue);
            }
        }
        let nobody = Steering::Hashed { rss, queue: 7 };
        let flood = CorePlan { flood: true, keepalive: None, steering: nobody, ..of_core(0) };
        assert!(!Table::new(&flood, &mut []).unwrap().describe_next(&mut Slot::default()));
        let mut slots = vec![Slot::default(); 600];
        let mut server = Table::new(&CorePlan { role: Role::Server, ..of_core(0) }, &mut slots);
        assert_eq!(server.as_mut().unwrap().open_next(), Some(SlotId(0)), "a server has all");
    }
}
