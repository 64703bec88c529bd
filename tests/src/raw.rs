//! Whole frames to and from one interface, as anybody on its wire may send them.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::net::{netdevice, recv, send, socket_with};

/// ETH_P_ALL, as it lies in the header.
const EVERYTHING: u16 = (libc::ETH_P_ALL as u16).to_be();

/// A socket for the frames of one interface. It sees what comes, not what others send.
#[derive(Debug)]
pub struct RawSocket(OwnedFd);

impl RawSocket {
    /// Opens one on `interface` of the namespace that this thread is in.
    ///
    /// # Panics
    /// The system refuses: it wants root.
    #[must_use]
    pub fn open(interface: &str) -> RawSocket {
        let protocol = Protocol::from_raw(u32::from(EVERYTHING).try_into().expect("not 0"));
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = socket_with(AddressFamily::PACKET, SocketType::RAW, flags, Some(protocol));
        let fd = fd.expect("a packet socket");
        let index = netdevice::name_to_index(&fd, interface).expect("an interface");
        // SAFETY: all-zero is a valid `sockaddr_ll`.
        let mut address: libc::sockaddr_ll = unsafe { core::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = EVERYTHING;
        address.sll_ifindex = index as i32;
        let bytes = size_of::<libc::sockaddr_ll>() as u32;
        // SAFETY: the address is whole and as long as it says.
        let bound = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), bytes) };
        assert_eq!(bound, 0, "{interface}: {}", io::Error::last_os_error());
        let yes = 1i32;
        // SAFETY: the value is an `int` and as long as it says.
        let set = unsafe {
            libc::setsockopt(
                fd.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_IGNORE_OUTGOING,
                (&raw const yes).cast(),
                size_of::<i32>() as u32,
            )
        };
        assert_eq!(set, 0, "{interface}: {}", io::Error::last_os_error());
        RawSocket(fd)
    }

    /// Sends a frame of 14 bytes or more; false if there is no room for it now.
    ///
    /// # Panics
    /// The interface is gone or down.
    pub fn send(&self, frame: &[u8]) -> bool {
        match send(&self.0, frame, SendFlags::empty()) {
            Ok(_) => true,
            Err(rustix::io::Errno::NOBUFS | rustix::io::Errno::AGAIN) => false,
            Err(why) => panic!("a frame of {} bytes: {why}", frame.len()),
        }
    }

    /// The next frame that came, if there is one: its length in `buffer`.
    pub fn receive(&self, buffer: &mut [u8]) -> Option<usize> {
        recv(&self.0, buffer, RecvFlags::empty()).ok().map(|(len, _)| len)
    }
}

impl AsFd for RawSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
