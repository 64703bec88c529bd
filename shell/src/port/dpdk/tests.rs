//! One process has one EAL, so one test starts it, tries the virtual devices in turn, and stops it.

mod bonds;

use std::time::Duration;

use dperf_core::frame::{Frame, Tray};
use dperf_core::port::{BURST, Faults, Offloads, PortState};

use super::*;
use crate::port::{Delivery, KernelSees};

fn wish(device: &str) -> PortWish {
    PortWish {
        device: device.into(),
        bond: None,
        queues: 1,
        descriptors: 256,
        frame_bytes: 1514,
        offloads: Offloads::all(),
        steer: SteerWish::default(),
        peer_wait: Duration::ZERO,
    }
}

fn opened(device: &str) -> Opened {
    open(&wish(device), &|| false).unwrap_or_else(|error| panic!("{error:#}"))
}

fn refused(wish: &PortWish) -> String {
    match open(wish, &|| false) {
        Ok(_) => panic!("{wish:?} was opened"),
        Err(error) => format!("{error:#}"),
    }
}

fn allowed_cpus() -> String {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    status.lines().find(|line| line.starts_with("Cpus_allowed_list")).unwrap().to_owned()
}

#[test]
fn dpdk_on_virtual_devices() {
    let args = EalArgs { ordinary_mb: 128, extra: "--no-huge".into(), ..EalArgs::default() };
    let cpus = allowed_cpus();
    assert!(format!("{:#}", register().err().unwrap()).contains("start the EAL first"));
    match start(&args) {
        Ok(memory) => assert_eq!(memory, Memory::Ordinary),
        Err(error) => {
            println!("skipped: dpdk_on_virtual_devices needs a DPDK that starts: {error:#}");
            return;
        }
    }
    assert_eq!(cpus, allowed_cpus(), "the EAL moved the calling thread");
    assert!(start(&args).is_err(), "a second EAL");

    refusals_name_the_fix();
    a_port_takes_the_memory_that_is_told();
    null_swallows_and_makes_frames();
    ring_keeps_bytes_and_order();
    frames_of_other_back_ends_are_refused();
    frames_outlive_their_port();
    many_queues_on_many_threads();

    stop().unwrap();
    assert!(format!("{:#}", start(&args).unwrap_err()).contains("cannot start twice"));
    assert!(left_behind().is_empty(), "{:?}", left_behind());
}

/// What this process has on disk.
fn left_behind() -> Vec<std::path::PathBuf> {
    let mark = format!("dperf-{}-", std::process::id());
    let folders = ["/var/run/dpdk", "/dev/hugepages"].map(std::fs::read_dir);
    let entries = folders.into_iter().flatten().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.to_string_lossy().contains(&mark)).collect()
}

fn refusals_name_the_fix() {
    let said = refused(&wish("net_nonsense0"));
    assert!(said.contains("no such device"), "{said}");
    let said = refused(&wish("0000:fe:1f.7"));
    assert!(said.contains("no such PCI device"), "{said}");
    let said = refused(&PortWish { frame_bytes: 9014, ..wish(&memif(9)) });
    assert!(said.contains("an MTU of 1500 at most"), "{said}");
    let said = refused(&wish("net_memif9,role=server,zero-copy=yes"));
    assert!(said.contains("peer could write"), "{said}");
    let caller = memif(7).replace("role=server", "role=client");
    let began = std::time::Instant::now();
    let said = refused(&PortWish { peer_wait: Duration::from_millis(50), ..wish(&caller) });
    assert!(said.contains("start the peer"), "{said}");
    assert!(began.elapsed() >= Duration::from_millis(50));
    let mut lonely = opened(&memif(8));
    let mut waited = |limit, stopped| {
        let limit = Duration::from_millis(limit);
        let result = lonely.wait_for_link("lonely", limit, &|| stopped);
        format!("{:#}", result.expect_err("a link without a peer"))
    };
    assert!(waited(50, false).contains("start the peer"));
    assert!(waited(10_000, true).contains("stopped while waiting"));
    let said = refused(&PortWish { queues: 5000, ..wish("net_null1") });
    assert!(said.contains("use fewer CPUs"), "{said}");
    let isolate = SteerWish { isolate: true, ..SteerWish::default() };
    let said = refused(&PortWish { steer: isolate, ..wish("net_null4") });
    assert!(said.contains("flow_isolate") && said.contains("leave the line out"), "{said}");
    let _open = opened("net_null1");
    let said = refused(&wish("net_null1"));
    assert!(said.contains("open already"), "{said}");
}

/// A memif that waits for a peer nobody starts; the driver keeps its socket when it is closed.
fn memif(id: u32) -> String {
    let process = std::process::id();
    format!("net_memif{id},role=server,socket-abstract=yes,socket=dperf-{process}-{id}")
}

/// What DPDK's pools take, a quarter and 8 MiB to spare.
fn a_port_takes_the_memory_that_is_told() {
    const MIB: u64 = 1 << 20;
    for (device, queues, frame_bytes) in
        [("net_null50", 1, 1514), ("net_null51", 3, 1514), ("net_null52", 2, 9014)]
    {
        let before = pool::bytes();
        let wish = PortWish { queues, frame_bytes, ..wish(device) };
        let port = open(&wish, &|| false).unwrap_or_else(|error| panic!("{error:#}"));
        let (told, taken) = (port.facts.buffer_bytes, pool::bytes() - before);
        println!("{device}: told {told}, taken {taken}");
        let set_aside = taken + taken / 4 + 8 * MIB;
        let least = set_aside - MIB - taken / 100;
        assert!((least..=set_aside).contains(&told), "{device}: {told} told, {taken} taken");
    }
}

fn null_swallows_and_makes_frames() {
    let mut port = opened("net_null0");
    assert_eq!(port.facts.frame_bytes, 1514);
    assert!(matches!(port.facts.delivery, Delivery::Paired));
    assert_eq!(port.facts.kernel_sees, KernelSees::Nothing);
    let queue = &mut port.queues[0];
    assert_eq!(queue.state(), PortState::Up);
    let mut tray = Tray::new();
    assert_eq!(queue.take(1000, &mut tray), 64);
    for frame in tray.frames_mut() {
        assert!(frame.capacity() >= 1514 && frame.set_len(60));
        frame.bytes_mut().fill(7);
    }
    assert_eq!((queue.transmit(&mut tray), tray.len()), (64, 0));
    queue.receive(&mut tray);
    assert_eq!(tray.len(), BURST);
    queue.give_back(&mut tray);
    assert_eq!((queue.faults(), tray.len()), (Faults::default(), 0));
}

/// Lengths and bytes that tell every frame from its neighbours.
fn mark(frame: &mut Frame, number: u32) {
    assert!(frame.set_len(60 + number as usize % 1400));
    for (place, byte) in frame.bytes_mut().iter_mut().enumerate() {
        *byte = (number as usize * 31 + place) as u8;
    }
    frame.bytes_mut()[..4].copy_from_slice(&number.to_be_bytes());
}

fn assert_marked(frame: &Frame, number: u32) {
    assert_eq!(frame.len(), 60 + number as usize % 1400);
    assert_eq!(frame.bytes()[..4], number.to_be_bytes());
    let same = |(place, byte): (usize, &u8)| *byte == (number as usize * 31 + place) as u8;
    assert!(frame.bytes().iter().enumerate().skip(4).all(same), "frame {number} was changed");
}

/// A ring holds what was sent until it is full; the rest stays on the tray, and nothing is lost,
/// changed or overtaken.
fn ring_keeps_bytes_and_order() {
    let mut port = opened("net_ring0");
    let queue = &mut port.queues[0];
    let (mut tray, mut got) = (Tray::new(), Tray::new());
    let (mut sent, mut seen, mut partial) = (0, 0, 0);
    for _round in 0..3 {
        loop {
            let blank = queue.take(tray.room().min(BURST + 7), &mut tray);
            let first = tray.len() - blank;
            for frame in &mut tray.frames_mut()[first..] {
                mark(frame, sent);
                sent += 1;
            }
            let full = tray.len();
            let left = queue.transmit(&mut tray);
            assert_eq!(left + tray.len(), full);
            partial += usize::from(left > 0 && left < full);
            if left < full || full == 0 {
                break;
            }
        }
        loop {
            queue.receive(&mut got);
            if got.is_empty() {
                break;
            }
            for frame in got.frames() {
                assert_marked(frame, seen);
                seen += 1;
            }
            queue.give_back(&mut got);
        }
    }
    assert_eq!(seen as usize + tray.len(), sent as usize);
    assert!(partial > 0 && seen > 1000, "{partial} partial of {seen}");
    queue.give_back(&mut tray);
}

fn frames_of_other_back_ends_are_refused() {
    let mut port = opened("net_null2");
    let queue = &mut port.queues[0];
    let mut tray = Tray::new();
    assert_eq!(queue.take(2, &mut tray), 2);
    let mut buffer = [0; 64];
    let data = std::ptr::NonNull::from(&mut buffer).cast();
    tray.push(foreign_frame(data)).ok().unwrap();
    assert_eq!(queue.take(2, &mut tray), 2);
    tray.frames_mut().iter_mut().for_each(|frame| assert!(frame.set_len(60)));
    assert_eq!((queue.transmit(&mut tray), tray.len()), (4, 0));
    assert_eq!(queue.faults().tx_errors, 1);
}

#[allow(unsafe_code)]
fn foreign_frame(data: std::ptr::NonNull<u8>) -> Frame {
    // SAFETY: the caller's 64 bytes live longer than the frame, which is refused.
    unsafe { Frame::new(data, 0, 64, 0x1000) }
}

/// A frame keeps its memory when its port is closed, and another port may take it home.
fn frames_outlive_their_port() {
    let mut port = opened("net_ring1");
    let mut tray = Tray::new();
    assert_eq!(port.queues[0].take(3, &mut tray), 3);
    drop(port);
    mark(&mut tray.frames_mut()[2], 9);
    assert_marked(&tray.frames()[2], 9);
    assert!(format!("{:#}", stop().unwrap_err()).contains("3 frames were not given back"));
    let mut other = opened("net_ring2");
    other.queues[0].give_back(&mut tray);
    assert!(tray.is_empty());
}

fn many_queues_on_many_threads() {
    let port = open(&PortWish { queues: 4, ..wish("net_null3") }, &|| false).unwrap();
    std::thread::scope(|scope| {
        for mut queue in port.queues {
            scope.spawn(move || {
                let _registered = register().unwrap();
                let mut tray = Tray::new();
                for _ in 0..1000 {
                    queue.receive(&mut tray);
                    assert_eq!(queue.take(BURST, &mut tray), BURST);
                    tray.frames_mut().iter_mut().for_each(|frame| assert!(frame.set_len(60)));
                    assert_eq!(queue.transmit(&mut tray), 2 * BURST);
                }
                queue.state()
            });
        }
    });
}

#[test]
fn pci_addresses() {
    assert_eq!(pci_address("03:00.0").as_deref(), Some("0000:03:00.0"));
    assert_eq!(pci_address("0001:AF:1f.7").as_deref(), Some("0001:af:1f.7"));
    for text in ["net_null0", "3:0.0", "0000:03:00", "x:00:00.0", ""] {
        assert_eq!(pci_address(text), None, "{text}");
    }
}

#[test]
fn the_users_words_win() {
    let args = |extra: &str| EalArgs {
        huge_mb: 100,
        ordinary_mb: 150,
        extra: extra.into(),
        ..EalArgs::default()
    };
    let line = |args: &EalArgs, free: u64| {
        let memory = args.memory(free);
        args.words(memory, "p", &[0, 1]).join(" ")
    };
    let base = "dperf-shell --no-telemetry --file-prefix=p --log-level=warning --iova-mode=va \
                --lcores=0@(0,1)";
    assert_eq!(line(&args(""), 1 << 30), format!("{base} --in-memory --no-pci"));
    assert_eq!(line(&args(""), 0), format!("{base} --no-huge --no-shconf -m214 --no-pci"));
    assert_eq!(
        line(&args("--no-huge -m 512"), 1 << 30),
        format!("{base} --no-shconf --no-pci --no-huge -m 512")
    );
    assert_eq!(line(&args("--in-memory"), 0), format!("{base} --no-pci --in-memory"));
    assert_eq!(line(&args("--legacy-mem"), 0), format!("{base} --no-pci --legacy-mem"));
    let nic = EalArgs {
        pci: vec!["03:00.0".into()],
        socket_mem: Some("300,200".into()),
        worker_cpus: vec![2, 3],
        ..args("--iova-mode=pa")
    };
    assert_eq!(
        line(&nic, 1 << 30),
        "dperf-shell --no-telemetry --file-prefix=p --log-level=warning --lcores=0@(2,3) \
         --in-memory --socket-mem=300,200 --allow=0000:03:00.0 --iova-mode=pa"
    );
    assert!(line(&nic, 400 << 20).contains("--no-huge --no-shconf -m564"));
}
