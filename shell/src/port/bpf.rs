//! BPF programs, assembled here and handed to the kernel, so that neither a compiler nor a library
//! is needed: instructions (RFC 9669), addresses told from ranges, and the system call (bpf(2)).
#![allow(unsafe_code)]

use core::net::IpAddr;
use std::ffi::CString;
use std::io::{Error, Result as IoResult};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A row of consecutive addresses of one family, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IpRange {
    /// The lowest address.
    pub first: IpAddr,
    /// The highest address.
    pub last: IpAddr,
}

/// Most ranges that one program knows.
pub const MAX_RANGES: usize = 256;

/// One instruction (`struct bpf_insn`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub(super) struct Instruction {
    code: u8,
    /// Destination in the low, source in the high half.
    registers: u8,
    offset: i16,
    value: i32,
}

const _: () = assert!(size_of::<Instruction>() == 8);

// Operation codes (RFC 9669).
pub(super) const LOAD_VALUE: u8 = 0x18;
pub(super) const MOVE: u8 = 0xbf;
pub(super) const MOVE_VALUE: u8 = 0xb7;
pub(super) const OR: u8 = 0x4f;
pub(super) const SHIFT_LEFT: u8 = 0x67;
pub(super) const EXIT: u8 = 0x95;
/// On 32 bits, against a value.
pub(super) const IF_NOT_EQUAL_32: u8 = 0x56;
pub(super) const IF_LESS_32: u8 = 0xa6;
pub(super) const IF_AT_MOST_32: u8 = 0xb6;
/// On 64 bits, against a register, unsigned.
pub(super) const IF_GREATER: u8 = 0x2d;
pub(super) const IF_LESS: u8 = 0xad;
pub(super) const IF_AT_MOST: u8 = 0xbd;

/// A program as it is written down.
#[derive(Default)]
pub(super) struct Code {
    code: Vec<Instruction>,
    /// Jumps that lead to the end: an address was within its ranges.
    hits: Vec<usize>,
}

impl Code {
    /// One more instruction; returns its place.
    pub(super) fn push(&mut self, code: u8, to: u8, from: u8, offset: i16, value: i32) -> usize {
        self.code.push(Instruction { code, registers: from << 4 | to, offset, value });
        self.code.len() - 1
    }

    /// The jump at `from` leads to the next instruction to come.
    pub(super) fn land(&mut self, from: usize) {
        // Within i16: MAX_RANGES times 30 instructions.
        self.code[from].offset = (self.code.len() - from - 1) as i16;
    }

    /// `register` = `value`: two places.
    pub(super) fn set(&mut self, register: u8, value: u64) {
        self.push(LOAD_VALUE, register, 0, 0, value as u32 as i32);
        self.push(0, 0, 0, 0, (value >> 32) as u32 as i32);
    }

    /// Ends with `verdict`.
    pub(super) fn finish(&mut self, verdict: i32) {
        self.push(MOVE_VALUE, 0, 0, 0, verdict);
        self.push(EXIT, 0, 0, 0, 0);
    }

    /// The jumps of [`Code::hit_within_v4`] and its sister lead to the next instruction to come.
    pub(super) fn land_hits(&mut self) {
        for from in core::mem::take(&mut self.hits) {
            self.land(from);
        }
    }

    /// The whole program.
    pub(super) fn instructions(self) -> Vec<Instruction> {
        self.code
    }

    /// Jumps to the end if r0 is within an IPv4 range.
    pub(super) fn hit_within_v4(&mut self, ranges: &[IpRange]) {
        for range in ranges {
            let (IpAddr::V4(first), IpAddr::V4(last)) = (range.first, range.last) else { continue };
            let past = self.push(IF_LESS_32, 0, 0, 0, first.to_bits() as i32);
            let hit = self.push(IF_AT_MOST_32, 0, 0, 0, last.to_bits() as i32);
            self.hits.push(hit);
            self.land(past);
        }
    }

    /// Jumps to the end if r7, r8 is within an IPv6 range.
    pub(super) fn hit_within_v6(&mut self, ranges: &[IpRange]) {
        for range in ranges {
            let (IpAddr::V6(first), IpAddr::V6(last)) = (range.first, range.last) else { continue };
            let halves = |bits: u128| ((bits >> 64) as u64, bits as u64);
            let ((first_high, first_low), (last_high, last_low)) =
                (halves(first.to_bits()), halves(last.to_bits()));
            self.set(1, first_high);
            let below = self.push(IF_LESS, 7, 1, 0, 0);
            let above_first = self.push(IF_GREATER, 7, 1, 0, 0);
            self.set(1, first_low);
            let below_low = self.push(IF_LESS, 8, 1, 0, 0);
            self.land(above_first);
            self.set(1, last_high);
            let hit = self.push(IF_LESS, 7, 1, 0, 0);
            let above = self.push(IF_GREATER, 7, 1, 0, 0);
            self.set(1, last_low);
            let hit_low = self.push(IF_AT_MOST, 8, 1, 0, 0);
            self.hits.extend([hit, hit_low]);
            for past in [below, below_low, above] {
                self.land(past);
            }
        }
    }
}

/// A kind of program (linux/bpf.h, enum bpf_prog_type).
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// BPF_PROG_TYPE_SCHED_CLS.
    Classifier = 3,
    /// BPF_PROG_TYPE_XDP.
    Xdp = 6,
}

/// Hands `code` to the kernel, which checks it.
pub(super) fn load(kind: Kind, code: &[Instruction]) -> IoResult<OwnedFd> {
    let load = ProgLoad {
        kind: kind as u32,
        count: code.len() as u32,
        code: code.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
    };
    // SAFETY: the pointers are to `count` instructions and to a string, read during the call.
    unsafe { bpf(BPF_PROG_LOAD, &load) }
}

/// Attaches `program` to an interface until the result is closed, by whoever.
pub(super) fn attach(
    program: &OwnedFd,
    interface: u32,
    attach_type: u32,
    flags: u32,
) -> IoResult<OwnedFd> {
    let link =
        LinkCreate { program: program.as_raw_fd() as u32, target: interface, attach_type, flags };
    // SAFETY: no pointers.
    unsafe { bpf(BPF_LINK_CREATE, &link) }
}

/// A map from a receive queue's number to an XDP socket.
pub(super) fn socket_map(queues: u32) -> IoResult<OwnedFd> {
    let map =
        MapCreate { kind: BPF_MAP_TYPE_XSKMAP, key_bytes: 4, value_bytes: 4, entries: queues };
    // SAFETY: no pointers.
    unsafe { bpf(BPF_MAP_CREATE, &map) }
}

/// Puts `socket` into `map` at `queue`.
pub(super) fn put_socket(map: &OwnedFd, queue: u32, socket: &OwnedFd) -> IoResult<()> {
    let value = socket.as_raw_fd() as u32;
    let element = MapUpdate {
        map: map.as_raw_fd() as u32,
        key: core::ptr::from_ref(&queue) as u64,
        value: core::ptr::from_ref(&value) as u64,
        flags: 0,
    };
    // SAFETY: key and value are four bytes each, as the map has them, and live through the call.
    let rc = unsafe { syscall(BPF_MAP_UPDATE_ELEM, &element) };
    if rc < 0 { Err(Error::last_os_error()) } else { Ok(()) }
}

// linux/bpf.h
const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_MAP_TYPE_XSKMAP: u32 = 17;

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

/// The start of `union bpf_attr` for BPF_MAP_CREATE.
#[repr(C)]
struct MapCreate {
    kind: u32,
    key_bytes: u32,
    value_bytes: u32,
    entries: u32,
}

/// The start of `union bpf_attr` for BPF_MAP_UPDATE_ELEM.
#[repr(C, align(8))]
struct MapUpdate {
    map: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// The kernel's number of an interface.
pub(super) fn index(interface: &str) -> Option<u32> {
    let name = CString::new(interface).ok()?;
    // SAFETY: a string that ends with zero.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (index != 0).then_some(index)
}

/// # Safety
/// `attributes` is what `command` reads, and its pointers are good for the call; the command
/// returns a new descriptor.
unsafe fn bpf<T>(command: libc::c_int, attributes: &T) -> IoResult<OwnedFd> {
    // SAFETY: the caller's promise.
    let fd = unsafe { syscall(command, attributes) };
    if fd < 0 {
        return Err(Error::last_os_error());
    }
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}

/// # Safety
/// `attributes` is what `command` reads, and its pointers are good for the call.
unsafe fn syscall<T>(command: libc::c_int, attributes: &T) -> libc::c_long {
    let attributes = core::ptr::from_ref(attributes);
    // SAFETY: the caller's promise; the kernel reads as many bytes as are said.
    unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<T>()) }
}
