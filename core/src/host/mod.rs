//! Being a polite host: ARP, neighbour discovery, ping and the gateway. All of it is rare.
//!
//! The promise of this room: it answers only for our own addresses, turns a question into its
//! answer in the frame that brought it, and asks for the gateway until it is known.

mod arp;
mod icmp;

use core::net::IpAddr;

use crate::frame::Frame;
use crate::plan::{AddressList, CorePlan, Role, number};
use crate::stats::{Count, Writer};
use crate::sync::Gateway;
use crate::time::{Instant, Ticks};
use crate::wire::ethernet::MacAddr;

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
    own: AddressList<'m>,
    neigh_ignore: bool,
    announces: bool,
    /// The next own address to be announced.
    announced: u32,
    next_request: Instant,
    second: Ticks,
}

impl<'m> Host<'m> {
    /// The host side of `plan`; `gateway` is shared by all cores of the port.
    pub fn new(plan: &CorePlan<'m>, gateway: &'m Gateway) -> Host<'m> {
        Host {
            mac: plan.mac,
            address: plan.host,
            gateway_address: plan.gateway,
            gateway,
            own: match plan.role {
                Role::Client => plan.clients,
                Role::Server => plan.servers,
            },
            neigh_ignore: plan.neigh_ignore,
            announces: plan.announces,
            announced: 0,
            next_request: Instant(0),
            second: Ticks(plan.rate.hz()),
        }
    }

    /// We answer questions for the hardware address of `address`.
    fn answers_for(&self, address: IpAddr) -> bool {
        let own_range = !self.neigh_ignore && self.own.find(number(address)).is_some();
        address == self.address || own_range
    }

    /// The next question or announcement, written into `frame`; false if there is none now. The
    /// gateway is asked for once a second until it is known, and every own address is announced
    /// once.
    pub fn chore(&mut self, frame: &mut Frame, now: Instant, stats: &mut Writer<'_>) -> bool {
        let Some(sender) = self.due(now) else { return false };
        match (sender, self.gateway_address) {
            (IpAddr::V4(sender), IpAddr::V4(gateway)) => {
                stats.inc(Count::ArpTx);
                arp::request(frame, self.mac, sender, gateway)
            }
            _ => false,
        }
    }

    /// A chore is waiting.
    #[inline]
    pub fn has_chore(&self, now: Instant) -> bool {
        self.announces
            && (!self.all_announced() || self.gateway.load().is_none() && now >= self.next_request)
    }

    /// When the next chore comes, if one does.
    pub fn next(&self) -> Option<Instant> {
        (self.announces && self.gateway.load().is_none()).then_some(self.next_request)
    }

    /// In whose name the next request goes out.
    fn due(&mut self, now: Instant) -> Option<IpAddr> {
        if !self.has_chore(now) {
            return None;
        }
        if !self.all_announced() {
            let sender = self.own.at(self.announced);
            self.announced += 1;
            return Some(sender);
        }
        self.next_request = now + self.second;
        Some(self.address)
    }

    fn all_announced(&self) -> bool {
        self.neigh_ignore || self.announced >= self.own.count()
    }

    /// An ARP packet came.
    pub fn on_arp(&mut self, frame: &mut Frame, stats: &mut Writer<'_>) -> Verdict {
        stats.inc(Count::ArpRx);
        arp::answer(self, frame, stats)
    }

    /// The frame, ICMP for one of our addresses, is a question that is answered here.
    pub fn answers_icmp(frame: &Frame) -> bool {
        icmp::is_echo_request(frame)
    }

    /// ICMP for one of our addresses came.
    pub fn on_icmp(&mut self, frame: &mut Frame, stats: &mut Writer<'_>) -> Verdict {
        stats.inc(Count::IcmpRx);
        icmp::answer(frame, stats)
    }
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
