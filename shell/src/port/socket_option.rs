//! Options of sockets (setsockopt(2)) that no library knows.
#![allow(unsafe_code)]

use std::io::{Error, Result as IoResult};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Sets an option to `value`.
pub(super) fn set<T>(socket: BorrowedFd<'_>, level: i32, option: i32, value: &T) -> IoResult<()> {
    let len = size_of::<T>() as libc::socklen_t;
    let value = core::ptr::from_ref(value).cast();
    // SAFETY: the kernel reads at most `len` bytes, those of `value`.
    let rc = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value, len) };
    if rc < 0 { Err(Error::last_os_error()) } else { Ok(()) }
}

/// Reads an option into `value`, one of the kernel's plain structures, for which any bytes are a
/// value.
pub(super) fn get<T: Copy>(
    socket: BorrowedFd<'_>,
    level: i32,
    option: i32,
    value: &mut T,
) -> IoResult<()> {
    let mut len = size_of::<T>() as libc::socklen_t;
    let (value, len) = (core::ptr::from_mut(value).cast(), &raw mut len);
    // SAFETY: the kernel writes at most `len` bytes, those of `value`.
    let rc = unsafe { libc::getsockopt(socket.as_raw_fd(), level, option, value, len) };
    if rc < 0 { Err(Error::last_os_error()) } else { Ok(()) }
}
