//! Memory lent to the workers for as long as the process lives: zeroed, touched only when used.
#![allow(unsafe_code)]

use anyhow::{Context, Result};
use dperf_core::conn::Slot;

/// Room for `count` connections, all closed: mapped, in huge pages where the kernel has some.
///
/// # Errors
/// The machine has not that much address space or memory.
pub fn slots(count: u64) -> Result<&'static mut [Slot]> {
    let count = usize::try_from(count).context("more connections than this machine can address")?;
    let bytes =
        count.checked_mul(size_of::<Slot>()).context("more memory than can be addressed")?;
    if bytes == 0 {
        return Ok(&mut []);
    }
    let (protection, flags) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
    );
    // SAFETY: a new anonymous mapping touches no memory in use.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        let error = std::io::Error::last_os_error();
        anyhow::bail!(
            "no room for {} MiB of connections ({error}): use fewer addresses or ports, or a \
             machine with more memory",
            bytes >> 20
        );
    }
    // SAFETY: the range is the mapping just made; the advice changes no contents. It may be
    // refused: then pages stay small.
    unsafe { libc::madvise(start, bytes, libc::MADV_HUGEPAGE) };
    // SAFETY: the mapping is `bytes` long, page-aligned (slots need 64), never unmapped and
    // reachable through this reference alone; it is zeroed, and zero is a value of every field.
    Ok(unsafe { std::slice::from_raw_parts_mut(start.cast(), count) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_million_connections_cost_nothing_until_used() {
        let many = slots(100_000_000).unwrap();
        assert_eq!(many.len(), 100_000_000);
        assert!(many[99_999_999].is_closed());
        assert!(slots(u64::MAX / 2).is_err());
        assert!(slots(0).unwrap().is_empty());
    }
}
