//! Behind a packet socket the kernel stays silent about the test addresses: it sees a copy of every
//! frame and would answer with resets, echoes and ARP replies of its own.
//!
//! What is addressed to them is dropped at the interface's ingress, behind the sockets. By choice
//! with a small program that we assemble ourselves and that hangs on a descriptor: when this
//! process ends, however it ends, the kernel removes it (tcx, Linux 6.6). On older kernels with a
//! table of `nft`, which [`Silence`] removes; a killed process leaves it behind, and says so
//! beforehand.
#![allow(unsafe_code)]

use core::net::IpAddr;
use std::ffi::CString;
use std::io::{Error, Result as IoResult};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use anyhow::{Context, Result, bail};

mod program;
mod table;
#[cfg(test)]
mod tests;

/// A row of consecutive addresses of one family, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IpRange {
    /// The lowest address.
    pub first: IpAddr,
    /// The highest address.
    pub last: IpAddr,
}

/// Most ranges that one interface is silenced for.
pub const MAX_RANGES: usize = 256;

/// As long as this lives the kernel hears nothing for the addresses.
#[derive(Debug)]
pub struct Silence(How);

#[derive(Debug)]
enum How {
    /// The kernel detaches the program when this descriptor is closed.
    Program(#[expect(dead_code, reason = "held to keep the program attached")] OwnedFd),
    Table(table::Table),
}

impl Silence {
    /// True if the silence ends with this process even when it is killed.
    pub fn ends_with_us(&self) -> bool {
        matches!(self.0, How::Program(_))
    }

    /// The command that ends the silence, should this process be killed.
    pub fn remedy(&self) -> Option<String> {
        match &self.0 {
            How::Program(_) => None,
            How::Table(table) => Some(table.remedy()),
        }
    }
}

/// Keeps the kernel from answering for `addresses` on `interface`.
///
/// # Errors
/// One sentence that says why neither way works and what can be done.
pub fn silence(interface: &str, addresses: &[IpRange]) -> Result<Silence> {
    if addresses.len() > MAX_RANGES {
        bail!("the addresses make {} ranges; {MAX_RANGES} can be silenced", addresses.len());
    }
    let Some(index) = index(interface) else { bail!("there is no interface '{interface}'") };
    let refused = match attach(index, addresses) {
        Ok(link) => return Ok(Silence(How::Program(link))),
        Err(error) => error,
    };
    let table = table::Table::new(interface, addresses).with_context(|| {
        format!(
            "the kernel will answer for the test addresses on '{interface}' and disturb the test: \
             it accepts no program at the interface ({refused}; that needs Linux 6.6 and root) \
             and nftables did not work either; install nftables, or use addresses the kernel does \
             not have and drop its resets"
        )
    })?;
    Ok(Silence(How::Table(table)))
}

fn index(interface: &str) -> Option<u32> {
    let name = CString::new(interface).ok()?;
    // SAFETY: a string that ends with zero.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (index != 0).then_some(index)
}

/// Loads the program and attaches it before all others; closing the result detaches it.
fn attach(index: u32, addresses: &[IpRange]) -> IoResult<OwnedFd> {
    let code = program::assemble(addresses);
    let load = ProgLoad {
        kind: BPF_PROG_TYPE_SCHED_CLS,
        count: code.len() as u32,
        code: code.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
    };
    // SAFETY: the pointers are to `count` instructions and to a string, read during the call.
    let program = unsafe { bpf(BPF_PROG_LOAD, &load) }?;
    let link = LinkCreate {
        program: program.as_raw_fd() as u32,
        target: index,
        attach_type: BPF_TCX_INGRESS,
        flags: BPF_F_BEFORE,
    };
    // SAFETY: no pointers.
    unsafe { bpf(BPF_LINK_CREATE, &link) }
}

// linux/bpf.h
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;
const BPF_TCX_INGRESS: u32 = 46;
/// Before all programs that are there already.
const BPF_F_BEFORE: u32 = 1 << 3;

/// The start of `union bpf_attr` for BPF_PROG_LOAD; what is not given is zero.
#[repr(C)]
struct ProgLoad {
    kind: u32,
    count: u32,
    code: u64,
    license: u64,
}

/// The start of `union bpf_attr` for BPF_LINK_CREATE.
#[repr(C)]
struct LinkCreate {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
}

/// # Safety
/// `attributes` is what `command` reads, and its pointers are good for the call; the command
/// returns a new descriptor.
unsafe fn bpf<T>(command: libc::c_int, attributes: &T) -> IoResult<OwnedFd> {
    let attributes = core::ptr::from_ref(attributes);
    // SAFETY: the caller's promise; the kernel reads as many bytes as are said.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<T>()) };
    if fd < 0 {
        return Err(Error::last_os_error());
    }
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}
