//! Requests about network interfaces (netdevice(7)): one `ifreq`, one system call.
#![allow(unsafe_code)]

use std::io::{Error, Result as IoResult};
use std::os::fd::{AsRawFd, BorrowedFd};

/// A request about the interface `name`; none if no interface can have that name.
pub fn request(name: &str) -> Option<libc::ifreq> {
    // SAFETY: all-zero is a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { core::mem::zeroed() };
    // One byte stays zero: the end of the string.
    if name.len() >= request.ifr_name.len() || name.contains('\0') {
        return None;
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Some(request)
}

/// Makes the request `code`, which reads and writes `request`.
///
/// # Errors
/// The kernel's word.
pub fn ioctl(
    socket: BorrowedFd<'_>,
    code: libc::c_ulong,
    request: &mut libc::ifreq,
) -> IoResult<()> {
    // SAFETY: all codes used here read and write one `ifreq`, and SIOCETHTOOL two words behind its
    // pointer. (musl's codes are `c_int`.)
    let rc = unsafe { libc::ioctl(socket.as_raw_fd(), code as _, core::ptr::from_mut(request)) };
    if rc < 0 { Err(Error::last_os_error()) } else { Ok(()) }
}
