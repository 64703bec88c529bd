//! What the kernel knows about a network interface, and what is wrong with it in one sentence.
#![allow(unsafe_code)]

use core::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

use anyhow::{Context, Result, bail, ensure};
use dperf_core::port::PortState;
use dperf_core::wire::ethernet::{ETHERNET_BYTES, MacAddr};

use super::socket_option::get;
use crate::port::ifreq::{ioctl, request};

/// An Ethernet interface that is up.
pub(super) struct Interface {
    pub(super) index: i32,
    pub(super) mac: MacAddr,
    /// The longest frame, in bytes without FCS and VLAN tag.
    pub(super) frame_bytes: u16,
}

impl Interface {
    /// Looks `name` up in the network namespace of `socket`.
    pub(super) fn find(socket: BorrowedFd<'_>, name: &str) -> Result<Interface> {
        let Some(mut request) = request(name) else {
            bail!("'{name}' is not an interface name; the interfaces here are {}", names());
        };
        let mut ask = |code| ioctl(socket, code, &mut request).map(|()| request.ifr_ifru);
        let Ok(index) = ask(libc::SIOCGIFINDEX) else {
            bail!("there is no interface '{name}'; the interfaces here are {}", names());
        };
        let hardware = ask(libc::SIOCGIFHWADDR).with_context(|| format!("{name}: its address"))?;
        let mtu = ask(libc::SIOCGIFMTU).with_context(|| format!("{name}: its MTU"))?;
        let flags = ask(libc::SIOCGIFFLAGS).with_context(|| format!("{name}: its flags"))?;
        // SAFETY: each request filled in the field that is read here; all are plain numbers.
        let (index, hardware, mtu, flags) =
            unsafe { (index.ifru_ifindex, hardware.ifru_hwaddr, mtu.ifru_mtu, flags.ifru_flags) };
        ensure!(
            hardware.sa_family != libc::ARPHRD_LOOPBACK,
            "'{name}' is the loopback, where no Ethernet address is: use a veth pair instead \
             (ip link add A type veth peer name B)"
        );
        ensure!(
            hardware.sa_family == libc::ARPHRD_ETHER,
            "'{name}' is not an Ethernet interface (its hardware type is {})",
            hardware.sa_family
        );
        ensure!(
            i32::from(flags) & libc::IFF_UP != 0,
            "interface '{name}' is down: bring it up with 'ip link set {name} up'"
        );
        let mut mac = [0; 6];
        for (to, from) in mac.iter_mut().zip(hardware.sa_data) {
            *to = from as u8;
        }
        // The four bytes kept free below 64 KiB are a VLAN tag's.
        let frame_bytes = (mtu.max(0) as usize + ETHERNET_BYTES).min(0xfff0) as u16;
        Ok(Interface { index, mac: MacAddr(mac), frame_bytes })
    }
}

/// What became of the interface that `socket` is bound to.
pub(super) fn state(socket: BorrowedFd<'_>) -> PortState {
    // SAFETY: all-zero is a valid `sockaddr_ll`, and the length says how much may be written.
    let (rc, bound) = unsafe {
        let mut bound: libc::sockaddr_ll = core::mem::zeroed();
        let mut len = size_of_val(&bound) as libc::socklen_t;
        let rc = libc::getsockname(socket.as_raw_fd(), (&raw mut bound).cast(), &raw mut len);
        (rc, bound)
    };
    // An interface that went down leaves an error behind, which would meet the next frame sent.
    let mut left: libc::c_int = 0;
    let _ = get(socket, libc::SOL_SOCKET, libc::SO_ERROR, &mut left);
    // The kernel unbinds the socket when the interface disappears.
    if rc != 0 || bound.sll_ifindex <= 0 {
        return PortState::Gone;
    }
    state_of(socket, bound.sll_ifindex)
}

/// What became of the interface of that number.
pub(super) fn state_of(socket: BorrowedFd<'_>, index: i32) -> PortState {
    let Some(mut asked) = request("") else { return PortState::Gone };
    asked.ifr_ifru.ifru_ifindex = index;
    // The name first, since it may have changed.
    if ioctl(socket, libc::SIOCGIFNAME, &mut asked).is_err()
        || ioctl(socket, libc::SIOCGIFFLAGS, &mut asked).is_err()
    {
        return PortState::Gone;
    }
    // SAFETY: SIOCGIFFLAGS has filled in the flags.
    let flags = i32::from(unsafe { asked.ifr_ifru.ifru_flags });
    let carries = libc::IFF_UP | libc::IFF_RUNNING;
    if flags & carries == carries { PortState::Up } else { PortState::Down }
}

/// The names of all interfaces, for a sentence.
fn names() -> String {
    let mut names = Vec::new();
    // SAFETY: the list ends with index 0 and is freed once; the names are copied before.
    unsafe {
        let list = libc::if_nameindex();
        let mut at = list;
        while !at.is_null() && (*at).if_index != 0 {
            names.push(CStr::from_ptr((*at).if_name).to_string_lossy().into_owned());
            at = at.add(1);
        }
        if !list.is_null() {
            libc::if_freenameindex(list);
        }
    }
    names.join(", ")
}
