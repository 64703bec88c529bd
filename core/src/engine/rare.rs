//! What is no segment of a connection: the host answers it, the kernel gets it, or it is counted
//! and dropped.

use crate::frame::Frame;
use crate::host::{Host, Verdict};
use crate::parse::{Parsed, Parser};
use crate::stats::{Count, Writer};

/// Deals with a frame that no connection takes; `kernel_listens`: what is not load may go there. A
/// segment is only counted.
#[inline]
pub(crate) fn step(
    (parser, host): (&Parser<'_>, &mut Host<'_>),
    kernel_listens: bool,
    frame: &mut Frame,
    parsed: &Parsed,
    stats: &mut Writer<'_>,
) -> Verdict {
    if kernel_listens && is_for_kernel(parser, frame, parsed) {
        stats.add(Count::IcmpRx, u64::from(matches!(parsed, Parsed::Icmp | Parsed::Icmpv6)));
        stats.add(Count::OtherRx, u64::from(*parsed == Parsed::Other));
        return Verdict::Kernel;
    }
    match parsed {
        // A stranger's, or nobody could be answered yet: the peer will come again.
        Parsed::Tcp(..) | Parsed::Stranger(_) => {
            stats.inc(Count::TcpRx);
            stats.inc(Count::TcpDrop);
            stats.inc(Count::DropNoConnection);
        }
        Parsed::Arp => return host.on_arp(frame, stats),
        Parsed::Neighbor => return host.on_neighbor(frame, stats),
        Parsed::Icmp => return host.on_icmp(frame, stats),
        Parsed::Icmpv6 => stats.inc(Count::IcmpRx),
        Parsed::Udp(_) | Parsed::UdpStranger => {
            stats.inc(Count::UdpRx);
            stats.inc(Count::UdpDrop);
        }
        Parsed::Other => stats.inc(Count::OtherRx),
        Parsed::Drop(why) => drop_for(*why, stats),
    }
    Verdict::Done
}

/// Counts a frame that is dropped for `why`.
pub(crate) fn drop_for(why: Count, stats: &mut Writer<'_>) {
    use Count::{DropForeignAddress, DropForeignMac, DropVlan, DropVxlan};
    stats.inc(why);
    let foreign = matches!(why, DropForeignMac | DropForeignAddress | DropVlan | DropVxlan);
    stats.add(Count::BadRx, u64::from(!foreign));
}

/// What the load has no use for and the kernel may have: protocols nobody here speaks, packets for
/// addresses that are not the load's, and what comes to the port's own address beside the echo
/// requests that are answered here.
fn is_for_kernel(parser: &Parser<'_>, frame: &Frame, parsed: &Parsed) -> bool {
    match parsed {
        Parsed::Other | Parsed::Icmpv6 | Parsed::Drop(Count::DropForeignAddress) => true,
        Parsed::Stranger(_) | Parsed::UdpStranger => parser.is_to_host(frame),
        Parsed::Drop(Count::DropFragment) => parser.is_to_host(frame) || !parser.is_to_load(frame),
        Parsed::Icmp => parser.is_to_host(frame) && !Host::answers_icmp(frame),
        _ => false,
    }
}
