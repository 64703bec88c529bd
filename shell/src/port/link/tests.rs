//! No frame is lost, doubled or out of order on a link, and every buffer comes back.

use super::*;
use std::time::Instant;

/// A small generator, enough to vary burst sizes.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as usize % bound
    }
}

/// Length and content are functions of the frame's number, so any mix-up shows.
fn write(frame: &mut Frame, number: u64) {
    let len = 14 + (number.wrapping_mul(2_654_435_761) % 200) as usize;
    assert!(frame.set_len(len));
    let bytes = frame.bytes_mut();
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes[8..].fill(number as u8);
}

fn check(frame: &Frame, number: u64) {
    let bytes = frame.bytes();
    assert_eq!(bytes.len(), 14 + (number.wrapping_mul(2_654_435_761) % 200) as usize);
    assert_eq!(bytes[..8], number.to_le_bytes(), "frame {number} out of order");
    assert!(bytes[8..].iter().all(|&byte| byte == number as u8), "frame {number} mixed up");
}

/// Sends `count` frames in bursts of random size, keeping some blanks for later.
fn send_all(queue: &mut LinkQueue, count: u64, dice: &mut Dice) {
    let (mut blanks, mut out, mut sent) = (Tray::new(), Tray::new(), 0);
    while sent < count || !out.is_empty() {
        queue.take(dice.below(33), &mut blanks);
        for _ in 0..dice.below(33) {
            if sent == count || out.room() == 0 {
                break;
            }
            let Some(mut frame) = blanks.pop() else { break };
            write(&mut frame, sent);
            sent += 1;
            assert!(out.push(frame).is_ok());
        }
        if queue.transmit(&mut out) == 0 {
            std::thread::yield_now();
        }
        if dice.below(16) == 0 {
            queue.give_back(&mut blanks);
        }
    }
    queue.give_back(&mut blanks);
}

/// Receives `count` frames in order, holding some of them back for a while.
fn receive_all(queue: &mut LinkQueue, count: u64, dice: &mut Dice) {
    let (mut inbox, mut seen, mut held) = (Tray::new(), 0, 0);
    while seen < count {
        queue.receive(&mut inbox);
        if inbox.len() == held {
            std::thread::yield_now();
        }
        for frame in &inbox.frames()[held..] {
            check(frame, seen);
            seen += 1;
        }
        held = inbox.len();
        if inbox.room() == 0 || dice.below(3) == 0 {
            queue.give_back(&mut inbox);
            held = 0;
        }
    }
    queue.give_back(&mut inbox);
}

/// Every buffer is in exactly one place.
fn assert_conserved(a: &LinkQueue, b: &LinkQueue) {
    assert_each_has_its_buffers(&[a, b]);
}

fn assert_each_has_its_buffers(queues: &[&LinkQueue]) {
    for queue in queues {
        assert_eq!((queue.free.len(), queue.foreign), (queue.frames, 0));
    }
    let a = queues[0];
    let mut seen = vec![0; a.cable.buffers.count() as usize];
    let in_places = a.cable.rings.iter().flatten().flat_map(Ring::buffers);
    let free = queues.iter().flat_map(|queue| queue.free.iter().copied());
    for index in free.chain(in_places) {
        seen[index as usize] += 1;
    }
    assert!(seen.iter().all(|&holders| holders == 1));
}

#[test]
fn a_million_frames_cross_two_threads_in_order() {
    const COUNT: u64 = 1_000_000;
    let (mut a, mut b) = pair(1514, FRAMES);
    std::thread::scope(|scope| {
        scope.spawn(|| send_all(&mut a, COUNT, &mut Dice(1)));
        receive_all(&mut b, COUNT, &mut Dice(2));
    });
    assert_conserved(&a, &b);
}

#[test]
fn both_directions_at_once_return_what_they_got() {
    const COUNT: u64 = 200_000;
    let (mut a, mut b) = pair(1514, 96);
    let echo = |queue: &mut LinkQueue| {
        let (mut tray, mut passed) = (Tray::new(), 0);
        while passed < COUNT {
            queue.receive(&mut tray);
            let sent = queue.transmit(&mut tray) as u64;
            passed += sent;
            if sent == 0 {
                std::thread::yield_now();
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| echo(&mut b));
        let (mut out, mut back) = (Tray::new(), Tray::new());
        let (mut sent, mut seen) = (0, 0);
        while seen < COUNT {
            let want = out.room().min((COUNT - sent) as usize).min(32);
            let before = out.len();
            a.take(want, &mut out);
            for frame in &mut out.frames_mut()[before..] {
                write(frame, sent);
                sent += 1;
            }
            let moved = a.transmit(&mut out);
            a.receive(&mut back);
            for frame in back.frames() {
                check(frame, seen);
                seen += 1;
            }
            if moved == 0 && back.is_empty() {
                std::thread::yield_now();
            }
            a.give_back(&mut back);
        }
    });
    assert_conserved(&a, &b);
}

#[test]
fn a_full_ring_takes_fewer_and_keeps_the_rest_in_order() {
    let (mut a, mut b) = pair(1514, 2 * PLACES as u16);
    let mut out = Tray::new();
    let mut number = 0;
    loop {
        let before = out.len();
        a.take(40, &mut out);
        for frame in &mut out.frames_mut()[before..] {
            write(frame, number);
            number += 1;
        }
        let had = out.len();
        let sent = a.transmit(&mut out);
        assert_eq!(out.len(), had - sent);
        if sent < had {
            break;
        }
    }
    assert_eq!(number - out.len() as u64, PLACES as u64);
    assert_eq!(a.transmit(&mut out), 0);
    let (mut inbox, mut seen) = (Tray::new(), 0);
    while seen < number {
        b.receive(&mut inbox);
        inbox.frames().iter().for_each(|frame| {
            check(frame, seen);
            seen += 1;
        });
        b.give_back(&mut inbox);
        a.transmit(&mut out);
    }
    assert_conserved(&a, &b);
}

#[test]
fn an_end_without_empty_buffers_receives_fewer() {
    let (mut a, mut b) = pair(1514, 40);
    let (mut out, mut hoard, mut inbox) = (Tray::new(), Tray::new(), Tray::new());
    assert_eq!(b.take(64, &mut hoard), 40);
    assert_eq!(a.take(32, &mut out), 32);
    assert_eq!(a.transmit(&mut out), 32);
    b.receive(&mut inbox);
    assert!(inbox.is_empty());
    let kept = hoard.pop();
    b.give_back(&mut hoard);
    b.receive(&mut inbox);
    assert_eq!(inbox.len(), 32);
    hoard.push(kept.unwrap()).unwrap_or_else(|_| unreachable!());
    b.give_back(&mut hoard);
    b.give_back(&mut inbox);
    assert_conserved(&a, &b);
}

#[test]
fn the_other_end_sees_a_drop() {
    let (mut a, b) = pair(1514, 64);
    assert_eq!(a.state(), PortState::Up);
    drop(b);
    assert_eq!(a.state(), PortState::Gone);
    let mut tray = Tray::new();
    a.receive(&mut tray);
    assert!(tray.is_empty());
    // Frames still out when their queue goes stay readable.
    assert_eq!(a.take(1, &mut tray), 1);
    write(&mut tray.frames_mut()[0], 7);
    drop(a);
    check(&tray.frames()[0], 7);
}

#[test]
fn a_foreign_frame_is_refused() {
    let (mut a, _b) = pair(1514, 64);
    let (mut c, _d) = pair(1514, 64);
    let mut tray = Tray::new();
    c.take(2, &mut tray);
    assert_eq!(a.transmit(&mut tray), 0);
    assert!(tray.is_empty());
    assert_eq!((a.faults().tx_errors, a.free.len()), (2, 64));
}

/// A frame of some flow: its hash depends on `number`, its length and its bytes tell it.
fn write_flow(frame: &mut Frame, sender: usize, number: u32) {
    assert!(frame.set_len(60));
    let bytes = frame.bytes_mut();
    bytes.fill(number as u8);
    bytes[12..14].copy_from_slice(&[8, 0]);
    bytes[14..34].copy_from_slice(&[
        0x45,
        0,
        0,
        46,
        0,
        0,
        0,
        0,
        64,
        17,
        0,
        0,
        10,
        0,
        0,
        sender as u8,
        10,
        0,
        1,
        1,
    ]);
    bytes[34..38].copy_from_slice(&[(number >> 3) as u8, number as u8, 0, 80]);
    bytes[50..54].copy_from_slice(&number.to_be_bytes());
}

/// Lets the others end if this thread panics.
struct EndAll<'a>(&'a AtomicU32, u32);

impl Drop for EndAll<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(self.1, Release);
        }
    }
}

/// Three threads send, two receive, and send everything back to where its hash says: each queue
/// gets its own frames and no others, every flow in order, none is lost, and every buffer is kept.
#[test]
fn a_hash_divides_what_threads_send_to_threads() {
    const COUNT: u32 = 50_000;
    let choices = [3, 2].map(|queues| rss::even(false, queues));
    let cable = Cable::new([3, 2], 1514, 256);
    let mut near: Vec<_> = (0..3).map(|queue| cable.mint(0, queue, Some(choices[1]))).collect();
    let mut far: Vec<_> = (0..2).map(|queue| cable.mint(1, queue, Some(choices[0]))).collect();
    let total = AtomicU32::new(0);
    let seen = |from: &LinkQueue, queue: usize, inbox: &Tray, last: &mut [[u32; 3]; 3]| {
        for frame in inbox.frames() {
            let bytes = frame.bytes();
            let choice = choices[from.side];
            assert_eq!(usize::from(choice.queue_of_frame(bytes)), queue);
            let number = u32::from_be_bytes(bytes[50..54].try_into().unwrap());
            let by = usize::from(choices[1 - from.side].queue_of_frame(bytes));
            let last = &mut last[usize::from(bytes[29])][by];
            assert!(number >= *last, "what takes one way stays in order");
            *last = number + 1;
            assert!(bytes[54..].iter().all(|byte| *byte == number as u8));
        }
    };
    let all = || total.load(Acquire) >= 3 * COUNT;
    std::thread::scope(|scope| {
        for (queue, end) in far.iter_mut().enumerate() {
            let total = &total;
            scope.spawn(move || {
                let _end = EndAll(total, 3 * COUNT);
                let (mut inbox, mut last) = (Tray::new(), [[0; 3]; 3]);
                while !all() {
                    let held = inbox.len();
                    end.receive(&mut inbox);
                    if held == 0 {
                        seen(end, queue, &inbox, &mut last);
                    }
                    end.transmit(&mut inbox);
                    std::thread::yield_now();
                }
                end.give_back(&mut inbox);
            });
        }
        for (queue, end) in near.iter_mut().enumerate() {
            let total = &total;
            scope.spawn(move || {
                let _end = EndAll(total, 3 * COUNT);
                let (mut out, mut inbox, mut sent, mut last) =
                    (Tray::new(), Tray::new(), 0, [[0; 3]; 3]);
                // As many under way as find a place anywhere, so that nobody waits in a circle.
                while !all() {
                    while sent < COUNT && out.len() < 32 && sent * 3 < total.load(Acquire) + 200 {
                        end.take(1, &mut out);
                        write_flow(out.frames_mut().last_mut().unwrap(), queue, sent);
                        sent += 1;
                    }
                    end.transmit(&mut out);
                    end.receive(&mut inbox);
                    seen(end, queue, &inbox, &mut last);
                    total.fetch_add(inbox.len() as u32, Release);
                    end.give_back(&mut inbox);
                    std::thread::yield_now();
                }
                end.give_back(&mut out);
            });
        }
    });
    assert_each_has_its_buffers(&near.iter().chain(&far).collect::<Vec<_>>());
}

#[test]
fn an_opened_link_tells_its_facts() {
    let (a, b) = open(3, 9014, 64);
    assert_eq!((a.queues.len(), b.queues.len()), (3, 3));
    assert_eq!((a.facts.mac, b.facts.mac), (MACS[0], MACS[1]));
    assert!(
        matches!(a.facts.delivery, Delivery::Paired) && a.facts.kernel_sees == KernelSees::Nothing
    );
    for mut queue in a.queues {
        let mut tray = Tray::new();
        assert_eq!(queue.take(1, &mut tray), 1);
        assert!(tray.frames()[0].capacity() >= 9014);
        assert_eq!(queue.capabilities().frame_bytes, 9014);
        queue.give_back(&mut tray);
    }
}

/// One receive and one transmit per frame and end, both ends alternating in one thread.
#[test]
#[ignore = "a measurement: run it alone, in release"]
fn cost_of_one_frame_in_one_thread() {
    const ROUNDS: u64 = 20_000;
    let (mut a, mut b) = pair(1514, FRAMES);
    let (mut to, mut back) = (Tray::new(), Tray::new());
    a.take(32, &mut to);
    to.frames_mut().iter_mut().for_each(|frame| write(frame, 1));
    a.transmit(&mut to);
    let mut runs: Vec<_> = (0..100)
        .map(|_| {
            let (began, cycles) = (Instant::now(), ticks());
            for _ in 0..ROUNDS {
                b.receive(&mut to);
                b.transmit(&mut to);
                a.receive(&mut back);
                a.transmit(&mut back);
            }
            (ticks() - cycles, began.elapsed().as_nanos())
        })
        .collect();
    runs.sort_unstable();
    for (name, (cycles, ns)) in [("least", runs[0]), ("median", runs[50])] {
        let per_frame = 1.0 / (ROUNDS * 64) as f64;
        let (cycles, ns) = (cycles as f64 * per_frame, ns as f64 * per_frame);
        println!("receive + transmit, {name}: {cycles:.1} cycles, {ns:.2} ns per frame");
    }
}

fn ticks() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads a counter.
    return unsafe { core::arch::x86_64::_rdtsc() };
    #[cfg(not(target_arch = "x86_64"))]
    return 0;
}

#[test]
fn an_end_tells_half_of_what_is_allocated() {
    let size = |queue: &LinkQueue| queue.cable.buffers.size();
    for frame_bytes in [60, 1514, 9014] {
        let (a, _b) = pair(frame_bytes, FRAMES);
        assert_eq!(2 * memory_bytes([1, 1], false, frame_bytes, FRAMES), size(&a));
        let told = open(3, frame_bytes, FRAMES).0.facts.buffer_bytes;
        assert_eq!(2 * told, 3 * size(&a));
        for queues in [[3, 3], [1, 4]] {
            let cable = Cable::new(queues, frame_bytes, FRAMES);
            let choices = queues.map(|queues| rss::even(false, queues));
            let (a, b) = open_hashed(choices, frame_bytes, FRAMES);
            let told = [a, b].map(|end| end.facts.buffer_bytes);
            assert_eq!(told, [cable.buffers.size() / 2; 2], "{queues:?}");
        }
    }
}
