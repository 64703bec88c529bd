//! Runs one load under one tester and tells what its blocks say of the seconds under load.

use std::ops::Range;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use dperf_shell::memory::FIRST_BYTES;
use dperf_tests::blocks::{self, Block};
use dperf_tests::namespace::{Namespace, join};
use dperf_tests::process::{Folder, Process, first_in_line};
use dperf_tests::program::FAULTS;

use crate::load::{DEFERRED_US, Load, Transport};

/// How often it is looked whether they are over.
const LOOK: Duration = Duration::from_millis(50);
/// How long a run may take besides.
const LIMIT: Duration = Duration::from_secs(60);

/// A program that reads dperf's configurations and prints dperf's blocks.
#[derive(Clone, Debug)]
pub(crate) struct Tester {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its name in the table.
    pub(crate) name: String,
    /// It is the program of this repository.
    pub(crate) ours: bool,
}

impl Tester {
    /// The line that reserves memory, for a tester that takes all it needs when it starts.
    pub(crate) fn memory(&self, memory_mb: u32) -> String {
        if self.ours { String::new() } else { format!("socket_mem {memory_mb}\n") }
    }

    /// How it is called with files, client and server together if there are two.
    pub(crate) fn command(&self, files: &[PathBuf]) -> Command {
        if self.ours {
            let mut command = Command::new(&self.path);
            command.arg("run").args(files).args(["--target", "0"]);
            return command;
        }
        // It keeps what it prints until it ends, and it is ended in the middle.
        let mut command = Command::new("stdbuf");
        command.arg("-oL").arg(&self.path).arg("-c").args(files);
        command
    }
}

/// Everything that runs need besides their load.
#[derive(Debug)]
pub(crate) struct Bench {
    /// The time-stamp counter's rate.
    pub(crate) hz: f64,
}

impl Bench {
    pub(crate) fn new(hz: f64) -> Bench {
        Bench { hz }
    }
}

/// Where one run happens.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) folder: Folder,
    cable: Option<[Namespace; 2]>,
}

impl Place {
    pub(crate) fn new(transport: Transport) -> Place {
        let cable = transport.is_cable().then(|| {
            let ends = [Namespace::new(), Namespace::new()];
            join((&ends[0], "client0"), (&ends[1], "server0"));
            if transport == Transport::AfXdpDeferred {
                put_off((&ends[0], "client0"));
                put_off((&ends[1], "server0"));
            }
            ends
        });
        Place { folder: Folder::new(), cable }
    }

    /// The socket that the two sides meet at.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.file("memif")
    }

    /// The Linux interface of `role`.
    pub(crate) fn interface(&self, role: &str) -> String {
        format!("{role}0")
    }

    /// Starts `command` where `role` lives.
    pub(crate) fn start(&self, role: &str, command: &Command) -> Process {
        let Some([client, server]) = &self.cable else {
            return Process::start(first_in_line(command), role, &self.folder);
        };
        let namespace = if role == "client" { client } else { server };
        let mut inside = namespace.command(&command.get_program().to_string_lossy());
        inside.args(command.get_args());
        Process::start(first_in_line(&inside), role, &self.folder)
    }
}

/// Puts the interrupts of an interface off, as dperf-shell would by itself.
fn put_off((namespace, interface): (&Namespace, &str)) {
    let nanos = DEFERRED_US * 1000;
    let settings = format!(
        "cd /sys/class/net/{interface} && echo 2 > napi_defer_hard_irqs && \
         echo {nanos} > gro_flush_timeout"
    );
    let status = namespace.command("sh").args(["-c", &settings]).status();
    assert!(status.is_ok_and(|status| status.success()), "{settings}");
}

/// Huge pages of 2 MiB that nobody uses.
pub(crate) fn free_huge_pages() -> u64 {
    let free = std::fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    free.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// What one side did in the seconds under load.
#[derive(Clone, Debug, Default)]
pub(crate) struct Side {
    blocks: Vec<Block>,
}

impl Side {
    /// What was counted per second.
    pub(crate) fn per_second(&self, name: &str) -> f64 {
        let sum = self.blocks.iter().fold(0.0, |sum, block| sum + block.count(name));
        sum / self.blocks.len().max(1) as f64
    }

    /// Ticks per packet received or sent; 0 if there was none. `saturated`: the worker had no time
    /// to rest.
    pub(crate) fn ticks_per_packet(&self, hz: f64, saturated: bool) -> f64 {
        let packets = self.per_second("pktRx") + self.per_second("pktTx");
        if packets == 0.0 {
            return 0.0;
        }
        let busy: f64 = self.blocks.iter().map(|block| block.busy_percent).sum();
        let busy = if saturated { 1.0 } else { busy / 100.0 / self.blocks.len().max(1) as f64 };
        busy * hz / packets
    }
}

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) client: Side,
    pub(crate) server: Side,
    /// Nothing was lost, repeated or late on either side.
    pub(crate) clean: bool,
    /// The part of its time that the worker that waited most waited for its processor.
    pub(crate) waited: f64,
    /// The client's memory.
    pub(crate) memory: Memory,
}

/// Memory of a process under load, and what a connection costs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// Bytes of connections that were touched before any was opened.
    touched: f64,
    /// Bytes at the first look.
    first: Option<f64>,
    /// Open connections and bytes at the last one.
    last: (f64, f64),
}

impl Memory {
    /// Fewer connections than that are lost among the pages, or were touched at the start.
    const ENOUGH: f64 = 600_000.0;

    fn of(tester: &Tester) -> Memory {
        let touched = if tester.ours { FIRST_BYTES as f64 } else { 0.0 };
        Memory { touched, ..Memory::default() }
    }

    fn look(&mut self, block: &Block, pid: u32) {
        self.last = (block.count("skCon"), memory(pid));
        self.first.get_or_insert(self.last.1);
    }

    /// All of it, in bytes.
    pub(crate) fn bytes(&self) -> f64 {
        self.last.1
    }

    /// Bytes for each connection that is open at the last look.
    pub(crate) fn bytes_per_connection(&self) -> Option<f64> {
        let (first, (open, last)) = (self.first?, self.last);
        (open > Self::ENOUGH).then(|| (last - first + self.touched) / open)
    }
}

impl Bench {
    /// Runs `load` under `tester` until `seconds` are over, which are looked at. A run that fails
    /// says so and counts as one without results.
    pub(crate) fn run(&self, load: &Load, tester: &Tester, rate: u64, seconds: Range<u64>) -> Run {
        let place = Place::new(load.transport);
        let file = |role: &str| place.folder.write(role, load.text(role, tester, &place, rate));
        let mut processes = Vec::new();
        match load.transport {
            Transport::Link => {
                let files = [file("server"), file("client")];
                processes.push(place.start("client", &tester.command(&files)));
            }
            Transport::Null => {
                processes.push(place.start("client", &tester.command(&[file("client")])));
            }
            _ => {
                let mut server = place.start("server", &tester.command(&[file("server")]));
                // The side that connects comes second.
                wait(Duration::from_secs(4), || !is_ready(load, tester, &place) && server.runs());
                processes.push(place.start("client", &tester.command(&[file("client")])));
                processes.push(server);
            }
        }
        let over = |blocks: &[Block]| blocks.iter().any(|block| block.second >= seconds.end);
        let mut blocks = Vec::new();
        let mut waited = 0.0f64;
        let mut memory = Memory::of(tester);
        wait(LIMIT, || {
            for process in &processes {
                waited = waited.max(waiting(process.pid()).unwrap_or(0.0));
            }
            blocks = blocks::read(&processes[0].out());
            if let Some(block) = blocks.last() {
                memory.look(block, processes[0].pid());
            }
            !over(&blocks) && processes.iter_mut().all(Process::runs)
        });
        let said: Vec<String> = processes.iter().map(Process::out).collect();
        if !over(&blocks) {
            let complaints: Vec<String> = processes.iter().map(Process::err).collect();
            println!("{} gave no result:\n{}{}", tester.name, said.concat(), complaints.concat());
        }
        // What they printed so far is all that is wanted. Dropping a process kills it.
        drop(processes);
        result(&seconds, &said, waited, memory)
    }
}

/// The server waits for its client.
fn is_ready(load: &Load, tester: &Tester, place: &Place) -> bool {
    match load.transport {
        Transport::Memif | Transport::NetMemif if tester.ours => place.socket().exists(),
        _ => false,
    }
}

fn wait(limit: Duration, mut goes_on: impl FnMut() -> bool) {
    let begun = Instant::now();
    while begun.elapsed() < limit && goes_on() {
        std::thread::sleep(LOOK);
    }
}

fn result(seconds: &Range<u64>, said: &[String], waited: f64, memory: Memory) -> Run {
    let blocks: Vec<Block> = said.iter().flat_map(|out| blocks::read(out)).collect();
    let alone = |out: usize, role: &str| {
        let all = blocks::read(said.get(out).map_or("", String::as_str));
        all.into_iter()
            .filter(move |block| block.role.as_deref().is_none_or(|name| name == role))
            .collect::<Vec<_>>()
    };
    let client: Vec<Block> = alone(0, "client");
    let server = if said.len() > 1 {
        alone(1, "server")
    } else {
        alone(0, "server").into_iter().filter(|block| block.role.is_some()).collect()
    };
    let under_load = |blocks: &[Block], shift: u64| {
        let seconds = seconds.start + shift..seconds.end + shift;
        blocks.iter().filter(|block| seconds.contains(&block.second)).cloned().collect::<Vec<_>>()
    };
    // The server began before the client did.
    let shift = |blocks: &[Block]| {
        let first = blocks.iter().find(|block| block.count("pktRx") > 1000.0);
        first.map_or(0, |block| block.second - 1)
    };
    let fault = |block: &Block| FAULTS.iter().any(|name| block.count(name) > 0.0);
    let clean = !client.is_empty() && !blocks.iter().any(fault);
    let shift = if said.len() > 1 { shift(&server) } else { 0 };
    Run {
        client: Side { blocks: under_load(&client, 0) },
        server: Side { blocks: under_load(&server, shift) },
        clean,
        waited,
        memory,
    }
}

/// The part of their time that a process's busy threads waited for a processor, of the one that
/// waited most: how much the machine disturbed the run.
fn waiting(pid: u32) -> Option<f64> {
    let share = |task: std::fs::DirEntry| {
        let times = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        let mut times = times.split_whitespace().map_while(|word| word.parse::<f64>().ok());
        let (ran, waited) = (times.next()?, times.next()?);
        // Others print, and wait as they like.
        (ran > 1e9).then(|| waited / (ran + waited))
    };
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    tasks.flatten().filter_map(share).max_by(f64::total_cmp)
}

/// Memory that a process uses, huge pages as well, in bytes.
fn memory(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kb = |name: &str| -> f64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0)
    };
    (kb("VmRSS:") + kb("HugetlbPages:")) * 1024.0
}
