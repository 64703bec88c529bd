//! One DPDK port, configured once and started; it stops, closes and lets go of its device when its
//! last holder is dropped.
//!
//! Every step is a foreign call on a port number, so this file needs `unsafe`.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use dperf_core::port::{Faults, Offloads, PortState};
use dperf_core::wire::ethernet::MacAddr;

use super::args::pci_address;
use super::eal::{Overheard, check_running, error_text};
use super::pool::{self, Pool};
use super::{Bond, PortWish, bond, describe, steer};
use crate::port::dpdk_buffers::Memory;
use crate::port::{Delivery, Facts};

/// How long a peer that was called may take to answer, and how often the link is looked at.
const ANSWER_WAIT: Duration = Duration::from_millis(500);
const ANSWER_LOOK: Duration = Duration::from_millis(5);

/// Ports that are open. Its lock also makes control calls one at a time, as DPDK wants them.
static OPEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());

fn open_ports() -> MutexGuard<'static, Vec<u16>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A device that calls its peer by a socket was not answered: nobody listens yet, or the socket is
/// somebody else's.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoPeer;

impl std::fmt::Display for NoPeer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no peer answers at its socket: start the peer's side first")
    }
}

impl std::error::Error for NoPeer {}

/// Some port is open.
pub(super) fn any_open() -> bool {
    !open_ports().is_empty()
}

/// An IPv4 header's checksum is filled in here when the device only knows layer 4.
const TX_BOTH: Offloads = Offloads::TX_IPV4_CHECKSUM.union(Offloads::TX_L4_CHECKSUM);

/// A port as DPDK found it, closed when it is dropped. Whoever drops it holds the lock of OPEN.
struct Device {
    id: u16,
    device: *mut dpdk_sys::rte_device,
    /// The device came with the port and goes with it (a virtual one).
    probed: bool,
    closed: bool,
}

/// A started port.
pub(super) struct Port {
    id: u16,
    device: Device,
    /// What it is made of, if it is a bond.
    members: Vec<Device>,
    /// Its bursts carry LACP as well.
    pub(super) lacp: bool,
    started: bool,
    pools: Vec<Pool>,
    /// [`PortState`] as its number: queue 0 asks the device, the others read this.
    state: AtomicU8,
    before: Faults,
    /// What the user should know, one line each.
    pub(super) notes: Vec<String>,
    /// The transmit ring frees whole bursts into its own pool.
    pub(super) fast_free: bool,
    pub(super) device_does_ip: bool,
}

// SAFETY: the device pointer is used in drop alone; all else is numbers, atomics and pools.
unsafe impl Send for Port {}
// SAFETY: as above.
unsafe impl Sync for Port {}

/// Opens, configures and starts the port.
pub(super) fn open(wish: &PortWish) -> Result<(Facts, Port)> {
    let memory = check_running()?;
    let mut open = open_ports();
    let log = Overheard::listen();
    let mut found = Port::find(wish, &open);
    let facts = match &mut found {
        Ok(port) => port.set_up(wish, memory),
        Err(_) => Err(anyhow!("")),
    };
    let said = log.finish();
    match (found, facts) {
        (Ok(port), Ok(facts)) => {
            open.extend(port.ids());
            Ok((facts, port))
        }
        (Err(error), _) | (Ok(_), Err(error)) => {
            // A port that is half open closes now, and takes the lock for it.
            drop(open);
            let said = if said.is_empty() { said } else { format!(" (DPDK: {said})") };
            Err(error.context(format!("port {}{said}", wish.device)))
        }
    }
}

impl Device {
    /// The device's port: there already (PCI, or named to the EAL), or made now (virtual).
    fn find(device: &str, open: &[u16]) -> Result<Device> {
        let name = bond::port_name(device);
        // The peer would own the memory our parsers read.
        let shared = name.starts_with("net_memif") && device.contains("zero-copy=yes");
        ensure!(!shared, "the peer could write to frames we have checked: leave zero-copy out");
        let mut probed = false;
        let id = match describe::port_named(&name)? {
            Some(id) => id,
            None if pci_address(&name).is_some() => return Err(describe::no_such_nic(&name)),
            None => {
                let text = CString::new(device)?;
                // SAFETY: the EAL runs; the string lives through the call.
                let rc = unsafe { dpdk_sys::rte_dev_probe(text.as_ptr()) };
                if rc != 0 && describe::calls_peer(device) {
                    return Err(NoPeer.into());
                }
                ensure!(rc == 0, describe::refused(device));
                probed = true;
                describe::port_named(&name)?.context("the device has no Ethernet port")?
            }
        };
        ensure!(!open.contains(&id), "it is open already: name each device once");
        Ok(Device { id, device: info(id)?.device, probed, closed: false })
    }

    fn close(&mut self) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        // SAFETY: nobody uses the port any more, and it is closed once.
        unsafe {
            dpdk_sys::rte_eth_dev_close(self.id);
            if self.probed {
                dpdk_sys::rte_dev_remove(self.device);
            }
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.close();
    }
}

impl Port {
    fn find(wish: &PortWish, open: &[u16]) -> Result<Port> {
        let (device, members) = match &wish.bond {
            None => (Device::find(&wish.device, open)?, Vec::new()),
            Some(bond) => {
                let found = |member: &String| {
                    Device::find(member, open).with_context(|| format!("its member {member}"))
                };
                let members = bond.members.iter().map(found).collect::<Result<Vec<_>>>()?;
                let name = format!("net_bonding{}", pool::serial());
                (Device::find(&bond.device(&name), open)?, members)
            }
        };
        Ok(Port {
            id: device.id,
            device,
            members,
            lacp: wish.bond.as_ref().is_some_and(Bond::is_lacp),
            started: false,
            pools: Vec::new(),
            state: AtomicU8::new(PortState::Down as u8),
            before: Faults::default(),
            notes: Vec::new(),
            fast_free: false,
            device_does_ip: false,
        })
    }

    /// The numbers it has with DPDK, its members' included.
    fn ids(&self) -> impl Iterator<Item = u16> {
        self.members.iter().map(|member| member.id).chain([self.id])
    }

    /// Everything up to the start.
    fn set_up(&mut self, wish: &PortWish, memory: Memory) -> Result<Facts> {
        self.gather()?;
        let info = info(self.id)?;
        let offloads = self.configure(wish, &info)?;
        self.set_up_queues(wish, &info)?;
        if wish.steer.isolate {
            steer::isolate(self.id)?;
        }
        self.start(wish)?;
        let mut mac = MaybeUninit::<dpdk_sys::rte_ether_addr>::zeroed();
        // SAFETY: the port is there, `mac` has room for the address, and zeros are one.
        let mac = unsafe {
            let rc = dpdk_sys::rte_eth_macaddr_get(self.id, mac.as_mut_ptr());
            ensure!(rc == 0, "no MAC address: {}", error_text(-rc));
            mac.assume_init()
        };
        self.before = self.totals();
        let driver = describe::driver_name(&info);
        Ok(Facts {
            mac: MacAddr(mac.addr_bytes),
            frame_bytes: wish.frame_bytes,
            offloads,
            kernel_sees: describe::kernel_sees(&driver),
            buffer_bytes: u64::from(wish.memory_mb(memory)) << 20,
            delivery: match describe::paired(&driver, &wish.device) {
                true if !wish.steer.isolate => Delivery::Paired,
                _ => steer::settle(self.id, wish, &info, &mut self.notes)?,
            },
        })
    }

    /// Makes a bond take its members in: it does so when it is configured first, and can only then
    /// say what all of them can.
    fn gather(&mut self) -> Result<()> {
        if self.members.is_empty() {
            return Ok(());
        }
        // SAFETY: plain C data for which zeros mean: nothing asked for.
        let conf: dpdk_sys::rte_eth_conf = unsafe { std::mem::zeroed() };
        // SAFETY: the port is there and stopped; the configuration is copied.
        let rc = unsafe { dpdk_sys::rte_eth_dev_configure(self.id, 1, 1, &raw const conf) };
        ensure!(rc == 0, "its members cannot be bonded: {}", error_text(-rc));
        Ok(())
    }

    /// Queues, MTU, offloads and RSS. Returns the offloads in force.
    fn configure(
        &mut self,
        wish: &PortWish,
        info: &dpdk_sys::rte_eth_dev_info,
    ) -> Result<Offloads> {
        let most = info.max_rx_queues.min(info.max_tx_queues);
        ensure!(
            wish.queues >= 1 && wish.queues <= most,
            "it has {most} queues and {} are wanted: use fewer CPUs on it, or give a virtual \
             device more queues in its arguments",
            wish.queues
        );
        let mtu = wish.frame_bytes.saturating_sub(14);
        let most = describe::max_mtu(info);
        ensure!(mtu <= most, "it carries an MTU of {most} at most: lower the MTU from {mtu}");
        let both = |flags: u64, offered: u64| if offered & flags == flags { flags } else { 0 };
        let (rx_offered, tx_offered) = (info.rx_offload_capa, info.tx_offload_capa);
        let mut offloads = Offloads::empty();
        // A bond's members also send what is not of our pools, and one frame several times.
        let alone = if self.members.is_empty() { tx_offered } else { 0 };
        let (mut rx, mut tx) = (0, both(dpdk_sys::SHIM_TX_FAST_FREE, alone));
        self.fast_free = tx != 0;
        if wish.offloads.intersects(TX_BOTH) && tx_offered & dpdk_sys::SHIM_TX_TCP_CKSUM != 0 {
            let ip = tx_offered & dpdk_sys::SHIM_TX_IPV4_CKSUM;
            tx |= dpdk_sys::SHIM_TX_TCP_CKSUM | ip;
            self.device_does_ip = ip != 0;
            offloads |= TX_BOTH;
        }
        if wish.offloads.contains(Offloads::RX_CHECKSUM) {
            let layer4 = dpdk_sys::SHIM_RX_TCP_CKSUM | dpdk_sys::SHIM_RX_UDP_CKSUM;
            rx = both(layer4, rx_offered);
            if rx != 0 {
                rx |= rx_offered & dpdk_sys::SHIM_RX_IPV4_CKSUM;
                offloads |= Offloads::RX_CHECKSUM;
            }
        }
        let mut key = steer::key(info);
        // SAFETY: plain C data for which zeros mean: nothing asked for.
        let mut conf: dpdk_sys::rte_eth_conf = unsafe { std::mem::zeroed() };
        steer::configure(&mut conf, wish.queues, info, &mut key);
        // Never below the standard: short test frames do not keep longer ones from coming in.
        conf.rxmode.mtu = u32::from(mtu.max(most.min(1500)));
        conf.rxmode.offloads = rx;
        conf.txmode.offloads = tx;
        // SAFETY: the port is there and stopped; the key lives through the call, which copies it.
        let rc = unsafe {
            dpdk_sys::rte_eth_dev_configure(self.id, wish.queues, wish.queues, &raw const conf)
        };
        ensure!(rc == 0, "the device refused its configuration: {}", error_text(-rc));
        Ok(offloads)
    }

    /// Both rings of each queue, and the pool they share.
    fn set_up_queues(&mut self, wish: &PortWish, info: &dpdk_sys::rte_eth_dev_info) -> Result<()> {
        let (mut rx, mut tx) = (wish.descriptors, wish.descriptors);
        // SAFETY: both point to numbers of ours. It fails for no device that has queues.
        unsafe { dpdk_sys::rte_eth_dev_adjust_nb_rx_tx_desc(self.id, &mut rx, &mut tx) };
        // SAFETY: asks about a port that is there.
        let node = unsafe { dpdk_sys::rte_eth_dev_socket_id(self.id) };
        let buffers = wish.buffers();
        let (frames, room) = (buffers.of_queue(rx, tx), buffers.room());
        for queue in 0..wish.queues {
            let name = format!("dperf-{}-{queue}-{:x}", self.id, pool::serial());
            let pool = Pool::new(&name, frames, room, node)?;
            let (rx_conf, tx_conf) = (info.default_rxconf, info.default_txconf);
            // SAFETY: configured and stopped; the pool outlives the ring, being freed after the
            // port is closed; the configurations are copied.
            let rc = unsafe {
                match dpdk_sys::rte_eth_rx_queue_setup(
                    self.id,
                    queue,
                    rx,
                    node as u32,
                    &raw const rx_conf,
                    pool.as_ptr(),
                ) {
                    0 => dpdk_sys::rte_eth_tx_queue_setup(
                        self.id,
                        queue,
                        tx,
                        node as u32,
                        &raw const tx_conf,
                    ),
                    rc => rc,
                }
            };
            self.pools.push(pool);
            ensure!(rc == 0, "queue {queue} of {rx} + {tx} descriptors: {}", error_text(-rc));
        }
        Ok(())
    }

    fn start(&mut self, wish: &PortWish) -> Result<()> {
        let mtu = wish.frame_bytes.saturating_sub(14);
        // SAFETY: configured with queues set up; every call takes the port's number alone.
        unsafe {
            if mtu > 1500 {
                // Virtual devices over a kernel interface learn it here; others know it already.
                let rc = dpdk_sys::rte_eth_dev_set_mtu(self.id, mtu);
                let known = rc == 0 || rc == -libc::ENOTSUP;
                ensure!(known, "MTU {mtu}: {}", error_text(-rc));
            }
            let rc = dpdk_sys::rte_eth_dev_start(self.id);
            if rc != 0 && describe::calls_peer(&wish.device) {
                return Err(NoPeer.into());
            }
            ensure!(rc == 0, "the device did not start: {}", error_text(-rc));
            self.started = true;
            // Neighbour solicitations come to multicast groups; a device that cannot open up for
            // those alone opens up for everything.
            if dpdk_sys::rte_eth_allmulticast_enable(self.id) != 0 {
                dpdk_sys::rte_eth_promiscuous_enable(self.id);
            }
        }
        ensure!(!describe::calls_peer(&wish.device) || self.is_answered(), NoPeer);
        Ok(())
    }

    /// A device that called its peer has its link within moments. A peer whose socket is there but
    /// whose device is not started yet hangs up, and the driver does not call again.
    fn is_answered(&self) -> bool {
        let called = Instant::now();
        while self.ask_state() != PortState::Up {
            if called.elapsed() >= ANSWER_WAIT {
                return false;
            }
            std::thread::sleep(ANSWER_LOOK);
        }
        true
    }

    pub(super) fn id(&self) -> u16 {
        self.id
    }

    pub(super) fn pool(&self, queue: u16) -> Option<&Pool> {
        self.pools.get(usize::from(queue))
    }

    /// Asks the device; for one queue only, since DPDK's control calls are for one thread.
    pub(super) fn ask_state(&self) -> PortState {
        // SAFETY: both only ask about a port that is open as long as `self`.
        let state = unsafe {
            if dpdk_sys::rte_eth_dev_is_removed(self.id) == 1 {
                PortState::Gone
            } else if dpdk_sys::shim_link_is_up(self.id) == 1 {
                PortState::Up
            } else {
                PortState::Down
            }
        };
        self.state.store(state as u8, Ordering::Relaxed);
        state
    }

    /// What [`Port::ask_state`] found last.
    pub(super) fn last_state(&self) -> PortState {
        match self.state.load(Ordering::Relaxed) {
            state if state == PortState::Up as u8 => PortState::Up,
            state if state == PortState::Gone as u8 => PortState::Gone,
            _ => PortState::Down,
        }
    }

    /// What the device lost since it was opened.
    pub(super) fn faults(&self) -> Faults {
        let (now, before) = (self.totals(), self.before);
        Faults {
            rx_missed: now.rx_missed.saturating_sub(before.rx_missed),
            rx_errors: now.rx_errors.saturating_sub(before.rx_errors),
            tx_errors: now.tx_errors.saturating_sub(before.tx_errors),
            rx_no_buffer: now.rx_no_buffer.saturating_sub(before.rx_no_buffer),
        }
    }

    fn totals(&self) -> Faults {
        let mut stats = MaybeUninit::<dpdk_sys::rte_eth_stats>::zeroed();
        // SAFETY: plain numbers, for which zeros are a value, so even a refused call leaves some.
        let stats = unsafe {
            dpdk_sys::rte_eth_stats_get(self.id, stats.as_mut_ptr());
            stats.assume_init()
        };
        Faults {
            rx_missed: stats.imissed,
            rx_errors: stats.ierrors,
            tx_errors: stats.oerrors,
            rx_no_buffer: stats.rx_nombuf,
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let mut open = open_ports();
        if self.started {
            // SAFETY: no queue is left to use the port; the pools are dropped after this, when the
            // rings have given their buffers back.
            unsafe { dpdk_sys::rte_eth_dev_stop(self.id) };
            if !self.members.is_empty() {
                std::thread::sleep(bond::LAST_LOOK);
            }
        }
        // A bond lets go of its members as it closes.
        self.device.close();
        self.members.iter_mut().for_each(Device::close);
        open.retain(|id| !self.ids().any(|own| own == *id));
        pool::let_go(&mut self.pools);
    }
}

fn info(id: u16) -> Result<dpdk_sys::rte_eth_dev_info> {
    let mut info = MaybeUninit::<dpdk_sys::rte_eth_dev_info>::zeroed();
    // SAFETY: plain C data for which zeros are a value; it is filled when the call succeeds.
    unsafe {
        let rc = dpdk_sys::rte_eth_dev_info_get(id, info.as_mut_ptr());
        ensure!(rc == 0, "the device does not describe itself: {}", error_text(-rc));
        Ok(info.assume_init())
    }
}
