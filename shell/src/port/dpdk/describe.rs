//! What a device says about itself, in our words.
//!
//! Names are C strings, so this file needs `unsafe`.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};

use anyhow::{Result, anyhow};

use crate::port::KernelSees;

/// The largest MTU the device can be set to; DPDK reckons it in the same two ways.
pub(super) fn max_mtu(info: &dpdk_sys::rte_eth_dev_info) -> u16 {
    const OVERHEAD: u32 = 14 + 4;
    let named = if info.max_mtu == 0 { u16::MAX } else { info.max_mtu };
    if named != u16::MAX {
        return named;
    }
    u16::try_from(info.max_rx_pktlen.saturating_sub(OVERHEAD)).unwrap_or(u16::MAX)
}

/// The driver, as DPDK names it.
pub(super) fn driver_name(info: &dpdk_sys::rte_eth_dev_info) -> String {
    if info.driver_name.is_null() {
        return String::new();
    }
    // SAFETY: a driver's name is a C string in its static memory.
    unsafe { CStr::from_ptr(info.driver_name) }.to_string_lossy().into_owned()
}

/// The port of that name is there and its link is up.
pub(super) fn has_link(name: &str) -> bool {
    // SAFETY: only asks about a port that is there.
    port_named(name)
        .is_ok_and(|id| id.is_some_and(|id| unsafe { dpdk_sys::shim_link_is_up(id) == 1 }))
}

/// The number of the port of that name, if it is there.
pub(super) fn port_named(name: &str) -> Result<Option<u16>> {
    let name = CString::new(name)?;
    let mut id = 0;
    // SAFETY: the string lives through the call, and `id` is ours.
    let rc = unsafe { dpdk_sys::rte_eth_dev_get_port_by_name(name.as_ptr(), &mut id) };
    Ok((rc == 0).then_some(id))
}

/// What the kernel gets of the frames, which only depends on the driver.
pub(super) fn kernel_sees(driver: &str) -> KernelSees {
    match driver {
        "net_af_packet" | "net_pcap" => KernelSees::Copy,
        _ => KernelSees::Nothing,
    }
}

/// Queue i of ours is joined to queue i of the peer. A vhost-kernel back end (`/dev/...`) is not a
/// peer of our kind.
pub(super) fn paired(driver: &str, device: &str) -> bool {
    match driver {
        "net_memif" | "net_ring" | "net_null" | "net_vhost" => true,
        "net_virtio_user" => !device.contains("path=/dev/"),
        _ => false,
    }
}

/// The device calls its peer by a socket as it starts; the other side listens there.
pub(super) fn calls_peer(device: &str) -> bool {
    let memif = device.starts_with("net_memif")
        && matches!(word(device, "role="), None | Some("client" | "slave"));
    let vhost_user = device.starts_with("net_virtio_user") || device.starts_with("virtio_user");
    memif || vhost_user && !device.contains("server=1") && !device.contains("path=/dev/")
}

/// What stands behind `name` in a device's words.
fn word<'a>(device: &'a str, name: &str) -> Option<&'a str> {
    device.split(',').find_map(|word| word.strip_prefix(name))
}

/// Why DPDK made no device of these words, as far as they tell.
pub(super) fn refused(device: &str) -> String {
    let word = |name| word(device, name);
    match (word("role="), word("socket-abstract="), word("socket=")) {
        (Some("server"), Some("no"), Some(path)) if std::path::Path::new(path).exists() => format!(
            "{path} is there already: another program listens there, or was killed and left it \
             behind: remove it, or leave socket-abstract=no out"
        ),
        _ => "no such device, or not with these arguments".to_owned(),
    }
}

/// Why a PCI address has no port, as far as the kernel can tell.
pub(super) fn no_such_nic(address: &str) -> anyhow::Error {
    let device = std::path::Path::new("/sys/bus/pci/devices").join(address);
    if !device.exists() {
        return anyhow!("no such PCI device: see dpdk-devbind.py --status");
    }
    let driver = std::fs::read_link(device.join("driver")).ok();
    let driver = driver.as_deref().and_then(|path| path.file_name()).unwrap_or_default();
    match driver.to_str() {
        Some("vfio-pci" | "igb_uio" | "uio_pci_generic") => anyhow!(
            "DPDK has no driver for it or could not reach it: is it in the EAL's list of devices, \
             and may this user open /dev/vfio?"
        ),
        Some("") | None => anyhow!("no driver holds it: dpdk-devbind.py --bind=vfio-pci {address}"),
        Some(kernel) => anyhow!(
            "the kernel's driver {kernel} holds it: dpdk-devbind.py --bind=vfio-pci {address}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{calls_peer, refused};

    #[test]
    fn a_socket_that_was_left_behind_is_named() {
        let memif = |rest: &str| refused(&format!("net_memif0,{rest}"));
        let left = memif("role=server,socket=/proc/self/exe,socket-abstract=no");
        assert!(left.contains("/proc/self/exe") && left.contains("remove it"), "{left}");
        assert!(!calls_peer("net_memif0,role=banana"), "nobody is waited for");
        for other in ["net_memif0", "net_memif0,socket=/run/x,role=client"] {
            assert!(calls_peer(other), "{other}");
        }
        for other in [
            "role=server,socket=/nonexistent,socket-abstract=no",
            "role=server,socket=/proc/self/exe",
            "role=banana",
        ] {
            assert!(memif(other).starts_with("no such device"), "{other}");
        }
    }
}
