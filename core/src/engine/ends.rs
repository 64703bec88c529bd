//! Whose a received frame is, read from its headers: the ends of its answer, the queue that they
//! belong to.

use zerocopy::FromBytes;

use crate::frame::Frame;
use crate::plan::CorePlan;
use crate::steer::Steering;
use crate::template::{Endpoints, Pair};
use crate::wire::ethernet::{EthernetHeader, ethertype};
use crate::wire::headers::DatagramHeaders;
use crate::wire::ipv4::{Ipv4, VERSION_IHL};
use crate::wire::ipv6::Ipv6;

/// The device has brought `frame` to another queue than the one that its hash names.
pub(super) fn is_astray(plan: &CorePlan<'_>, frame: &Frame) -> bool {
    match plan.steering {
        Steering::Hashed { rss, queue } => rss.queue_of_frame(frame.bytes()) != queue,
        Steering::Whole => false,
    }
}

/// The ends of the answer to a received segment or datagram, read from its headers.
pub(super) fn turned(frame: &Frame) -> Option<Endpoints> {
    // TCP and UDP both begin with the ports.
    let ports = |bytes: &[u8]| {
        let [s0, s1, d0, d1] = *bytes.first_chunk()?;
        Some((u16::from_be_bytes([d0, d1]), u16::from_be_bytes([s0, s1])))
    };
    let (ethernet, ip) = EthernetHeader::split(frame.bytes()).ok()?;
    if ethernet.ethertype.get() == ethertype::IPV4 {
        let ip = Ipv4::parse(ip).ok()?;
        let (local, remote) = ports(ip.payload)?;
        let (source, destination) = (ip.header.source, ip.header.destination);
        Some(Endpoints::V4(Pair { local: (destination, local), remote: (source, remote) }))
    } else {
        let ip = Ipv6::parse(ip).ok()?;
        let (local, remote) = ports(ip.payload)?;
        let (source, destination) = (ip.header.source, ip.header.destination);
        Some(Endpoints::V6(Pair { local: (destination, local), remote: (source, remote) }))
    }
}

/// As [`turned`], behind an IPv4 header without options. The frame was parsed before.
#[inline(always)]
pub(super) fn usual_ends(frame: &Frame) -> Option<Pair<[u8; 4]>> {
    let (DatagramHeaders { ethernet, ip, udp }, _) =
        DatagramHeaders::ref_from_prefix(frame.bytes()).ok()?;
    let usual = ethernet.ethertype.get() == ethertype::IPV4 && ip.version_ihl == VERSION_IHL;
    let local = (ip.destination, udp.destination_port.get());
    let remote = (ip.source, udp.source_port.get());
    usual.then_some(Pair { local, remote })
}
