//! One pool of packet buffers per queue, freed only when every buffer is back: a frame that
//! outlives its port still points to memory.
//!
//! A pool is foreign memory behind a pointer, so this file needs `unsafe`.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};

use super::eal;
use crate::port::dpdk_buffers::{CACHE, HEADROOM, OBJECT_BYTES};

// What is reckoned with where DPDK is not built in is what DPDK has.
const _: () = assert!(
    HEADROOM == dpdk_sys::SHIM_HEADROOM && OBJECT_BYTES == dpdk_sys::SHIM_MBUF_BYTES as u64 + 64
);

/// A number no other call gets: pools are named with it.
pub(super) fn serial() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Where a piece of a pool lies.
pub(super) type Chunk = dpdk_sys::shim_chunk;

/// All of memory: for frames that are known to be DPDK's.
pub(super) const ANYWHERE: Chunk = Chunk { from: 0, to: usize::MAX };

/// The cookie points into the piece.
#[inline]
pub(super) fn lies_in(chunk: &Chunk, cookie: usize) -> bool {
    (chunk.from..chunk.to).contains(&cookie)
}

/// Every piece of every pool that lives.
static KNOWN: Mutex<Vec<Chunk>> = Mutex::new(Vec::new());

fn known() -> MutexGuard<'static, Vec<Chunk>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes of every pool that lives.
#[cfg(test)]
pub(super) fn bytes() -> u64 {
    known().iter().map(|chunk| (chunk.to - chunk.from) as u64).sum()
}

/// The cookie is a buffer of some pool of this process (net_ring hands them from port to port).
pub(super) fn is_known(cookie: usize) -> bool {
    known().iter().any(|chunk| lies_in(chunk, cookie))
}

/// Pools whose port was closed while buffers of theirs were with somebody else: frames somebody
/// still holds, or buffers a driver or a ring in memory forgot.
static ORPHANS: Mutex<Vec<Pool>> = Mutex::new(Vec::new());

/// The port is closed: frees the pools that are whole, and keeps the others as they are.
pub(super) fn let_go(pools: &mut Vec<Pool>) {
    let broken = pools.extract_if(.., |pool| pool.buffers_out() > 0);
    ORPHANS.lock().unwrap_or_else(PoisonError::into_inner).extend(broken);
    pools.clear();
}

/// Every port is closed and nobody holds a frame: what a driver forgot is freed with the rest.
pub(super) fn free_orphans() {
    ORPHANS.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

/// A pool of mbufs.
pub(super) struct Pool {
    raw: NonNull<dpdk_sys::rte_mempool>,
    chunks: Vec<Chunk>,
}

// SAFETY: DPDK's pools are made for use by many threads; the pointer is freed once, in drop.
unsafe impl Send for Pool {}
// SAFETY: as above; `&Pool` only gives out the pointer.
unsafe impl Sync for Pool {}

impl Pool {
    /// A pool named `name` with `frames` buffers of `room` bytes, near NUMA node `node` if there is
    /// memory, elsewhere if not.
    pub(super) fn new(name: &str, frames: u32, room: u16, node: i32) -> Result<Pool> {
        const ANY_NODE: i32 = -1;
        let c_name = CString::new(name)?;
        let create = |node| {
            // SAFETY: the EAL runs; the name lives through the call and is copied.
            NonNull::new(unsafe {
                dpdk_sys::rte_pktmbuf_pool_create(
                    c_name.as_ptr(),
                    frames,
                    CACHE,
                    0,
                    room + HEADROOM,
                    node,
                )
            })
        };
        let raw = create(node).or_else(|| create(ANY_NODE)).with_context(|| {
            let mb = (u64::from(frames) * (u64::from(room) + OBJECT_BYTES)) >> 20;
            let reason = eal::error_text(eal::last_error());
            format!(
                "no memory for {frames} packet buffers ({mb} MiB): {reason}: set more huge pages \
                 aside, raise socket_mem, or use shorter rings"
            )
        })?;
        let pool = Pool { raw, chunks: chunks(raw) };
        known().extend(&pool.chunks);
        Ok(pool)
    }

    pub(super) fn as_ptr(&self) -> *mut dpdk_sys::rte_mempool {
        self.raw.as_ptr()
    }

    pub(super) fn as_non_null(&self) -> NonNull<dpdk_sys::rte_mempool> {
        self.raw
    }

    /// Buffers that are with somebody else: a tray, a ring, a device.
    fn buffers_out(&self) -> u32 {
        // SAFETY: the pool lives as long as `self`.
        unsafe { dpdk_sys::rte_mempool_in_use_count(self.raw.as_ptr()) }
    }

    /// The cookie is one of this pool's buffers.
    pub(super) fn holds(&self, cookie: usize) -> bool {
        self.chunks.iter().any(|chunk| lies_in(chunk, cookie))
    }

    pub(super) fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        known().retain(|chunk| !self.chunks.iter().any(|own| own.from == chunk.from));
        // SAFETY: the port is closed, no frame of the pool is out, and nobody else has the pointer.
        unsafe { dpdk_sys::rte_mempool_free(self.raw.as_ptr()) };
    }
}

/// The pieces of a pool's memory.
fn chunks(pool: NonNull<dpdk_sys::rte_mempool>) -> Vec<Chunk> {
    let mut room = 16;
    loop {
        let mut found = vec![Chunk { from: 0, to: 0 }; room as usize];
        // SAFETY: the pool lives, and `found` has `room` places.
        let count = unsafe { dpdk_sys::shim_pool_chunks(pool.as_ptr(), found.as_mut_ptr(), room) };
        if count <= room {
            found.truncate(count as usize);
            return found;
        }
        room = count;
    }
}
