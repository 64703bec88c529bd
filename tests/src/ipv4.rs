//! IPv4 frames, made by smoltcp: what somebody else thinks they look like.

use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, Icmpv4Message, Icmpv4Packet, IpAddress,
    IpProtocol, Ipv4Address, Ipv4Packet, TcpPacket, TcpSeqNumber, UdpPacket,
};

/// From whom to whom a frame goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Way {
    /// MAC addresses: from, to.
    pub macs: [EthernetAddress; 2],
    /// Addresses: from, to.
    pub addresses: [Ipv4Address; 2],
}

impl Way {
    /// A frame with anything behind its Ethernet header.
    #[must_use]
    pub fn frame(&self, kind: EthernetProtocol, behind: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 14];
        let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
        frame.set_src_addr(self.macs[0]);
        frame.set_dst_addr(self.macs[1]);
        frame.set_ethertype(kind);
        bytes.extend(behind);
        bytes
    }

    /// The frame of a packet with an upper layer.
    #[must_use]
    pub fn packet(&self, tos: u8, protocol: IpProtocol, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 20 + payload.len()];
        let mut packet = Ipv4Packet::new_unchecked(&mut bytes[..]);
        packet.set_version(4);
        packet.set_header_len(20);
        packet.set_dscp(tos >> 2);
        packet.set_ecn(tos & 3);
        packet.set_total_len(20 + payload.len() as u16);
        packet.set_hop_limit(64);
        packet.set_next_header(protocol);
        packet.set_src_addr(self.addresses[0]);
        packet.set_dst_addr(self.addresses[1]);
        packet.payload_mut().copy_from_slice(payload);
        packet.fill_checksum();
        self.frame(EthernetProtocol::Ipv4, &bytes)
    }

    /// A segment between two ports, with the letters of its flags: number 1000, and 5000 if it
    /// acknowledges.
    #[must_use]
    pub fn segment(&self, ports: [u16; 2], flags: &str, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 20 + payload.len()];
        let mut segment = TcpPacket::new_unchecked(&mut bytes[..]);
        segment.set_src_port(ports[0]);
        segment.set_dst_port(ports[1]);
        segment.set_seq_number(TcpSeqNumber(1000));
        segment.set_header_len(20);
        segment.set_window_len(1000);
        segment.set_syn(flags.contains('S'));
        segment.set_fin(flags.contains('F'));
        segment.set_rst(flags.contains('R'));
        segment.set_ack(flags.contains('A'));
        if flags.contains('A') {
            segment.set_ack_number(TcpSeqNumber(5000));
        }
        segment.payload_mut().copy_from_slice(payload);
        let [from, to] = self.addresses.map(IpAddress::Ipv4);
        segment.fill_checksum(&from, &to);
        self.packet(0, IpProtocol::Tcp, &bytes)
    }

    /// A datagram between two ports.
    #[must_use]
    pub fn datagram(&self, ports: [u16; 2], payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 8 + payload.len()];
        let mut datagram = UdpPacket::new_unchecked(&mut bytes[..]);
        datagram.set_src_port(ports[0]);
        datagram.set_dst_port(ports[1]);
        datagram.set_len(8 + payload.len() as u16);
        datagram.payload_mut().copy_from_slice(payload);
        let [from, to] = self.addresses.map(IpAddress::Ipv4);
        datagram.fill_checksum(&from, &to);
        self.packet(0, IpProtocol::Udp, &bytes)
    }

    /// An echo request, whose sum carries all the way round when its type changes.
    #[must_use]
    pub fn ping(&self, tos: u8) -> Vec<u8> {
        let mut bytes = [0, 0, 0, 0, 0xff, 0xff, 0xf7, 0xff];
        let mut packet = Icmpv4Packet::new_unchecked(&mut bytes[..]);
        packet.set_msg_type(Icmpv4Message::EchoRequest);
        packet.fill_checksum();
        self.packet(tos, IpProtocol::Icmp, &bytes)
    }
}
