//! What the tests of this room share: good packets built by smoltcp, and deterministic noise.

extern crate std;

use core::net::{Ipv4Addr, Ipv6Addr};
use std::vec;
use std::vec::Vec;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, Icmpv4Packet, Icmpv4Repr, Icmpv6Packet,
    Icmpv6Repr, IpProtocol, Ipv4Packet, Ipv4Repr, Ipv6Packet, Ipv6Repr, NdiscRepr, TcpControl,
    TcpPacket, TcpRepr, TcpSeqNumber, TcpTimestampRepr, UdpPacket, UdpRepr,
};

use super::ethernet::MacAddr;

pub(super) const MAC: MacAddr = MacAddr([0x02, 0x11, 0x22, 0x33, 0x44, 0x55]);
pub(super) const SOURCE_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(super) const DESTINATION_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
pub(super) const SOURCE_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 1, 2, 3, 4);
pub(super) const DESTINATION_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 5, 6, 7, 8);
pub(super) const DATA: &[u8] = b"odd data.";

/// Marsaglia's xorshift64: the same noise in every run.
pub(super) struct XorShift(u64);

impl XorShift {
    pub(super) fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 11) as usize % bound
    }

    pub(super) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| (self.next() >> 32) as u8).collect()
    }
}

/// One good packet for each parser, to be spoilt.
pub(super) fn good_packets() -> [Vec<u8>; 8] {
    [
        arp_request(),
        ipv4(IpProtocol::Tcp, &tcp_syn()),
        ipv6(IpProtocol::Udp, &udp()),
        icmp_echo(),
        icmpv6(&Icmpv6Repr::EchoRequest { ident: 1, seq_no: 2, data: DATA }),
        neighbor_solicitation(),
        tcp_syn(),
        udp(),
    ]
}

pub(super) fn arp_request() -> Vec<u8> {
    let repr = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: EthernetAddress(MAC.0),
        source_protocol_addr: SOURCE_V4,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: DESTINATION_V4,
    };
    let mut bytes = vec![0; repr.buffer_len()];
    repr.emit(&mut ArpPacket::new_unchecked(&mut bytes));
    bytes
}

pub(super) fn ipv4(next_header: IpProtocol, payload: &[u8]) -> Vec<u8> {
    let repr = Ipv4Repr {
        src_addr: SOURCE_V4,
        dst_addr: DESTINATION_V4,
        next_header,
        payload_len: payload.len(),
        hop_limit: 64,
    };
    let mut bytes = vec![0; repr.buffer_len()];
    repr.emit(&mut Ipv4Packet::new_unchecked(&mut bytes), &ChecksumCapabilities::default());
    bytes.extend(payload);
    bytes
}

pub(super) fn ipv6(next_header: IpProtocol, payload: &[u8]) -> Vec<u8> {
    let repr = Ipv6Repr {
        src_addr: SOURCE_V6,
        dst_addr: DESTINATION_V6,
        next_header,
        payload_len: payload.len(),
        hop_limit: 64,
    };
    let mut bytes = vec![0; repr.buffer_len()];
    repr.emit(&mut Ipv6Packet::new_unchecked(&mut bytes));
    bytes.extend(payload);
    bytes
}

pub(super) fn icmp_echo() -> Vec<u8> {
    let repr = Icmpv4Repr::EchoRequest { ident: 0x1234, seq_no: 7, data: DATA };
    let mut bytes = vec![0; repr.buffer_len()];
    repr.emit(&mut Icmpv4Packet::new_unchecked(&mut bytes[..]), &ChecksumCapabilities::default());
    bytes
}

pub(super) fn icmpv6(repr: &Icmpv6Repr<'_>) -> Vec<u8> {
    let mut bytes = vec![0; repr.buffer_len()];
    let mut packet = Icmpv6Packet::new_unchecked(&mut bytes[..]);
    repr.emit(&SOURCE_V6, &DESTINATION_V6, &mut packet, &ChecksumCapabilities::default());
    bytes
}

pub(super) fn neighbor_solicitation() -> Vec<u8> {
    icmpv6(&Icmpv6Repr::Ndisc(NdiscRepr::NeighborSolicit {
        target_addr: DESTINATION_V6,
        lladdr: Some(EthernetAddress(MAC.0).into()),
    }))
}

/// A SYN with every option this room reads, and data.
pub(super) fn tcp_syn() -> Vec<u8> {
    let repr = TcpRepr {
        src_port: 40000,
        dst_port: 80,
        control: TcpControl::Syn,
        seq_number: TcpSeqNumber(0x0102_0304),
        ack_number: None,
        window_len: 65535,
        window_scale: Some(13),
        max_seg_size: Some(1460),
        sack_permitted: true,
        sack_ranges: [None; 3],
        timestamp: Some(TcpTimestampRepr::new(11, 22)),
        payload: DATA,
    };
    let mut bytes = vec![0; repr.buffer_len()];
    let mut packet = TcpPacket::new_unchecked(&mut bytes[..]);
    let (source, destination) = (SOURCE_V4.into(), DESTINATION_V4.into());
    repr.emit(&mut packet, &source, &destination, &ChecksumCapabilities::default());
    bytes
}

pub(super) fn udp() -> Vec<u8> {
    let repr = UdpRepr { src_port: 40000, dst_port: 53 };
    let mut bytes = vec![0; repr.header_len() + DATA.len()];
    let mut packet = UdpPacket::new_unchecked(&mut bytes[..]);
    let (source, destination) = (SOURCE_V6.into(), DESTINATION_V6.into());
    let fill = |data: &mut [u8]| data.copy_from_slice(DATA);
    let capabilities = ChecksumCapabilities::default();
    repr.emit(&mut packet, &source, &destination, DATA.len(), fill, &capabilities);
    bytes
}
