//! TAP: a kernel interface whose other end is a file (Documentation/networking/tuntap.rst). With
//! several queues each core reads and writes a file of its own.
//!
//! The kernel chooses the queue for what it sends; its choice follows a flow only from the flow's
//! second packet on, and only for a few thousand flows. So nothing here depends on it: whoever
//! reads a packet sends it.
//!
//! The interface disappears with its last file, however this process ends.
//!
//! A queue has one owner:
//! ```
//! # use dperf_core::exception::ExceptionPath;
//! # use dperf_shell::exception::TapQueue;
//! fn owner(mut queue: TapQueue) {
//!     std::thread::spawn(move || queue.deliver(&[]));
//! }
//! ```
//! Two threads with one queue:
//! ```compile_fail,E0382
//! # use dperf_core::exception::ExceptionPath;
//! # use dperf_shell::exception::TapQueue;
//! fn owner(mut queue: TapQueue) {
//!     std::thread::spawn(move || queue.deliver(&[]));
//!     std::thread::spawn(move || queue.deliver(&[]));
//! }
//! ```
//! A queue and its copy:
//! ```compile_fail,E0599
//! # use dperf_core::exception::ExceptionPath;
//! # use dperf_shell::exception::TapQueue;
//! fn owner(mut queue: TapQueue) {
//!     let mut other = queue.clone();
//!     std::thread::spawn(move || queue.deliver(&[]));
//! }
//! ```
//! A queue shared by reference:
//! ```compile_fail,E0596
//! # use dperf_core::exception::ExceptionPath;
//! # use dperf_shell::exception::TapQueue;
//! fn owner(mut queue: TapQueue) {
//!     let queue = std::sync::Arc::new(queue);
//!     std::thread::spawn(move || queue.deliver(&[]));
//! }
//! ```
#![allow(unsafe_code)]

#[cfg(feature = "dpdk")]
use std::fs::DirEntry;
use std::fs::File;
use std::io::{Error, ErrorKind, IoSliceMut, Read, Write};
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd};
#[cfg(feature = "dpdk")]
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use anyhow::{Context, Result, bail};
use dperf_core::exception::{Delivered, ExceptionPath};
use dperf_core::frame::Frame;
use dperf_core::port::PortState;
use dperf_core::wire::ethernet::{ETHERNET_BYTES, VLAN_BYTES};
#[cfg(feature = "dpdk")]
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::port::Facts;
use crate::port::ifreq::{ioctl, request};

/// Bytes that may wait in the kernel for somebody slow; what comes then is not taken.
const SEND_BYTES: libc::c_int = 4 << 20;

/// One queue of a TAP interface. Minted only by [`super::open`].
#[derive(Debug)]
pub struct TapQueue {
    file: File,
    state: PortState,
    /// The longest packet that the port can send, in bytes.
    longest: usize,
    /// Longer ones that the kernel gave us, after a user raised the interface's MTU.
    oversized: u64,
}

/// Makes the interface `name`, with one queue, and brings it up with the MAC address and the MTU of
/// the port.
///
/// # Errors
/// One sentence that says what is missing and how to provide it.
pub(super) fn open(name: &str, facts: &Facts) -> Result<TapQueue> {
    let file = attach(name, libc::IFF_TUN_EXCL).map_err(|why| refused(name, &why))?;
    set_up(name, facts)?;
    Ok(TapQueue::new(file, facts))
}

/// Makes the interface `name` with `count` queues; none if the kernel has no TAP with several.
///
/// # Errors
/// As [`open`].
pub(super) fn open_queues(
    name: &str,
    facts: &Facts,
    count: usize,
) -> Result<Option<Vec<TapQueue>>> {
    let Some(files) = attach_all(name, count)? else { return Ok(None) };
    set_up(name, facts)?;
    Ok(Some(files.into_iter().map(|file| TapQueue::new(file, facts)).collect()))
}

/// As many files, tied to a new interface `name`; none if the kernel has no TAP with so many.
fn attach_all(name: &str, count: usize) -> Result<Option<Vec<File>>> {
    let several = if count > 1 { libc::IFF_MULTI_QUEUE } else { 0 };
    let mut files = Vec::with_capacity(count);
    for _ in 0..count {
        let first = if files.is_empty() { libc::IFF_TUN_EXCL } else { 0 };
        match attach(name, several | first) {
            Ok(file) => files.push(file),
            // No such flag, or no more queues than this.
            Err(why)
                if several != 0
                    && matches!(why.raw_os_error(), Some(libc::EINVAL | libc::E2BIG)) =>
            {
                return Ok(None);
            }
            Err(why) => return Err(refused(name, &why)),
        }
    }
    Ok(Some(files))
}

/// The kernel makes an interface `name` with `count` queues for whoever asks next; none is left
/// behind. False if it only makes one with fewer queues.
///
/// # Errors
/// As [`open`].
#[cfg(feature = "dpdk")]
pub(super) fn would_give(name: &str, count: usize) -> Result<bool> {
    Ok(attach_all(name, count)?.is_some())
}

/// A file of this process that somebody else tied to an interface: by it the interface's end is
/// seen.
#[cfg(feature = "dpdk")]
#[derive(Debug)]
pub(super) struct Hold(OwnedFd);

/// Holds on to the interface `name`, made by another part of this process.
///
/// # Errors
/// No file of this process belongs to it.
#[cfg(feature = "dpdk")]
pub(super) fn hold(name: &str) -> Result<Hold> {
    // The kernel says there which interface a file is tied to (drivers/net/tun.c).
    let tied = format!("iff:\t{name}\n");
    let is_tied = |entry: &DirEntry| {
        std::fs::read_to_string(entry.path()).is_ok_and(|text| text.contains(&tied))
    };
    let files = std::fs::read_dir("/proc/self/fdinfo").context("/proc is not mounted")?;
    let found =
        files.flatten().find(is_tied).and_then(|entry| entry.file_name().into_string().ok());
    let number = found.and_then(|number| number.parse().ok());
    let number = number.with_context(|| format!("interface '{name}' belongs to nobody here"))?;
    // SAFETY: the number was just read from the list of open files, and whoever opened this one
    // keeps it for as long as the interface is set up; it is copied at once.
    let file = unsafe { BorrowedFd::borrow_raw(number) }.try_clone_to_owned();
    Ok(Hold(file.with_context(|| format!("interface '{name}'"))?))
}

#[cfg(feature = "dpdk")]
impl Hold {
    /// The interface was deleted.
    pub(super) fn is_gone(&self) -> bool {
        let mut asked = [PollFd::new(&self.0, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut asked, Some(&now)).is_ok() && asked[0].revents().contains(PollFlags::ERR)
    }
}

/// A new file, tied to the interface `name`.
fn attach(name: &str, flags: libc::c_int) -> Result<File, Error> {
    let file = open_device()?;
    let mut asked = request(name).ok_or(Error::from_raw_os_error(libc::ENAMETOOLONG))?;
    asked.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI | flags) as libc::c_short;
    ioctl(file.as_fd(), libc::TUNSETIFF, &mut asked)?;
    limit(&file)?;
    Ok(file)
}

fn open_device() -> Result<File, Error> {
    let mut options = File::options();
    options.read(true).write(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC);
    options.open("/dev/net/tun")
}

fn limit(file: &File) -> Result<(), Error> {
    // SAFETY: the request reads one `int`, and that is what it is given.
    let rc = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETSNDBUF as _, &SEND_BYTES) };
    if rc < 0 { Err(Error::last_os_error()) } else { Ok(()) }
}

/// Why there is no TAP, in one sentence with the fix.
fn refused(name: &str, why: &Error) -> anyhow::Error {
    let fix = match why.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => {
            "the kernel has no TAP here: 'modprobe tun', or give the container /dev/net/tun".into()
        }
        Some(libc::EPERM | libc::EACCES) => {
            "making it needs the right to administer networks: run as root, or once 'setcap \
             cap_net_raw,cap_net_admin+ep' on this program; or write 'exception none'"
                .into()
        }
        Some(libc::EBUSY | libc::EEXIST) => format!(
            "there is one of that name already: give 'exception' another NAME, or remove it \
             with 'ip link delete {name}'"
        ),
        _ => "check 'ip tuntap' by hand, or write 'exception none'".into(),
    };
    anyhow::anyhow!("interface '{name}': {why}: {fix}")
}

/// Gives the interface the port's MAC address and MTU and brings it up.
pub(super) fn set_up(name: &str, facts: &Facts) -> Result<()> {
    let failed = |what: &'static str| move || format!("interface '{name}': {what}");
    // Any socket will do: it only says which network namespace is meant.
    let socket = UdpSocket::bind(("0.0.0.0", 0)).with_context(failed("no socket to ask with"))?;
    let Some(mut asked) = request(name) else { bail!("'{name}' is not an interface name") };
    // SAFETY: all-zero is a valid `sockaddr`.
    let mut hardware: libc::sockaddr = unsafe { core::mem::zeroed() };
    hardware.sa_family = libc::ARPHRD_ETHER;
    for (to, from) in hardware.sa_data.iter_mut().zip(facts.mac.0) {
        *to = from as libc::c_char;
    }
    asked.ifr_ifru.ifru_hwaddr = hardware;
    ioctl(socket.as_fd(), libc::SIOCSIFHWADDR, &mut asked)
        .with_context(failed("it does not take the port's MAC address"))?;
    asked.ifr_ifru.ifru_mtu = i32::from(facts.frame_bytes) - ETHERNET_BYTES as i32;
    ioctl(socket.as_fd(), libc::SIOCSIFMTU, &mut asked)
        .with_context(failed("it does not take the port's MTU"))?;
    ioctl(socket.as_fd(), libc::SIOCGIFFLAGS, &mut asked).with_context(failed("its flags"))?;
    // SAFETY: SIOCGIFFLAGS has filled in the flags.
    asked.ifr_ifru.ifru_flags =
        unsafe { asked.ifr_ifru.ifru_flags } | libc::IFF_UP as libc::c_short;
    ioctl(socket.as_fd(), libc::SIOCSIFFLAGS, &mut asked)
        .with_context(failed("it does not come up"))?;
    Ok(())
}

impl TapQueue {
    fn new(file: File, facts: &Facts) -> TapQueue {
        let longest = usize::from(facts.frame_bytes) + VLAN_BYTES;
        TapQueue { file, state: PortState::Up, longest, oversized: 0 }
    }

    /// What an error says about the interface.
    fn learn(&mut self, why: &Error) {
        self.state = match why.raw_os_error() {
            Some(libc::EBADFD) => PortState::Gone,
            _ => PortState::Down,
        };
    }
}

impl ExceptionPath for TapQueue {
    fn deliver(&mut self, packets: &[Frame]) -> Delivered {
        let mut delivered = Delivered::default();
        for packet in packets {
            match self.file.write(packet.bytes()) {
                Ok(_) => self.state = PortState::Up,
                Err(why) if why.kind() == ErrorKind::WouldBlock => break,
                Err(why) => {
                    self.learn(&why);
                    delivered.refused += 1;
                }
            }
            delivered.done += 1;
        }
        delivered
    }

    fn collect(&mut self, blanks: &mut [Frame]) -> usize {
        let mut filled = 0;
        while let Some(blank) = blanks.get_mut(filled) {
            let buffer = blank.buffer_mut();
            let room = self.longest.min(buffer.len());
            let mut behind = [0];
            // The kernel cuts off what has no place; it needs one byte more to be seen.
            let places = &mut [IoSliceMut::new(&mut buffer[..room]), IoSliceMut::new(&mut behind)];
            match self.file.read_vectored(places) {
                Ok(len) if len <= room && blank.set_len(len) => filled += 1,
                Ok(_) => self.oversized += 1,
                Err(why) if why.raw_os_error() == Some(libc::EBADFD) => {
                    self.learn(&why);
                    break;
                }
                Err(_) => break,
            }
        }
        filled
    }

    fn oversized(&mut self) -> u64 {
        std::mem::take(&mut self.oversized)
    }

    fn state(&mut self) -> PortState {
        self.state
    }
}
