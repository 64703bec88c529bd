//! A worker thread is known to DPDK as long as its guard lives: only then do its buffers come from
//! a cache of its own instead of the pool's shared ring.
//!
//! Registering is a foreign call about the calling thread, so this file needs `unsafe`.
#![allow(unsafe_code)]

use std::marker::PhantomData;

use anyhow::{Result, ensure};

use super::eal;

/// The calling thread is registered with DPDK until this is dropped, on the same thread.
pub struct Registered {
    by_us: bool,
    here: PhantomData<*const ()>,
}

/// Registers the calling thread, unless DPDK knows it already (the one that started the EAL).
///
/// # Errors
/// The EAL does not run, or DPDK has no room for another thread.
pub fn register() -> Result<Registered> {
    eal::check_running()?;
    // SAFETY: reads a thread-local number.
    let known = unsafe { dpdk_sys::shim_lcore_id() } != dpdk_sys::SHIM_NO_LCORE;
    if !known {
        // SAFETY: the EAL runs, and this thread is not registered.
        let rc = unsafe { dpdk_sys::rte_thread_register() };
        ensure!(
            rc == 0,
            "DPDK did not register a worker thread: {}",
            eal::error_text(eal::last_error())
        );
    }
    Ok(Registered { by_us: !known, here: PhantomData })
}

impl Drop for Registered {
    fn drop(&mut self) {
        if self.by_us {
            // SAFETY: `register` registered this very thread: the guard cannot leave it.
            unsafe { dpdk_sys::rte_thread_unregister() };
        }
    }
}
