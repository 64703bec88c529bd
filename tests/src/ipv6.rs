//! IPv6 frames, made and read by smoltcp: what somebody else thinks they look like.

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, HardwareAddress, Icmpv6Packet, Icmpv6Repr,
    IpAddress, IpProtocol, Ipv6Address, Ipv6Packet, Ipv6Repr, NdiscNeighborFlags, NdiscRepr,
    TcpPacket, UdpPacket,
};

/// From whom to whom a frame goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Way {
    /// MAC addresses: from, to.
    pub macs: [EthernetAddress; 2],
    /// Addresses: from, to.
    pub addresses: [Ipv6Address; 2],
    /// Hop limit.
    pub hops: u8,
}

impl Way {
    /// The frame of a packet with an upper layer.
    #[must_use]
    pub fn packet(&self, protocol: IpProtocol, payload: &[u8]) -> Vec<u8> {
        let [src_addr, dst_addr] = self.addresses;
        let (payload_len, hop_limit) = (payload.len(), self.hops);
        let repr = Ipv6Repr { src_addr, dst_addr, next_header: protocol, payload_len, hop_limit };
        let mut bytes = vec![0; 14 + 40];
        let mut frame = EthernetFrame::new_unchecked(&mut bytes);
        frame.set_src_addr(self.macs[0]);
        frame.set_dst_addr(self.macs[1]);
        frame.set_ethertype(EthernetProtocol::Ipv6);
        repr.emit(&mut Ipv6Packet::new_unchecked(frame.payload_mut()));
        bytes.extend(payload);
        bytes
    }

    /// The frame of an ICMPv6 message.
    #[must_use]
    pub fn icmp(&self, repr: &Icmpv6Repr<'_>) -> Vec<u8> {
        let mut bytes = vec![0; repr.buffer_len()];
        let [from, to] = &self.addresses;
        let mut packet = Icmpv6Packet::new_unchecked(&mut bytes[..]);
        repr.emit(from, to, &mut packet, &ChecksumCapabilities::default());
        self.packet(IpProtocol::Icmpv6, &bytes)
    }

    /// "Who has `target`?", with or without saying where the answer is to go.
    #[must_use]
    pub fn solicitation(&self, target: Ipv6Address, stated: bool) -> Vec<u8> {
        let lladdr = stated.then(|| self.macs[0].into());
        self.icmp(&Icmpv6Repr::Ndisc(NdiscRepr::NeighborSolicit { target_addr: target, lladdr }))
    }

    /// "I have `target`."
    #[must_use]
    pub fn advertisement(&self, target: Ipv6Address, flags: NdiscNeighborFlags) -> Vec<u8> {
        let lladdr = Some(self.macs[0].into());
        let said = NdiscRepr::NeighborAdvert { flags, target_addr: target, lladdr };
        self.icmp(&Icmpv6Repr::Ndisc(said))
    }

    /// An echo request with some data.
    #[must_use]
    pub fn echo(&self, data: &[u8]) -> Vec<u8> {
        self.icmp(&Icmpv6Repr::EchoRequest { ident: 7, seq_no: 9, data })
    }

    /// A SYN to a port.
    #[must_use]
    pub fn syn(&self, from_port: u16, port: u16) -> Vec<u8> {
        self.segment([from_port, port], "S")
    }

    /// An empty segment between two ports, with the letters of its flags: S, R.
    #[must_use]
    pub fn segment(&self, ports: [u16; 2], flags: &str) -> Vec<u8> {
        let mut bytes = [0; 20];
        let mut segment = TcpPacket::new_unchecked(&mut bytes[..]);
        segment.set_src_port(ports[0]);
        segment.set_dst_port(ports[1]);
        segment.set_header_len(20);
        segment.set_syn(flags.contains('S'));
        segment.set_rst(flags.contains('R'));
        segment.set_window_len(1000);
        let [from, to] = self.addresses.map(IpAddress::Ipv6);
        segment.fill_checksum(&from, &to);
        self.packet(IpProtocol::Tcp, &bytes)
    }

    /// A datagram.
    #[must_use]
    pub fn udp(&self) -> Vec<u8> {
        let mut bytes = [0; 12];
        let mut datagram = UdpPacket::new_unchecked(&mut bytes[..]);
        datagram.set_src_port(40_000);
        datagram.set_dst_port(53);
        datagram.set_len(12);
        let [from, to] = self.addresses.map(IpAddress::Ipv6);
        datagram.fill_checksum(&from, &to);
        self.packet(IpProtocol::Udp, &bytes)
    }
}

/// Reads the ICMPv6 frame `bytes`, all checksums and lengths checked: its way and what `read` makes
/// of the message.
///
/// # Panics
/// It is not a proper ICMPv6 frame, or has bytes behind its packet.
pub fn read_icmp<R>(bytes: &[u8], read: impl FnOnce(&Icmpv6Repr<'_>) -> R) -> (Way, R) {
    let frame = EthernetFrame::new_checked(bytes).expect("a frame");
    assert_eq!(frame.ethertype(), EthernetProtocol::Ipv6);
    let packet = Ipv6Packet::new_checked(frame.payload()).expect("a packet");
    assert_eq!(packet.total_len(), frame.payload().len(), "nothing lies behind the packet");
    let ip = Ipv6Repr::parse(&packet).expect("a header");
    assert_eq!(ip.next_header, IpProtocol::Icmpv6);
    let message = Icmpv6Packet::new_checked(packet.payload()).expect("a message");
    let all = ChecksumCapabilities::default();
    let repr = Icmpv6Repr::parse(&ip.src_addr, &ip.dst_addr, &message, &all).expect("a right sum");
    let macs = [frame.src_addr(), frame.dst_addr()];
    let way = Way { macs, addresses: [ip.src_addr, ip.dst_addr], hops: ip.hop_limit };
    (way, read(&repr))
}

/// What a neighbour message says: its target, the address in its option, and the flags of an
/// advertisement.
///
/// # Panics
/// It is another message.
#[must_use]
pub fn read_neighbor(
    bytes: &[u8],
) -> (Way, Ipv6Address, Option<EthernetAddress>, Option<NdiscNeighborFlags>) {
    let mac = |address: &smoltcp::wire::RawHardwareAddress| match address
        .parse(smoltcp::phy::Medium::Ethernet)
    {
        Ok(HardwareAddress::Ethernet(mac)) => mac,
        other => panic!("not an Ethernet address: {other:?}"),
    };
    let (way, (target, mac, flags)) = read_icmp(bytes, |repr| match repr {
        Icmpv6Repr::Ndisc(NdiscRepr::NeighborSolicit { target_addr, lladdr }) => {
            (*target_addr, lladdr.as_ref().map(mac), None)
        }
        Icmpv6Repr::Ndisc(NdiscRepr::NeighborAdvert { flags, target_addr, lladdr }) => {
            (*target_addr, lladdr.as_ref().map(mac), Some(*flags))
        }
        other => panic!("not a neighbour message: {other:?}"),
    });
    (way, target, mac, flags)
}
