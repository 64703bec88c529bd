//! All queues of a port as one, for as long as one worker listens to all of them: it tells on which
//! queue an answer came.
//!
//! Every frame goes back to the queue that handed it out, told by where its bytes lie.
#![allow(unsafe_code)]

use std::collections::HashMap;

use dperf_core::frame::{Frame, Tray};
use dperf_core::port::{Capabilities, PacketQueue, PortState};
use dperf_core::steer::{Fields, fields_of_frame};

/// The queues of a port.
pub struct Together<'q> {
    queues: &'q mut [Box<dyn PacketQueue>],
    /// Where blank frames come from, and so the queue that asks.
    asking: usize,
    /// The queue that is looked at next.
    turn: usize,
    /// The answer that is waited for.
    answer: Fields<'q>,
    /// The queue that it came on.
    came: Option<usize>,
    /// The queues of the frames that are out, by the address of their first byte.
    out: HashMap<usize, usize>,
}

impl<'q> Together<'q> {
    /// The queues, of which `asking` sends what is not an answer itself; `answer` is waited for.
    pub fn new(
        queues: &'q mut [Box<dyn PacketQueue>],
        asking: usize,
        answer: Fields<'q>,
    ) -> Together<'q> {
        Together { queues, asking, turn: 0, answer, came: None, out: HashMap::new() }
    }

    /// The queue on which the answer came first.
    pub fn came(&self) -> Option<usize> {
        self.came
    }

    /// Lends frames of queue `queue`.
    fn lend(&mut self, queue: usize, mut from: Tray, into: &mut Tray) {
        from.drain(|_, frame| {
            self.out.insert(address(&frame), queue);
            let placed = into.push(frame);
            debug_assert!(placed.is_ok(), "no more were asked for");
        });
    }

    /// The frames of a tray by the queue they came from, in order.
    fn sorted(&mut self, from: &mut Tray) -> Vec<Tray> {
        let mut own: Vec<Tray> = self.queues.iter().map(|_| Tray::new()).collect();
        from.drain(|_, frame| {
            let queue = self.out.remove(&address(&frame)).unwrap_or(self.asking);
            let placed = own[queue].push(frame);
            debug_assert!(placed.is_ok(), "a tray holds a tray");
        });
        own
    }
}

fn address(frame: &Frame) -> usize {
    frame.bytes().as_ptr() as usize
}

// SAFETY: every frame is handed out by one of the queues, which keeps the promise itself, and comes
// back to the same one.
unsafe impl PacketQueue for Together<'_> {
    fn capabilities(&self) -> Capabilities {
        self.queues[0].capabilities()
    }

    fn receive(&mut self, into: &mut Tray) {
        let queue = self.turn;
        self.turn = (queue + 1) % self.queues.len();
        if into.room() < dperf_core::port::BURST {
            return;
        }
        let mut came = Tray::new();
        self.queues[queue].receive(&mut came);
        let is_answer = |frame: &Frame| {
            let wanted = self.answer.source.len();
            fields_of_frame(frame.bytes(), wanted) == Some(self.answer)
        };
        if self.came.is_none() && came.frames().iter().any(is_answer) {
            self.came = Some(queue);
        }
        self.lend(queue, came, into);
    }

    fn take(&mut self, want: usize, into: &mut Tray) -> usize {
        let mut blank = Tray::new();
        let count = self.queues[self.asking].take(want.min(into.room()), &mut blank);
        self.lend(self.asking, blank, into);
        count
    }

    /// What a queue has no room for is lost.
    fn transmit(&mut self, from: &mut Tray) -> usize {
        let count = from.len();
        for (index, mut own) in self.sorted(from).into_iter().enumerate() {
            self.queues[index].transmit(&mut own);
            self.queues[index].give_back(&mut own);
        }
        count
    }

    fn give_back(&mut self, from: &mut Tray) {
        for (index, mut own) in self.sorted(from).into_iter().enumerate() {
            self.queues[index].give_back(&mut own);
        }
    }

    fn state(&mut self) -> PortState {
        self.queues[0].state()
    }
}
