//! Two ends in one process, over a real socket; and ends that behave badly.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::message::{Disconnect, Message};
use super::*;

const LIMIT: Duration = Duration::from_secs(5);
const FRAME_BYTES: u16 = 1514;

/// A socket's name that no other test has, in no file system.
fn socket() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("@dperf-memif-{}-{number}", std::process::id()).into()
}

fn end(socket: &Path, listens: bool, queues: u16) -> Result<Opened> {
    let interface = Interface { socket: socket.to_owned(), id: 0, listens };
    open(&interface, (queues, FRAME_BYTES), LIMIT, &|| false)
}

/// Both ends, the listener first, up.
fn pair(queues: u16) -> [Opened; 2] {
    let socket = socket();
    let mut ends = [true, false].map(|listens| end(&socket, listens, queues).unwrap());
    for end in &mut ends {
        end.wait_for_link("memif", LIMIT, &|| false).unwrap();
    }
    ends
}

/// Waits until the queue is in this state.
fn await_state(queue: &mut dyn PacketQueue, wanted: PortState) {
    let begun = Instant::now();
    while queue.state() != wanted {
        assert!(begun.elapsed() < LIMIT, "never {wanted:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A packet of `bytes` bytes, each told from its neighbours.
fn packet(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at * 7 + bytes) as u8).collect()
}

/// Sends packets of these lengths; how many left.
fn send(queue: &mut dyn PacketQueue, lengths: &[usize]) -> usize {
    let mut tray = Tray::new();
    assert_eq!(queue.take(lengths.len(), &mut tray), lengths.len());
    for (frame, bytes) in tray.frames_mut().iter_mut().zip(lengths) {
        assert!(frame.set_len(*bytes));
        frame.bytes_mut().copy_from_slice(&packet(*bytes));
    }
    let left = queue.transmit(&mut tray);
    queue.give_back(&mut tray);
    left
}

/// The lengths of what has come, each packet as it was sent.
fn received(queue: &mut dyn PacketQueue) -> Vec<usize> {
    let mut lengths = Vec::new();
    loop {
        let mut tray = Tray::new();
        queue.receive(&mut tray);
        if tray.is_empty() {
            return lengths;
        }
        for frame in tray.frames() {
            assert_eq!(frame.bytes(), packet(frame.len()));
            lengths.push(frame.len());
        }
        queue.give_back(&mut tray);
    }
}

#[test]
fn frames_cross_both_ways_whole_and_in_order() {
    let mut ends = pair(2);
    // More than once around the ring.
    for turn in 0..80 {
        let lengths: Vec<usize> = (0..30).map(|n| 1 + (turn * 30 + n) * 7 % 1518).collect();
        for (from, to) in [(0, 1), (1, 0)] {
            for queue in 0..2 {
                assert_eq!(send(&mut *ends[from].queues[queue], &lengths), 30);
                assert_eq!(received(&mut *ends[to].queues[queue]), lengths);
                assert_eq!(received(&mut *ends[to].queues[1 - queue]), [0; 0]);
            }
        }
    }
    let [listener, connector] = ends.each_mut().map(|end| end.queues[0].faults());
    assert_eq!([listener, connector], [Faults::default(); 2]);
    assert_ne!(ends[0].facts.mac, ends[1].facts.mac);
}

/// Between two of these ports a frame may be as long as both think.
#[test]
fn long_frames_cross_as_well() {
    let socket = socket();
    let mut ends = [true, false].map(|listens| {
        let interface = Interface { socket: socket.clone(), id: 0, listens };
        open(&interface, (1, 9014), LIMIT, &|| false).unwrap()
    });
    for end in &mut ends {
        end.wait_for_link("memif", LIMIT, &|| false).unwrap();
        assert!(end.notes.concat().contains("9014 bytes"), "{:?}", end.notes);
    }
    for (from, to) in [(0, 1), (1, 0)] {
        assert_eq!(send(&mut *ends[from].queues[0], &[9014, 9018, 60]), 3);
        assert_eq!(received(&mut *ends[to].queues[0]), [9014, 9018, 60]);
    }
    // An end that knows no such frames drops them, and counts them.
    let short = end(&socket, false, 1);
    assert!(short.is_err(), "somebody is connected");
    let [mut listener, connected] = ends;
    drop(connected);
    await_state(&mut *listener.queues[0], PortState::Down);
    let mut short = end(&socket, false, 1).unwrap();
    short.wait_for_link("memif", LIMIT, &|| false).unwrap();
    await_state(&mut *listener.queues[0], PortState::Up);
    assert_eq!(send(&mut *listener.queues[0], &[60, 9014, 61]), 2);
    assert_eq!(received(&mut *short.queues[0]), [60, 61]);
    assert_eq!(listener.queues[0].faults(), Faults { tx_errors: 1, ..Faults::default() });
}

/// A place that is none is stepped over: what is sent into it is lost, and no more.
#[test]
fn a_place_that_is_none_is_stepped_over() {
    let (mut both, layout) = rings(4);
    let (from, to) = (both.pop().unwrap(), both.pop().unwrap());
    let meddler = from.again();
    let mut receiver = ring::RxRing::new(from.again(), Some(layout.buffer_bytes()));
    let mut queue = queue_over(from, to);
    meddler.set_buffer(0, (9, 0), 60);
    assert_eq!(send(&mut queue, &[60, 61]), 2);
    assert_eq!(queue.faults(), Faults { tx_errors: 1, ..Faults::default() });
    assert_eq!(receiver.ready(9), 2);
    assert!(matches!(receiver.arrived(0), Arrived::Unusable));
    assert!(matches!(receiver.arrived(1), Arrived::Packet(Place { bytes: 61, .. })));
}

/// Indices have 16 bits and go round, over rings of any size.
#[test]
fn indices_go_round() {
    let mut ends = pair(1);
    let (mut both, layout) = rings(2);
    let (from, to) = (both.pop().unwrap(), both.pop().unwrap());
    let own = Some(layout.buffer_bytes());
    let mut near = ring::TxRing::new(to.again(), own, wake());
    let mut small = queue_over(from, to);
    for turn in 0..70_000 / 28 {
        for (from, to) in [(0, 1), (1, 0)] {
            assert_eq!(send(&mut *ends[from].queues[0], &[60; 28]), 28, "turn {turn}");
            assert_eq!(received(&mut *ends[to].queues[0]), [60; 28]);
        }
    }
    for turn in 0..70_000 / 4 {
        assert_eq!(near.free(9), 4, "turn {turn}");
        for nth in 0..4 {
            write(&near.buffer(nth).unwrap(), &packet(61));
            near.fill(nth, 61);
        }
        near.publish(4);
        assert_eq!(received(&mut small), [61; 4]);
        assert!(near.is_empty());
    }
    assert_eq!(small.faults(), Faults::default());
}

#[test]
fn what_a_full_ring_has_no_room_for_stays_with_the_sender() {
    for (from, to) in [(0, 1), (1, 0)] {
        let mut ends = pair(1);
        let mut sent = 0;
        while let left @ 1.. = send(&mut *ends[from].queues[0], &[60; 50]) {
            sent += left;
        }
        assert_eq!(sent, 1 << LOG2_SIZE);
        assert_eq!(received(&mut *ends[to].queues[0]).len(), sent);
        assert_eq!(send(&mut *ends[from].queues[0], &[60; 50]), 50, "there is room again");
        assert_eq!(ends[from].queues[0].faults(), Faults::default());
    }
}

#[test]
fn an_end_that_goes_leaves_what_it_sent_and_may_come_again() {
    let socket = socket();
    for gone in [true, false] {
        let mut left = end(&socket, true, 1).unwrap();
        let mut leaves = end(&socket, false, 1).unwrap();
        if gone {
            std::mem::swap(&mut left, &mut leaves);
        }
        for end in [&mut left, &mut leaves] {
            end.wait_for_link("memif", LIMIT, &|| false).unwrap();
        }
        assert_eq!(send(&mut *leaves.queues[0], &[100, 200]), 2);
        // It hangs up when what it sent was taken, or after a while.
        drop(leaves);
        await_state(&mut *left.queues[0], PortState::Down);
        assert_eq!(send(&mut *left.queues[0], &[60]), 0, "nobody is there");
        assert_eq!(received(&mut *left.queues[0]), [100, 200]);
        let mut again = end(&socket, gone, 1).unwrap();
        again.wait_for_link("memif", LIMIT, &|| false).unwrap();
        await_state(&mut *left.queues[0], PortState::Up);
        assert_eq!(send(&mut *left.queues[0], &[60]), 1);
        assert_eq!(received(&mut *again.queues[0]), [60]);
    }
}

#[test]
fn who_cannot_agree_is_told_why() {
    let socket = socket();
    let _listener = end(&socket, true, 2).unwrap();
    let why = |queues, id| {
        let interface = Interface { socket: socket.clone(), id, listens: false };
        let refused = open(&interface, (queues, FRAME_BYTES), Duration::ZERO, &|| false);
        format!("{:#}", refused.err().expect("they do not fit"))
    };
    assert!(why(1, 0).contains("1 and 1 rings for 2 workers"), "{}", why(1, 0));
    assert!(why(3, 0).contains("2 queues for 3 workers"), "{}", why(3, 0));
    assert!(why(2, 5).contains("the interface here has id 0, not 5"), "{}", why(2, 5));
    // Nobody else may listen there, and only one may be connected.
    assert!(format!("{:#}", end(&socket, true, 2).err().unwrap()).contains("cannot listen"));
    let _connected = end(&socket, false, 2).unwrap();
    assert!(why(2, 0).contains("somebody is connected already"), "{}", why(2, 0));
}

/// Whoever waits at the listening end learns why nobody comes.
#[test]
fn who_listens_is_told_whom_it_refused() {
    let socket = socket();
    let mut listener = end(&socket, true, 2).unwrap();
    let interface = Interface { socket, id: 0, listens: false };
    assert!(open(&interface, (1, FRAME_BYTES), Duration::ZERO, &|| false).is_err());
    let soon = Duration::from_millis(300);
    let why = listener.wait_for_link("memif", soon, &|| false).unwrap_err().to_string();
    assert!(why.contains("a peer was refused: 1 and 1 rings for 2 workers"), "{why}");
}

/// A listener that was stopped, and one that says nothing, are given up in time.
#[test]
fn who_says_nothing_is_not_waited_for_without_end() {
    let socket = socket();
    let name = socket.to_str().unwrap().trim_start_matches('@').to_owned();
    let address = SocketAddrUnix::new_abstract_name(name.as_bytes()).unwrap();
    let mute = rustix::net::socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
    rustix::net::bind(&mute, &address).unwrap();
    rustix::net::listen(&mute, 0).unwrap();
    let interface = Interface { socket, id: 0, listens: false };
    let begun = Instant::now();
    let why = || {
        let refused = open(&interface, (1, FRAME_BYTES), Duration::ZERO, &|| false);
        format!("{:#}", refused.err().expect("nobody answers"))
    };
    assert!(why().contains("says nothing"));
    // It has one place for who waits.
    assert!(why().contains("start the end that listens"));
    assert!(begun.elapsed() < LIMIT);
}

#[test]
fn nobody_to_connect_to_is_waited_for() {
    let socket = socket();
    let interface = Interface { socket: socket.clone(), id: 0, listens: false };
    let soon = Duration::from_millis(150);
    let alone = open(&interface, (1, FRAME_BYTES), soon, &|| false).err().unwrap();
    assert!(format!("{alone:#}").contains("start the end that listens first"), "{alone:#}");
    let stopped = open(&interface, (1, FRAME_BYTES), LIMIT, &|| true).err().unwrap();
    assert!(format!("{stopped:#}").contains("stopped"), "{stopped:#}");
    let late = socket.clone();
    let listener = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        end(&late, true, 1).unwrap()
    });
    let connected = end(&socket, false, 1);
    drop(listener.join().unwrap());
    assert!(connected.is_ok());
}

#[test]
fn a_socket_that_was_left_behind_is_replaced_and_no_other_file() {
    let folder = std::env::temp_dir().join(format!("dperf-memif-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("socket");
    let left = rustix::net::socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
    rustix::net::bind(&left, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    drop(left);
    let listener = end(&path, true, 1).unwrap();
    let taken = format!("{:#}", end(&path, true, 1).err().unwrap());
    assert!(taken.contains("somebody does already"), "{taken}");
    drop(listener);
    assert!(!path.exists(), "it is removed at the end");
    std::fs::write(&path, "results").unwrap();
    let refused = format!("{:#}", end(&path, true, 1).err().unwrap());
    assert!(refused.contains("a file that is no socket"), "{refused}");
    assert_eq!(std::fs::read(&path).unwrap(), b"results");
    std::fs::remove_file(&path).unwrap();
    // Who took its place meanwhile stays.
    let listener = end(&path, true, 1).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "results").unwrap();
    drop(listener);
    std::fs::remove_file(&path).unwrap();
    std::fs::remove_dir(&folder).unwrap();
}

/// A socket that says to the listener whatever it likes.
fn stranger(socket: &Path) -> rustix::fd::OwnedFd {
    let (kind, flags) = (SocketType::SEQPACKET, SocketFlags::CLOEXEC);
    let stranger = rustix::net::socket_with(AddressFamily::UNIX, kind, flags, None).unwrap();
    let name = socket.to_str().unwrap().trim_start_matches('@');
    let address = SocketAddrUnix::new_abstract_name(name.as_bytes()).unwrap();
    rustix::net::connect(&stranger, &address).unwrap();
    stranger
}

/// What the listener says to one who sends this after its HELLO: the last word is a refusal.
fn refusal(socket: &Path, said: &[Vec<u8>]) -> String {
    let stranger = stranger(socket);
    for bytes in said {
        rustix::net::send(stranger.as_fd(), bytes, rustix::net::SendFlags::empty()).unwrap();
    }
    loop {
        let mut bytes = [0; message::MESSAGE_BYTES];
        let flags = rustix::net::RecvFlags::empty();
        let (got, _) = rustix::net::recv(stranger.as_fd(), &mut bytes[..], flags).unwrap();
        assert_eq!(got, bytes.len(), "it hangs up without a word");
        match Message::decode(&bytes) {
            Some(Message::Disconnect(Disconnect { reason, .. })) => return reason.printable(),
            Some(Message::Hello(_) | Message::Ack) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_stranger_is_refused_and_the_next_one_is_heard() {
    let socket = socket();
    let _listener = end(&socket, true, 1).unwrap();
    let init = |version: u16, mode| {
        let body = message::Init {
            version: version.into(),
            id: 0.into(),
            mode,
            secret: message::Text::new(""),
            name: message::Text::new("stranger"),
        };
        Message::Init(body).encode().to_vec()
    };
    let sound = init(message::VERSION, 0);
    let connect = Message::Connect(message::Text::new("")).encode().to_vec();
    let region = message::AddRegion { index: 0.into(), bytes: 4096.into() };
    let refused = [
        (vec![vec![1, 2, 3]], "a message of 3 bytes"),
        (vec![vec![0xff; 128]], "a message of an unknown kind"),
        (vec![connect.clone()], "an INIT comes first"),
        (vec![init(0x0100, 0)], "version 0x100, not 0x200"),
        (vec![init(message::VERSION, 1)], "only Ethernet frames"),
        (vec![sound.clone(), sound.clone()], "is expected, each with its file"),
        (vec![sound.clone(), Message::AddRegion(region).encode().to_vec()], "with its file"),
        (vec![sound, connect], "0 and 0 rings for 1 workers"),
    ];
    for (said, why) in refused {
        let told = refusal(&socket, &said);
        assert!(told.contains(why), "'{told}' is not '{why}'");
    }
    assert!(end(&socket, false, 1).is_ok());
}

/// One queue's two rings of so many descriptors, to be meddled with: to the listener and from it.
fn rings(log2_size: u8) -> (Vec<ring::Ring>, layout::Layout) {
    let layout = layout::Layout { log2_size, ..layout(1, FRAME_BYTES) };
    (layout.create().unwrap().1, layout)
}

/// A counter that wakes.
fn wake() -> rustix::fd::OwnedFd {
    rustix::event::eventfd(0, rustix::event::EventfdFlags::NONBLOCK).unwrap()
}

/// Writes a packet into a buffer.
fn write(place: &Place, packet: &[u8]) {
    assert!(packet.len() <= place.bytes);
    // SAFETY: so many bytes are the sender's to write.
    unsafe { place.data.as_ptr().copy_from(packet.as_ptr(), packet.len()) };
}

/// A listener's queue over the rings from and to it, its port being up.
fn queue_over(from: ring::Ring, to: ring::Ring) -> MemifQueue {
    let (changes, told) = std::sync::mpsc::channel();
    let rings =
        Rings { rx: ring::RxRing::new(to, None), tx: ring::TxRing::new(from, None, wake()) };
    changes.send(Change::Up(Box::new(rings))).unwrap();
    let mut queue = MemifQueue::new(told, FRAME_BYTES, Arc::new(Held::nothing()));
    // It would be gone when nobody can tell it anything any more.
    std::mem::forget(changes);
    assert_eq!(queue.state(), PortState::Up);
    queue
}

/// What a receiver makes of descriptors that make no sense.
#[test]
fn descriptors_that_make_no_sense_are_counted_and_no_more() {
    let (mut both, layout) = rings(LOG2_SIZE);
    let (from, to) = (both.pop().unwrap(), both.pop().unwrap());
    // The other end meddles through its own view of the same ring.
    let meddler = to.again();
    let mut sender = ring::TxRing::new(to.again(), Some(layout.buffer_bytes()), wake());
    let mut queue = queue_over(from, to);
    assert_eq!(sender.free(9), 9);
    for nth in 0..9 {
        write(&sender.buffer(nth).unwrap(), &packet(60));
        sender.fill(nth, 60);
    }
    meddler.set_buffer(1, (0, u32::MAX), 60);
    meddler.set_buffer(2, (7, 0), 60);
    meddler.set_buffer(3, (0, 0), u32::MAX);
    meddler.set_buffer(4, (0, 0), 4000);
    meddler.chain(5);
    meddler.chain(6);
    sender.publish(9);
    // Whole: the first and the last. 5, 6 and 7 are one packet in parts.
    assert_eq!(received(&mut queue), [60, 60]);
    assert_eq!(queue.faults(), Faults { rx_errors: 5, ..Faults::default() });
    // An index that is out of its mind brings no more than a ring has.
    meddler.set_filled(9u16.wrapping_add(40_000));
    let mut tray = Tray::new();
    queue.receive(&mut tray);
    queue.give_back(&mut tray);
}

/// Another end that writes anything anywhere, all the time.
#[test]
fn whatever_stands_in_the_shared_memory_nothing_breaks() {
    let (mut both, _) = rings(4);
    let (from, to) = (both.pop().unwrap(), both.pop().unwrap());
    let meddlers = [from.again(), to.again()];
    let mut queue = queue_over(from, to);
    let mut seed = 1u64;
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        seed >> 20
    };
    let (mut came, mut before) = (0, Faults::default());
    for _ in 0..200_000 {
        let meddler = &meddlers[random() as usize % 2];
        // Small numbers are lengths, offsets and regions that may be right.
        let word = random() << 44 & random() << (random() % 44) | random() >> (random() % 44);
        meddler.scribble(random() as usize, word);
        meddler.set_filled(random() as u16 % 64);
        let mut tray = Tray::new();
        queue.receive(&mut tray);
        came += tray.len();
        for frame in tray.frames() {
            assert!(frame.len() <= frame.capacity());
        }
        queue.transmit(&mut tray);
        queue.give_back(&mut tray);
        assert_eq!(queue.pool.available(), FRAMES as usize, "every frame came back");
        let now = queue.faults();
        assert!(now.rx_errors >= before.rx_errors && now.tx_errors >= before.tx_errors);
        before = now;
    }
    assert!(came > 1000 && before.rx_errors > 1000 && before.tx_errors > 1000, "{before:?}");
}

/// A receiver that sleeps is woken, one that polls is not.
#[test]
fn a_receiver_that_sleeps_is_woken() {
    let (mut both, layout) = rings(LOG2_SIZE);
    let (from, to) = (both.pop().unwrap(), both.pop().unwrap());
    let wake = wake();
    let heard = || rustix::io::read(&wake, &mut [0; 8]).is_ok();
    let kept = wake.try_clone().unwrap();
    let mut sender = ring::TxRing::new(to.again(), Some(layout.buffer_bytes()), kept);
    assert_eq!(sender.free(1), 1);
    sender.fill(0, 60);
    sender.publish(1);
    assert!(heard(), "nobody polls yet");
    let _receiver = ring::RxRing::new(to, None);
    sender.publish(1);
    assert!(!heard());
    drop(from);
}
