//! A network namespace for one test: made by a thread of its own, gone with it. Nothing in it has a
//! name that another test or program could meet.

use std::process::{Command, Stdio};
use std::sync::mpsc;

/// Runs `test` in a thread with a network namespace of its own. Needs root: else says so and
/// returns.
pub(crate) fn alone(name: &str, test: impl FnOnce() + Send) {
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
pub(crate) fn sh(line: &str) {
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

type Job = Box<dyn FnOnce() + Send>;

/// A second namespace, that of another thread.
pub(in crate::port) struct Peer {
    thread: libc::pid_t,
    jobs: mpsc::Sender<Job>,
}

impl Peer {
    pub(in crate::port) fn new() -> Peer {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let (tell, hear) = mpsc::channel();
        std::thread::spawn(move || {
            // SAFETY: affects this thread alone; and asks for a number.
            let (rc, thread) = unsafe { (libc::unshare(libc::CLONE_NEWNET), libc::gettid()) };
            assert_eq!(rc, 0);
            tell.send(thread).unwrap();
            inbox.iter().for_each(|job| job());
        });
        Peer { thread: hear.recv().unwrap(), jobs }
    }

    /// Moves an interface there.
    pub(in crate::port) fn gets(&self, interface: &str) {
        sh(&format!("ip link set {interface} netns {}", self.thread));
    }

    /// Runs `job` there and waits for it.
    pub(in crate::port) fn run<R: Send + 'static>(
        &self,
        job: impl FnOnce() -> R + Send + 'static,
    ) -> R {
        let (tell, hear) = mpsc::channel();
        self.jobs.send(Box::new(move || drop(tell.send(job())))).unwrap();
        hear.recv().expect("the job did not panic")
    }
}
