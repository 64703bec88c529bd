//! The core needs nobody: this program has no std, no allocator and no C library, lets a client
//! and a server exchange [`CONNECTIONS`] requests, and exits 0 when all of them were served.
//!
//! All memory lies on the stack of [`exchange`]. If the core came to need std or alloc, this
//! program would no longer link.
#![no_std]
#![no_main]

mod metal;
mod ring;

use core::array::from_fn;
use core::net::{IpAddr, Ipv4Addr};

use dperf_core::conn::Slot;
use dperf_core::http::{RequestSpec, ResponseSpec, write_request, write_response_header};
use dperf_core::exception::Closed;
use dperf_core::plan::{
    AddressBlock, AddressList, CorePlan, Encap, Messages, PacePlan, Payload, PortRange, Role,
    Transport, number,
};
use dperf_core::stats::{Count, Page, Reader};
use dperf_core::steer::Steering;
use dperf_core::sync::{Control, Gateway, Phase};
use dperf_core::time::{Instant, TickRate};
use dperf_core::wire::ethernet::MacAddr;
use dperf_core::worker::{Lent, Worker};

use ring::{End, Ring};

/// Connections that must be served.
const CONNECTIONS: u64 = 100;
/// Tuples, hence slots, of either side.
const TUPLES: usize = 256;
/// Bytes in the body of an answer.
const BODY: u32 = 500;
/// Nanoseconds between two turns.
const TURN: u64 = 1_000;
/// Turns in which everything must be done: a simulated second.
const TURNS: u64 = 1_000_000;

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 1, 2));
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 2, 2));

/// What a worker borrows.
struct Memory {
    slots: [Slot; TUPLES],
    page: Page,
    gateway: Gateway,
}

impl Memory {
    fn new(gateway: MacAddr) -> Memory {
        Memory {
            slots: from_fn(|_| Slot::default()),
            page: Page::new(),
            gateway: Gateway::new(Some(gateway)),
        }
    }

    /// A worker in this memory, and its counters.
    fn worker<'m>(
        &'m mut self,
        plan: CorePlan<'m>,
        queue: End<'m>,
        control: &'m Control,
    ) -> Option<(Worker<'m, End<'m>, Closed>, Reader<'m>)> {
        let Memory { slots, page, gateway } = self;
        let (stats, counts) = page.open();
        let lent = Lent { slots, stats, gateway, control };
        Some((Worker::new(plan, queue, Closed, lent, Instant(0))?, counts))
    }
}

/// An address list of one.
fn only(address: IpAddr) -> AddressBlock {
    AddressBlock { first: number(address), count: 1, base: 0 }
}

fn mac(role: Role) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, role as u8])
}

/// Short HTTP connections from one address to another, ten thousand a second.
fn plan<'m>(role: Role, lists: [AddressList<'m>; 2], payload: Payload<'m>) -> CorePlan<'m> {
    let [clients, servers] = lists;
    let (host, gateway) = if role == Role::Client { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
    CorePlan {
        role,
        rate: TickRate::NANOSECONDS,
        mac: mac(role),
        host,
        gateway,
        encap: Encap::None,
        announces: false,
        clients,
        servers,
        client_ports: PortRange { first: 1024, count: TUPLES as u32 },
        listen: PortRange { first: 80, count: 1 },
        steering: Steering::Whole,
        neigh_ignore: false,
        tos: 0,
        mss: 1460,
        send_window: 16,
        transport: Transport::Tcp,
        payload,
        messages: Messages::HttpGet,
        keepalive: None,
        pace: PacePlan { cps: 10_000, cc: 0, launch: 1, slow_start_s: 0, wait_s: 0 },
        flood: false,
        pipeline: 1,
        client_hop: false,
        destinations: &[],
        port_addresses: AddressList::new(&[], &[]),
        retransmit_timeout_us: 200_000,
        idle_timeout_us: 1_000_000,
        tcp_rst: true,
        fast_close: false,
        disable_ack: false,
        tx_burst: 64,
        seed: 1,
    }
}

/// Runs client and server by turns; true when every connection was served and closed.
fn exchange() -> Option<bool> {
    let rings = [Ring::new(), Ring::new()];
    let mut buffers = [[[0; ring::BYTES]; ring::BUFFERS]; 2];
    let [near, far] = &mut buffers;
    let mut heads = [[0; 256]; 2];
    let mut memories = [Role::Server, Role::Client].map(|peer| Memory::new(mac(peer)));

    let body_bytes = u64::from(BODY);
    let request = write_request(&mut heads[0], &RequestSpec::default())?;
    let header = write_response_header(&mut heads[1], &ResponseSpec { body_bytes, close: true })?;
    let request = Payload { head: &heads[0][..request], total_bytes: request as u32 };
    let response = Payload { head: &heads[1][..header], total_bytes: header as u32 + BODY };

    let (blocks, addresses) = ([[only(CLIENT)], [only(SERVER)]], [[CLIENT], [SERVER]]);
    let lists = from_fn(|side| AddressList::new(&blocks[side], &addresses[side]));
    let control = Control::new();
    let [client, server] = &mut memories;
    let queue = End::new(&rings[0], &rings[1], near);
    let (mut client, sent) = client.worker(plan(Role::Client, lists, request), queue, &control)?;
    let queue = End::new(&rings[1], &rings[0], far);
    let (mut server, served) =
        server.worker(plan(Role::Server, lists, response), queue, &control)?;

    control.advance(Phase::Run);
    for turn in 0..TURNS {
        let now = Instant(turn * TURN);
        client.run_once(now);
        server.run_once(now);
        if sent.snapshot().get(Count::SkOpen) >= CONNECTIONS {
            control.advance(Phase::Drain);
            if client.open_connections() + server.open_connections() == 0 {
                break;
            }
        }
    }
    let (client, server) = (sent.snapshot(), served.snapshot());
    let expected = [
        (client.get(Count::SkOpen), CONNECTIONS),
        (client.get(Count::SkClose), CONNECTIONS),
        (client.get(Count::Http2xx), CONNECTIONS),
        (client.get(Count::SkErr), 0),
        (server.get(Count::HttpGet), CONNECTIONS),
        (server.get(Count::SkClose), CONNECTIONS),
        (server.get(Count::SkErr), 0),
    ];
    Some(expected.iter().all(|(is, shall)| is == shall))
}

/// Says how it went; the result is the exit status.
fn main() -> u8 {
    let served = exchange() == Some(true);
    metal::say(if served {
        "no-std: every connection was served\n"
    } else {
        "no-std: connections were not served\n"
    });
    u8::from(!served)
}
