//! When the host speaks unasked: questions for the gateway, and announcements of our addresses.
//!
//! The promise: every address is introduced once at the start; the gateway is asked for once a
//! second until it is known and every half minute from then on; and every half minute each address
//! is announced again, evenly spread and at most ten a second, so that no table on the way forgets
//! us. A function of time alone.

use crate::plan::CorePlan;
use crate::sync::Gateway;
use crate::time::{Instant, Ticks};

/// From one question to a known gateway to the next, and from one announcement of an address to its
/// next.
const REFRESH_S: u64 = 30;
/// Announcements a second at most, once all addresses were introduced.
const ANNOUNCEMENTS_PER_SECOND: u64 = 10;
/// A moment that never comes.
const NEVER: Instant = Instant(u64::MAX);

/// One of the addresses we answer for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Own {
    /// The port's own.
    Host,
    /// The load's at this index.
    Load(u32),
}

/// What is to be said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Chore {
    /// Who has the gateway's address? Asked in the name of this one, which thereby makes itself
    /// known.
    Ask(Own),
    /// This address is ours.
    Announce(Own),
}

/// Who says what when.
#[derive(Debug)]
pub(super) struct Schedule {
    /// The earliest of all that is due: the one thing that every turn looks at.
    next: Instant,
    /// Addresses of the load, unless we keep silent about them.
    addresses: u32,
    /// How many of them were introduced.
    introduced: u32,
    /// When the gateway is asked for.
    ask: Instant,
    /// The gateway was known when it was last thought of.
    known: bool,
    /// When the next address is announced; not yet set while they are introduced.
    announce: Option<Instant>,
    /// Addresses announced again so far, the port's own included.
    announced: u32,
    second: Ticks,
    refresh: Ticks,
    /// From one announcement to the next.
    spacing: Ticks,
}

impl Schedule {
    /// The schedule of `plan`; only one core of a port has anything to say.
    pub(super) fn new(plan: &CorePlan<'_>, gateway: &Gateway) -> Schedule {
        let hz = plan.rate.hz();
        let refresh = Ticks(hz.saturating_mul(REFRESH_S));
        let addresses = if plan.neigh_ignore { 0 } else { plan.answered().count() };
        let even = refresh.0 / (u64::from(addresses) + 1);
        Schedule {
            next: if plan.announces { Instant(0) } else { NEVER },
            addresses,
            introduced: 0,
            ask: if gateway.is_fixed() { NEVER } else { Instant(0) },
            known: false,
            announce: None,
            announced: 0,
            second: Ticks(hz),
            refresh,
            spacing: Ticks(even.max(hz / ANNOUNCEMENTS_PER_SECOND)),
        }
    }

    /// Something may be due.
    #[inline]
    pub(super) fn is_due(&self, now: Instant) -> bool {
        now >= self.next
    }

    /// When something is due next, if ever.
    pub(super) fn next(&self) -> Option<Instant> {
        (self.next != NEVER).then_some(self.next)
    }

    /// What is due, if anything is; `known`: the gateway is.
    pub(super) fn take(&mut self, now: Instant, known: bool) -> Option<Chore> {
        if !self.is_due(now) {
            return None;
        }
        let chore = self.introduction().or_else(|| self.question(now, known));
        let chore = chore.or_else(|| self.announcement(now));
        self.next = match self.announce {
            None => Instant(0),
            Some(announce) => announce.min(self.ask),
        };
        chore
    }

    fn introduction(&mut self) -> Option<Chore> {
        let index = self.introduced;
        (index < self.addresses).then(|| {
            self.introduced += 1;
            Chore::Ask(Own::Load(index))
        })
    }

    fn question(&mut self, now: Instant, known: bool) -> Option<Chore> {
        if now < self.ask {
            return None;
        }
        // An answer came since: the next question has time.
        let answered = known && !self.known;
        self.known = known;
        self.ask = now + if known { self.refresh } else { self.second };
        (!answered).then_some(Chore::Ask(Own::Host))
    }

    fn announcement(&mut self, now: Instant) -> Option<Chore> {
        let due = *self.announce.get_or_insert(now + self.spacing);
        if now < due {
            return None;
        }
        self.announce = Some(now + self.spacing);
        let index = self.announced % (self.addresses + 1);
        self.announced = index + 1;
        Some(Chore::Announce(if index == self.addresses { Own::Host } else { Own::Load(index) }))
    }
}
