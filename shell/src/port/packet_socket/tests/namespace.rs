//! A network namespace for one test: made by a thread of its own, gone with it. Nothing in it has a
//! name that another test or program could meet.

use std::process::{Child, Command, Stdio};

/// Runs `test` in a thread with a network namespace of its own. Needs root: else says so and
/// returns.
pub(in crate::port) fn alone(name: &str, test: impl FnOnce() + Send) {
    // SAFETY: asks for a number.
    if unsafe { libc::geteuid() } != 0 {
        println!("skipped: {name} needs root");
        return;
    }
    std::thread::scope(|scope| {
        let run = scope.spawn(|| {
            // SAFETY: affects this thread alone, which has no sockets yet.
            let rc = unsafe { libc::unshare(libc::CLONE_NEWNET) };
            if rc != 0 {
                println!("skipped: {name} needs the right to make network namespaces");
                return;
            }
            test();
        });
        if let Err(panic) = run.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Runs a command line in this thread's namespace; it must succeed.
pub(in crate::port) fn sh(line: &str) {
    assert!(succeeds(line), "failed: {line}");
}

/// Whether a command line succeeds in this thread's namespace.
pub(in crate::port) fn succeeds(line: &str) -> bool {
    let mut command = Command::new("sh");
    command.args(["-c", line]).stdin(Stdio::null()).stdout(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Two Ethernet interfaces joined by a cable, both in this namespace, with fixed addresses.
pub(in crate::port) fn cable(a: &str, b: &str) {
    sh(&format!(
        "ip link add {a} address 02:00:00:00:00:0a type veth \
         peer name {b} address 02:00:00:00:00:0b && ip link set {a} up && ip link set {b} up"
    ));
}

/// A second namespace, held by a process that does nothing.
pub(in crate::port) struct Peer(Child);

impl Peer {
    pub(in crate::port) fn new() -> Peer {
        let holder = Command::new("unshare").args(["-n", "sleep", "120"]).spawn();
        let peer = Peer(holder.expect("util-linux has unshare"));
        let own = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
        let its = format!("/proc/{}/ns/net", peer.0.id());
        // Until it has left ours.
        while std::fs::read_link(&its).is_ok_and(|link| link == own) {
            std::thread::yield_now();
        }
        peer
    }

    /// Moves an interface there.
    pub(in crate::port) fn gets(&self, interface: &str) {
        sh(&format!("ip link set {interface} netns {}", self.0.id()));
    }

    /// A command line that runs there.
    pub(in crate::port) fn line(&self, line: &str) -> String {
        format!("nsenter -t {} -n sh -c '{line}'", self.0.id())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
