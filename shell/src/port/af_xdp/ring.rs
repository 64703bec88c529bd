//! The four rings that the kernel and a socket share (Documentation/networking/af_xdp.rst): each
//! has one producer and one consumer, whose positions only grow and are read modulo the size.
#![allow(unsafe_code)]

use core::ptr::NonNull;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::io::{Error, Result};
use std::os::fd::{AsRawFd, OwnedFd};

/// The kernel maps rings in pages, and lays their entries at the second.
pub(super) const PAGE: usize = 4096;

/// One ring of entries of type `T`, mapped; we are at one end of it, as its methods are used.
pub(super) struct Ring<T> {
    base: NonNull<u8>,
    bytes: usize,
    offsets: libc::xdp_ring_offset,
    size: u32,
    entries: core::marker::PhantomData<T>,
}

/// Bytes of a ring of `size` entries, in whole pages; what the kernel puts before them takes one.
pub(super) fn bytes<T>(size: u32) -> usize {
    PAGE + (size as usize * size_of::<T>()).next_multiple_of(PAGE)
}

// SAFETY: the mapping belongs to this value alone and to no thread.
unsafe impl<T> Send for Ring<T> {}

impl<T: Copy> Ring<T> {
    /// Maps the ring of `size` entries that lies at `page` of `socket`.
    pub(super) fn map(
        socket: &OwnedFd,
        page: libc::off_t,
        offsets: libc::xdp_ring_offset,
        size: u32,
    ) -> Result<Ring<T>> {
        let bytes = bytes::<T>(size);
        if offsets.desc as usize + size as usize * size_of::<T>() > bytes {
            return Err(Error::from_raw_os_error(libc::EOVERFLOW));
        }
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let base = unsafe {
            libc::mmap(core::ptr::null_mut(), bytes, access, flags, socket.as_raw_fd(), page)
        };
        if base == libc::MAP_FAILED {
            return Err(Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(Error::from_raw_os_error(libc::ENOMEM))?;
        Ok(Ring { base, bytes, offsets, size, entries: core::marker::PhantomData })
    }

    /// The word at `offset`, which the kernel says is inside the mapping and aligned.
    fn word(&self, offset: u64) -> &AtomicU32 {
        // SAFETY: as above; both sides use it atomically, and it lives as long as the mapping.
        unsafe { AtomicU32::from_ptr(self.base.add(offset as usize).as_ptr().cast()) }
    }

    fn producer(&self) -> &AtomicU32 {
        self.word(self.offsets.producer)
    }

    fn consumer(&self) -> &AtomicU32 {
        self.word(self.offsets.consumer)
    }

    fn entry(&self, position: u32) -> *mut T {
        let index = (position & (self.size - 1)) as usize;
        // SAFETY: below `size`, so inside the mapping.
        unsafe { self.base.add(self.offsets.desc as usize).cast::<T>().add(index).as_ptr() }
    }

    /// The kernel sleeps until it is called.
    pub(super) fn wants_wakeup(&self) -> bool {
        self.word(self.offsets.flags).load(Relaxed) & libc::XDP_RING_NEED_WAKEUP != 0
    }

    /// Entries produced and not consumed yet.
    pub(super) fn len(&self) -> u32 {
        self.producer().load(Acquire).wrapping_sub(self.consumer().load(Acquire))
    }

    /// As producer: puts entries in as long as there is room and `next` has some; how many.
    pub(super) fn produce(&mut self, mut next: impl FnMut() -> Option<T>) -> u32 {
        let begin = self.producer().load(Relaxed);
        // Acquire: the kernel has read an entry before we write over it.
        let room = self.size - begin.wrapping_sub(self.consumer().load(Acquire)).min(self.size);
        let mut count = 0;
        while count < room {
            let Some(entry) = next() else { break };
            // SAFETY: the place is free: the kernel reads nothing beyond the producer's position.
            unsafe { self.entry(begin.wrapping_add(count)).write(entry) };
            count += 1;
        }
        // Release: the entries are written before they are shown.
        self.producer().store(begin.wrapping_add(count), Release);
        count
    }

    /// As consumer: takes entries out as long as there are some, `most` of them.
    pub(super) fn consume(&mut self, most: u32, mut each: impl FnMut(T)) -> u32 {
        let begin = self.consumer().load(Relaxed);
        // Acquire: the entries were written before the position we see.
        let count = self.producer().load(Acquire).wrapping_sub(begin).min(self.size).min(most);
        for place in 0..count {
            // SAFETY: the kernel has written it and writes nothing there until it is consumed.
            each(unsafe { self.entry(begin.wrapping_add(place)).read() });
        }
        // Release: the entries were read before their places are free.
        self.consumer().store(begin.wrapping_add(count), Release);
        count
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        // SAFETY: mapped in `map` with this length; nothing borrowed from it outlives a call.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}
