//! TCP: a view holds a whole segment, split into header, options and payload.
//!
//! RFC 9293 section 3.1. The walk over options is bounded by the data offset and prepared for any
//! length an option may claim (RFC 9293, MUST-7 and MUST-68).

use bitflags::bitflags;
use zerocopy::byteorder::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Malformed;

/// Bytes of a header without options.
pub const TCP_BYTES: usize = size_of::<TcpHeader>();

/// The largest window scale shift that may be used, RFC 7323 section 2.3.
pub const MAX_WINDOW_SCALE: u8 = 14;

/// Kinds of options (IANA "TCP Option Kind Numbers").
pub mod option {
    /// End of option list, 1 byte.
    pub const END: u8 = 0;
    /// No operation, 1 byte.
    pub const NOP: u8 = 1;
    /// Maximum segment size, 4 bytes, RFC 9293 section 3.7.1.
    pub const MSS: u8 = 2;
    /// Window scale, 3 bytes, RFC 7323 section 2.2.
    pub const WINDOW_SCALE: u8 = 3;
    /// SACK permitted, 2 bytes, RFC 2018 section 2.
    pub const SACK_PERMITTED: u8 = 4;
    /// Timestamps, 10 bytes, RFC 7323 section 3.2.
    pub const TIMESTAMPS: u8 = 8;
}

bitflags! {
    /// The control bits, RFC 9293 section 3.1.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct TcpFlags: u8 {
        /// No more data from sender.
        const FIN = 1;
        /// Synchronize sequence numbers.
        const SYN = 2;
        /// Reset the connection.
        const RST = 4;
        /// Push function.
        const PSH = 8;
        /// The acknowledgment field is significant.
        const ACK = 16;
        /// The urgent pointer is significant.
        const URG = 32;
        /// ECN echo, RFC 3168 section 6.1.
        const ECE = 64;
        /// Congestion window reduced, RFC 3168 section 6.1.
        const CWR = 128;
    }
}

/// The fixed TCP header, 20 bytes.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug, PartialEq, Eq,
)]
#[repr(C)]
pub struct TcpHeader {
    /// Source port.
    pub source_port: U16,
    /// Destination port.
    pub destination_port: U16,
    /// Sequence number of the first payload byte, or of the SYN.
    pub sequence: U32,
    /// The next sequence number expected; significant with ACK.
    pub acknowledgment: U32,
    /// Data offset (4 bits, in 32-bit words) and reserved bits (4).
    pub offset_reserved: u8,
    /// Control bits; [`TcpHeader::flags`] names them.
    pub flags: u8,
    /// Receive window, bytes before scaling.
    pub window: U16,
    /// Checksum of pseudo-header, header, options and payload.
    pub checksum: U16,
    /// Urgent pointer; significant with URG.
    pub urgent: U16,
}

impl TcpHeader {
    /// The control bits.
    #[inline]
    #[must_use]
    pub const fn flags(&self) -> TcpFlags {
        TcpFlags::from_bits_retain(self.flags)
    }

    /// Bytes of the header the data offset claims, 0 to 60.
    #[inline]
    #[must_use]
    pub const fn claimed_bytes(&self) -> u8 {
        (self.offset_reserved >> 4) * 4
    }
}

/// A whole TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp<'a> {
    /// The fixed part of the header.
    pub header: &'a TcpHeader,
    /// Bytes of the header with its options: 20 to 60, a multiple of 4.
    pub header_bytes: u8,
    /// The options, 0 to 40 bytes; [`TcpOptions::parse`] reads them.
    pub options: &'a [u8],
    /// The data.
    pub payload: &'a [u8],
}

impl<'a> Tcp<'a> {
    /// Views the payload of an IP packet, which must hold the segment and nothing more. The
    /// checksum is not verified here.
    #[inline]
    pub fn parse(segment: &'a [u8]) -> Result<Self, Malformed> {
        let (header, rest) =
            TcpHeader::ref_from_prefix(segment).map_err(|_| Malformed::Truncated)?;
        let header_bytes = header.claimed_bytes();
        let (options, payload) = usize::from(header_bytes)
            .checked_sub(TCP_BYTES)
            .and_then(|options_bytes| rest.split_at_checked(options_bytes))
            .ok_or(Malformed::HeaderLength)?;
        Ok(Self { header, header_bytes, options, payload })
    }

    /// The control bits.
    #[inline]
    #[must_use]
    pub const fn flags(&self) -> TcpFlags {
        self.header.flags()
    }
}

/// The options this stack understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpOptions {
    /// Maximum segment size, bytes.
    pub mss: Option<u16>,
    /// Shift of the receive window, 0 to [`MAX_WINDOW_SCALE`]: a larger one is used as the maximum.
    pub window_scale: Option<u8>,
    /// The sender accepts selective acknowledgments.
    pub sack_permitted: bool,
    /// Timestamp value and timestamp echo reply.
    pub timestamps: Option<(u32, u32)>,
}

impl TcpOptions {
    /// Reads the options of a segment up to their end or [`option::END`]. Unknown kinds are
    /// skipped; where a kind repeats, the last one counts.
    #[inline]
    pub fn parse(options: &[u8]) -> Result<Self, Malformed> {
        // What we send ourselves needs no walk.
        if let [option::MSS, 4, high, low, option::NOP, option::WINDOW_SCALE, 3, shift] = *options {
            let mss = Some(u16::from_be_bytes([high, low]));
            let window_scale = Some(MAX_WINDOW_SCALE.min(shift));
            return Ok(Self { mss, window_scale, ..Self::default() });
        }
        Self::walk(options)
    }

    #[inline(never)]
    fn walk(mut options: &[u8]) -> Result<Self, Malformed> {
        let mut found = Self::default();
        while let Some((&kind, rest)) = options.split_first() {
            options = match kind {
                option::END => break,
                option::NOP => rest,
                _ => {
                    let (data, next) = split_option(rest).ok_or(Malformed::Options)?;
                    found.take(kind, data).ok_or(Malformed::Options)?;
                    next
                }
            };
        }
        Ok(found)
    }

    /// Takes one option in; none if its data is not what its kind demands.
    fn take(&mut self, kind: u8, data: &[u8]) -> Option<()> {
        match kind {
            option::MSS => self.mss = Some(u16::from_be_bytes(data.try_into().ok()?)),
            option::WINDOW_SCALE => {
                let [shift] = data.try_into().ok()?;
                self.window_scale = Some(MAX_WINDOW_SCALE.min(shift));
            }
            option::SACK_PERMITTED => {
                let [] = data.try_into().ok()?;
                self.sack_permitted = true;
            }
            option::TIMESTAMPS => {
                let [value, echo] = <[U32; 2]>::read_from_bytes(data).ok()?;
                self.timestamps = Some((value.get(), echo.get()));
            }
            _ => {}
        }
        Some(())
    }
}

/// Splits what follows an option's kind into the option's data and what follows the option. The
/// length byte counts kind and length too.
fn split_option(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(length).checked_sub(2)?)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{DATA, tcp_syn};
    use super::*;

    #[test]
    fn our_own_options_are_read_as_the_walk_reads_them() {
        for shift in 0..=255 {
            let options = [2, 4, 5, shift, 1, 3, 3, shift];
            assert_eq!(TcpOptions::parse(&options), TcpOptions::walk(&options));
            for at in 0..8 {
                let mut changed = options;
                changed[at] ^= 1;
                assert_eq!(TcpOptions::parse(&changed), TcpOptions::walk(&changed));
            }
        }
    }

    #[test]
    fn accepts_the_oracles_segment() {
        let bytes = tcp_syn();
        let tcp = Tcp::parse(&bytes).unwrap();
        assert_eq!(tcp.flags(), TcpFlags::SYN);
        assert_eq!(tcp.header.source_port.get(), 40000);
        assert_eq!(tcp.header.destination_port.get(), 80);
        assert_eq!(tcp.header.sequence.get(), 0x0102_0304);
        assert_eq!(tcp.header.window.get(), 65535);
        assert_eq!(tcp.payload, DATA);
        let options = TcpOptions {
            mss: Some(1460),
            window_scale: Some(13),
            sack_permitted: true,
            timestamps: Some((11, 22)),
        };
        assert_eq!(TcpOptions::parse(tcp.options), Ok(options));
    }

    #[test]
    fn every_prefix_is_refused_up_to_the_data() {
        let bytes = tcp_syn();
        let header_bytes = bytes.len() - DATA.len();
        for length in 0..header_bytes {
            let lie = if length < 20 { Malformed::Truncated } else { Malformed::HeaderLength };
            assert_eq!(Tcp::parse(&bytes[..length]), Err(lie), "{length} bytes");
        }
        assert!(Tcp::parse(&bytes[..header_bytes]).unwrap().payload.is_empty());
    }

    #[test]
    fn every_data_offset_is_held_to_its_word() {
        let mut bytes = [0; 48];
        for words in 0..16_u8 {
            bytes[12] = words << 4 | 0x0f;
            match Tcp::parse(&bytes) {
                Ok(tcp) => assert_eq!((tcp.header_bytes, tcp.payload.len()), {
                    assert!((5..=12).contains(&words));
                    (words * 4, 48 - usize::from(words) * 4)
                }),
                Err(lie) => {
                    assert_eq!(lie, Malformed::HeaderLength);
                    assert!(!(5..=12).contains(&words));
                }
            }
        }
    }

    #[test]
    fn flags_are_where_the_rfc_draws_them() {
        let mut bytes = [0; 20];
        (bytes[12], bytes[13]) = (0x50, 0xff);
        assert_eq!(Tcp::parse(&bytes).unwrap().flags(), TcpFlags::all());
        bytes[13] = 0x12;
        assert_eq!(Tcp::parse(&bytes).unwrap().flags(), TcpFlags::SYN | TcpFlags::ACK);
    }

    #[test]
    fn options_end_where_they_say_and_unknown_ones_are_skipped() {
        let none = TcpOptions::default();
        assert_eq!(TcpOptions::parse(&[]), Ok(none));
        assert_eq!(TcpOptions::parse(&[1; 40]), Ok(none));
        assert_eq!(TcpOptions::parse(&[0, 2, 0, 0]), Ok(none));
        assert_eq!(TcpOptions::parse(&[254, 2, 253, 3, 7, 1]), Ok(none));
        let scaled = TcpOptions { window_scale: Some(14), ..none };
        assert_eq!(TcpOptions::parse(&[99, 4, 2, 4, 3, 3, 200, 0]), Ok(scaled));
    }

    #[test]
    fn option_lengths_that_lie_are_refused() {
        for kind in 2..=255 {
            assert_eq!(TcpOptions::parse(&[kind]), Err(Malformed::Options));
            assert_eq!(TcpOptions::parse(&[kind, 0, 0, 0]), Err(Malformed::Options));
            assert_eq!(TcpOptions::parse(&[kind, 1, 0, 0]), Err(Malformed::Options));
            assert_eq!(TcpOptions::parse(&[1, kind, 4, 0]), Err(Malformed::Options));
        }
        for (kind, right) in [(2, 4), (3, 3), (4, 2), (8, 10)] {
            for length in 0..=40 {
                let mut options = [1; 40];
                options[..2].copy_from_slice(&[kind, length]);
                assert_eq!(TcpOptions::parse(&options).is_ok(), length == right, "{kind} {length}");
            }
        }
    }
}
