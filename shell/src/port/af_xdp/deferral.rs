//! An interface's interrupts put off: for a while after frames came the kernel takes what comes in
//! one go (Documentation/networking/napi.rst, software interrupt coalescing), and frames that are
//! twice as far apart wait for nothing. What the interface was set to before is set again at the
//! end.

use std::fs;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rustix::net::netdevice::index_to_name;

use super::Interface;

/// So many looks that find nothing, and the next frame interrupts again.
const LOOKS: u32 = 2;
/// The settings, as files of an interface.
const TIME: &str = "gro_flush_timeout";
const COUNT: &str = "napi_defer_hard_irqs";

/// Two settings of an interface, which become what they were when this is dropped.
pub(super) struct Deferral {
    changed: Vec<(PathBuf, String)>,
}

impl Deferral {
    /// Puts the interface's interrupts off for `time_us` microseconds. It is one of the network
    /// namespace of `socket`.
    ///
    /// # Errors
    /// One sentence that says why its settings cannot be changed; they are what they were.
    pub(super) fn set(
        socket: BorrowedFd<'_>,
        interface: &Interface,
        time_us: u16,
    ) -> Result<Deferral> {
        // It may have been told by another of its names.
        let name = index_to_name(socket, interface.index as u32).context("it has just gone")?;
        let folder = Path::new("/sys/class/net").join(&name);
        let nanos = u32::from(time_us) * 1000;
        let commands = format!(
            "leave ',defer={time_us}us' out and set it from outside: echo {LOOKS} > \
             {0}/{COUNT}; echo {nanos} > {0}/{TIME}",
            folder.display()
        );
        let read = |file| fs::read_to_string(folder.join(file)).unwrap_or_default();
        let shown = (read("ifindex"), read("address"));
        let found = (interface.index.to_string(), interface.mac.to_string());
        ensure!(
            (shown.0.trim(), shown.1.trim()) == (&*found.0, &*found.1),
            "interface '{name}': /sys does not show this network namespace: {commands}"
        );
        let mut deferral = Deferral { changed: Vec::new() };
        for (setting, value) in [(TIME, nanos), (COUNT, LOOKS)] {
            let file = folder.join(setting);
            let change = || {
                let before = fs::read_to_string(&file)?;
                fs::write(&file, value.to_string()).map(|()| before)
            };
            let before = change().with_context(|| {
                format!("interface '{name}': its interrupts cannot be put off: {commands}")
            })?;
            deferral.changed.push((file, before.trim().to_owned()));
        }
        Ok(deferral)
    }

    /// What undoes it by hand.
    pub(super) fn remedy(&self) -> String {
        let undo = |(file, before): &(PathBuf, _)| format!("echo {before} > {}", file.display());
        self.changed.iter().map(undo).collect::<Vec<_>>().join("; ")
    }
}

impl Drop for Deferral {
    fn drop(&mut self) {
        for (file, before) in self.changed.drain(..).rev() {
            // The interface may be gone.
            let _ = fs::write(file, before);
        }
    }
}
