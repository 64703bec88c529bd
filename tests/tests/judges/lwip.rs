//! lwIP, Debian's, as a peer: a small C program on the installed library, built here, in a process
//! that is told frame by frame and quarter by quarter of a second what happens.

use std::io::{BufReader, BufWriter, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use dperf_core::plan::Role;
use dperf_tests::judge::{self, Judge};
use dperf_tests::namespace::skip;
use dperf_tests::process::Folder;
use dperf_tests::scenario::MILLI;

use crate::matrix::{Job, PARALLEL, Peer, Tally, try_all};

const NAME: &str = "lwIP, as a peer";
/// lwIP's clock.
const TICK: u64 = 250 * MILLI;

#[test]
fn lwip_finds_no_fault() {
    let pkg_config = Command::new("pkg-config").args(["--cflags", "--libs", "lwip"]).output();
    let flags = pkg_config.ok().filter(|output| output.status.success());
    let Some(flags) = flags else {
        judge::absent(NAME, "liblwip-dev");
        return skip("lwip_finds_no_fault", "liblwip-dev");
    };
    let folder = Folder::new();
    let program = folder.file("lwip_peer");
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&program);
    cc.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/judges/lwip_peer.c"));
    let flags = String::from_utf8_lossy(&flags.stdout).into_owned();
    let status = cc.args(flags.split_whitespace()).status();
    assert!(status.is_ok_and(|status| status.success()), "lwip_peer.c does not compile");
    let mut judge = Judge::new(NAME, "");
    try_all(&mut judge, |job, mac| Lwip::start(Command::new(&program), job, mac));
    judge.finish();
}

/// The program, which is ended with us.
struct Lwip {
    child: Child,
    to: BufWriter<ChildStdin>,
    from: BufReader<ChildStdout>,
    ticked: u64,
}

impl Lwip {
    fn start(mut command: Command, job: &Job, mac: [u8; 6]) -> Lwip {
        let role = if job.role == Role::Client { "client" } else { "server" };
        let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
        let numbers = [job.connections, job.requests, PARALLEL].map(|number| number.to_string());
        command.args([role, &mac]).args(numbers);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("lwip_peer starts");
        let to = BufWriter::new(child.stdin.take().expect("a pipe"));
        let from = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut peer = Lwip { child, to, from, ticked: 0 };
        for message in job.messages() {
            peer.tell(&(message.len() as u32).to_ne_bytes());
            peer.tell(message);
        }
        peer
    }

    fn tell(&mut self, bytes: &[u8]) {
        self.to.write_all(bytes).expect("lwip_peer listens");
    }

    fn hear<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        if let Err(why) = self.from.read_exact(&mut bytes) {
            panic!("lwip_peer: {why}, {:?}", self.child.wait());
        }
        bytes
    }

    /// The frames of one answer, added to `said`.
    fn frames(&mut self, said: &mut Vec<Vec<u8>>) {
        self.to.flush().expect("lwip_peer listens");
        loop {
            let len = u16::from_ne_bytes(self.hear());
            if len == 0 {
                return;
            }
            let mut frame = vec![0; len.into()];
            self.from.read_exact(&mut frame).expect("lwip_peer answers");
            said.push(frame);
        }
    }
}

impl Peer for Lwip {
    fn turn(&mut self, now: u64, came: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut said = Vec::new();
        while self.ticked + TICK <= now {
            self.ticked += TICK;
            self.tell(b"T");
            self.frames(&mut said);
        }
        for frame in came {
            self.tell(b"F");
            self.tell(&(frame.len() as u16).to_ne_bytes());
            self.tell(frame);
            self.frames(&mut said);
        }
        said
    }

    fn next(&mut self) -> u64 {
        self.ticked + TICK
    }

    fn tally(&mut self) -> Tally {
        self.tell(b"Q");
        self.to.flush().expect("lwip_peer listens");
        let mut number = || u64::from(u32::from_ne_bytes(self.hear()));
        Tally { done: number(), failed: number(), wrong: number(), open: number() }
    }
}

impl Drop for Lwip {
    fn drop(&mut self) {
        // Both fail if it has ended, and that is well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
