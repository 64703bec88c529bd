//! Network namespaces that a test makes for itself and that go with it, whatever becomes of it.
//!
//! Two runs never meet: names carry the number of the process, and what a killed one left behind is
//! removed by the next.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::steady;

/// Every name of ours begins so.
const PREFIX: &str = "dps-";

/// The right to be the only such test on this machine, over all test programs.
#[derive(Debug)]
pub struct Alone(
    #[expect(dead_code, reason = "the lock lasts as long as the file is open")] Option<File>,
);

/// Waits until no other test of this kind runs, and runs the calling test in a process of its own
/// ([`steady::run`]): there it gets the right, here none when that is over. None as well, and a
/// line that says why, if this machine lacks root or one of `tools`; with CI=true in the
/// environment that is a failure instead.
///
/// # Panics
/// The test failed in its process, or something is missing and CI=true.
pub fn alone(test: &str, tools: &[&str]) -> Option<Alone> {
    let root = std::fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0);
    let always = ["ip", "ethtool", "sysctl", "setpriv", "setsid", "taskset"];
    let mut lacking: Vec<&str> =
        always.iter().chain(tools).copied().filter(|tool| !is_installed(tool)).collect();
    if !root {
        lacking.push("root");
    }
    if !lacking.is_empty() {
        skip(test, &lacking.join(", "));
        return None;
    }
    if steady::is_inside() {
        return Some(Alone(None));
    }
    let path = std::env::temp_dir().join("dperf-shell-tests.lock");
    let lock = File::create(&path).expect("a lock file in the temporary folder");
    lock.lock().expect("the lock");
    sweep();
    if steady::run() { None } else { Some(Alone(Some(lock))) }
}

/// Says that `test` does not run here for lack of `what`.
///
/// # Panics
/// With CI=true in the environment.
pub fn skip(test: &str, what: &str) {
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!ci, "{test} needs {what}");
    println!("skipped: {test} needs {what}");
}

/// Says that a judge that no registry has does not run here for lack of `what`. Nobody can install
/// it by the way, so that is no failure even with CI=true.
pub fn skip_judge(test: &str, what: &str) {
    println!("skipped: {test} needs {what}, which no registry has");
}

fn is_installed(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(Into::into);
    std::env::split_paths(&path).chain(system).any(|folder| folder.join(tool).is_file())
}

/// Removes the namespaces of processes that are no more.
fn sweep() {
    for line in run("ip netns list").lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        let Some((pid, _)) = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-')) else {
            continue;
        };
        if pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists() {
            remove(name);
        }
    }
}

fn remove(name: &str) {
    // It may be gone already.
    let _ = Command::new("ip").args(["netns", "delete", name]).output();
}

/// Runs `line`, words separated by spaces, in the namespace we are in. Returns what it printed.
///
/// # Panics
/// It cannot be started or fails.
pub fn run(line: &str) -> String {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().expect("a program"));
    finish(line, command.args(words))
}

fn finish(line: &str, command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{line}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {}\n{said}{complaint}", output.status);
    said
}

/// A network namespace; dropping it removes it, with its interfaces.
#[derive(Debug)]
pub struct Namespace(String);

impl Namespace {
    /// A new one, its loopback interface up.
    ///
    /// # Panics
    /// The system refuses.
    #[expect(clippy::new_without_default, reason = "it changes the system")]
    pub fn new() -> Namespace {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{PREFIX}{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        run(&format!("ip netns add {name}"));
        let namespace = Namespace(name);
        namespace.run("ip link set lo up");
        namespace
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// `program`, to be run inside; it ends when we do.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0]);
        command.args(["setpriv", "--pdeathsig", "KILL", "--", program]);
        command
    }

    /// `line`, words separated by spaces, to be run inside.
    ///
    /// # Panics
    /// There is no word.
    pub fn line(&self, line: &str) -> Command {
        let mut words = line.split_whitespace();
        let mut command = self.command(words.next().expect("a program"));
        command.args(words);
        command
    }

    /// Runs `line` inside. Returns what it printed.
    ///
    /// # Panics
    /// It cannot be started or fails.
    pub fn run(&self, line: &str) -> String {
        finish(line, &mut self.line(line))
    }

    /// Runs `line` inside. True if it succeeds.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn succeeds(&self, line: &str) -> bool {
        let output = self.line(line).output().unwrap_or_else(|error| panic!("{line}: {error}"));
        output.status.success()
    }

    /// Runs `act` on a thread of its own that is inside: what it opens stays there.
    ///
    /// # Panics
    /// The system refuses, or `act` panics.
    pub fn inside<R: Send>(&self, act: impl FnOnce() -> R + Send) -> R {
        let door = File::open(Path::new("/run/netns").join(&self.0)).expect("a namespace");
        std::thread::scope(|scope| {
            let inside = scope.spawn(move || {
                rustix::thread::move_into_link_name_space(door.as_fd(), None).expect("root");
                act()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Sets one of its kernel's parameters.
    ///
    /// # Panics
    /// The system refuses.
    pub fn sysctl(&self, name: &str, value: impl std::fmt::Display) {
        self.run(&format!("sysctl -q -w {name}={value}"));
    }

    /// The MAC address of one of its interfaces.
    ///
    /// # Panics
    /// There is no such interface.
    pub fn mac(&self, interface: &str) -> [u8; 6] {
        let text = self.run(&format!("cat /sys/class/net/{interface}/address"));
        let mut octets = text.trim().split(':').map(|octet| u8::from_str_radix(octet, 16));
        [(); 6].map(|()| octets.next().and_then(Result::ok).expect("a MAC address"))
    }

    /// Gives `interface` an `address` with its prefix length.
    ///
    /// # Panics
    /// The system refuses.
    pub fn address(&self, interface: &str, address: &str) {
        self.run(&format!("ip address add {address} dev {interface}"));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// Joins two namespaces by a pair of virtual interfaces, `one` here and `other` there, both up and
/// with nothing left to a device: no joined segments, no missing checksums. Frames keep their
/// order: the kernel handles what arrives on one processor, whichever it was sent from.
///
/// # Panics
/// The system refuses.
pub fn join((here, one): (&Namespace, &str), (there, other): (&Namespace, &str)) {
    let (from, to) = (here.name(), there.name());
    run(&format!("ip link add {one} netns {from} type veth peer name {other} netns {to}"));
    for (namespace, interface) in [(here, one), (there, other)] {
        // What the kernel says of itself over IPv6 is in nobody's books.
        namespace.sysctl(&format!("net.ipv6.conf.{interface}.disable_ipv6"), 1);
        namespace.run(&format!("ethtool -K {interface} tso off gso off gro off tx off"));
        let queue = format!("/sys/class/net/{interface}/queues/rx-0/rps_cpus");
        let mut order = namespace.command("sh");
        finish("sh", order.args(["-c", &format!("test ! -e {queue} || echo 1 > {queue}")]));
        namespace.run(&format!("ip link set {interface} up"));
    }
}
