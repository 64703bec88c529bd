//! Programs that a test starts: each is watched, ended by its number, and never outlives its test.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

/// How often a program is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// A folder for one test; dropping it removes it.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A new one.
    ///
    /// # Panics
    /// The system refuses.
    #[expect(clippy::new_without_default, reason = "it changes the system")]
    pub fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("dps-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where a file in it lies.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file.
    ///
    /// # Panics
    /// The system refuses.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.file(name);
        std::fs::write(&path, bytes).expect("a file in a temporary folder");
        path
    }

    /// The bytes of a file; none if there is no such file.
    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.file(name)).unwrap_or_default()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `command` in a session of its own and first in line for its processor, as far as the system
/// allows: a rate can be kept only by who is let run.
pub fn first_in_line(command: &Command) -> Command {
    // The kernel groups processes by session, and weighs the groups.
    let first = "echo -20 2>/dev/null >/proc/self/autogroup; exec \"$@\"";
    let mut whole = Command::new("setsid");
    whole.args(["sh", "-c", first, "sh"]).arg(command.get_program()).args(command.get_args());
    whole
}

/// A program that runs; dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    out: PathBuf,
    err: PathBuf,
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// Its status.
    pub status: ExitStatus,
    /// What it printed.
    pub out: String,
    /// What it complained.
    pub err: String,
    /// How long it took to end.
    pub took: Duration,
}

impl Process {
    /// Starts `command`; what it says goes to files in `folder` named after `name`.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn start(mut command: Command, name: &str, folder: &Folder) -> Process {
        let (out, err) = (folder.file(&format!("{name}.out")), folder.file(&format!("{name}.err")));
        let create = |path| File::create(path).expect("a file in a temporary folder");
        command.stdin(Stdio::null()).stdout(create(&out)).stderr(create(&err));
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        Process { child, name: name.to_string(), out, err }
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it printed so far.
    pub fn out(&self) -> String {
        text(&self.out)
    }

    /// What it complained so far.
    pub fn err(&self) -> String {
        text(&self.err)
    }

    /// True until it ends.
    ///
    /// # Panics
    /// The system does not say.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("a child's state").is_none()
    }

    /// Waits until `good` of it.
    ///
    /// # Panics
    /// It ends before, or `limit` passes.
    pub fn wait_until(&mut self, what: &str, limit: Duration, good: impl Fn(&Process) -> bool) {
        let begun = Instant::now();
        while !good(self) {
            let runs = self.runs();
            if !runs || begun.elapsed() > limit {
                let end = if runs { "goes on" } else { "ended" };
                panic!("{} {end} without {what}:\n{}{}", self.name, self.out(), self.err());
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// The system refuses.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("a signal to our own child");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// It goes on for longer than `limit`.
    pub fn end(mut self, limit: Duration) -> Ended {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child's state") {
                let took = begun.elapsed();
                return Ended { status, out: self.out(), err: self.err(), took };
            }
            let late = begun.elapsed() > limit;
            assert!(!late, "{} goes on:\n{}{}", self.name, self.out(), self.err());
            std::thread::sleep(LOOK);
        }
    }

    /// Sends `signal` and waits for its end.
    ///
    /// # Panics
    /// It goes on for longer than `limit`.
    pub fn end_by(self, signal: Signal, limit: Duration) -> Ended {
        self.signal(signal);
        self.end(limit)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail if it has ended, and that is well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}
