//! What the models share: packets with a number, a queue as dperf's was, and ways to run two
//! threads in every order.
//!
//! `make race` builds this with `--cfg loom`: then `dperf_core`'s one door to atomics leads to
//! loom's, and [`loom::model`] runs a model once for every order of its steps and for every value
//! that a load may see. What it finds it finds always: there is no luck in it.

pub mod fifo;

use core::ptr::NonNull;

use dperf_core::frame::Frame;

/// Lends `act` a packet that says `number`, and nothing else.
pub fn with_packet<R>(number: u8, act: impl FnOnce(&mut Frame) -> R) -> R {
    let mut byte = [number];
    // SAFETY: the byte outlives the frame and is reached through it alone.
    let mut frame = unsafe { Frame::new(NonNull::from(&mut byte).cast(), 1, 1, 0) };
    act(&mut frame)
}

/// Runs `act` until it has a result, and lets the others run meanwhile.
pub fn until<R>(mut act: impl FnMut() -> Option<R>) -> R {
    loop {
        if let Some(result) = act() {
            return result;
        }
        loom::thread::yield_now();
    }
}

/// Runs both in threads of their own, to their end.
pub fn both(one: impl FnOnce() + 'static, other: impl FnOnce() + 'static) {
    let threads = [loom::thread::spawn(one), loom::thread::spawn(other)];
    for thread in threads {
        thread.join().expect("a thread of a model");
    }
}
