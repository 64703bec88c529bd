//! Where rings and buffers lie in the memory that the connecting end makes: all rings first, those
//! to the listener before the others, then every ring's buffers, one for each descriptor.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use anyhow::{Context, Result};

use super::message::{AddRing, TO_LISTENER};
use super::region::Region;
use super::ring::{self, Direction, Ring};
use crate::port::buffers;

const PAGE: usize = 4096;

/// The only region's number.
const REGION: u16 = 0;

/// What is in the region.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Rings each way.
    pub(super) queues: u16,
    pub(super) log2_size: u8,
    /// The longest frame, with all that may come on top.
    pub(super) frame_bytes: u16,
}

impl Layout {
    /// Bytes of the region.
    pub(super) fn bytes(&self) -> usize {
        let descriptors = (2 * u32::from(self.queues)) << self.log2_size;
        self.buffers_at() + buffers::bytes(self.frame_bytes, descriptors)
    }

    /// Bytes of a buffer.
    pub(super) fn buffer_bytes(&self) -> u32 {
        buffers::bytes(self.frame_bytes, 1) as u32
    }

    fn buffers_at(&self) -> usize {
        let rings = 2 * usize::from(self.queues) * ring::bytes(self.log2_size);
        rings.next_multiple_of(PAGE)
    }

    /// The rings as they are told to the listener, in order.
    pub(super) fn rings(&self) -> Vec<AddRing> {
        let told = |ring: u16| AddRing {
            flags: if ring < self.queues { TO_LISTENER } else { 0 }.into(),
            index: (ring % self.queues).into(),
            region: REGION.into(),
            offset_bytes: (u32::from(ring) * ring::bytes(self.log2_size) as u32).into(),
            log2_size: self.log2_size,
            private_header_bytes: 0.into(),
        };
        (0..2 * self.queues).map(told).collect()
    }

    /// Makes the memory: its file, and its rings in the order of [`Layout::rings`].
    pub(super) fn create(&self) -> Result<(OwnedFd, Vec<Ring>)> {
        let bytes = self.bytes();
        u32::try_from(bytes).context("rings and buffers of more than 4 GiB: use fewer workers")?;
        let (region, file) = Region::create(bytes)?;
        let regions: Arc<[Region]> = Arc::new([region]);
        let mut buffer = self.buffers_at() as u32;
        let mut rings = Vec::new();
        for told in self.rings() {
            let direction = Direction::of(told.flags.get());
            let at = (REGION, told.offset_bytes.get());
            let ring = Ring::new(&regions, at, self.log2_size, direction);
            let ring = ring.context("a ring outside of its memory")?;
            for index in 0..1 << self.log2_size {
                ring.set_buffer(index, (REGION, buffer), self.buffer_bytes());
                buffer += self.buffer_bytes();
            }
            ring.mark();
            rings.push(ring);
        }
        Ok((file, rings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_overlaps_and_all_is_inside() {
        for (queues, log2_size, frame_bytes) in [(1, 4, 60), (2, 10, 1518), (3, 5, 9018)] {
            let layout = Layout { queues, log2_size, frame_bytes };
            let (_file, rings) = layout.create().unwrap();
            assert_eq!(rings.len(), 2 * usize::from(queues));
            let last = rings.last().unwrap().buffer_of((1 << log2_size) - 1);
            assert_eq!(last.room, last.bytes, "the region ends with its last buffer");
            assert!(last.bytes >= frame_bytes.into());
            let first = rings[0].buffer_of(0);
            let rings_end = rings.len() * ring::bytes(log2_size);
            assert!(layout.bytes() - first.room >= rings_end, "buffers begin behind the rings");
        }
    }
}
