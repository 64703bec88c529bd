//! The messages with which two ends of a memif agree (protocol version 2.0 of FD.io's shared memory
//! packet interface): 128 bytes each, in this machine's byte order, which is little-endian.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Every message has this length, whatever it says.
pub(super) const MESSAGE_BYTES: usize = 128;

/// Major version 2, minor version 0.
pub(super) const VERSION: u16 = 2 << 8;

/// The bit of [`AddRing::flags`] that names the direction: from the end that connects to the end
/// that listens.
pub(super) const TO_LISTENER: u16 = 1;

/// A name or a reason: padded with zeros.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(transparent)]
pub(super) struct Text<const N: usize>([u8; N]);

impl<const N: usize> Text<N> {
    /// As much of `text` as there is room for, with a zero behind it.
    pub(super) fn new(text: &str) -> Text<N> {
        let mut bytes = [0; N];
        let len = text.len().min(N - 1);
        bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
        Text(bytes)
    }

    /// What stands before the first zero, in characters that harm no terminal.
    pub(super) fn printable(&self) -> String {
        let text = self.0.split(|byte| *byte == 0).next().unwrap_or_default();
        let shown = |byte: &u8| if (b' '..0x7f).contains(byte) { char::from(*byte) } else { '?' };
        text.iter().map(shown).collect()
    }
}

impl<const N: usize> std::fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.printable())
    }
}

/// What the listening end can do.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub(super) struct Hello {
    pub(super) name: Text<32>,
    pub(super) min_version: U16,
    pub(super) max_version: U16,
    /// The highest index of a region.
    pub(super) max_region: U16,
    /// The highest index of a ring from the listener.
    pub(super) max_from_listener: U16,
    /// The highest index of a ring to the listener.
    pub(super) max_to_listener: U16,
    pub(super) max_log2_ring_size: u8,
}

/// Which interface the connecting end wants.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub(super) struct Init {
    pub(super) version: U16,
    pub(super) id: U32,
    /// 0: Ethernet frames.
    pub(super) mode: u8,
    pub(super) secret: Text<24>,
    pub(super) name: Text<32>,
}

/// Memory that comes along as a file.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub(super) struct AddRegion {
    pub(super) index: U16,
    pub(super) bytes: U64,
}

/// A ring in that memory; a counter to wake its receiver comes along as a file.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub(super) struct AddRing {
    pub(super) flags: U16,
    pub(super) index: U16,
    pub(super) region: U16,
    pub(super) offset_bytes: U32,
    pub(super) log2_size: u8,
    pub(super) private_header_bytes: U16,
}

/// Why the other end is let go.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub(super) struct Disconnect {
    pub(super) code: U32,
    pub(super) reason: Text<96>,
}

/// One message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Message {
    Ack,
    Hello(Hello),
    Init(Init),
    AddRegion(AddRegion),
    AddRing(AddRing),
    /// With the name of the interface at the end that connects.
    Connect(Text<32>),
    /// With the name of the interface at the end that listens.
    Connected(Text<32>),
    Disconnect(Disconnect),
}

impl Message {
    /// The message on the wire.
    pub(super) fn encode(&self) -> [u8; MESSAGE_BYTES] {
        let (kind, body): (u16, &[u8]) = match self {
            Message::Ack => (1, &[]),
            Message::Hello(body) => (2, body.as_bytes()),
            Message::Init(body) => (3, body.as_bytes()),
            Message::AddRegion(body) => (4, body.as_bytes()),
            Message::AddRing(body) => (5, body.as_bytes()),
            Message::Connect(body) => (6, body.as_bytes()),
            Message::Connected(body) => (7, body.as_bytes()),
            Message::Disconnect(body) => (8, body.as_bytes()),
        };
        let mut bytes = [0; MESSAGE_BYTES];
        bytes[..2].copy_from_slice(&kind.to_le_bytes());
        bytes[2..][..body.len()].copy_from_slice(body);
        bytes
    }

    /// The message that these bytes are; `None` if they are none.
    pub(super) fn decode(bytes: &[u8; MESSAGE_BYTES]) -> Option<Message> {
        fn body<T: FromBytes + Immutable + KnownLayout + Unaligned>(bytes: &[u8]) -> Option<T> {
            T::read_from_prefix(bytes).ok().map(|(body, _)| body)
        }
        let ([kind, high], rest) = bytes.split_first_chunk()?;
        match u16::from_le_bytes([*kind, *high]) {
            1 => Some(Message::Ack),
            2 => body(rest).map(Message::Hello),
            3 => body(rest).map(Message::Init),
            4 => body(rest).map(Message::AddRegion),
            5 => body(rest).map(Message::AddRing),
            6 => body(rest).map(Message::Connect),
            7 => body(rest).map(Message::Connected),
            8 => body(rest).map(Message::Disconnect),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offsets and numbers are those of the protocol, byte by byte.
    #[test]
    fn a_ring_is_told_as_the_protocol_says() {
        let ring = Message::AddRing(AddRing {
            flags: TO_LISTENER.into(),
            index: 2.into(),
            region: 3.into(),
            offset_bytes: 0x1234_5678.into(),
            log2_size: 10,
            private_header_bytes: 0.into(),
        });
        let bytes = ring.encode();
        assert_eq!(bytes[..15], [5, 0, 1, 0, 2, 0, 3, 0, 0x78, 0x56, 0x34, 0x12, 10, 0, 0]);
        assert!(bytes[15..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn every_message_is_read_as_it_was_written() {
        let name = Text::new("a-name");
        let all = [
            Message::Ack,
            Message::Hello(Hello {
                name,
                min_version: VERSION.into(),
                max_version: VERSION.into(),
                max_region: 1.into(),
                max_from_listener: 2.into(),
                max_to_listener: 3.into(),
                max_log2_ring_size: 14,
            }),
            Message::Init(Init {
                version: VERSION.into(),
                id: 7.into(),
                mode: 0,
                secret: Text::new("secret"),
                name,
            }),
            Message::AddRegion(AddRegion { index: 1.into(), bytes: (1 << 40).into() }),
            Message::Connect(name),
            Message::Connected(name),
            Message::Disconnect(Disconnect { code: 1.into(), reason: Text::new("no room") }),
        ];
        for message in all {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
        for kind in [0, 9, 0xffff] {
            let mut bytes = Message::Ack.encode();
            bytes[..2].copy_from_slice(&u16::to_le_bytes(kind));
            assert_eq!(Message::decode(&bytes), None, "{kind}");
        }
    }

    #[test]
    fn a_text_is_cut_where_it_has_no_room_and_harms_no_terminal() {
        assert_eq!(Text::<4>::new("abcdef").printable(), "abc");
        assert_eq!(Text::<8>([b'a', 7, 27, b'b', 0, b'c', 0, 0]).printable(), "a??b");
        assert_eq!(Text::<2>([b'x'; 2]).printable(), "xx");
    }
}
