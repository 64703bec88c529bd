//! What the configuration says about the way to the kernel, and what its interfaces are called.

use dperf_core::plan::Role;

use super::error::{Complaint, ConfigError, Note, Place};
use super::{Config, PortName};

/// Characters of an interface name, at most (linux/if.h: IFNAMSIZ less the end of the string).
const LONGEST_NAME: usize = 15;

/// How a port reaches the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExceptionKind {
    /// One interface per port with one queue per worker.
    Tap,
    /// One interface per worker.
    TapPerCore,
    /// One interface per port with one queue per worker, by the kernel's vhost and DPDK.
    VhostNet,
}

/// The way to the kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exception {
    /// How.
    pub kind: ExceptionKind,
    /// What the names of its interfaces begin with.
    pub name: String,
    /// Where it is configured.
    pub place: Place,
}

impl Exception {
    /// The names of the interfaces of port `port`: as dperf has it, `NAMEs0` for a server's first
    /// port, `NAMEc1` for a client's second; one interface per core has `.WORKER` behind.
    pub fn interfaces(&self, role: Role, port: usize, workers: usize) -> Vec<String> {
        let side = if role == Role::Server { 's' } else { 'c' };
        let name = format!("{}{side}{port}", self.name);
        match self.kind {
            ExceptionKind::Tap | ExceptionKind::VhostNet => vec![name],
            ExceptionKind::TapPerCore => (0..workers).map(|i| format!("{name}.{i}")).collect(),
        }
    }
}

/// No name is too long, and a packet socket has no need of one.
pub(super) fn check(config: &mut Config, notes: &mut Vec<Note>) -> Result<(), ConfigError> {
    let Some(exception) = &config.exception else { return Ok(()) };
    let (role, workers) = (config.role, config.queues());
    let names = (0..config.ports.len()).flat_map(|port| exception.interfaces(role, port, workers));
    if let Some(long) = names.max_by_key(String::len).filter(|name| name.len() > LONGEST_NAME) {
        let why = format!("interface '{long}' would have {} characters", long.len());
        let hint = format!("at most {LONGEST_NAME}: choose a shorter name");
        let complaint = Complaint::new(why, hint);
        return Err(ConfigError::new(&exception.place, "exception", complaint));
    }
    let mut without = 0;
    for port in &config.ports {
        let why = match &port.name {
            PortName::AfPacket(interface) => format!(
                "the kernel sees every frame of {interface} already; give it an address of its \
                 own there, other than the load's and {}",
                port.local
            ),
            PortName::AfXdp(xdp) => {
                format!("the kernel keeps {}, all but the load", xdp.interface)
            }
            _ => continue,
        };
        let text = format!("exception has no effect on {}: {why}", port.name);
        notes.push(Note { place: exception.place.clone(), text });
        without += 1;
    }
    if without == config.ports.len() {
        config.exception = None;
    }
    Ok(())
}
