//! From the fields of a received IPv4 segment to its slot: each field is a place in a row, and each
//! place is so many slots away from the next. Which side we play is settled when the rows are laid.

use crate::plan::{AddressList, CorePlan, PortRange, Role};

use super::table::SlotId;

/// The four fields that tell connections apart, in the order of a packet.
#[derive(Clone, Copy, Debug)]
pub struct Locator {
    source: Row,
    destination: Row,
    source_port: Row,
    destination_port: Row,
}

/// The values of one field.
#[derive(Clone, Copy, Debug)]
struct Row {
    first: u32,
    count: u32,
    /// From the slot of one value to that of the next.
    stride: u32,
}

impl Locator {
    /// The rows of `plan`. One that is not a single run is empty: nothing is found then.
    pub fn new(plan: &CorePlan<'_>) -> Locator {
        // Server addresses lie closest together ([`super::table`]).
        let server = Row::of_addresses(&plan.servers, 1);
        let server_port = Row::of_ports(plan.listen, plan.servers.count());
        let stride = server_port.stride.wrapping_mul(plan.listen.count);
        let client_port = Row::of_ports(plan.client_ports, stride);
        let stride = stride.wrapping_mul(plan.client_ports.count);
        let client = Row::of_addresses(&plan.clients, stride);
        let (from, to) = match plan.role {
            Role::Client => ((server, server_port), (client, client_port)),
            Role::Server => ((client, client_port), (server, server_port)),
        };
        Locator { source: from.0, destination: to.0, source_port: from.1, destination_port: to.1 }
    }

    /// The slot of a segment from `source` to `destination`, if it is one of the rows'.
    #[inline(always)]
    pub fn find(&self, source: (u32, u16), destination: (u32, u16)) -> Option<SlotId> {
        let id = self.source.find(source.0)?
            + self.destination.find(destination.0)?
            + self.source_port.find(u32::from(source.1))?
            + self.destination_port.find(u32::from(destination.1))?;
        Some(SlotId(id))
    }
}

impl Row {
    fn of_addresses(list: &AddressList<'_>, stride: u32) -> Row {
        let (first, count) = list.run_ipv4();
        Row { first, count, stride }
    }

    fn of_ports(ports: PortRange, stride: u32) -> Row {
        Row { first: u32::from(ports.first), count: ports.count, stride }
    }

    #[inline(always)]
    fn find(&self, value: u32) -> Option<u32> {
        // A value below the first wraps to a place behind the last.
        let place = value.wrapping_sub(self.first);
        (place < self.count).then(|| place.wrapping_mul(self.stride))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conn::table::{Space, Tuple};
    use crate::plan::{AddressBlock, number};
    use crate::tcp::tests::plan;
    use core::net::{IpAddr, Ipv4Addr};

    /// A plan with as many addresses and ports, from these on.
    fn both(role: Role, check: impl Fn(&CorePlan<'_>)) {
        let address = |net: u8, host: u8| IpAddr::from(Ipv4Addr::new(10, net, 0, host));
        let clients = [address(0, 5), address(0, 6), address(0, 7)];
        let servers = [address(1, 9), address(1, 10)];
        let block = |first, count| [AddressBlock { first: number(first), count, base: 0 }];
        let (client_blocks, server_blocks) = (block(clients[0], 3), block(servers[0], 2));
        check(&CorePlan {
            clients: AddressList::new(&client_blocks, &clients),
            servers: AddressList::new(&server_blocks, &servers),
            client_ports: PortRange { first: 65_530, count: 6 },
            listen: PortRange { first: 80, count: 4 },
            ..plan(role)
        });
    }

    #[test]
    fn it_finds_what_the_table_finds_and_nothing_else() {
        for role in [Role::Client, Role::Server] {
            both(role, |plan| {
                let (locator, space) = (Locator::new(plan), Space::new(plan));
                let mut found = 0;
                for (client, server) in (3..9).flat_map(|c| (7..13).map(move |s| (c, s))) {
                    let (client, server) = (0x0a00_0000 + client, 0x0a01_0000 + server);
                    for (client_port, server_port) in
                        (65_528..=65_535).chain([0, 1]).flat_map(|c| (78..86).map(move |s| (c, s)))
                    {
                        let tuple = Tuple {
                            client: u128::from(client),
                            server: u128::from(server),
                            client_port,
                            server_port,
                        };
                        let (own, peer) = ((client, client_port), (server, server_port));
                        let id = match role {
                            Role::Client => locator.find(peer, own),
                            Role::Server => locator.find(own, peer),
                        };
                        assert_eq!(id, space.find(&tuple), "{tuple:?}");
                        found += u64::from(id.is_some());
                    }
                }
                assert_eq!(found, plan.tuples());
            });
        }
    }
}
