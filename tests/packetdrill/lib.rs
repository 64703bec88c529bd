//! The core behind packetdrill's interface: a script drives it instead of a kernel, in virtual
//! time.
//!
//! packetdrill loads the library with `--so_filename` and asks [`packetdrill_interface_init`] for a
//! table of functions. Here is nothing but that: C's arguments in, C's results out. [`stack`] are
//! the sockets, [`side`] is the core.

#![allow(unsafe_code)]

mod side;
mod stack;

use std::ffi::{CStr, c_char, c_int, c_long, c_uint, c_ulong, c_void};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Mutex;

use side::End;
use stack::{Outcome, Stack};

/// A function that no script which runs here calls.
type Unused = Option<unsafe extern "C" fn()>;

/// The table of functions, in packetdrill's order.
#[repr(C)]
pub struct Interface {
    userdata: *mut c_void,
    free: unsafe extern "C" fn(*mut c_void),
    socket: unsafe extern "C" fn(*mut c_void, c_int, c_int, c_int) -> c_int,
    bind: unsafe extern "C" fn(*mut c_void, c_int, *const u8, u32) -> c_int,
    listen: unsafe extern "C" fn(*mut c_void, c_int, c_int) -> c_int,
    accept: unsafe extern "C" fn(*mut c_void, c_int, *mut u8, *mut u32) -> c_int,
    connect: unsafe extern "C" fn(*mut c_void, c_int, *const u8, u32) -> c_int,
    read: unsafe extern "C" fn(*mut c_void, c_int, *mut u8, usize) -> isize,
    readv: Unused,
    recv: unsafe extern "C" fn(*mut c_void, c_int, *mut u8, usize, c_int) -> isize,
    recvfrom: Unused,
    recvmsg: Unused,
    write: unsafe extern "C" fn(*mut c_void, c_int, *const u8, usize) -> isize,
    writev: Unused,
    send: unsafe extern "C" fn(*mut c_void, c_int, *const u8, usize, c_int) -> isize,
    sendto: Unused,
    sendmsg: Unused,
    fcntl: unsafe extern "C" fn(*mut c_void, c_int, c_int, c_long) -> c_int,
    ioctl: unsafe extern "C" fn(*mut c_void, c_int, c_ulong, *mut c_int) -> c_int,
    close: unsafe extern "C" fn(*mut c_void, c_int) -> c_int,
    shutdown: unsafe extern "C" fn(*mut c_void, c_int, c_int) -> c_int,
    getsockopt:
        unsafe extern "C" fn(*mut c_void, c_int, c_int, c_int, *mut c_int, *mut u32) -> c_int,
    setsockopt: unsafe extern "C" fn(*mut c_void, c_int, c_int, c_int, *const u8, u32) -> c_int,
    poll: Unused,
    netdev_send: unsafe extern "C" fn(*mut c_void, *const u8, usize) -> c_int,
    netdev_receive: unsafe extern "C" fn(*mut c_void, *mut u8, *mut usize, *mut i64) -> c_int,
    usleep: unsafe extern "C" fn(*mut c_void, c_uint) -> c_int,
    gettimeofday: unsafe extern "C" fn(*mut c_void, *mut libc::timeval, *mut c_void) -> c_int,
    epoll_create: Unused,
    epoll_ctl: Unused,
    epoll_wait: Unused,
    pipe: Unused,
    splice: Unused,
}

/// Fills packetdrill's table.
///
/// # Safety
/// As packetdrill calls it: `flags` is a C string or null, `interface` its own table.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn packetdrill_interface_init(
    flags: *const c_char,
    interface: *mut Interface,
) {
    // SAFETY: packetdrill passes its option, a C string, or null without one.
    let flags = (!flags.is_null()).then(|| unsafe { CStr::from_ptr(flags) }.to_string_lossy());
    let Some(stack) = flags.and_then(|flags| Stack::new(&flags)) else {
        eprintln!("--so_flags=LOCAL,REMOTE: two addresses are needed");
        std::process::exit(2);
    };
    let table = Interface {
        userdata: Box::into_raw(Box::new(Mutex::new(stack))).cast(),
        free,
        socket,
        bind,
        listen,
        accept,
        connect,
        read,
        readv: None,
        recv,
        recvfrom: None,
        recvmsg: None,
        write,
        writev: None,
        send,
        sendto: None,
        sendmsg: None,
        fcntl,
        ioctl,
        close,
        shutdown,
        getsockopt,
        setsockopt,
        poll: None,
        netdev_send,
        netdev_receive,
        usleep,
        gettimeofday,
        epoll_create: None,
        epoll_ctl: None,
        epoll_wait: None,
        pipe: None,
        splice: None,
    };
    // SAFETY: packetdrill's table has this layout and outlives the call.
    unsafe { interface.write(table) };
}

/// Works on the stack behind `userdata`.
fn with<T>(userdata: *mut c_void, work: impl FnOnce(&mut Stack) -> T) -> T {
    // SAFETY: packetdrill passes what it was given, until it calls `free`.
    let stack = unsafe { &*userdata.cast::<Mutex<Stack>>() };
    work(&mut stack.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
}

/// An outcome as C says it: -1, and why in errno.
fn told(outcome: Outcome) -> c_int {
    outcome.unwrap_or_else(|error| {
        // SAFETY: errno is this thread's own.
        unsafe { *libc::__errno_location() = error };
        -1
    })
}

/// Reads a socket address.
///
/// # Safety
/// `len` bytes can be read at `address`.
unsafe fn read_end(address: *const u8, len: u32) -> Result<End, i32> {
    // SAFETY: the caller says so.
    let bytes = unsafe { std::slice::from_raw_parts(address, len as usize) };
    let family = bytes.first_chunk().map(|family| i32::from(u16::from_ne_bytes(*family)));
    let port = bytes.get(2..4).map(|port| u16::from_be_bytes([port[0], port[1]]));
    let octets = |from: usize, to: usize| bytes.get(from..to);
    let address: Option<IpAddr> = match family {
        Some(libc::AF_INET) => octets(4, 8)
            .and_then(|at| <[u8; 4]>::try_from(at).ok())
            .map(|v4| Ipv4Addr::from(v4).into()),
        Some(libc::AF_INET6) => octets(8, 24)
            .and_then(|at| <[u8; 16]>::try_from(at).ok())
            .map(|v6| Ipv6Addr::from(v6).into()),
        _ => None,
    };
    address.zip(port).ok_or(libc::EAFNOSUPPORT)
}

/// Writes a socket address.
///
/// # Safety
/// `*len` bytes can be written at `address`.
unsafe fn write_end((ip, port): End, address: *mut u8, len: *mut u32) {
    let (family, mut bytes) = match ip {
        IpAddr::V4(v4) => (libc::AF_INET, [&[0; 4][..], &v4.octets(), &[0; 8]].concat()),
        IpAddr::V6(v6) => (libc::AF_INET6, [&[0; 8][..], &v6.octets(), &[0; 4]].concat()),
    };
    bytes[..2].copy_from_slice(&(family as u16).to_ne_bytes());
    bytes[2..4].copy_from_slice(&port.to_be_bytes());
    // SAFETY: the caller says so, and no more than `*len` are written.
    unsafe {
        let room = bytes.len().min(*len as usize);
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), address, room);
        *len = bytes.len() as u32;
    }
}

unsafe extern "C" fn free(userdata: *mut c_void) {
    // SAFETY: it was made by `Box::into_raw`, and this is the last call.
    drop(unsafe { Box::from_raw(userdata.cast::<Mutex<Stack>>()) });
}

unsafe extern "C" fn socket(userdata: *mut c_void, _: c_int, _: c_int, _: c_int) -> c_int {
    told(with(userdata, Stack::socket))
}

unsafe extern "C" fn bind(userdata: *mut c_void, fd: c_int, address: *const u8, len: u32) -> c_int {
    // SAFETY: packetdrill passes an address and its length.
    let end = unsafe { read_end(address, len) };
    told(end.and_then(|end| with(userdata, |stack| stack.bind(fd, end))))
}

unsafe extern "C" fn listen(userdata: *mut c_void, fd: c_int, _: c_int) -> c_int {
    told(with(userdata, |stack| stack.listen(fd)))
}

unsafe extern "C" fn accept(
    userdata: *mut c_void,
    fd: c_int,
    address: *mut u8,
    len: *mut u32,
) -> c_int {
    told(with(userdata, |stack| stack.accept(fd)).map(|(accepted, end)| {
        if !address.is_null() {
            // SAFETY: packetdrill passes room for an address and how much there is.
            unsafe { write_end(end, address, len) };
        }
        accepted
    }))
}

unsafe extern "C" fn connect(
    userdata: *mut c_void,
    fd: c_int,
    address: *const u8,
    len: u32,
) -> c_int {
    // SAFETY: packetdrill passes an address and its length.
    let end = unsafe { read_end(address, len) };
    told(end.and_then(|end| with(userdata, |stack| stack.connect(fd, end))))
}

unsafe extern "C" fn read(userdata: *mut c_void, fd: c_int, _: *mut u8, room: usize) -> isize {
    told(with(userdata, |stack| stack.read(fd, room, false))) as isize
}

unsafe extern "C" fn recv(
    userdata: *mut c_void,
    fd: c_int,
    _: *mut u8,
    room: usize,
    flags: c_int,
) -> isize {
    let peek = flags & libc::MSG_PEEK != 0;
    told(with(userdata, |stack| stack.read(fd, room, peek))) as isize
}

unsafe extern "C" fn write(userdata: *mut c_void, fd: c_int, _: *const u8, bytes: usize) -> isize {
    told(with(userdata, |stack| stack.write(fd, bytes))) as isize
}

unsafe extern "C" fn send(
    userdata: *mut c_void,
    fd: c_int,
    _: *const u8,
    bytes: usize,
    _: c_int,
) -> isize {
    told(with(userdata, |stack| stack.write(fd, bytes))) as isize
}

/// C's has a variable number of arguments; an integer comes in the same register either way.
unsafe extern "C" fn fcntl(
    userdata: *mut c_void,
    fd: c_int,
    command: c_int,
    argument: c_long,
) -> c_int {
    told(with(userdata, |stack| stack.control(fd, command, argument as i32)))
}

/// As `fcntl`, with a pointer.
unsafe extern "C" fn ioctl(
    userdata: *mut c_void,
    fd: c_int,
    request: c_ulong,
    value: *mut c_int,
) -> c_int {
    if request != libc::FIONREAD {
        return told(Err(libc::EINVAL));
    }
    told(with(userdata, |stack| stack.unread(fd)).map(|unread| {
        // SAFETY: this request is for an int, for which packetdrill passes room.
        unsafe { value.write(unread) };
        0
    }))
}

unsafe extern "C" fn close(userdata: *mut c_void, fd: c_int) -> c_int {
    told(with(userdata, |stack| stack.close(fd)))
}

unsafe extern "C" fn shutdown(userdata: *mut c_void, fd: c_int, how: c_int) -> c_int {
    told(with(userdata, |stack| stack.shutdown(fd, how)))
}

unsafe extern "C" fn getsockopt(
    userdata: *mut c_void,
    fd: c_int,
    level: c_int,
    option: c_int,
    value: *mut c_int,
    _: *mut u32,
) -> c_int {
    if (level, option) != (libc::SOL_SOCKET, libc::SO_ERROR) {
        return told(Err(libc::ENOPROTOOPT));
    }
    told(with(userdata, |stack| stack.error(fd)).map(|error| {
        // SAFETY: this option is an int, for which packetdrill passes room.
        unsafe { value.write(error) };
        0
    }))
}

unsafe extern "C" fn setsockopt(
    _: *mut c_void,
    _: c_int,
    _: c_int,
    _: c_int,
    _: *const u8,
    _: u32,
) -> c_int {
    0
}

unsafe extern "C" fn netdev_send(userdata: *mut c_void, packet: *const u8, len: usize) -> c_int {
    // SAFETY: packetdrill passes a packet and its length.
    let packet = unsafe { std::slice::from_raw_parts(packet, len) };
    with(userdata, |stack| stack.receive(packet));
    0
}

unsafe extern "C" fn netdev_receive(
    userdata: *mut c_void,
    packet: *mut u8,
    len: *mut usize,
    time_us: *mut i64,
) -> c_int {
    let (sent_us, bytes) = with(userdata, Stack::send).unwrap_or_default();
    if bytes.is_empty() {
        eprintln!("nothing is sent any more"); // packetdrill takes no bytes for a bad packet
    }
    // SAFETY: packetdrill passes a buffer, its length, and room for a time.
    unsafe {
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), packet, bytes.len().min(*len));
        *len = bytes.len();
        *time_us = sent_us as i64;
    }
    0
}

unsafe extern "C" fn usleep(userdata: *mut c_void, micros: c_uint) -> c_int {
    with(userdata, |stack| stack.wait(u64::from(micros)));
    0
}

unsafe extern "C" fn gettimeofday(
    userdata: *mut c_void,
    time: *mut libc::timeval,
    _: *mut c_void,
) -> c_int {
    let now_us = with(userdata, Stack::time_us);
    let (tv_sec, tv_usec) = ((now_us / 1_000_000) as i64, (now_us % 1_000_000) as i64);
    // SAFETY: packetdrill passes room for a time.
    unsafe { time.write(libc::timeval { tv_sec, tv_usec }) };
    0
}
