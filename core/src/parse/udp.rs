//! A datagram's length and checksum, and the tuple it belongs to.

use zerocopy::{FromBytes, IntoBytes};

use crate::conn::SlotId;
use crate::conn::table::Space;
use crate::frame::Frame;
use crate::plan::Transport;
use crate::stats::Count;
use crate::wire::checksum::{be16, is_valid, sum};
use crate::wire::headers::DatagramHeaders;
use crate::wire::ipv4::IPV4_BYTES;
use crate::wire::udp::{UDP_BYTES, Udp};

use super::{Ip, Parsed, Parser, is_undamaged, reason};

impl<'m> Parser<'m> {
    /// The usual datagram, told with few branches: to us, IPv4 without options, whole, undamaged,
    /// of a known tuple. Everything else is left to [`Parser::parse`], which says why. Only to be
    /// asked where the load is UDP.
    #[inline(always)]
    pub fn usual_datagram(&self, frame: &Frame, space: &Space<'m>) -> Option<SlotId> {
        let (headers, rest) = DatagramHeaders::ref_from_prefix(frame.bytes()).ok()?;
        if !self.shape.fits(headers.as_bytes()) {
            return None;
        }
        let DatagramHeaders { ip, udp, .. } = headers;
        // What lies behind the packet is the link's padding; in the packet, nothing does.
        let udp_bytes = usize::from(ip.total_length.get()).checked_sub(IPV4_BYTES)?;
        let payload = rest.get(..udp_bytes.checked_sub(UDP_BYTES)?)?;
        if usize::from(udp.length.get()) != udp_bytes
            || !is_undamaged(frame, || headers.are_undamaged(payload))
        {
            return None;
        }
        self.locate(ip, (udp.source_port.get(), udp.destination_port.get()), space)
    }

    /// Says what a datagram to our MAC address is.
    #[inline]
    pub(super) fn udp(&self, ip: &Ip<'_>, verify: bool, space: &Space<'m>) -> Parsed {
        let udp = match Udp::parse(ip.payload) {
            Ok(udp) => udp,
            Err(why) => return Parsed::Drop(reason(why)),
        };
        if verify && !self.is_undamaged(ip, &udp) {
            return Parsed::Drop(Count::DropChecksum);
        }
        let ports = (udp.header.source_port.get(), udp.header.destination_port.get());
        match space.find(&self.tuple(ip, ports)) {
            Some(id) if self.transport == Transport::Udp => Parsed::Udp(id),
            _ if self.is_served(ip.destination) => Parsed::UdpStranger,
            _ => Parsed::Drop(Count::DropForeignAddress),
        }
    }

    /// The checksum is right, or there is none, which IPv6 does not allow (RFC 8200, 8.1).
    #[inline]
    fn is_undamaged(&self, ip: &Ip<'_>, udp: &Udp<'_>) -> bool {
        if udp.header.checksum.get() == 0 {
            return self.ipv4;
        }
        let udp_bytes = UDP_BYTES + udp.payload.len();
        let Some(datagram) = ip.payload.get(..udp_bytes) else { return false };
        // The pseudo-header holds the length of the datagram, which may be less than IP's.
        let without_ip_length = u64::from(!(ip.payload.len() as u16).to_be());
        let pseudo_sum = ip.pseudo_sum + without_ip_length + be16(udp_bytes as u16);
        is_valid(pseudo_sum + sum(datagram))
    }
}
