//! The worker's frames on their way in and out of what they travel in, and the host that a tunnel
//! needs in the network it runs over.

use super::{Worker, kernel};
use crate::conn::table::Space;
use crate::encap::{Encapsulation, Stripped};
use crate::engine::rare;
use crate::exception::ExceptionPath;
use crate::frame::{Frame, Tray};
use crate::host::{Host, Verdict};
use crate::parse::{Parsed, Parser};
use crate::plan::{CorePlan, Encap};
use crate::port::{BURST, PacketQueue};
use crate::stats::{Count, Writer};
use crate::sync::Gateway;
use crate::time::Instant;

/// What a worker needs to wrap and strip its frames.
pub(super) struct Wrapping<'m> {
    encapsulation: Encapsulation<'m>,
    gateway: &'m Gateway,
    /// Ourselves in the network outside, if the encapsulation is a tunnel.
    outside: Option<Outside<'m>>,
}

/// Our host in the network that a tunnel runs over.
struct Outside<'m> {
    parser: Parser<'m>,
    /// Empty: the load's connections are inside.
    space: Space<'m>,
    host: Host<'m>,
    /// The kernel takes what is not ours.
    kernel_listens: bool,
}

impl<'m> Wrapping<'m> {
    /// What `plan` asks for, if it asks for any; `kernel_listens`: there is a way to the kernel.
    pub(super) fn new(
        plan: &CorePlan<'m>,
        gateway: &'m Gateway,
        kernel_listens: bool,
    ) -> Option<Wrapping<'m>> {
        let outside = match &plan.encap {
            Encap::Vxlan(tunnel) => {
                Some(Outside::new(&plan.outside(tunnel), gateway, kernel_listens))
            }
            Encap::None | Encap::Vlan(_) => None,
        };
        Some(Wrapping { encapsulation: Encapsulation::new(plan)?, gateway, outside })
    }

    /// Leaves room before every blank frame.
    pub(super) fn make_room(&self, blanks: &mut Tray) {
        for frame in blanks.frames_mut() {
            self.encapsulation.make_room(frame);
        }
    }

    /// Wraps what is to leave.
    #[inline(never)]
    pub(super) fn wrap(&mut self, tx: &mut Tray) {
        self.learn_gateway();
        for frame in tx.frames_mut() {
            self.encapsulation.wrap(frame);
        }
    }

    fn learn_gateway(&mut self) {
        if let Some(mac) = self.gateway.load() {
            self.encapsulation.set_gateway(mac);
        }
    }
}

impl<'m> Outside<'m> {
    fn new(plan: &CorePlan<'m>, gateway: &'m Gateway, kernel_listens: bool) -> Outside<'m> {
        Outside {
            parser: Parser::new(plan),
            space: Space::new(plan),
            host: Host::new(plan, gateway),
            kernel_listens,
        }
    }

    /// Deals with a frame of the network outside.
    fn step(
        &mut self,
        frame: &mut Frame,
        (stock, kernel): (&mut Tray, &mut Tray),
        stats: &mut Writer<'_>,
    ) -> Verdict {
        let (parsed, _) = self.parser.parse(frame, &self.space);
        if self.kernel_listens && parsed == Parsed::Arp {
            kernel::copy(frame, stock, kernel, stats);
        }
        let both = (&self.parser, &mut self.host);
        rare::step(both, self.kernel_listens, frame, &parsed, stats)
    }
}

impl<'m, Q: PacketQueue, X: ExceptionPath> Worker<'m, Q, X> {
    /// The host that asks for the gateway.
    #[inline]
    pub(super) fn host(&self) -> &Host<'m> {
        let outside = self.wrapping.as_ref().and_then(|wrapping| wrapping.outside.as_ref());
        outside.map_or(&self.engine.host, |outside| &outside.host)
    }

    /// Sends the next question or announcement of that host.
    #[inline(never)]
    pub(super) fn chore(&mut self, now: Instant) -> Option<bool> {
        let mut wrapping = self.wrapping.take();
        let outside = wrapping.as_mut().and_then(|wrapping| wrapping.outside.as_mut());
        let sent = match outside {
            None => {
                self.send_one(|engine, frame| engine.host.chore(frame, now, &mut engine.tcp.stats))
            }
            Some(outside) => self.send_one(|engine, frame| {
                frame.retreat();
                outside.host.chore(frame, now, &mut engine.tcp.stats)
            }),
        };
        if let Some(wrapping) = &wrapping {
            wrapping.make_room(&mut self.trays.stock);
        }
        self.wrapping = wrapping;
        sent
    }

    /// Strips the frames that came. Those of the load stay in the tray; the others are dealt with,
    /// and it says how many they were.
    #[inline(never)]
    pub(super) fn strip(&mut self) -> u32 {
        let Some(wrapping) = &mut self.wrapping else { return 0 };
        wrapping.learn_gateway();
        let mut found = [Stripped::Inside; BURST];
        let mut outer_bytes = 0;
        let mut all_inside = true;
        for (frame, found) in self.trays.rx.frames_mut().iter_mut().zip(&mut found) {
            let came = frame.len();
            *found = wrapping.encapsulation.strip(frame);
            outer_bytes += came.saturating_sub(frame.len()) as u64;
            all_inside &= *found == Stripped::Inside;
        }
        self.engine.tcp.stats.add(Count::BitsRx, 8 * outer_bytes);
        if all_inside { 0 } else { self.sort_out(&found) }
    }

    /// Deals with the frames that are not the load's; what each is was `found`.
    #[cold]
    fn sort_out(&mut self, found: &[Stripped; BURST]) -> u32 {
        let Some(wrapping) = &mut self.wrapping else { return 0 };
        let super::Trays { rx, tx, done, stock, kernel } = &mut self.trays;
        let stats = &mut self.engine.tcp.stats;
        let mut burst = core::mem::take(rx);
        let mut count = 0;
        burst.drain(|index, mut frame| {
            let found = found.get(index).copied().unwrap_or(Stripped::Outside);
            if found != Stripped::Inside {
                count += 1;
                stats.inc(Count::PktRx);
                stats.add(Count::BitsRx, 8 * frame.len() as u64);
            }
            let (tray, frame) = match (found, &mut wrapping.outside) {
                (Stripped::Inside, _) => (&mut *rx, frame),
                (Stripped::Drop(why), _) => {
                    rare::drop_for(why, stats);
                    (&mut *done, frame)
                }
                (Stripped::Outside, None) => (&mut *done, frame),
                (Stripped::Outside, Some(outside)) => {
                    match outside.step(&mut frame, (stock, kernel), stats) {
                        Verdict::Send => (&mut *tx, frame),
                        Verdict::Done => (&mut *done, frame),
                        Verdict::Kernel => match kernel::put(frame, kernel, stats) {
                            None => return,
                            Some(frame) => (&mut *done, frame),
                        },
                    }
                }
            };
            // A burst fits: there was room for all of it in any of them.
            let placed = tray.push(frame);
            debug_assert!(placed.is_ok());
        });
        count
    }
}
