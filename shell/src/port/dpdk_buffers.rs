//! How many packet buffers DPDK's ports need and what memory they take: plain arithmetic, by which
//! the pools are made and which a plan tells where DPDK is not built in.

use dperf_core::frame::TRAY_PLACES;

/// Descriptors of each ring of a port.
pub const DESCRIPTORS: u16 = 2048;
/// Places of each ring of a way to the kernel (vhost-net).
pub const TO_KERNEL_DESCRIPTORS: u16 = 512;
/// Queues of a virtio-user device, at most (DPDK: VIRTIO_MAX_VIRTQUEUE_PAIRS).
pub const TO_KERNEL_QUEUES: usize = 8;

/// Buffers each thread keeps at hand.
pub(super) const CACHE: u32 = 256;
/// Bytes before a frame in its buffer (DPDK: RTE_PKTMBUF_HEADROOM).
pub(super) const HEADROOM: u16 = 128;
/// What the pool adds to each buffer: the mbuf and the pool's own mark, both in whole cache lines.
pub(super) const OBJECT_BYTES: u64 = 128 + 64;
/// Packets of LACP under way on one member, at most.
const LACP_PACKETS: u32 = 64;
/// Packets of mode 6 that one member may hold beside the load's.
const ADAPTIVE_PACKETS: u32 = 512;

/// Where DPDK takes its memory from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Memory {
    /// Huge pages.
    Huge,
    /// Ordinary pages: works everywhere, with more TLB misses.
    Ordinary,
}

impl Memory {
    /// Bytes that so many objects of `bytes` each take: none lies across the end of a page that it
    /// would fit into, of which in huge pages next to nothing is left over.
    fn of_objects(self, count: u64, bytes: u64) -> u64 {
        const PAGE: u64 = 4096;
        match (self, PAGE / bytes) {
            (Memory::Huge, _) => count * bytes,
            (Memory::Ordinary, 0) => count * bytes.next_multiple_of(PAGE),
            (Memory::Ordinary, per_page) => count.div_ceil(per_page) * PAGE,
        }
    }
}

/// What a port's buffers depend on.
#[derive(Clone, Copy, Debug)]
pub struct Buffers<'d> {
    /// Its device, or the members of a bond.
    pub devices: &'d [String],
    /// The bond's mode, if it is one.
    pub bond_mode: Option<u8>,
    /// Receive and transmit queues, one pair per worker.
    pub queues: u16,
    /// The longest frame: MTU + 14.
    pub frame_bytes: u16,
}

impl Buffers<'_> {
    /// Buffers for one queue whose rings have so many descriptors (receive, transmit): both full,
    /// of every member if it is a bond, a tray on each side of the worker twice over, and two
    /// threads' caches, which fill to one and a half times their size.
    pub(super) fn of_queue(&self, rx: u16, tx: u16) -> u32 {
        let rings: u32 = self.devices.iter().map(|device| held(device, rx, tx)).sum();
        rings + 4 * TRAY_PLACES as u32 + 3 * CACHE
    }

    /// MiB to be set aside for a port whose rings have so many descriptors each.
    pub fn memory_mb(&self, descriptors: u16, memory: Memory) -> u32 {
        let queues = u32::from(self.queues);
        let frames = queues * self.of_queue(descriptors, descriptors);
        let more = self.of_bond(queues * u32::from(descriptors));
        let bytes = memory.of_objects(u64::from(frames + more), self.bytes_per_frame());
        // A quarter more for the pools' own rings and caches and what pages leave over.
        ((bytes + bytes / 4) >> 20) as u32 + 8
    }

    /// Buffers beside the queues' own, if all rings of one direction have `descriptors` places.
    fn of_bond(&self, descriptors: u32) -> u32 {
        let of_member = match self.bond_mode {
            Some(4) => descriptors + LACP_PACKETS,
            Some(6) => ADAPTIVE_PACKETS,
            _ => 0,
        };
        of_member * self.devices.len() as u32
    }

    /// The room for one frame: in whole KiB, as some receive rings count, and never below 2 KiB,
    /// which packet sockets and memif fill whatever the MTU; with space for two VLAN tags and the
    /// FCS.
    pub(super) fn room(&self) -> u16 {
        let wanted = u32::from(self.frame_bytes) + 2 * 4 + 4;
        let most = u32::from(u16::MAX - HEADROOM) / 1024 * 1024;
        wanted.next_multiple_of(1024).clamp(2048, most) as u16
    }

    /// Memory one frame takes.
    fn bytes_per_frame(&self) -> u64 {
        u64::from(self.room()) + u64::from(HEADROOM) + OBJECT_BYTES
    }
}

/// MiB to be set aside for one port's way to the kernel, if that is DPDK's (vhost-net).
pub fn to_kernel_mb(frame_bytes: u16, workers: usize, memory: Memory) -> u32 {
    let devices = &["virtio_user".to_owned()];
    // More workers than there are queues share one.
    let queues = if workers <= TO_KERNEL_QUEUES { workers as u16 } else { 1 };
    let buffers = Buffers { devices, bond_mode: None, queues, frame_bytes };
    buffers.memory_mb(TO_KERNEL_DESCRIPTORS, memory)
}

/// Buffers that a driver really holds with rings of so many descriptors (receive, transmit).
fn held(device: &str, rx: u16, tx: u16) -> u32 {
    // Its rings have fixed sizes: 2048 to fill, 2048 to send and 2048 sent.
    let (rx, tx) =
        if device.starts_with("net_af_xdp") { (rx.max(2048), tx.max(4096)) } else { (rx, tx) };
    u32::from(rx) + u32::from(tx)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bond_needs_the_rings_of_all_its_members_and_its_own() {
        let devices = ["81:10.0".to_owned(), "81:10.1".to_owned()];
        let of = |devices, bond_mode| Buffers { devices, bond_mode, queues: 2, frame_bytes: 1514 };
        let (one, both) = (of(&devices[..1], None), of(&devices, Some(4)));
        assert_eq!(both.of_queue(100, 50) - one.of_queue(100, 50), 150);
        assert_eq!((one.of_bond(200), both.of_bond(200)), (0, 2 * 264));
        let mb = |of: Buffers<'_>| of.memory_mb(100, Memory::Huge);
        assert!(mb(both) > mb(one));
    }

    #[test]
    fn no_object_lies_across_an_ordinary_page() {
        let of = |bytes| Memory::Ordinary.of_objects(10, bytes);
        assert_eq!([1000, 2048, 2368, 4096, 5000].map(of), [3, 5, 10, 10, 20].map(|n| n * 4096));
        assert_eq!(Memory::Huge.of_objects(10, 2368), 23_680);
    }

    #[test]
    fn a_buffer_has_room_for_tags_in_whole_kilobytes() {
        let room =
            |frame_bytes| Buffers { devices: &[], bond_mode: None, queues: 1, frame_bytes }.room();
        assert_eq!([60, 1514, 2036, 2037, 9014].map(room), [2048, 2048, 2048, 3072, 9216]);
    }
}
