//! The receive ring that the kernel shares with us (TPACKET_V2): a slot is the kernel's or ours, as
//! its status word says, and it is back in the kernel's hands before the next one is looked at.
//!
//! Version 2 and not 3: version 3 hands over whole blocks, the last one only after a time-out of a
//! millisecond or more, which is the latency of a short connection many times over.
#![allow(unsafe_code)]

use core::ptr::NonNull;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Release};
use std::io::{Error, Result};
use std::os::fd::{AsFd, AsRawFd};

use super::set_option;

/// Frames the ring holds.
const SLOTS: u32 = 2048;

/// What the kernel asks for contiguous memory in.
const BLOCK_BYTES: usize = 1 << 17;

/// What the kernel tells about a received frame.
pub(super) struct Arrived<'r> {
    /// `TP_STATUS_*` bits.
    pub(super) status: u32,
    /// `PACKET_HOST`, `PACKET_OUTGOING` and so on.
    pub(super) kind: u8,
    /// Length of the frame as it arrived.
    pub(super) len: usize,
    /// What was taken off it, valid if the status says so.
    pub(super) vlan_tci: u16,
    pub(super) vlan_tpid: u16,
    /// As much of the frame as the slot had room for.
    pub(super) bytes: &'r [u8],
}

/// The kernel's receive ring of one socket, mapped.
pub(super) struct RxRing {
    base: NonNull<u8>,
    slot_bytes: usize,
    next: usize,
}

// SAFETY: the mapping belongs to this value alone and to no thread.
unsafe impl Send for RxRing {}

fn slot_bytes(frame_bytes: u16) -> usize {
    (libc::TPACKET2_HDRLEN + 64 + usize::from(frame_bytes)).next_power_of_two()
}

/// Bytes of a ring for frames of `frame_bytes`.
pub(super) fn bytes(frame_bytes: u16) -> usize {
    SLOTS as usize * slot_bytes(frame_bytes)
}

impl RxRing {
    /// Sets up a ring for frames of `frame_bytes` on a socket that is not bound yet.
    pub(super) fn new(socket: impl AsFd, frame_bytes: u16) -> Result<RxRing> {
        let socket = socket.as_fd();
        let version = libc::tpacket_versions::TPACKET_V2 as libc::c_int;
        set_option(socket, libc::PACKET_VERSION, &version)?;
        let slot_bytes = slot_bytes(frame_bytes);
        let block_bytes = slot_bytes.max(BLOCK_BYTES);
        let bytes = bytes(frame_bytes);
        let shape = libc::tpacket_req {
            tp_block_size: block_bytes as u32,
            tp_block_nr: (bytes / block_bytes) as u32,
            tp_frame_size: slot_bytes as u32,
            tp_frame_nr: SLOTS,
        };
        set_option(socket, libc::PACKET_RX_RING, &shape)?;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let base = unsafe {
            libc::mmap(core::ptr::null_mut(), bytes, access, flags, socket.as_raw_fd(), 0)
        };
        if base == libc::MAP_FAILED {
            return Err(Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(Error::from_raw_os_error(libc::ENOMEM))?;
        Ok(RxRing { base, slot_bytes, next: 0 })
    }

    /// Shows the next received frame to `look`, if there is one, and returns its slot.
    #[inline]
    pub(super) fn next<R>(&mut self, look: impl FnOnce(Arrived<'_>) -> R) -> Option<R> {
        // SAFETY: `next` is below SLOTS, so the slot is inside the mapping; it is page-aligned.
        let slot = unsafe { self.base.add(self.next * self.slot_bytes) };
        // SAFETY: a slot begins with its status, an aligned word that both sides use atomically.
        let status_word = unsafe { AtomicU32::from_ptr(slot.as_ptr().cast()) };
        let status = status_word.load(Acquire);
        if status & libc::TP_STATUS_USER == 0 {
            return None;
        }
        // SAFETY: the status says that the slot is ours: the kernel has filled in the header and,
        // behind it, the sender's address, and writes nothing until the status is given back.
        let (header, address) = unsafe {
            let header = slot.cast::<libc::tpacket2_hdr>().read();
            let behind = libc::TPACKET2_HDRLEN - size_of::<libc::sockaddr_ll>();
            (header, slot.add(behind).cast::<libc::sockaddr_ll>().read())
        };
        let at = usize::from(header.tp_mac).min(self.slot_bytes);
        let stored = (header.tp_snaplen as usize).min(self.slot_bytes - at);
        // SAFETY: the range is inside the slot, which is ours for the time of this call.
        let bytes = unsafe { core::slice::from_raw_parts(slot.add(at).as_ptr(), stored) };
        let result = look(Arrived {
            status,
            kind: address.sll_pkttype,
            len: header.tp_len as usize,
            vlan_tci: header.tp_vlan_tci,
            vlan_tpid: header.tp_vlan_tpid,
            bytes,
        });
        // Release: what was read here is read before the kernel writes again.
        status_word.store(libc::TP_STATUS_KERNEL, Release);
        self.next = (self.next + 1) % SLOTS as usize;
        Some(result)
    }
}

impl Drop for RxRing {
    fn drop(&mut self) {
        let bytes = self.slot_bytes * SLOTS as usize;
        // SAFETY: mapped in `new` with this length; nothing borrowed from it outlives `next`.
        unsafe { libc::munmap(self.base.as_ptr().cast(), bytes) };
    }
}
