//! One side of the load as packetdrill sees it: the rooms of the core that a packet crosses, and
//! connections with an application of the script's instead of HTTP.
//!
//! No room is changed for that. A connection is carried by the engine of a client whose request is
//! as long as what the script has written and not yet seen acknowledged, so 0 bytes at first; what
//! it receives it need not understand, since it waits for no answer. An engine of a server listens.

use std::net::IpAddr;
use std::ptr::NonNull;

use dperf_core::conn::table::{Space, Tuple};
use dperf_core::conn::{Slot, SlotFlags, SlotId, State, Timer};
use dperf_core::frame::Frame;
use dperf_core::parse::{Parsed, Parser};
use dperf_core::plan::{
    AddressBlock, AddressList, CorePlan, Encap, Messages, PacePlan, Payload, PortRange, Role,
    Transport, number,
};
use dperf_core::port::Offloads;
use dperf_core::stats::Page;
use dperf_core::steer::Steering;
use dperf_core::tcp::{CHALLENGES_PER_SECOND, Reply, Segment, Tcp};
use dperf_core::template::{Endpoints, Pair, Template};
use dperf_core::time::{Stamp, TickRate};
use dperf_core::wire::ethernet::{ETHERNET_BYTES, MacAddr};
use dperf_core::wire::tcp::TcpFlags;

/// Our MAC address; packetdrill has none.
const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
/// The first retransmission time-out of the scripts.
const RETRANSMIT_US: u32 = 1_000_000;
/// Longer than any script is silent.
const IDLE_US: u64 = 900_000_000;
/// Segments in flight at first.
const SEND_WINDOW: u16 = 10;
/// Room for any frame.
const FRAME_BYTES: usize = 2048;
/// The client's port when it is ours to choose.
pub(crate) const CLIENT_PORT: u16 = 40_000;

/// An address and a port.
pub(crate) type End = (IpAddr, u16);

/// One connection, and what its application would know of it.
pub(crate) struct Connection {
    pub(crate) id: SlotId,
    pub(crate) slot: Slot,
    carrier: Tcp<'static>,
    pub(crate) peer: End,
    /// Bytes in order that were not read yet.
    pub(crate) unread: usize,
    /// Nothing more will come.
    pub(crate) finished: bool,
    /// Why it failed.
    pub(crate) error: Option<i32>,
    pub(crate) accepted: bool,
}

/// The rooms for all tuples of one bound or connected socket.
pub(crate) struct Side {
    plan: CorePlan<'static>,
    parser: Parser<'static>,
    space: Space<'static>,
    template: Template,
    pub(crate) listens: bool,
    listener: Tcp<'static>,
    pub(crate) connections: Vec<Connection>,
    /// Packets on their way out, and when they left.
    pub(crate) sent: Vec<(u64, Vec<u8>)>,
}

/// The moment in the core's units.
fn stamp(now_us: u64) -> Stamp {
    Stamp(((now_us * 1000) >> TickRate::NANOSECONDS.shift()) as u32)
}

/// A script lasts as long as the process.
fn leak<T>(values: Vec<T>) -> &'static [T] {
    values.leak()
}

fn engine(plan: &CorePlan<'_>) -> Tcp<'static> {
    let (stats, _) = Box::leak(Box::new(Page::new())).open();
    Tcp::new(plan, stats)
}

/// An engine that carries connections whose requests are `bytes` long.
fn carrier(plan: &CorePlan<'static>, bytes: u32) -> Tcp<'static> {
    let payload = Payload { head: b"", total_bytes: bytes };
    engine(&CorePlan { role: Role::Client, payload, ..*plan })
}

fn plan(role: Role, local: End, remote: End) -> CorePlan<'static> {
    let list = |address: IpAddr| {
        let block = AddressBlock { first: number(address), count: 1, base: 0 };
        AddressList::new(leak(vec![block]), leak(vec![address]))
    };
    let any = PortRange { first: 1024, count: 64_000 };
    let only = |first: u16| PortRange { first, count: 1 };
    let (client, server, client_ports, listen) = match role {
        Role::Client => (local, remote, only(local.1), only(remote.1)),
        Role::Server => (remote, local, any, only(local.1)),
    };
    CorePlan {
        role,
        rate: TickRate::NANOSECONDS,
        mac: MAC,
        host: local.0,
        gateway: remote.0,
        encap: Encap::None,
        announces: false,
        clients: list(client.0),
        servers: list(server.0),
        client_ports,
        listen,
        steering: Steering::Whole,
        neigh_ignore: true,
        tos: 0,
        mss: if local.0.is_ipv4() { 1460 } else { 1440 },
        send_window: SEND_WINDOW,
        transport: Transport::Tcp,
        payload: Payload { head: b"", total_bytes: 0 },
        messages: Messages::HttpGet,
        keepalive: None,
        pace: PacePlan { cps: 0, cc: 0, launch: 1, slow_start_s: 0, wait_s: 0 },
        flood: false,
        pipeline: 1,
        client_hop: false,
        destinations: &[],
        port_addresses: AddressList::new(&[], &[]),
        retransmit_timeout_us: RETRANSMIT_US,
        idle_timeout_us: IDLE_US,
        tcp_rst: true,
        fast_close: false,
        disable_ack: false,
        tx_burst: 64,
        seed: 1,
    }
}

/// The IP packet that `write` puts into a frame; none if it puts nothing there.
fn packet(write: impl FnOnce(&mut Frame) -> bool) -> Option<Vec<u8>> {
    let mut buffer = vec![0; FRAME_BYTES];
    with_frame(&mut buffer, 0, |frame| write(frame).then(|| frame.bytes()[ETHERNET_BYTES..].into()))
}

fn with_frame<T>(buffer: &mut [u8], len: usize, work: impl FnOnce(&mut Frame) -> T) -> T {
    let (len, capacity) = (len as u16, buffer.len() as u16);
    // SAFETY: the buffer outlives the frame, which ends here and is its only way meanwhile.
    let mut frame = unsafe { Frame::new(NonNull::from(buffer).cast(), len, capacity, 0) };
    work(&mut frame)
}

/// Addresses and ports of an answer to an IP packet without extensions: ours, and the peer's.
fn turned(packet: &[u8]) -> Option<(Endpoints, End, End)> {
    let ipv4 = packet.first()? >> 4 == 4;
    let header_bytes = if ipv4 { usize::from(packet[0] & 15) * 4 } else { 40 };
    let ports = packet.get(header_bytes..header_bytes + 4)?;
    let (from, to) = (u16::from_be_bytes([ports[0], ports[1]]), [ports[2], ports[3]]);
    let to = u16::from_be_bytes(to);
    if ipv4 {
        let octets = |at: usize| -> Option<[u8; 4]> { packet.get(at..at + 4)?.try_into().ok() };
        let (source, destination) = (octets(12)?, octets(16)?);
        let ends = Endpoints::V4(Pair { local: (destination, to), remote: (source, from) });
        Some((ends, (destination.into(), to), (source.into(), from)))
    } else {
        let octets = |at: usize| -> Option<[u8; 16]> { packet.get(at..at + 16)?.try_into().ok() };
        let (source, destination) = (octets(8)?, octets(24)?);
        let ends = Endpoints::V6(Pair { local: (destination, to), remote: (source, from) });
        Some((ends, (destination.into(), to), (source.into(), from)))
    }
}

impl Side {
    pub(crate) fn new(role: Role, local: End, remote: End) -> Side {
        let plan = plan(role, local, remote);
        Side {
            parser: Parser::new(&plan),
            space: Space::new(&plan),
            template: Template::new(&plan, Offloads::empty()),
            listens: false,
            listener: engine(&plan),
            connections: Vec::new(),
            sent: Vec::new(),
            plan,
        }
    }

    /// Opens the one connection of a client; its SYN is sent.
    pub(crate) fn connect(&mut self, local: End, remote: End, now_us: u64) -> SlotId {
        let id = self.place(local, remote);
        let at = self.at(id);
        let connection = &mut self.connections[at];
        let syn = connection.carrier.open(&mut connection.slot, stamp(now_us));
        self.send(at, Some(syn), now_us);
        id
    }

    /// An IP packet comes.
    pub(crate) fn receive(&mut self, packet: &[u8], now_us: u64) {
        let kind =
            if packet.first().is_some_and(|first| first >> 4 == 4) { [8, 0] } else { [0x86, 0xdd] };
        let mut bytes = [&MAC.0[..], &[2, 0, 0, 0, 0, 2], &kind, packet].concat();
        let len = bytes.len();
        let (parser, space) = (&self.parser, &self.space);
        let parsed = with_frame(&mut bytes, len, |frame| parser.parse(frame, space).0);
        let Some((ends, local, remote)) = turned(packet) else { return };
        match parsed {
            Parsed::Tcp(id, segment) => {
                if self.connections.iter().all(|connection| connection.id != id) {
                    self.place(local, remote);
                }
                self.step(id, &segment, segment.payload(&bytes), now_us);
            }
            Parsed::Stranger(segment) => {
                if let Some(reset) = Reply::reset_for(&segment) {
                    let template = &mut self.template;
                    let bytes = self::packet(|frame| template.stamp_between(&ends, frame, &reset));
                    self.sent.extend(bytes.map(|bytes| (now_us, bytes)));
                }
            }
            _ => {}
        }
    }

    /// A segment of a connection.
    fn step(&mut self, id: SlotId, segment: &Segment, payload: &[u8], now_us: u64) {
        let at = self.at(id);
        let Connection { slot, carrier, unread, finished, error, accepted, .. } =
            &mut self.connections[at];
        let (before, expected) = (slot.state, slot.rcv_nxt);
        let tcp = match before {
            State::Closed if self.listens => &mut self.listener,
            _ => carrier,
        };
        tcp.challenges_left = CHALLENGES_PER_SECOND;
        let reply = tcp.on_segment(slot, segment, payload, stamp(now_us));
        if before == State::Closed && slot.state == State::SynReceived {
            (*unread, *finished, *error, *accepted) = (0, false, None, false);
            *tcp = engine(&self.plan);
            *carrier = self::carrier(&self.plan, 0);
        } else if before > State::SynReceived || slot.state > State::SynReceived {
            let end = segment.seq.wrapping_add(segment.len());
            let fin =
                segment.flags.contains(TcpFlags::FIN) && slot.rcv_nxt == end && expected != end;
            let fresh = match before {
                State::SynSent => 0,
                _ => slot.rcv_nxt.wrapping_sub(expected) as usize,
            };
            *unread += fresh.saturating_sub(usize::from(fin));
            *finished |= fin;
        }
        if segment.flags.contains(TcpFlags::RST) && before != State::Closed && slot.is_closed() {
            *error = Some(match before {
                State::SynSent => libc::ECONNREFUSED,
                _ => libc::ECONNRESET,
            });
            *finished = true;
        }
        // Whoever waits for no answer takes any bytes.
        slot.flags.remove(SlotFlags::AWAITING);
        self.send(at, reply, now_us);
    }

    /// The script writes `bytes`: they join what is not acknowledged yet.
    pub(crate) fn write(&mut self, id: SlotId, bytes: u32, now_us: u64) {
        let at = self.at(id);
        let Connection { slot, carrier, .. } = &mut self.connections[at];
        slot.snd_end = slot.snd_end.wrapping_add(bytes);
        *carrier = self::carrier(&self.plan, slot.snd_end.wrapping_sub(slot.snd_una));
        self.serve(now_us);
    }

    /// The script says no more: a FIN behind what is written.
    pub(crate) fn finish(&mut self, id: SlotId, now_us: u64) {
        let at = self.at(id);
        let slot = &mut self.connections[at].slot;
        match slot.state {
            State::Closed => {}
            State::SynSent => *slot = Slot::default(),
            _ => slot.flags.insert(SlotFlags::FIN_QUEUED),
        }
        self.serve(now_us);
    }

    /// The end of a burst: whatever waits is sent, ACKs that are owed among it.
    pub(crate) fn serve(&mut self, now_us: u64) {
        for at in 0..self.connections.len() {
            loop {
                let Connection { slot, carrier, .. } = &mut self.connections[at];
                if slot.is_closed() || !carrier.wants_more(slot) {
                    break;
                }
                let Some(reply) = carrier.ready(slot, stamp(now_us)) else { break };
                self.send(at, Some(reply), now_us);
            }
        }
    }

    /// When the next timer rings.
    pub(crate) fn next_us(&self, now_us: u64) -> Option<u64> {
        let shift = TickRate::NANOSECONDS.shift();
        let armed = self.connections.iter().filter(|one| one.slot.timer != Timer::None);
        let at = |connection: &Connection| {
            let units = stamp(now_us).until(connection.slot.due);
            ((((now_us * 1000) >> shift) + u64::from(units)) << shift).div_ceil(1000)
        };
        armed.map(at).min()
    }

    /// Rings what is due.
    pub(crate) fn ring(&mut self, now_us: u64) {
        for at in 0..self.connections.len() {
            let Connection { slot, carrier, error, finished, .. } = &mut self.connections[at];
            if slot.timer == Timer::None || !stamp(now_us).reached(slot.due) {
                continue;
            }
            let reply = carrier.on_timer(slot, stamp(now_us));
            if slot.is_closed() {
                (*error, *finished) = (Some(libc::ETIMEDOUT), true);
            }
            self.send(at, reply, now_us);
        }
        self.serve(now_us);
    }

    pub(crate) fn at(&self, id: SlotId) -> usize {
        self.connections.iter().position(|one| one.id == id).expect("a placed connection")
    }

    /// A closed connection between two ends.
    fn place(&mut self, local: End, remote: End) -> SlotId {
        let (client, server) = match self.plan.role {
            Role::Client => (local, remote),
            Role::Server => (remote, local),
        };
        let tuple = Tuple {
            client: number(client.0),
            server: number(server.0),
            client_port: client.1,
            server_port: server.1,
        };
        let id = self.space.find(&tuple).expect("a tuple of the plan");
        let (carrier, mut slot) = (carrier(&self.plan, 0), Slot::default());
        carrier.scatter(id, &mut slot);
        self.connections.push(Connection {
            id,
            slot,
            carrier,
            peer: remote,
            unread: 0,
            finished: false,
            error: None,
            accepted: false,
        });
        id
    }

    fn send(&mut self, at: usize, reply: Option<Reply>, now_us: u64) {
        let Some(reply) = reply else { return };
        let (template, of) = (&mut self.template, (&self.space, self.connections[at].id));
        // The script's bytes are zeros, and add nothing to a checksum.
        let bytes = packet(|frame| template.stamp(frame, of, &reply, 0));
        self.sent.extend(bytes.map(|bytes| (now_us, bytes)));
    }
}
