//! How fast packets get to the kernel and back, per way and per core.
//!
//! Each worker is a thread with its own path: one interface with a queue for each (tap), an
//! interface for each (tap-per-core), one queue that they use in turn (shared), a queue pair of
//! vhost-net for each, where the kernel has it and feature `dpdk` is on. To the kernel:
//! bursts of 32 UDP datagrams of 64 bytes for a socket that nobody reads. From the kernel: what as
//! many senders send to a station behind the interface. Rates are given per second of wall time,
//! all workers together, and per second that one worker's thread had a processor, so that they
//! compare on a busy machine.
//!
//! `cargo bench -p dperf-tests --bench exception` needs root; it works in a network namespace.
//! Where the kernel has no vhost-net, `make lab CASES=rates` runs it in a guest whose kernel has.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use dperf_core::exception::ExceptionPath;
use dperf_core::plan::Role;
use dperf_core::port::Offloads;
use dperf_core::wire::checksum::{finish, sum};
use dperf_core::wire::ethernet::MacAddr;
use dperf_shell::config::{Exception, ExceptionKind, Place};
use dperf_shell::exception;
use dperf_shell::port::{Delivery, Facts, KernelSees};
use dperf_tests::arena::Arena;
use dperf_tests::namespace::{Namespace, alone};
use rustix::time::{ClockId, clock_gettime};

/// How long each figure is taken.
const LAST: Duration = Duration::from_secs(2);
/// Frames of a burst.
const BURST: usize = 32;
const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);
/// Bytes of a frame.
const BYTES: usize = 64;

/// What a worker did.
#[derive(Clone, Copy, Default)]
struct Work {
    packets: u64,
    calls: u64,
    processor: Duration,
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The ways that are measured.
#[derive(Clone, Copy)]
enum Way {
    Own(ExceptionKind),
    Shared,
}

const WAYS: [(&str, Way); 4] = [
    ("tap", Way::Own(ExceptionKind::Tap)),
    ("tap-per-core", Way::Own(ExceptionKind::TapPerCore)),
    ("tap with one queue, shared", Way::Shared),
    ("vhost-net", Way::Own(ExceptionKind::VhostNet)),
];

impl Way {
    /// What is missing here for this way.
    fn lacking(self) -> Option<&'static str> {
        let vhost = matches!(self, Way::Own(ExceptionKind::VhostNet));
        match (cfg!(feature = "dpdk"), std::path::Path::new("/dev/vhost-net").exists()) {
            (false, _) if vhost => Some("feature dpdk"),
            (_, false) if vhost => Some("/dev/vhost-net"),
            _ => None,
        }
    }
}

/// Starts DPDK, on ordinary pages: a guest has no others.
fn start_dpdk() {
    #[cfg(feature = "dpdk")]
    {
        use dperf_shell::port::dpdk::{EalArgs, start};
        let extra = "--no-huge".into();
        let args = EalArgs { ordinary_mb: 256, extra, ..EalArgs::default() };
        start(&args).unwrap_or_else(|why| panic!("{why:#}"));
    }
}

fn open(way: Way, workers: usize) -> exception::Opened {
    let facts = Facts {
        mac: MAC,
        frame_bytes: 1514,
        offloads: Offloads::empty(),
        kernel_sees: KernelSees::Nothing,
        delivery: Delivery::Paired,
        buffer_bytes: 0,
    };
    let opened = match way {
        Way::Own(kind) => {
            let place = Place { file: "bench".into(), line: 1, column: 1 };
            let wanted = Exception { kind, name: "bench".into(), place };
            exception::open(&wanted, Role::Server, 0, &facts, workers)
        }
        Way::Shared => exception::open_shared("benchs0", &facts, workers).map(|paths| {
            let interfaces = vec!["benchs0".to_string()];
            exception::Opened { paths, interfaces, notes: Vec::new() }
        }),
    };
    let opened = opened.unwrap_or_else(|why| panic!("{why:#}"));
    for (index, name) in opened.interfaces.iter().enumerate() {
        let command = format!(
            "ip address add 10.99.{index}.1/24 dev {name}; \
             ip neigh replace 10.99.{index}.2 lladdr 02:00:00:00:00:0a dev {name}"
        );
        let status = std::process::Command::new("sh").args(["-c", &command]).status();
        assert!(status.is_ok_and(|status| status.success()), "{command}");
    }
    opened
}

/// A UDP datagram for port 9 of `net`'s address, from port `from`.
fn datagram(net: u8, from: u16) -> Vec<u8> {
    let mut frame = vec![0; BYTES];
    frame[..6].copy_from_slice(&MAC.0);
    frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 10]);
    frame[12..14].copy_from_slice(&[8, 0]);
    let total = (BYTES - 14) as u8;
    frame[14..34].copy_from_slice(&[
        0x45, 0, 0, total, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 99, net, 2, 10, 99, net, 1,
    ]);
    let sum = finish(sum(&frame[14..34]));
    frame[24..26].copy_from_slice(&sum);
    frame[34..36].copy_from_slice(&from.to_be_bytes());
    frame[36..38].copy_from_slice(&9u16.to_be_bytes());
    frame[39] = total - 20;
    frame
}

/// Bursts to the kernel until `stop`.
fn deliver(path: &mut dyn ExceptionPath, packet: &[u8], stop: &AtomicBool) -> Work {
    let mut arena = Arena::new(BURST);
    let mut frames: Vec<_> = (0..BURST).filter_map(|_| arena.lend()).collect();
    for frame in &mut frames {
        assert!(frame.set_len(packet.len()));
        frame.bytes_mut().copy_from_slice(packet);
    }
    let (mut work, begun) = (Work::default(), processor_time());
    while !stop.load(Relaxed) {
        let delivered = path.deliver(&frames);
        assert_eq!(delivered.refused, 0, "the kernel refuses");
        work.packets += delivered.done as u64;
        work.calls += 1;
    }
    work.processor = processor_time() - begun;
    frames.into_iter().for_each(|frame| arena.take_back(frame));
    work
}

/// Takes what the kernel sends until `stop`.
fn collect(path: &mut dyn ExceptionPath, stop: &AtomicBool) -> Work {
    let mut arena = Arena::new(BURST);
    let mut frames: Vec<_> = (0..BURST).filter_map(|_| arena.lend()).collect();
    let (mut work, begun) = (Work::default(), processor_time());
    while !stop.load(Relaxed) {
        work.packets += path.collect(&mut frames) as u64;
        work.calls += 1;
    }
    work.processor = processor_time() - begun;
    frames.into_iter().for_each(|frame| arena.take_back(frame));
    work
}

/// Sends to a station behind the interface of `net` until `stop`.
fn send(net: u8, stop: &AtomicBool) {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).expect("a socket");
    while !stop.load(Relaxed) {
        let _ = socket.send_to(&[0; BYTES - 42], (format!("10.99.{net}.2").as_str(), 9));
    }
}

/// Runs one worker per path, `senders` beside them, for [`LAST`]; everybody's work.
fn measure(
    paths: &mut [Box<dyn ExceptionPath>],
    senders: usize,
    nets: usize,
    act: impl Fn(&mut dyn ExceptionPath, usize, &AtomicBool) -> Work + Sync,
) -> (Vec<Work>, Duration) {
    let (stop, act) = (&AtomicBool::new(false), &act);
    let begun = Instant::now();
    let work = std::thread::scope(|scope| {
        for sender in 0..senders {
            scope.spawn(move || send((sender % nets) as u8, stop));
        }
        let workers: Vec<_> = paths
            .iter_mut()
            .enumerate()
            .map(|(index, path)| scope.spawn(move || act(&mut **path, index, stop)))
            .collect();
        std::thread::sleep(LAST);
        stop.store(true, Relaxed);
        workers.into_iter().map(|worker| worker.join().expect("a worker")).collect()
    });
    (work, begun.elapsed())
}

fn line(what: &str, (work, wall): (Vec<Work>, Duration)) {
    let packets: u64 = work.iter().map(|work| work.packets).sum();
    let processor: f64 = work.iter().map(|work| work.processor.as_secs_f64()).sum();
    println!(
        "    {what:<18}{:>8.3} M packets/s, {:.3} M per processor second of a worker",
        packets as f64 / wall.as_secs_f64() / 1e6,
        packets as f64 / processor / 1e6
    );
}

fn figures() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    start_dpdk();
    for (name, way) in WAYS {
        if let Some(missing) = way.lacking() {
            println!("{name}: not measured, needs {missing}");
            continue;
        }
        for workers in [1, 2, 4] {
            let note = if workers > cores { ", more than there are processors" } else { "" };
            println!("{name}, {workers} worker(s){note}");
            let mut opened = open(way, workers);
            let nets = opened.interfaces.len();
            let sink = UdpSocket::bind(("0.0.0.0", 9)).expect("the port is free");
            let to_kernel = measure(&mut opened.paths, 0, nets, |path, index, stop| {
                deliver(path, &datagram((index % nets) as u8, 1000 + index as u16), stop)
            });
            drop(sink);
            line("to the kernel", to_kernel);
            let from_kernel =
                measure(&mut opened.paths, workers, nets, |path, _, stop| collect(path, stop));
            line("from the kernel", from_kernel);
        }
    }
    let mut opened = open(Way::Own(ExceptionKind::Tap), 1);
    let (idle, _) = measure(&mut opened.paths, 0, 1, |path, _, stop| collect(path, stop));
    let asked = idle[0].processor.as_secs_f64() / idle[0].calls as f64;
    println!(
        "asking a silent kernel: {:.0} ns; ten thousand times a second: {:.2} % of a processor",
        asked * 1e9,
        asked * 10_000.0 * 100.0
    );
}

fn main() {
    if std::env::args().any(|word| word == "--inside") {
        return figures();
    }
    let Some(_alone) = alone("the exception benchmark", &[]) else { return };
    let space = Namespace::new();
    let program = std::env::current_exe().expect("our own path").display().to_string();
    let status = space.command(&program).arg("--inside").status();
    assert!(status.is_ok_and(|status| status.success()), "the benchmark failed");
}
