//! A limit on the memory that a process may still take, held by the kernel's control groups of
//! either version; it goes with its test.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Where control groups lie.
const ROOT: &str = "/sys/fs/cgroup";

/// A control group of its own, with a limit.
#[derive(Debug)]
pub struct MemoryLimit(PathBuf);

impl MemoryLimit {
    /// So many bytes for all that will be in it. None where the system has no such groups, or lets
    /// us make none.
    #[must_use]
    pub fn new(bytes: u64) -> Option<MemoryLimit> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let controllers = fs::read_to_string(Path::new(ROOT).join("cgroup.controllers"));
        let unified =
            controllers.is_ok_and(|names| names.split_whitespace().any(|it| it == "memory"));
        let (parent, file) = match unified {
            true => (ROOT.to_owned(), "memory.max"),
            false => (format!("{ROOT}/memory"), "memory.limit_in_bytes"),
        };
        if unified {
            // It may be on already.
            let _ = fs::write(format!("{parent}/cgroup.subtree_control"), "+memory");
        }
        let name = format!("dps-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let group = Path::new(&parent).join(name);
        fs::create_dir(&group).ok()?;
        let limit = MemoryLimit(group);
        // There is no such file where the memory controller is missing.
        fs::write(limit.0.join(file), bytes.to_string()).ok()?;
        Some(limit)
    }

    /// From now on what `pid` takes more counts. (What it has stays with its old group.)
    ///
    /// # Panics
    /// The system refuses.
    pub fn hold(&self, pid: u32) {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).expect("a process joins a group");
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        // Whoever was in it may not have been reaped yet.
        let _ = fs::remove_dir(&self.0);
    }
}
