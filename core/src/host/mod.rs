//! Being a polite host: ARP, neighbour discovery, ping and the gateway. All of it is rare.
//!
//! The promise of this room: it answers only for our own addresses, turns a question into its
//! answer in the frame that brought it, asks for the gateway until it is known and now and then
//! again, and lets nobody forget our addresses.

mod arp;
mod icmp;
mod icmpv6;
mod nd;
mod schedule;

use core::net::IpAddr;

use crate::frame::Frame;
use crate::plan::{AddressList, CorePlan, number};
use crate::stats::{Count, Writer};
use crate::sync::Gateway;
use crate::time::Instant;
use crate::wire::ethernet::{EthernetHeader, MacAddr, ethertype};

use self::schedule::{Chore, Own, Schedule};

/// Of what we answer.
const HOP_LIMIT: u8 = 64;

/// Where a received frame goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Out again: it holds an answer now.
    Send,
    /// Back to its pool.
    Done,
    /// To the kernel, and then back to its pool.
    Kernel,
}

/// The host side of one core.
#[derive(Debug)]
pub struct Host<'m> {
    mac: MacAddr,
    address: IpAddr,
    gateway_address: IpAddr,
    gateway: &'m Gateway,
    answered: AddressList<'m>,
    neigh_ignore: bool,
    schedule: Schedule,
}

impl<'m> Host<'m> {
    /// The host side of `plan`; `gateway` is shared by all cores of the port.
    pub fn new(plan: &CorePlan<'m>, gateway: &'m Gateway) -> Host<'m> {
        Host {
            mac: plan.mac,
            address: plan.host,
            gateway_address: plan.gateway,
            gateway,
            answered: plan.answered(),
            neigh_ignore: plan.neigh_ignore,
            schedule: Schedule::new(plan, gateway),
        }
    }

    /// We answer questions for the hardware address of `address`.
    fn answers_for(&self, address: IpAddr) -> bool {
        let is_load = !self.neigh_ignore && self.answered.find(number(address)).is_some();
        address == self.address || is_load
    }

    /// The next question or announcement, written into `frame`; false if there is none now.
    pub fn chore(&mut self, frame: &mut Frame, now: Instant, stats: &mut Writer<'_>) -> bool {
        let known = self.gateway.load().is_some();
        let Some(chore) = self.schedule.take(now, known) else { return false };
        let (Chore::Ask(own) | Chore::Announce(own)) = chore;
        let own = match own {
            Own::Host => self.address,
            Own::Load(index) => self.answered.at(index),
        };
        let asked = match chore {
            Chore::Ask(_) => self.gateway_address,
            Chore::Announce(_) => own,
        };
        let (written, count) = match (own, asked) {
            // Who asks for an address in its own name announces it (RFC 5227 section 2.3).
            (IpAddr::V4(own), IpAddr::V4(asked)) => {
                (arp::request(frame, self.mac, own, asked), Count::ArpTx)
            }
            (IpAddr::V6(own), IpAddr::V6(asked)) if own != asked => {
                (nd::solicit(frame, self.mac, own, asked), Count::IcmpTx)
            }
            (IpAddr::V6(own), IpAddr::V6(_)) => (nd::announce(frame, self.mac, own), Count::IcmpTx),
            _ => return false,
        };
        stats.add(count, u64::from(written));
        written
    }

    /// A chore may be waiting.
    #[inline]
    pub fn has_chore(&self, now: Instant) -> bool {
        self.schedule.is_due(now)
    }

    /// When the next chore comes, if one does.
    pub fn next(&self) -> Option<Instant> {
        self.schedule.next()
    }

    /// An ARP packet came.
    pub fn on_arp(&mut self, frame: &mut Frame, stats: &mut Writer<'_>) -> Verdict {
        count_as(Count::ArpRx, stats, |stats| arp::answer(self, frame, stats))
    }

    /// A neighbour solicitation or advertisement came.
    pub fn on_neighbor(&mut self, frame: &mut Frame, stats: &mut Writer<'_>) -> Verdict {
        count_as(Count::IcmpRx, stats, |stats| nd::answer(self, frame, stats))
    }

    /// The frame, ICMP for one of our addresses, is a question that is answered here.
    pub fn answers_icmp(frame: &Frame) -> bool {
        if is_ipv6(frame) { icmpv6::is_echo_request(frame) } else { icmp::is_echo_request(frame) }
    }

    /// ICMP for one of our addresses came.
    pub fn on_icmp(&mut self, frame: &mut Frame, stats: &mut Writer<'_>) -> Verdict {
        count_as(Count::IcmpRx, stats, |stats| match EthernetHeader::split(frame.bytes()) {
            Ok((ethernet, _)) if !is_station(ethernet.src) => drop_bad(Count::DropValue, stats),
            _ if is_ipv6(frame) => icmpv6::answer(frame, stats),
            _ => icmp::answer(frame, stats),
        })
    }
}

/// One station can be reached there.
fn is_station(mac: MacAddr) -> bool {
    !mac.is_multicast() && mac != MacAddr::ZERO
}

fn is_ipv6(frame: &Frame) -> bool {
    EthernetHeader::split(frame.bytes())
        .is_ok_and(|(ethernet, _)| ethernet.ethertype.get() == ethertype::IPV6)
}

/// Counts what `answer` deals with as `kind`, unless it proves malformed: that is a kind of its
/// own.
fn count_as<'m>(
    kind: Count,
    stats: &mut Writer<'m>,
    answer: impl FnOnce(&mut Writer<'m>) -> Verdict,
) -> Verdict {
    let bad = stats.get(Count::BadRx);
    let verdict = answer(stats);
    stats.add(kind, u64::from(stats.get(Count::BadRx) == bad));
    verdict
}

/// Drops a frame for `why`.
fn drop_frame(why: Count, stats: &mut Writer<'_>) -> Verdict {
    stats.inc(why);
    Verdict::Done
}

/// Drops a malformed frame.
fn drop_bad(why: Count, stats: &mut Writer<'_>) -> Verdict {
    stats.inc(Count::BadRx);
    drop_frame(why, stats)
}
