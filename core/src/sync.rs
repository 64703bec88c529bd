//! What several threads may read or write at once.
//!
//! Three things cross cores: statistics pages ([`crate::stats`]), the gateway's MAC address and the
//! phase of the run. All three are single words, none needs a lock. The [`Lock`] is for a kernel
//! device that has one queue only ([`crate::exception::Shared`]).

pub mod atomic;
mod lock;

pub use lock::Lock;

use self::atomic::{Acquire, AtomicU32, AtomicU64, Relaxed, Release};

use crate::wire::ethernet::MacAddr;

/// The next hop's MAC address, shared by the workers of one port: whoever hears it stores it.
#[derive(Debug, Default)]
pub struct Gateway(AtomicU64);

const KNOWN: u64 = 1 << 48;
/// It was known from the start, and what is heard later does not change it.
const FIXED: u64 = 1 << 49;

impl Gateway {
    /// A gateway whose address is known for good (`Some`) or still to be resolved.
    pub fn new(mac: Option<MacAddr>) -> Gateway {
        Gateway(AtomicU64::new(match mac {
            Some(mac) => FIXED | KNOWN | word(mac),
            None => 0,
        }))
    }

    /// The address was known from the start: nobody needs to ask for it.
    pub fn is_fixed(&self) -> bool {
        self.0.load(Acquire) & FIXED != 0
    }

    /// Stores what was heard, unless the address was known from the start.
    pub fn store(&self, mac: MacAddr) {
        if !self.is_fixed() {
            self.0.store(KNOWN | word(mac), Release);
        }
    }

    /// The address, once known.
    #[inline]
    pub fn load(&self) -> Option<MacAddr> {
        let word = self.0.load(Acquire);
        let [_, _, a, b, c, d, e, f] = word.to_be_bytes();
        (word & KNOWN != 0).then_some(MacAddr([a, b, c, d, e, f]))
    }
}

fn word(mac: MacAddr) -> u64 {
    let [a, b, c, d, e, f] = mac.0;
    u64::from_be_bytes([0, 0, a, b, c, d, e, f])
}

/// Where a run stands. Phases only go forward.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u32)]
pub enum Phase {
    /// Answer the network (ARP, ping) and find the gateway; open no connection.
    Resolve = 0,
    /// Full traffic.
    Run = 1,
    /// Open nothing new, close what is open.
    Drain = 2,
    /// Give everything back; the worker's thread ends.
    Stop = 3,
}

/// The run's phase: written by the shell, read by every worker once per turn.
#[derive(Debug, Default)]
pub struct Control(AtomicU32);

impl Control {
    /// A control in phase [`Phase::Resolve`].
    pub fn new() -> Control {
        Control(AtomicU32::new(Phase::Resolve as u32))
    }

    /// Goes on to `phase`; going back is ignored.
    pub fn advance(&self, phase: Phase) {
        self.0.fetch_max(phase as u32, Release);
    }

    /// Where the run stands.
    #[inline]
    pub fn phase(&self) -> Phase {
        match self.0.load(Relaxed) {
            0 => Phase::Resolve,
            1 => Phase::Run,
            2 => Phase::Drain,
            _ => Phase::Stop,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_is_unknown_until_heard() {
        let gateway = Gateway::new(None);
        assert_eq!(gateway.load(), None);
        gateway.store(MacAddr([0, 0, 0, 0, 0, 0]));
        assert_eq!(gateway.load(), Some(MacAddr([0; 6])));
        gateway.store(MacAddr([1, 2, 3, 4, 5, 6]));
        assert_eq!(gateway.load(), Some(MacAddr([1, 2, 3, 4, 5, 6])));
    }

    #[test]
    fn a_gateway_known_from_the_start_stays() {
        let gateway = Gateway::new(Some(MacAddr([1, 2, 3, 4, 5, 6])));
        gateway.store(MacAddr([6, 5, 4, 3, 2, 1]));
        assert_eq!(gateway.load(), Some(MacAddr([1, 2, 3, 4, 5, 6])));
        assert!(gateway.is_fixed() && !Gateway::new(None).is_fixed());
    }

    #[test]
    fn phases_only_go_forward() {
        let control = Control::new();
        control.advance(Phase::Drain);
        control.advance(Phase::Run);
        assert_eq!(control.phase(), Phase::Drain);
    }
}
