//! Memory lent to the workers for as long as the process lives: zeroed, and but for the first of it
//! touched only when used.
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

/// So much of a worker's slots is touched before the first connection opens.
pub const FIRST_BYTES: usize = 32 << 20;

/// Touches what the first connections use, from the thread that will use it. On a
/// virtual machine each huge page keeps its processor for milliseconds when it is touched first, in
/// which a device's ring may run over.
pub fn touch_first(slots: &mut [Slot]) {
    let bytes = size_of_val(slots).min(FIRST_BYTES);
    // SAFETY: inside memory that is borrowed; the advice changes no contents. It may be refused
    // (Linux before 5.14): then pages are touched when used.
    unsafe { libc::madvise(slots.as_mut_ptr().cast(), bytes, libc::MADV_POPULATE_WRITE) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_connections_are_touched_before_they_open() {
        let lent = slots(2_000_000).unwrap();
        let (start, bytes) = (lent.as_mut_ptr(), size_of_val(lent));
        let resident = || {
            let mut pages = vec![0u8; bytes.div_ceil(4096)];
            // SAFETY: there is a byte for each page of the mapping.
            let rc = unsafe { libc::mincore(start.cast(), bytes, pages.as_mut_ptr()) };
            assert_eq!(rc, 0);
            pages.iter().filter(|page| **page & 1 == 1).count() * 4096
        };
        assert_eq!(resident(), 0);
        touch_first(&mut lent[..1000]);
        assert!(resident() < FIRST_BYTES);
        touch_first(lent);
        assert!((FIRST_BYTES..FIRST_BYTES + (4 << 20)).contains(&resident()), "{}", resident());
    }

    #[test]
    fn a_hundred_million_connections_cost_nothing_until_used() {
        let many = slots(100_000_000).unwrap();
        assert_eq!(many.len(), 100_000_000);
        assert!(many[99_999_999].is_closed());
        assert!(slots(u64::MAX / 2).is_err());
        assert!(slots(0).unwrap().is_empty());
    }
}
