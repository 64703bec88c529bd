//! How frames find their queue on a DPDK port: by rules where the device takes them, else by the
//! hash whose key and table the device is asked for.
//!
//! Every step is a foreign call on a port number, so this file needs `unsafe`.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char};
use std::net::IpAddr;

use anyhow::{Context, Result, anyhow, ensure};
use dperf_core::steer::{Hash, KEY_BYTES};

use super::eal::error_text;
use crate::port::{Delivery, rss};

/// How frames shall find their queue.
#[derive(Clone, Debug, Default)]
pub struct SteerWish {
    /// The addresses whose frames shall come to a queue by rules, for each queue; none: no rules.
    pub rules: Vec<Vec<IpAddr>>,
    /// Rules look at the source address, not at the destination's.
    pub by_source: bool,
    /// What no rule matches shall not come to the port.
    pub isolate: bool,
    /// The load is IPv6.
    pub ipv6: bool,
    /// The load is UDP.
    pub udp: bool,
}

/// Bytes of the longest key, and entries of the longest table that is asked for.
const LONGEST_KEY: usize = 64;
const LONGEST_TABLE: usize = 4096;
/// Entries that are asked for together.
const GROUP: usize = 64;

/// A key of the length that the device takes.
pub(super) fn key(info: &dpdk_sys::rte_eth_dev_info) -> Vec<u8> {
    rss::KEY.into_iter().cycle().take(usize::from(info.hash_key_size)).collect()
}

/// Several queues are chosen from by a hash of addresses and ports, as far as the device can.
pub(super) fn configure(
    conf: &mut dpdk_sys::rte_eth_conf,
    queues: u16,
    info: &dpdk_sys::rte_eth_dev_info,
    key: &mut [u8],
) {
    let wished = info.flow_type_rss_offloads & dpdk_sys::SHIM_RSS_WISHED;
    if queues == 1 || wished == 0 {
        return;
    }
    conf.rxmode.mq_mode = dpdk_sys::SHIM_MQ_RX_RSS;
    conf.rx_adv_conf.rss_conf.rss_hf = wished;
    if !key.is_empty() {
        conf.rx_adv_conf.rss_conf.rss_key = key.as_mut_ptr();
        conf.rx_adv_conf.rss_conf.rss_key_len = key.len() as u8;
    }
}

/// From its start on the port receives only what rules bring.
pub(super) fn isolate(port: u16) -> Result<()> {
    let mut why = [0; 128];
    // SAFETY: the port is configured and not started; at most so many bytes are written.
    let rc = unsafe { dpdk_sys::shim_isolate(port, why.as_mut_ptr(), why.len()) };
    ensure!(
        rc == 0,
        "flow_isolate: the device does not shut out other traffic ({}): leave the line out",
        reason(rc, &why)
    );
    Ok(())
}

/// How frames find their queue, now that the port is started.
pub(super) fn settle(
    port: u16,
    wish: &super::PortWish,
    info: &dpdk_sys::rte_eth_dev_info,
    notes: &mut Vec<String>,
) -> Result<Delivery> {
    let device = &wish.device;
    let refused = match rules(port, &wish.steer) {
        Ok(()) if !wish.steer.rules.is_empty() => return Ok(Delivery::ByServer),
        Ok(()) => None,
        Err(why) if wish.steer.isolate => {
            return Err(why.context("flow_isolate needs flow rules: leave the line out"));
        }
        Err(why) => Some(why),
    };
    if wish.queues == 1 {
        return Ok(Delivery::Unknown);
    }
    let hash = read_back(port, wish, info);
    match (&refused, &hash) {
        (Some(why), Ok(_)) => notes.push(format!(
            "port {device}: it takes no flow rules ({why}): its workers share the load by hash"
        )),
        (Some(why), Err(hidden)) => {
            notes.push(format!("port {device}: it takes no flow rules ({why}), and {hidden:#}"));
        }
        (None, Err(hidden)) => notes.push(format!("port {device}: {hidden:#}")),
        (None, Ok(_)) => {}
    }
    Ok(hash.unwrap_or(Delivery::Unknown))
}

/// Installs the rules that are wished for.
fn rules(port: u16, wish: &SteerWish) -> Result<()> {
    for (queue, addresses) in wish.rules.iter().enumerate() {
        for address in addresses {
            let octets = match address {
                IpAddr::V4(v4) => v4.octets().to_vec(),
                IpAddr::V6(v6) => v6.octets().to_vec(),
            };
            let mut why = [0; 128];
            // SAFETY: the port is started; the address is as long as its family says, and at most
            // so many bytes are written.
            let rc = unsafe {
                dpdk_sys::shim_add_rule(
                    port,
                    queue as u16,
                    octets.as_ptr(),
                    address.is_ipv6().into(),
                    wish.by_source.into(),
                    why.as_mut_ptr(),
                    why.len(),
                )
            };
            ensure!(rc == 0, "{}", reason(rc, &why));
        }
    }
    Ok(())
}

/// What the driver said, or the name of its error.
fn reason(rc: i32, why: &[c_char]) -> String {
    // SAFETY: the shim ends its text with a zero within these bytes.
    let said = unsafe { CStr::from_ptr(why.as_ptr()) }.to_string_lossy();
    if said.is_empty() { error_text(-rc) } else { said.into_owned() }
}

/// The device's hash and table.
fn read_back(
    port: u16,
    wish: &super::PortWish,
    info: &dpdk_sys::rte_eth_dev_info,
) -> Result<Delivery> {
    let offered = info.flow_type_rss_offloads & dpdk_sys::SHIM_RSS_WISHED;
    ensure!(offered != 0, "it does not spread packets over its queues by a hash");
    let (key, flows) = key_in_force(port, info).context("its hash key cannot be read")?;
    ensure!(key.len() >= KEY_BYTES, "its hash key of {} bytes is too short", key.len());
    let ports = flows & of_load(&wish.steer) != 0;
    let addresses = match wish.steer.ipv6 {
        true => dpdk_sys::SHIM_RSS_IPV6,
        false => dpdk_sys::SHIM_RSS_IPV4,
    };
    ensure!(ports || flows & addresses != 0, "its hash does not cover such packets");
    let table = table(port, info)?;
    ensure!(
        table.len().is_power_of_two(),
        "its table has {} entries, which is no power of two",
        table.len()
    );
    ensure!(
        table.iter().all(|queue| *queue < wish.queues),
        "its table names queues that it was not given"
    );
    Ok(Delivery::Hashed(rss::lend(Hash::toeplitz(&key, wish.steer.ipv6, ports), table)))
}

/// The kind of flow whose ports the hash must cover.
fn of_load(wish: &SteerWish) -> u64 {
    match (wish.ipv6, wish.udp) {
        (false, false) => dpdk_sys::SHIM_RSS_IPV4_TCP,
        (false, true) => dpdk_sys::SHIM_RSS_IPV4_UDP,
        (true, false) => dpdk_sys::SHIM_RSS_IPV6_TCP,
        (true, true) => dpdk_sys::SHIM_RSS_IPV6_UDP,
    }
}

/// The key that the device hashes with, and the kinds of flows it does that for.
fn key_in_force(port: u16, info: &dpdk_sys::rte_eth_dev_info) -> Result<(Vec<u8>, u64)> {
    let mut key = [0; LONGEST_KEY];
    let bytes = usize::from(info.hash_key_size).clamp(KEY_BYTES, LONGEST_KEY);
    let mut conf = dpdk_sys::rte_eth_rss_conf {
        rss_key: key.as_mut_ptr(),
        rss_key_len: bytes as u8,
        rss_hf: 0,
    };
    // SAFETY: the port is started; the key has room for more than any device writes.
    let rc = unsafe { dpdk_sys::rte_eth_dev_rss_hash_conf_get(port, &mut conf) };
    ensure!(rc == 0, "{}", error_text(-rc));
    ensure!(key.iter().any(|byte| *byte != 0), "it says nothing");
    Ok((key[..bytes].to_vec(), conf.rss_hf))
}

/// The device's table.
fn table(port: u16, info: &dpdk_sys::rte_eth_dev_info) -> Result<Vec<u16>> {
    let entries = usize::from(info.reta_size);
    ensure!((1..=LONGEST_TABLE).contains(&entries), "it hides which queue a hash leads to");
    let group = dpdk_sys::rte_eth_rss_reta_entry64 { mask: u64::MAX, reta: [0; GROUP] };
    let mut groups = vec![group; entries.div_ceil(GROUP)];
    let last = entries % GROUP;
    if let Some(group) = groups.last_mut().filter(|_| last > 0) {
        group.mask = (1 << last) - 1;
    }
    // SAFETY: the port is started, and the groups are as many as its table has.
    let rc =
        unsafe { dpdk_sys::rte_eth_dev_rss_reta_query(port, groups.as_mut_ptr(), info.reta_size) };
    if rc != 0 {
        return Err(anyhow!("it hides which queue a hash leads to ({})", error_text(-rc)));
    }
    Ok(groups.iter().flat_map(|group| group.reta).take(entries).collect())
}
