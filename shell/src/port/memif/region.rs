//! Memory that two processes share: made by one and mapped by both. The other end may write all of
//! it at any time, so it is read and written by value, within its bounds, and nothing in it is
//! believed twice.
#![allow(unsafe_code)]

use core::ptr::NonNull;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result, ensure};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::mm::{Advice, MapFlags, ProtFlags};

/// A file of huge pages (linux/magic.h): one may be taken out of it, and none be there to fill the
/// hole.
const HUGETLBFS: rustix::fs::FsWord = 0x9584_58f6;

/// A mapped piece of memory.
pub(super) struct Region {
    base: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the mapping belongs to no thread; who reads and writes where is the rings' affair.
unsafe impl Send for Region {}
// SAFETY: as above: a reference gives addresses only.
unsafe impl Sync for Region {}

impl Region {
    /// New memory of `bytes` bytes, all zero, and the file by which others map it.
    pub(super) fn create(bytes: usize) -> Result<(Region, OwnedFd)> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = rustix::fs::memfd_create("memif", flags).context("no memory to share")?;
        rustix::fs::ftruncate(&file, bytes as u64).context("no memory to share")?;
        rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK).context("memory cannot be sealed")?;
        let region = Region::map(file.as_fd(), bytes)?;
        // Touched now, so that no page fault falls into the run; the kernel may be too old to.
        // SAFETY: the advice fills in what is there already: zeros.
        let _ = unsafe {
            rustix::mm::madvise(region.base.as_ptr().cast(), bytes, Advice::LinuxPopulateWrite)
        };
        Ok((region, file))
    }

    /// The memory of `bytes` bytes behind `file`, which can never become shorter: a look at what is
    /// no longer there would end this process.
    pub(super) fn map(file: BorrowedFd<'_>, bytes: usize) -> Result<Region> {
        const ZERO_COPY: &str = "turn zero-copy off at the other end";
        let kind = rustix::fs::fstatfs(file).context("memory of unknown kind")?.f_type;
        ensure!(kind != HUGETLBFS, "memory in huge pages: {ZERO_COPY}");
        let seals = rustix::fs::fcntl_get_seals(file).unwrap_or(SealFlags::empty());
        ensure!(seals.contains(SealFlags::SHRINK), "memory that may shrink: {ZERO_COPY}");
        let has = rustix::fs::fstat(file).context("memory of unknown size")?.st_size;
        let enough = usize::try_from(has).is_ok_and(|has| has >= bytes);
        ensure!(bytes > 0 && enough, "too little memory");
        // SAFETY: a new mapping at an address of the kernel's choice.
        let base = unsafe {
            let access = ProtFlags::READ | ProtFlags::WRITE;
            rustix::mm::mmap(core::ptr::null_mut(), bytes, access, MapFlags::SHARED, file, 0)
        };
        let base = base.context("memory that cannot be mapped")?;
        let base = NonNull::new(base.cast()).context("memory at address zero")?;
        Ok(Region { base, bytes })
    }

    /// The address of `bytes` bytes at `offset`, and how many there are from there on; `None` if
    /// they are not all inside.
    #[inline]
    pub(super) fn at(&self, offset: usize, bytes: usize) -> Option<(NonNull<u8>, usize)> {
        let left = self.bytes.checked_sub(offset)?;
        // SAFETY: `offset` is at most the mapping's length.
        (bytes <= left).then(|| (unsafe { self.base.add(offset) }, left))
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: mapped in `map` with this length; the rings that reach into it hold it.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_inside_or_none() {
        let (region, file) = Region::create(8192).unwrap();
        let again = Region::map(file.as_fd(), 8192).unwrap();
        let (here, left) = region.at(8191, 1).unwrap();
        assert_eq!(left, 1);
        // SAFETY: one byte inside; the other mapping is of the same memory.
        unsafe {
            here.write_volatile(7);
            assert_eq!(again.at(8191, 1).unwrap().0.read_volatile(), 7);
        }
        assert!(region.at(8192, 0).is_some());
        assert!(region.at(8192, 1).is_none() && region.at(8193, 0).is_none());
        assert!(region.at(usize::MAX, 2).is_none() && region.at(1, usize::MAX).is_none());
    }

    #[test]
    fn memory_that_may_shrink_or_is_too_short_is_refused() {
        let (_region, file) = Region::create(4096).unwrap();
        let refused = |file: &OwnedFd, bytes| Region::map(file.as_fd(), bytes).err().unwrap();
        assert_eq!(refused(&file, 4097).to_string(), "too little memory");
        assert_eq!(refused(&file, 0).to_string(), "too little memory");
        let loose = rustix::fs::memfd_create("loose", MemfdFlags::ALLOW_SEALING).unwrap();
        rustix::fs::ftruncate(&loose, 4096).unwrap();
        assert!(refused(&loose, 4096).to_string().contains("may shrink: turn zero-copy off"));
        let plain = OwnedFd::from(std::fs::File::open("/proc/self/exe").unwrap());
        assert!(refused(&plain, 1).to_string().contains("may shrink"));
    }
}
