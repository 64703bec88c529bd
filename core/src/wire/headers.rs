//! The headers of the usual segment in one view: Ethernet, IPv4 and TCP, none with options.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::ethernet::EthernetHeader;
use super::ipv4::Ipv4Header;
use super::tcp::TcpHeader;

/// Ethernet, IPv4 without options, TCP without options: 54 bytes.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug, PartialEq, Eq,
)]
#[repr(C)]
pub struct Headers {
    /// Ethernet.
    pub ethernet: EthernetHeader,
    /// IPv4, IHL 5.
    pub ip: Ipv4Header,
    /// TCP, data offset 5.
    pub tcp: TcpHeader,
}

/// Bytes of [`Headers`].
pub const HEADERS_BYTES: usize = size_of::<Headers>();

const _: () = assert!(HEADERS_BYTES == 54);
