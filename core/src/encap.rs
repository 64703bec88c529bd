//! What every frame of a worker travels in: taken off before any other room sees the frame, put
//! back on before it leaves, so that all other rooms deal in plain Ethernet.
//!
//! A frame that was stripped, and a blank one that was given room, begins as many bytes later as
//! the encapsulation is long ([`Frame::advanced`]): by that it is known again when it is to be
//! wrapped. Frames of the network outside of a tunnel stay as they are.

mod vlan;
mod vxlan;

#[cfg(test)]
mod tests;

use self::vlan::Tags;
use self::vxlan::Tunnel;
use crate::frame::Frame;
use crate::plan::{CorePlan, Encap};
use crate::stats::Count;
use crate::wire::ethernet::MacAddr;

/// What a received frame turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stripped {
    /// A frame of the load's network; what it travelled in is off.
    Inside,
    /// A frame of the network that a tunnel runs over; nothing was changed.
    Outside,
    /// Neither, for this reason.
    Drop(Count),
}

/// One worker's encapsulation.
#[derive(Clone, Debug)]
pub struct Encapsulation<'m>(Kind<'m>);

#[derive(Clone, Debug)]
enum Kind<'m> {
    Vlan(Tags),
    Vxlan(Tunnel<'m>),
}

impl<'m> Encapsulation<'m> {
    /// What `plan` asks for; `None` if frames travel plain.
    pub fn new(plan: &CorePlan<'m>) -> Option<Encapsulation<'m>> {
        match &plan.encap {
            Encap::None => None,
            Encap::Vlan(vlan) => Some(Encapsulation(Kind::Vlan(Tags::new(vlan)))),
            Encap::Vxlan(tunnel) => Some(Encapsulation(Kind::Vxlan(Tunnel::new(tunnel, plan.mac)))),
        }
    }

    /// Bytes that it adds to a frame.
    #[inline]
    pub fn bytes(&self) -> u16 {
        match &self.0 {
            Kind::Vlan(tags) => tags.bytes(),
            Kind::Vxlan(_) => vxlan::OUTER_BYTES as u16,
        }
    }

    /// The MAC address of the next hop outside.
    pub fn set_gateway(&mut self, mac: MacAddr) {
        if let Kind::Vxlan(tunnel) = &mut self.0 {
            tunnel.set_gateway(mac);
        }
    }

    /// Takes it off a received frame.
    #[inline]
    pub fn strip(&self, frame: &mut Frame) -> Stripped {
        match &self.0 {
            Kind::Vlan(tags) => tags.strip(frame),
            Kind::Vxlan(tunnel) => tunnel.strip(frame),
        }
    }

    /// Leaves room for it before a blank frame.
    #[inline]
    pub fn make_room(&self, frame: &mut Frame) {
        if frame.advanced() == 0 {
            let made = frame.advance(self.bytes());
            debug_assert!(made, "a blank frame holds the longest frame");
        }
    }

    /// Puts it around a frame that was stripped or given room; others stay as they are.
    #[inline]
    pub fn wrap(&self, frame: &mut Frame) {
        if frame.advanced() == self.bytes() {
            match &self.0 {
                Kind::Vlan(tags) => tags.wrap(frame),
                Kind::Vxlan(tunnel) => tunnel.wrap(frame),
            }
        }
    }
}
