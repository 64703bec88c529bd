//! Behind a packet socket the kernel stays silent about the test addresses: it sees a copy of every
//! frame and would answer with resets, echoes and ARP replies of its own.
//!
//! What is addressed to them is dropped at the interface's ingress, behind the sockets. By choice
//! with a small program that we assemble ourselves and that hangs on a descriptor: when this
//! process ends, however it ends, the kernel removes it (tcx, Linux 6.6). On older kernels with a
//! table of `nft`, which [`Silence`] removes; a killed process leaves it behind, and says so
//! beforehand.

use std::io::Result as IoResult;
use std::os::fd::OwnedFd;

use anyhow::{Context, Result, bail};

use super::bpf::{self, IpRange, MAX_RANGES};

mod program;
mod table;
#[cfg(test)]
mod tests;

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
    let Some(index) = bpf::index(interface) else { bail!("there is no interface '{interface}'") };
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

/// Loads the program and attaches it before all others; closing the result detaches it.
fn attach(index: u32, addresses: &[IpRange]) -> IoResult<OwnedFd> {
    let code = program::assemble(addresses);
    let program = bpf::load(bpf::Kind::Classifier, &code)?;
    bpf::attach(&program, index, BPF_TCX_INGRESS, BPF_F_BEFORE)
}

// linux/bpf.h
const BPF_TCX_INGRESS: u32 = 46;
/// Before all programs that are there already.
const BPF_F_BEFORE: u32 = 1 << 3;
