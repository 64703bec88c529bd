//! A client core's own tuples, where its port has others as well: those whose answers come to its
//! queue. So no connection ever has two cores.

use core::net::IpAddr;

use crate::plan::{AddressList, CorePlan, Role};
use crate::steer::{Rss, Steering};

/// Tells them apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own<'m> {
    rss: Rss<'m>,
    queue: u16,
    /// The last client and the last server address, by index, and what they add to the hash:
    /// tuples come in an order in which one of them stays for long.
    client: (u32, u32),
    server: (u32, u32),
}

impl<'m> Own<'m> {
    /// `None` if all of the plan's tuples are its own: it is a server, or nobody shares them.
    pub(super) fn new(plan: &CorePlan<'m>) -> Option<Own<'m>> {
        match (plan.role, plan.steering) {
            (Role::Client, Steering::Hashed { rss, queue }) => {
                Some(Own { rss, queue, client: (u32::MAX, 0), server: (u32::MAX, 0) })
            }
            _ => None,
        }
    }

    /// The answers to this tuple, the addresses of which are an index into a list each, come to
    /// this core. Ports are the client's and the server's.
    #[inline]
    pub(super) fn has(
        &mut self,
        (clients, client): (&AddressList<'_>, u32),
        (servers, server): (&AddressList<'_>, u32),
        (client_port, server_port): (u16, u16),
    ) -> bool {
        let hash = self.rss.hash();
        if self.client.0 != client {
            self.client = (client, octets(clients, client, |to| hash.of_destination(to)));
        }
        if self.server.0 != server {
            self.server = (server, octets(servers, server, |from| hash.of_source(from)));
        }
        let ports = hash.of_ports(server_port, client_port);
        self.rss.queue(self.client.1 ^ self.server.1 ^ ports) == self.queue
    }
}

#[inline]
fn octets(list: &AddressList<'_>, index: u32, hash: impl Fn(&[u8]) -> u32) -> u32 {
    match list.at(index) {
        IpAddr::V4(v4) => hash(&v4.octets()),
        IpAddr::V6(v6) => hash(&v6.octets()),
    }
}
