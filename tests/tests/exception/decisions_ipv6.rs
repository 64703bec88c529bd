//! What a worker hands to the kernel of IPv6, and what it keeps.

use dperf_core::plan::Role;
use dperf_tests::ipv6::Way;
use dperf_tests::scenario::mac;
use smoltcp::wire::{
    EthernetAddress, Icmpv6Repr, IpProtocol, Ipv6Address, NdiscNeighborFlags, NdiscRepr,
};

use crate::decisions::fate;

/// The server's own address, one of the load's, the kernel's link-local one, and the peer's.
const HOST: &str = "fd00:4::ca";
const LOAD: &str = "fd00:2::2";
const KERNELS: &str = "fe80::1";
const PEER: &str = "fd00:3::ca";

fn ip(text: &str) -> Ipv6Address {
    text.parse().unwrap()
}

/// From the peer to `to`: to us, or, where that is a group, to everybody.
fn to(to: &str) -> Way {
    let [from, us] = [Role::Client, Role::Server].map(|role| EthernetAddress(mac(role, 0).0));
    let everybody = EthernetAddress([0x33, 0x33, 0, 0, 0, 1]);
    let us = if ip(to).is_multicast() { everybody } else { us };
    Way { macs: [from, us], addresses: [ip(PEER), ip(to)], hops: 255 }
}

fn reply(to: Way) -> Vec<u8> {
    to.icmp(&Icmpv6Repr::EchoReply { ident: 1, seq_no: 2, data: b"data" })
}

#[test]
fn the_kernel_gets_what_the_load_has_no_use_for_over_ipv6() {
    const KERNEL: (bool, bool) = (true, false);
    const ANSWERED: (bool, bool) = (false, true);
    const DROPPED: (bool, bool) = (false, false);
    let ask = |target| to("ff02::1").solicitation(ip(target), true);
    let router = Icmpv6Repr::Ndisc(NdiscRepr::RouterSolicit { lladdr: None });
    let table = [
        ("a segment to a closed port of the load", to(LOAD).syn(40_000, 22), ANSWERED),
        ("a segment to our own address", to(HOST).syn(40_000, 22), KERNEL),
        ("a datagram to our own address", to(HOST).udp(), KERNEL),
        ("a datagram to an address of the load", to(LOAD).udp(), DROPPED),
        ("a datagram to a group", to("ff02::fb").udp(), KERNEL),
        ("a packet for an address behind us", to("fd00:9::9").udp(), KERNEL),
        (
            "another protocol to our own address",
            { to(HOST).packet(IpProtocol::from(89), &[1; 24]) },
            KERNEL,
        ),
        (
            "a fragment to our own address",
            { to(HOST).packet(IpProtocol::Ipv6Frag, &[17, 0, 0, 1, 0, 0, 0, 9, 1, 1, 1, 1]) },
            KERNEL,
        ),
        ("an echo request to our own address", to(HOST).echo(b"data"), ANSWERED),
        ("an echo request to the load", to(LOAD).echo(b"data"), ANSWERED),
        ("an echo request to the kernel's address", to(KERNELS).echo(b"data"), KERNEL),
        ("an echo request to everybody", to("ff02::1").echo(b"data"), KERNEL),
        ("an echo reply to our own address", reply(to(HOST)), KERNEL),
        ("an echo reply to an address of the load", reply(to(LOAD)), DROPPED),
        ("a router's question", to("ff02::2").icmp(&router), KERNEL),
        ("who has our own address", ask(HOST), (true, true)),
        ("who has an address of the load", ask(LOAD), (true, true)),
        ("who has the kernel's address", ask(KERNELS), KERNEL),
        ("an answer", { to(HOST).advertisement(ip(PEER), NdiscNeighborFlags::SOLICITED) }, KERNEL),
    ];
    for (what, frame, expected) in table {
        assert_eq!(fate(true, frame), expected, "{what}");
    }
}
