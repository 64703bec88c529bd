//! What one core does to frames, without the frames' coming and going: the rooms wired together.
//!
//! [`Engine::look`] is the first pass over a burst (what is it, bring its slot near), and
//! [`Engine::step`] the second (what does it do, what is the answer). The other calls write frames
//! of our own: timers, waiting data, new connections, host chores.

mod ends;
mod pen;
pub(crate) mod rare;
mod traffic;

use crate::conn::{Ready, Slot, SlotFlags, SlotId, Table, Timer, Timers, timers::Wheel};
use crate::frame::{Frame, Tray};
use crate::host::{Host, Verdict};
use crate::parse::{Parsed, Parser};
use crate::plan::{CorePlan, Role};
use crate::port::Offloads;
use crate::stats::{Count, Writer};
use crate::sync::Gateway;
use crate::tcp::{LONGEST_WAIT, Reply, Segment, Tcp};
use crate::time::{Instant, Stamp};
use ends::{is_astray, turned};
use pen::{Holds, Pen};
use traffic::{Event, Traffic};

/// Segments that a connection with much to say sends before the next one has its turn: back to
/// back, they cost their receiver one ACK.
const SEGMENTS_IN_A_TURN: u8 = 16;

/// Everything of one core but its queue and its frames.
#[derive(Debug)]
pub(crate) struct Engine<'m> {
    pub(crate) plan: CorePlan<'m>,
    parser: Parser<'m>,
    pub(crate) table: Table<'m>,
    timers: Timers,
    ready: Ready,
    /// The connection of the ready list that sends just now, and how many segments more it may.
    turn: Option<(SlotId, u8)>,
    pub(crate) tcp: Tcp<'m>,
    pen: Pen<'m>,
    pub(crate) host: Host<'m>,
    gateway: &'m Gateway,
    pub(crate) gateway_known: bool,
    traffic: Traffic,
    /// Segments are followed: there is TCP, and somebody to answer to.
    follows_tcp: bool,
    /// The kernel takes what is not load.
    pub(crate) kernel_listens: bool,
    /// The first pass has met ARP or neighbour discovery.
    pub(crate) neighbor_seen: bool,
    tick_shift: u32,
}

/// Where the frames of a burst go from the second pass.
pub(crate) struct Ways<'t> {
    /// Out again.
    pub(crate) tx: &'t mut Tray,
    /// Back to their pool.
    pub(crate) done: &'t mut Tray,
    /// To the kernel.
    pub(crate) kernel: &'t mut Tray,
    /// To the blank frames.
    pub(crate) stock: &'t mut Tray,
}

impl<'m> Engine<'m> {
    /// `None` if the lent memory is too small for the plan.
    pub(crate) fn new(
        mut plan: CorePlan<'m>,
        slots: &'m mut [Slot],
        stats: Writer<'m>,
        gateway: &'m Gateway,
        offloads: Offloads,
        now: Instant,
    ) -> Option<Engine<'m>> {
        plan.rate = plan.rate.reaching(plan.longest_wait_us());
        let tick_shift = plan.rate.shift();
        let units = |us: u64| plan.rate.units_from_us(us);
        let steady = match plan.role {
            Role::Client => (Timer::Pace, plan.keepalive.map_or(0, |kept| units(kept.interval_us))),
            Role::Server => (Timer::Idle, units(plan.idle_timeout_us)),
        };
        let timeout_us = u64::from(plan.retransmit_timeout_us).min(plan.idle_timeout_us);
        let timeout_units = units(timeout_us).min(LONGEST_WAIT);
        let table = Table::new(&plan, slots)?;
        Some(Engine {
            parser: Parser::new(&plan),
            table,
            timers: Timers::new(tick_shift, steady, timeout_units, now),
            ready: Ready::new(),
            turn: None,
            tcp: Tcp::new(&plan, stats),
            pen: Pen::new(&plan, offloads),
            host: Host::new(&plan, gateway),
            gateway,
            gateway_known: false,
            traffic: Traffic::of(&plan),
            follows_tcp: false,
            kernel_listens: false,
            neighbor_seen: false,
            tick_shift,
            plan,
        })
    }

    #[inline]
    pub(crate) fn stamp(&self, now: Instant) -> Stamp {
        Stamp((now.0 >> self.tick_shift) as u32)
    }

    /// The gateway is known, and our headers name it.
    pub(crate) fn learn_gateway(&mut self) -> bool {
        if let Some(mac) = self.gateway.load() {
            self.pen.set_gateway(self.plan.destination(mac));
            self.gateway_known = true;
            self.follows_tcp = self.traffic.is_tcp();
        }
        self.gateway_known
    }

    /// First pass over a burst: says what each frame is, counts it, brings its slot near.
    #[inline(never)]
    pub(crate) fn look(&mut self, frames: &[Frame], parsed: &mut [Parsed]) {
        if self.traffic.is_udp() {
            return self.look_at_datagrams(frames, parsed);
        }
        for (frame, parsed) in frames.iter().zip(parsed) {
            let Some((id, segment)) =
                self.parser.usual(frame, &self.table.space, |payload| self.tcp.recall(payload))
            else {
                self.look_closer(frame, parsed);
                continue;
            };
            self.table.hint(id);
            *parsed = Parsed::Tcp(id, segment);
            if self.parser.counts_tos() && self.parser.has_tos(frame) {
                self.tcp.stats.inc(Count::TosRx);
            }
        }
    }

    /// As [`Engine::look`], at one frame that is not usual.
    #[inline(never)]
    fn look_closer(&mut self, frame: &Frame, parsed: &mut Parsed) {
        let (mut any, tos) = self.parser.parse(frame, &self.table.space);
        if let Parsed::Tcp(_, segment) = &mut any {
            let known = self.tcp.recall(segment.payload(frame.bytes()));
            segment.known = known.map_or(0, |known| known.number);
        }
        self.tcp.stats.add(Count::TosRx, u64::from(tos));
        match any {
            Parsed::Tcp(id, _) => self.table.hint(id),
            Parsed::Udp(id) if self.plan.role == Role::Client => self.table.hint(id),
            Parsed::Arp | Parsed::Neighbor => self.neighbor_seen = true,
            _ => {}
        }
        *parsed = any;
    }

    /// Second pass over a burst: what each frame does. The answer, if there is one, is written over
    /// it; and it goes where it belongs next.
    #[inline(never)]
    pub(crate) fn step(&mut self, burst: &mut Tray, parsed: &[Parsed], to: Ways<'_>, now: Instant) {
        let Ways { tx, done, kernel, stock } = to;
        let (mut kernel_room, mut stock_room) = (kernel.room(), stock.room());
        let (follows_tcp, gateway_known) = (self.follows_tcp, self.gateway_known);
        let mut segments = 0;
        burst.sort([tx, done, kernel, stock], |index, frame| {
            let verdict = match parsed.get(index) {
                Some(Parsed::Tcp(id, segment)) if follows_tcp => {
                    segments += 1;
                    match self.on_tcp(frame, *id, segment, now) {
                        true => Verdict::Send,
                        false => Verdict::Done,
                    }
                }
                Some(Parsed::Udp(id)) if gateway_known => self.on_udp(frame, *id, now),
                rare => self.on_rare(frame, rare.unwrap_or(&Parsed::Other)),
            };
            match verdict {
                Verdict::Send => 0,
                // What needs no answer serves as a blank frame.
                Verdict::Done if stock_room > 0 => {
                    stock_room -= 1;
                    3
                }
                Verdict::Kernel if kernel_room > 0 => {
                    kernel_room -= 1;
                    2
                }
                Verdict::Kernel => {
                    self.tcp.stats.inc(Count::KniFull);
                    1
                }
                Verdict::Done => 1,
            }
        });
        self.tcp.stats.add(Count::TcpRx, segments);
    }

    /// A segment of connection `id`. True if `frame` holds the answer now.
    #[inline(always)]
    fn on_tcp(&mut self, frame: &mut Frame, id: SlotId, segment: &Segment, now: Instant) -> bool {
        let Some(slot) = self.table.slots.get(id.0 as usize) else { return false };
        match self.tcp.predicted(slot, segment) {
            Some(message) => self.act(id, (frame, Holds::Segment), now, |tcp, slot, _, stamp| {
                tcp.on_predicted(slot, segment, message, stamp)
            }),
            None if self.tcp.completes(slot, segment) => {
                self.on_last_ack(id, segment, now);
                false
            }
            None => self.on_unpredicted(frame, id, segment, now),
        }
    }

    /// A segment that only acknowledges all there was to be sent: nothing is left to be said.
    #[inline(never)]
    fn on_last_ack(&mut self, id: SlotId, segment: &Segment, now: Instant) {
        let stamp = self.stamp(now);
        if let Some(slot) = self.table.slots.get_mut(id.0 as usize) {
            self.tcp.on_last_ack(slot, segment, stamp);
            self.timers.arm_timer((id, slot), (stamp, now));
        }
    }

    /// As [`Engine::on_tcp`], for any segment.
    #[inline(never)]
    fn on_unpredicted(
        &mut self,
        frame: &mut Frame,
        id: SlotId,
        segment: &Segment,
        now: Instant,
    ) -> bool {
        if !self.is_own(id) && is_astray(&self.plan, frame) {
            self.tcp.stats.inc(Count::TcpDrop);
            self.tcp.stats.inc(Count::DropWrongQueue);
            return false;
        }
        self.act(id, (frame, Holds::Segment), now, |tcp, slot, frame, stamp| {
            own(id, slot, tcp);
            tcp.on_any(slot, segment, segment.payload(frame.bytes()), stamp)
        })
    }

    /// Slot `id` was used before, so its tuple is this core's.
    #[inline]
    fn is_own(&self, id: SlotId) -> bool {
        let slot = self.table.slots.get(id.0 as usize);
        slot.is_some_and(|slot| slot.is_own)
    }

    /// Lets something happen to connection `id`, puts its timer and what it still has to say in
    /// their places, and writes the segment that follows into `frame`. False if none does.
    #[inline(always)]
    fn act(
        &mut self,
        id: SlotId,
        (frame, holds): (&mut Frame, Holds),
        now: Instant,
        event: impl FnOnce(&mut Tcp<'m>, &mut Slot, &Frame, Stamp) -> Option<Reply>,
    ) -> bool {
        let stamp = self.stamp(now);
        let Some(slot) = self.table.slots.get_mut(id.0 as usize) else { return false };
        let reply = event(&mut self.tcp, slot, frame, stamp);
        self.timers.arm_timer((id, slot), (stamp, now));
        // Who has data and says nothing cannot, or waits for more room.
        let owes = slot.flags.contains(SlotFlags::ACK_OWED);
        if owes || reply.is_some() && slot.snd_nxt != slot.snd_last() {
            make_ready(id, slot, &self.tcp, &mut self.ready);
        }
        let Some(reply) = reply else { return false };
        let closes = reply.payload_bytes > 0 && self.tcp.says_close(slot, &reply);
        let of = (&self.table.space, id);
        self.pen.segment((frame, holds), of, (&reply, closes), &mut self.tcp.stats)
    }

    /// Everything that is not a segment of a known tuple.
    #[cold]
    #[inline(never)]
    fn on_rare(&mut self, frame: &mut Frame, parsed: &Parsed) -> Verdict {
        if let (Parsed::Tcp(_, segment), true) = (parsed, self.gateway_known) {
            self.tcp.flood_hear(segment.flags);
            return Verdict::Done;
        }
        let both = (&self.parser, &mut self.host);
        let verdict = rare::step(both, self.kernel_listens, frame, parsed, &mut self.tcp.stats);
        match parsed {
            Parsed::Stranger(segment) if verdict == Verdict::Done => self.reset(frame, segment),
            _ => verdict,
        }
    }

    /// Answers a segment to one of our addresses that no connection can own with RST, if we may.
    fn reset(&mut self, frame: &mut Frame, segment: &Segment) -> Verdict {
        if !self.plan.tcp_rst || !self.gateway_known {
            return Verdict::Done;
        }
        let (Some(reset), Some(ends)) = (Reply::reset_for(segment), turned(frame)) else {
            return Verdict::Done;
        };
        match self.pen.segment_between(frame, &ends, &reset, &mut self.tcp.stats) {
            true => Verdict::Send,
            false => Verdict::Done,
        }
    }

    /// Takes slots out of `wheel` whose bucket has come round: rings the timers that are due, puts
    /// the others back. What is to be sent is written into frames of `stock` and laid on `tx`:
    /// there must be `most` of them, and places. Returns how many that took at most.
    #[inline(never)]
    pub(crate) fn ring(
        &mut self,
        wheel: Wheel,
        most: usize,
        (stock, tx): (&mut Tray, &mut Tray),
        now: Instant,
    ) -> usize {
        if !self.traffic.is_tcp() {
            return self.ring_other(wheel, most, (stock, tx), now);
        }
        self.pop_each(wheel, (most, most), now, |engine, id, _| {
            stock.offer(tx, |frame| {
                engine.act(id, (frame, Holds::Nothing), now, |tcp, slot, _, stamp| {
                    let rings = slot.timer != Timer::None && stamp.reached(slot.due);
                    if rings { tcp.on_timer(slot, stamp) } else { None }
                })
            });
            0
        })
    }

    /// Takes slots out of `wheel` whose bucket has come round, so many at once, and does something
    /// with each, for which there is a frame: `then` gets how many it may take besides, and returns
    /// how many it did. There are `most`; returns how many were taken.
    #[inline(always)]
    fn pop_each(
        &mut self,
        wheel: Wheel,
        (most, together): (usize, usize),
        now: Instant,
        mut then: impl FnMut(&mut Self, SlotId, usize) -> usize,
    ) -> usize {
        let mut left = most;
        while left > 0 {
            let row = self.timers.pop(wheel, self.table.slots, left.min(together), now);
            if row.is_empty() {
                break;
            }
            left -= row.len();
            let share = left / row.len();
            // Not by value: what was written in parts and is copied whole waits for the cache.
            for id in &row {
                left -= then(self, *id, share);
            }
        }
        most - left
    }

    /// Connections open now.
    #[inline]
    pub(crate) fn open_connections(&self) -> u64 {
        let stats = &self.tcp.stats;
        stats.get(Count::SkOpen).wrapping_sub(stats.get(Count::SkClose))
    }

    /// Connections in the ready list.
    pub(crate) fn ready_len(&self) -> usize {
        self.ready.len() + usize::from(self.turn.is_some())
    }

    /// The next connection of the ready list sends one segment. True if `frame` holds it.
    pub(crate) fn serve_ready(&mut self, frame: &mut Frame, now: Instant) -> bool {
        let next = || self.ready.pop().map(|id| (id, SEGMENTS_IN_A_TURN));
        let Some((id, left)) = self.turn.take().or_else(next) else { return false };
        if !self.traffic.is_tcp() {
            return self.happen(id, Event::Ready, frame, now);
        }
        let written = self
            .act(id, (frame, Holds::Nothing), now, |tcp, slot, _, stamp| tcp.ready(slot, stamp));
        self.after_turn(id, left - 1);
        written
    }

    /// A connection of the ready list goes on while it has something to say and may say `left`
    /// segments more, goes to the end of the list, or leaves it.
    #[inline]
    fn after_turn(&mut self, id: SlotId, left: u8) {
        let Some(slot) = self.table.slots.get_mut(id.0 as usize) else { return };
        let wants_more = self.tcp.wants_more(slot);
        if wants_more && left > 0 {
            self.turn = Some((id, left));
            return;
        }
        slot.flags.remove(SlotFlags::READY);
        if wants_more {
            queue(id, slot, &mut self.ready);
        }
    }

    /// Opens the next free connections, at most `most`: their first packets are written into frames
    /// of `stock` and laid on `tx`. Returns how many; fewer if there is no frame, place or free
    /// tuple.
    #[inline(never)]
    pub(crate) fn open(
        &mut self,
        most: usize,
        (stock, tx): (&mut Tray, &mut Tray),
        now: Instant,
    ) -> usize {
        if !self.traffic.is_tcp() {
            return self.open_other(most, (stock, tx), now);
        }
        stock.offer_each(tx, most, |frame| {
            let Some(id) = self.table.open_next() else { return false };
            self.act(id, (frame, Holds::Nothing), now, |tcp, slot, _, stamp| {
                own(id, slot, tcp);
                Some(tcp.open(slot, stamp))
            })
        })
    }

    /// The run ends: closes the connection in slot `index` if it only waits for its next request.
    pub(crate) fn drain(&mut self, index: usize, frame: &mut Frame, now: Instant) -> bool {
        let id = SlotId(index as u32);
        if !self.traffic.is_tcp() {
            return self.happen(id, Event::Drain, frame, now);
        }
        self.act(id, (frame, Holds::Nothing), now, |tcp, slot, _, stamp| tcp.drain(slot, stamp))
    }

    /// When the next timer rings at the latest.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        self.timers.next()
    }
}

/// The slot is used for the first time: its tuple is this core's, its sequence numbers begin
/// somewhere.
#[inline(always)]
fn own(id: SlotId, slot: &mut Slot, tcp: &Tcp<'_>) {
    if !slot.is_own {
        slot.is_own = true;
        tcp.scatter(id, slot);
    }
}

/// Puts a slot into the ready list, once.
fn queue(id: SlotId, slot: &mut Slot, ready: &mut Ready) {
    if !slot.flags.contains(SlotFlags::READY) && ready.push(id) {
        slot.flags.insert(SlotFlags::READY);
    }
}

/// Puts a slot that may have more to say into the ready list.
#[inline(never)]
fn make_ready(id: SlotId, slot: &mut Slot, tcp: &Tcp<'_>, ready: &mut Ready) {
    if tcp.wants_more(slot) {
        queue(id, slot, ready);
    }
}
