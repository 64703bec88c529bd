//! Ways to the kernel: each opens the kernel's interfaces of one port and mints one path per
//! worker, once, to be moved to its core.
//!
//! No path is shared unless the device has one queue only; then [`dperf_core::exception::Shared`]
//! holds it, and a line says so.

#[cfg(any(feature = "dpdk", test))]
mod device_path;
mod tap;
#[cfg(feature = "dpdk")]
mod vhost;

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use dperf_core::exception::{Delivered, ExceptionPath, Shared};
use dperf_core::frame::Frame;
use dperf_core::plan::Role;
use dperf_core::port::PortState;

use crate::config::{Exception, ExceptionKind, Port};
use crate::port::Facts;

pub use tap::TapQueue;

/// How often a command that runs is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// The way to the kernel of one port.
pub struct Opened {
    /// One path per worker, in order. Each moves to its core.
    pub paths: Vec<Box<dyn ExceptionPath>>,
    /// The kernel's names for it.
    pub interfaces: Vec<String>,
    /// What the user should know, one line each.
    pub notes: Vec<String>,
}

impl Opened {
    /// No way to the kernel.
    pub fn none() -> Opened {
        Opened { paths: Vec::new(), interfaces: Vec::new(), notes: Vec::new() }
    }
}

/// Opens the way to the kernel of port `index` for `workers`.
///
/// # Errors
/// One sentence that says what is missing and how to provide it; nothing is left behind.
pub fn open(
    exception: &Exception,
    role: Role,
    index: usize,
    facts: &Facts,
    workers: usize,
) -> Result<Opened> {
    let interfaces = exception.interfaces(role, index, workers);
    let mut notes = Vec::new();
    let paths = match exception.kind {
        ExceptionKind::Tap => one_interface(&interfaces[0], facts, workers, &mut notes)?,
        ExceptionKind::TapPerCore => {
            let alone = |name: &String| Ok(Box::new(tap::open(name, facts)?) as _);
            interfaces.iter().map(alone).collect::<Result<_>>()?
        }
        #[cfg(feature = "dpdk")]
        ExceptionKind::VhostNet => vhost::open(&interfaces[0], facts, workers, &mut notes)?,
        #[cfg(not(feature = "dpdk"))]
        ExceptionKind::VhostNet => bail!(
            "vhost-net needs DPDK, and this program was built without it: build with `cargo build \
             --release --features dpdk`, or write 'exception tap'"
        ),
    };
    Ok(Opened { paths, interfaces, notes })
}

/// One interface with one queue per worker; with one queue that all share, if the kernel gives no
/// more.
fn one_interface(
    name: &str,
    facts: &Facts,
    workers: usize,
    notes: &mut Vec<String>,
) -> Result<Vec<Box<dyn ExceptionPath>>> {
    if workers == 1 {
        return Ok(vec![Box::new(tap::open(name, facts)?)]);
    }
    if let Some(queues) = tap::open_queues(name, facts, workers)? {
        return Ok(queues.into_iter().map(|queue| Box::new(queue) as _).collect());
    }
    notes.push(said_shared(name, workers));
    open_shared(name, facts, workers)
}

/// One interface with one queue, which all `workers` share behind the one lock: for a kernel that
/// gives no more.
///
/// # Errors
/// As [`open`].
pub fn open_shared(
    name: &str,
    facts: &Facts,
    workers: usize,
) -> Result<Vec<Box<dyn ExceptionPath>>> {
    Ok(shared(tap::open(name, facts)?, workers))
}

fn said_shared(name: &str, workers: usize) -> String {
    format!("{name}: there is one queue only: its {workers} workers share it behind a lock")
}

/// One path for `workers`, behind the one lock.
fn shared<X: ExceptionPath + 'static>(path: X, workers: usize) -> Vec<Box<dyn ExceptionPath>> {
    let path = Arc::new(Shared::new(path));
    (0..workers).map(|_| Box::new(Share(Arc::clone(&path))) as _).collect()
}

/// One worker's hold on a shared path.
struct Share<X>(Arc<Shared<X>>);

impl<X: ExceptionPath> ExceptionPath for Share<X> {
    fn deliver(&mut self, packets: &[Frame]) -> Delivered {
        (&*self.0).deliver(packets)
    }
    fn collect(&mut self, blanks: &mut [Frame]) -> usize {
        (&*self.0).collect(blanks)
    }
    fn oversized(&mut self) -> u64 {
        (&*self.0).oversized()
    }
    fn state(&mut self) -> PortState {
        (&*self.0).state()
    }
}

/// Runs the user's own set-up for an interface that has just come up. What it prints goes to
/// stderr: stdout is for the reports.
///
/// # Errors
/// The command fails, and what it printed is on the screen already; or `stopped` became true while
/// it ran, and it was killed.
pub fn bring_up(
    command: &str,
    (role, port, facts): (Role, &Port, &Facts),
    name: &str,
    stopped: &dyn Fn() -> bool,
) -> Result<()> {
    let mut shell = Command::new("sh")
        .args(["-c", command])
        .env("INTERFACE", name)
        .env("ADDRESS", port.local.to_string())
        .env("GATEWAY", port.gateway.to_string())
        .env("MAC", facts.mac.to_string())
        .env("ROLE", role.name())
        .stdout(std::io::stderr())
        .spawn()
        .context("--exception-up: there is no sh")?;
    let status = loop {
        if let Some(status) = shell.try_wait()? {
            break status;
        }
        if stopped() {
            shell.kill()?;
            shell.wait()?;
            bail!("stopped while --exception-up '{command}' ran for {name}");
        }
        std::thread::sleep(LOOK);
    };
    ensure!(
        status.success(),
        "--exception-up '{command}' failed for {name} ({status}): try it by hand with \
         INTERFACE={name} ADDRESS={} GATEWAY={}",
        port.local,
        port.gateway
    );
    Ok(())
}
