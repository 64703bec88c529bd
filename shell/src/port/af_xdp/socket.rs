//! One XDP socket with its memory and its rings (Documentation/networking/af_xdp.rst), bound to one
//! receive queue of an interface.
#![allow(unsafe_code)]

use core::ptr::NonNull;
use std::io::{Error, Result};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use super::ring::{self, Ring};
use crate::port::socket_option::{get, set};

/// Chunks of one socket's memory: what its rings hold and what a worker's trays hold.
pub(super) const CHUNKS: u32 = 6144;
/// Entries of the ring of empty chunks and of the ring of received frames: what comes in the eight
/// milliseconds that a virtual machine's processor may be away.
const RX_ENTRIES: u32 = 4096;
/// Entries of the ring of frames to be sent and of the ring of sent ones.
const TX_ENTRIES: u32 = 1024;
/// What the kernel keeps free before a received frame (linux/bpf.h: XDP_PACKET_HEADROOM).
pub(super) const HEADROOM: usize = 256;

// The smallest entries fill whole pages, by which `ring::bytes` reckons.
const _: () = assert!((TX_ENTRIES as usize * size_of::<u64>()).is_multiple_of(ring::PAGE));

/// Bytes of one socket's memory with chunks of `chunk_bytes`, its rings included.
pub(super) fn bytes(chunk_bytes: usize) -> usize {
    let of_each = [ring::bytes::<u64>, ring::bytes::<libc::xdp_desc>];
    let rings = of_each.map(|bytes| bytes(RX_ENTRIES) + bytes(TX_ENTRIES));
    in_chunks(chunk_bytes) + rings.iter().sum::<usize>()
}

fn in_chunks(chunk_bytes: usize) -> usize {
    CHUNKS as usize * chunk_bytes
}

/// How frames get between the device and our memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Copying {
    /// The device works on our memory.
    Zero,
    /// The kernel copies.
    Copied,
}

/// Memory for frames: [`CHUNKS`] equal chunks.
pub(super) struct Chunks {
    base: NonNull<u8>,
    chunk_bytes: usize,
}

// SAFETY: the mapping belongs to this value alone and to no thread.
unsafe impl Send for Chunks {}

impl Chunks {
    fn map(chunk_bytes: usize) -> Result<Chunks> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
        let bytes = in_chunks(chunk_bytes);
        // SAFETY: a new mapping at an address of the kernel's choice.
        let base = unsafe { libc::mmap(core::ptr::null_mut(), bytes, access, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(Error::from_raw_os_error(libc::ENOMEM))?;
        Ok(Chunks { base, chunk_bytes })
    }

    /// Bytes of one chunk.
    pub(super) fn chunk_bytes(&self) -> usize {
        self.chunk_bytes
    }

    /// Where the byte at `offset` lies; none if it is behind the end.
    pub(super) fn at(&self, offset: u64) -> Option<NonNull<u8>> {
        let offset = usize::try_from(offset).ok()?;
        // SAFETY: inside the mapping.
        (offset < in_chunks(self.chunk_bytes)).then(|| unsafe { self.base.add(offset) })
    }

    /// The offset of a byte of this memory; none if it lies elsewhere.
    pub(super) fn offset(&self, at: *const u8) -> Option<u64> {
        let offset = (at as usize).checked_sub(self.base.as_ptr() as usize)?;
        (offset < in_chunks(self.chunk_bytes)).then_some(offset as u64)
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        let bytes = in_chunks(self.chunk_bytes);
        // SAFETY: mapped in `map` with this length; whoever drops it knows that no frame is out.
        unsafe { libc::munmap(self.base.as_ptr().cast(), bytes) };
    }
}

/// A bound socket.
pub(super) struct Socket {
    // The socket before its memory: the kernel must let go of it first.
    pub(super) fd: OwnedFd,
    pub(super) rx: Ring<libc::xdp_desc>,
    pub(super) tx: Ring<libc::xdp_desc>,
    /// Empty chunks for the kernel.
    pub(super) fill: Ring<u64>,
    /// Chunks that were sent.
    pub(super) sent: Ring<u64>,
    /// How frames get to and from the device.
    pub(super) copying: Copying,
}

/// A socket on `queue` of `interface`, with its memory. Without copying where the device can.
pub(super) fn open(interface: u32, queue: u32, chunk_bytes: usize) -> Result<(Socket, Chunks)> {
    bound(interface, queue, chunk_bytes, Copying::Zero)
        .or_else(|_| bound(interface, queue, chunk_bytes, Copying::Copied))
}

fn bound(
    interface: u32,
    queue: u32,
    chunk_bytes: usize,
    copying: Copying,
) -> Result<(Socket, Chunks)> {
    // SAFETY: no memory is involved.
    let fd = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(Error::last_os_error());
    }
    // SAFETY: a new descriptor that nobody else owns.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let chunks = Chunks::map(chunk_bytes)?;
    register(&fd, &chunks)?;
    let rings = [
        (libc::XDP_UMEM_FILL_RING, RX_ENTRIES),
        (libc::XDP_UMEM_COMPLETION_RING, TX_ENTRIES),
        (libc::XDP_RX_RING, RX_ENTRIES),
        (libc::XDP_TX_RING, TX_ENTRIES),
    ];
    for (ring, entries) in rings {
        set(fd.as_fd(), libc::SOL_XDP, ring, &entries)?;
    }
    // SAFETY: all-zero is valid: plain numbers.
    let mut offsets: libc::xdp_mmap_offsets = unsafe { core::mem::zeroed() };
    get(fd.as_fd(), libc::SOL_XDP, libc::XDP_MMAP_OFFSETS, &mut offsets)?;
    let (fill, sent) = (libc::XDP_UMEM_PGOFF_FILL_RING, libc::XDP_UMEM_PGOFF_COMPLETION_RING);
    let socket = Socket {
        rx: Ring::map(&fd, libc::XDP_PGOFF_RX_RING, offsets.rx, RX_ENTRIES)?,
        tx: Ring::map(&fd, libc::XDP_PGOFF_TX_RING, offsets.tx, TX_ENTRIES)?,
        fill: Ring::map(&fd, fill as libc::off_t, offsets.fr, RX_ENTRIES)?,
        sent: Ring::map(&fd, sent as libc::off_t, offsets.cr, TX_ENTRIES)?,
        copying,
        fd,
    };
    let how = match copying {
        Copying::Zero => libc::XDP_ZEROCOPY,
        Copying::Copied => libc::XDP_COPY,
    };
    let address = libc::sockaddr_xdp {
        sxdp_family: libc::AF_XDP as _,
        sxdp_flags: how | libc::XDP_USE_NEED_WAKEUP,
        sxdp_ifindex: interface,
        sxdp_queue_id: queue,
        sxdp_shared_umem_fd: 0,
    };
    let (len, address) = (size_of_val(&address) as libc::socklen_t, &raw const address);
    // SAFETY: the address is of the family's type and of the length said.
    let rc = unsafe { libc::bind(socket.fd.as_raw_fd(), address.cast(), len) };
    if rc < 0 { Err(Error::last_os_error()) } else { Ok((socket, chunks)) }
}

fn register(fd: &OwnedFd, chunks: &Chunks) -> Result<()> {
    // SAFETY: all-zero is valid: plain numbers.
    let mut memory: libc::xdp_umem_reg = unsafe { core::mem::zeroed() };
    memory.addr = chunks.base.as_ptr() as u64;
    memory.len = in_chunks(chunks.chunk_bytes) as u64;
    memory.chunk_size = chunks.chunk_bytes as u32;
    set(fd.as_fd(), libc::SOL_XDP, libc::XDP_UMEM_REG, &memory)
}

impl Socket {
    /// Makes the kernel send what lies in the ring; it takes 32 frames a call.
    pub(super) fn kick_tx(&self) -> Result<()> {
        let (fd, none) = (self.fd.as_raw_fd(), core::ptr::null());
        // SAFETY: no bytes are sent, no address is given.
        let rc = unsafe { libc::sendto(fd, none, 0, libc::MSG_DONTWAIT, core::ptr::null(), 0) };
        if rc < 0 { Err(Error::last_os_error()) } else { Ok(()) }
    }

    /// Makes a sleeping driver look for empty chunks.
    pub(super) fn kick_rx(&self) {
        let (fd, none) = (self.fd.as_raw_fd(), core::ptr::null_mut());
        // SAFETY: no bytes are received, no address is asked for.
        unsafe { libc::recv(fd, none, 0, libc::MSG_DONTWAIT) };
    }

    /// What the kernel counted.
    pub(super) fn statistics(&self) -> libc::xdp_statistics {
        // SAFETY: all-zero is valid: plain numbers.
        let mut counts: libc::xdp_statistics = unsafe { core::mem::zeroed() };
        let _ = get(self.fd.as_fd(), libc::SOL_XDP, libc::XDP_STATISTICS, &mut counts);
        counts
    }
}
