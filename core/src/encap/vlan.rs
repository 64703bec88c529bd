//! One VLAN tag, or two, between a frame's addresses and its ethertype (IEEE 802.1Q clause 9).

use super::Stripped;
use crate::frame::Frame;
use crate::plan::Vlan;
use crate::stats::Count;
use crate::wire::ethernet::{VLAN_BYTES, ethertype};

/// Bytes before the first tag: the two MAC addresses.
const ADDRESSES: usize = 12;
/// Of a tag's control information only the identifier is compared: priority and the mark of what
/// may be dropped first are the network's own.
const TAG_MASK: u32 = 0xffff_0fff;

/// The tags of every frame.
#[derive(Clone, Debug)]
pub(super) struct Tags {
    /// As they lie in the frame; the second is unused if there is one only.
    bytes: [u8; 2 * VLAN_BYTES],
    /// Bytes of all tags: 4 or 8.
    len: usize,
    /// What the 8 bytes behind the addresses must be, and which of their bits count.
    expected: u64,
    mask: u64,
}

/// A tag as it lies in a frame.
fn tag(ethertype: u16, id: u16) -> u32 {
    u32::from(ethertype) << 16 | u32::from(id)
}

impl Tags {
    pub(super) fn new(vlan: &Vlan) -> Tags {
        let customer = tag(ethertype::VLAN, vlan.customer);
        let (first, second, mask) = match vlan.service {
            None => (customer, 0, (TAG_MASK, 0)),
            Some(id) => (tag(ethertype::QINQ, id), customer, (TAG_MASK, TAG_MASK)),
        };
        let both = |high, low| u64::from(high) << 32 | u64::from(low);
        Tags {
            bytes: both(first, second).to_be_bytes(),
            len: if vlan.service.is_some() { 2 * VLAN_BYTES } else { VLAN_BYTES },
            expected: both(first, second),
            mask: both(mask.0, mask.1),
        }
    }

    #[inline]
    pub(super) fn bytes(&self) -> u16 {
        self.len as u16
    }

    /// Moves the addresses over the tags, if they are ours.
    #[inline]
    pub(super) fn strip(&self, frame: &mut Frame) -> Stripped {
        let bytes = frame.bytes_mut();
        let Some((addresses, rest)) = bytes.split_first_chunk::<ADDRESSES>() else {
            return Stripped::Drop(Count::DropTruncated);
        };
        let Some(tags) = rest.first_chunk() else { return Stripped::Drop(Count::DropTruncated) };
        if u64::from_be_bytes(*tags) & self.mask != self.expected {
            return Stripped::Drop(Count::DropVlan);
        }
        let addresses = *addresses;
        if let Some(place) = bytes.get_mut(self.len..self.len + ADDRESSES) {
            place.copy_from_slice(&addresses);
        }
        if frame.advance(self.bytes()) {
            Stripped::Inside
        } else {
            Stripped::Drop(Count::DropTruncated)
        }
    }

    /// Moves the addresses back before the tags.
    #[inline]
    pub(super) fn wrap(&self, frame: &mut Frame) {
        frame.retreat();
        let bytes = frame.bytes_mut();
        let from = bytes.get(self.len..).and_then(<[u8]>::first_chunk::<ADDRESSES>).copied();
        let Some(addresses) = from else { return };
        if let Some((place, rest)) = bytes.split_first_chunk_mut::<ADDRESSES>() {
            *place = addresses;
            if let Some(place) = rest.get_mut(..self.len) {
                place.copy_from_slice(&self.bytes[..self.len]);
            }
        }
    }
}
