//! The in-process link: two threads exchange buffers through a ring without a lock.
#![cfg(loom)]

use dperf_core::frame::Tray;
use dperf_core::port::{PacketQueue, PortState};
use dperf_shell::port::link::{self, LinkQueue};
use loom_models::until;

/// Sends one frame that says `number`.
fn send(queue: &mut LinkQueue, number: u8) {
    let mut tray = Tray::new();
    assert_eq!(queue.take(1, &mut tray), 1, "a buffer is free");
    let frame = &mut tray.frames_mut()[0];
    assert!(frame.set_len(1));
    frame.bytes_mut()[0] = number;
    until(|| (queue.transmit(&mut tray) == 1).then_some(()));
}

/// Receives one frame, gives it back, and tells what it said.
fn hear(queue: &mut LinkQueue) -> u8 {
    let mut tray = Tray::new();
    let number = until(|| {
        queue.receive(&mut tray);
        let frame = tray.frames().first()?;
        assert_eq!(frame.len(), 1, "the length that was sent");
        Some(frame.bytes()[0])
    });
    assert_eq!(tray.len(), 1, "one frame was sent");
    queue.give_back(&mut tray);
    number
}

/// One frame there and one back: a buffer that is still the peer's would be another one, with
/// another number or of no length.
#[test]
fn a_frame_goes_there_and_back() {
    loom::model(|| {
        let (mut here, mut there) = link::pair(60, 1);
        let peer = loom::thread::spawn(move || {
            assert_eq!(hear(&mut there), 1);
            send(&mut there, 2);
            there
        });
        send(&mut here, 1);
        assert_eq!(hear(&mut here), 2);
        drop((peer.join().expect("the peer"), here));
    });
}

/// Both ends send at once; each direction is a ring of its own.
#[test]
fn both_ends_send_at_once() {
    loom::model(|| {
        let (mut here, mut there) = link::pair(60, 1);
        let peer = loom::thread::spawn(move || {
            send(&mut there, 2);
            assert_eq!(hear(&mut there), 1);
            there
        });
        send(&mut here, 1);
        assert_eq!(hear(&mut here), 2);
        drop((peer.join().expect("the peer"), here));
    });
}

/// An end that has gone is missed, and what it sent before is still received.
#[test]
fn an_end_that_has_gone_is_missed() {
    loom::model(|| {
        let (mut here, mut there) = link::pair(60, 1);
        let peer = loom::thread::spawn(move || {
            send(&mut there, 2);
            drop(there);
        });
        until(|| (here.state() == PortState::Gone).then_some(()));
        let mut tray = Tray::new();
        here.receive(&mut tray);
        assert_eq!(tray.len(), 1, "what was sent before has come");
        here.give_back(&mut tray);
        peer.join().expect("the peer");
    });
}

/// A full ring: the sender waits for places, and what lies there is its own again. The receiver
/// keeps its frame meanwhile, and nobody writes into it.
#[test]
fn a_full_ring_is_used_again() {
    let mut builder = loom::model::Builder::new();
    // To fill it takes a thousand steps, in one thread; all orders of the rest are tried.
    builder.max_branches = 10_000;
    builder.check(|| {
        let (mut here, mut there) = link::pair(60, 1);
        for _ in 0..link::PLACES {
            send(&mut here, 1);
        }
        let sender = loom::thread::spawn(move || {
            send(&mut here, 2);
            // Into the buffer that came for it.
            let mut tray = Tray::new();
            assert_eq!(here.take(1, &mut tray), 1);
            tray.frames_mut()[0].buffer_mut().fill(3);
            here.give_back(&mut tray);
            here
        });
        let mut tray = Tray::new();
        there.receive(&mut tray);
        let kept = tray.frames().len();
        let here = sender.join().expect("the sender");
        assert_eq!((kept, tray.frames()[0].bytes()), (1, &[1][..]), "nobody else writes into it");
        there.give_back(&mut tray);
        drop(here);
    });
}
