//! Requests about network interfaces (netdevice(7)): one `ifreq`, one system call.
#![allow(unsafe_code)]

use std::io::{Error, Result as IoResult};
use std::net::IpAddr;
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
    // SAFETY: all codes used here read and write one `ifreq`, and SIOCETHTOOL the words behind its
    // pointer, which are as many as their command needs. (musl's codes are `c_int`.)
    let rc = unsafe { libc::ioctl(socket.as_raw_fd(), code as _, core::ptr::from_mut(request)) };
    if rc < 0 { Err(Error::last_os_error()) } else { Ok(()) }
}

/// The addresses that the kernel has on the interface `name`.
pub fn addresses_of(name: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    let mut list = core::ptr::null_mut();
    // SAFETY: the list is the library's until it is freed, once, below; each entry's name ends with
    // zero, and an address is of the type that its family says.
    unsafe {
        if libc::getifaddrs(&raw mut list) != 0 {
            return found;
        }
        let mut at = list;
        while let Some(entry) = at.as_ref() {
            let is_it = core::ffi::CStr::from_ptr(entry.ifa_name).to_bytes() == name.as_bytes();
            match entry.ifa_addr.as_ref().filter(|_| is_it).map(|a| i32::from(a.sa_family)) {
                Some(libc::AF_INET) => {
                    let address = entry.ifa_addr.cast::<libc::sockaddr_in>().read_unaligned();
                    found.push(IpAddr::from(address.sin_addr.s_addr.to_ne_bytes()));
                }
                Some(libc::AF_INET6) => {
                    let address = entry.ifa_addr.cast::<libc::sockaddr_in6>().read_unaligned();
                    found.push(IpAddr::from(address.sin6_addr.s6_addr));
                }
                _ => {}
            }
            at = entry.ifa_next;
        }
        libc::freeifaddrs(list);
    }
    found
}
