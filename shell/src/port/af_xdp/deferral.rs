//! An interface's interrupts put off: for a while after frames came the kernel takes what comes in
//! one go (Documentation/networking/napi.rst, software interrupt coalescing), and frames that are
//! further apart wait for nothing. What the interface was set to before is set again at the end.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

/// So many looks that find nothing, and the next frame interrupts again.
const LOOKS: u32 = 2;

/// Two settings of an interface, which become what they were when this is dropped.
pub(super) struct Deferral {
    changed: Vec<(PathBuf, String)>,
}

impl Deferral {
    /// Puts interrupts of the interface `name`, whose number is `index`, off for `time_us`
    /// microseconds.
    ///
    /// # Errors
    /// One sentence that says why its settings cannot be changed; they are what they were.
    pub(super) fn set(name: &str, index: i32, time_us: u16) -> Result<Deferral> {
        let folder = PathBuf::from("/sys/class/net").join(name);
        let nanos = u32::from(time_us) * 1000;
        let commands = format!(
            "leave ',defer={time_us}us' out and set it from outside: echo {LOOKS} > \
             {0}/napi_defer_hard_irqs; echo {nanos} > {0}/gro_flush_timeout",
            folder.display()
        );
        let seen = fs::read_to_string(folder.join("ifindex")).unwrap_or_default();
        ensure!(
            seen.trim() == index.to_string(),
            "interface '{name}': /sys does not show this network namespace: {commands}"
        );
        let mut deferral = Deferral { changed: Vec::new() };
        for (setting, value) in [("gro_flush_timeout", nanos), ("napi_defer_hard_irqs", LOOKS)] {
            let file = folder.join(setting);
            let change = || {
                let before = fs::read_to_string(&file)?;
                fs::write(&file, value.to_string()).map(|()| before)
            };
            let before = change().with_context(|| {
                format!("interface '{name}': its interrupts cannot be put off: {commands}")
            })?;
            deferral.changed.push((file, before));
        }
        Ok(deferral)
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
