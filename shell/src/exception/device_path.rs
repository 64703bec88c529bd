//! A queue of a second device as a way to the kernel: packets are copied into the device's own
//! frames and out of them, and every frame goes back to the device it came from.

use dperf_core::exception::{Delivered, ExceptionPath};
use dperf_core::frame::{Frame, Tray};
use dperf_core::port::{BURST, PacketQueue};

/// One worker's queue of the second device. No frame stays here between two calls: a path may move
/// to another thread, a frame may not.
pub(super) struct DevicePath {
    queue: Box<dyn PacketQueue>,
    /// Packets that found no frame long enough.
    oversized: u64,
}

impl DevicePath {
    pub(super) fn new(queue: Box<dyn PacketQueue>) -> DevicePath {
        DevicePath { queue, oversized: 0 }
    }
}

impl ExceptionPath for DevicePath {
    fn deliver(&mut self, packets: &[Frame]) -> Delivered {
        let longest = usize::from(self.queue.capabilities().frame_bytes);
        let fitting = packets.iter().take_while(|packet| packet.len() <= longest).count();
        if fitting == 0 {
            let refused = packets.len().min(1);
            return Delivered { done: refused, refused };
        }
        let mut copies = Tray::new();
        let taken = self.queue.take(fitting, &mut copies);
        for (copy, packet) in copies.frames_mut().iter_mut().zip(packets) {
            let fits = copy.set_len(packet.len());
            debug_assert!(fits);
            copy.bytes_mut().copy_from_slice(packet.bytes());
        }
        let done = self.queue.transmit(&mut copies);
        debug_assert_eq!(done + copies.len(), taken);
        // What found no room is copied again when it is offered again.
        self.queue.give_back(&mut copies);
        Delivered { done, refused: 0 }
    }

    fn collect(&mut self, blanks: &mut [Frame]) -> usize {
        let mut tray = Tray::new();
        // Fillers leave as many places free as there are blanks, so that no more comes in.
        let fillers = tray.room() - blanks.len().min(BURST);
        let mut filled = 0;
        if self.queue.take(fillers, &mut tray) == fillers {
            self.queue.receive(&mut tray);
            for packet in &tray.frames()[fillers..] {
                // The interface has the port's MTU: only a user who raised it sends longer ones.
                if blanks[filled].set_len(packet.len()) {
                    blanks[filled].bytes_mut().copy_from_slice(packet.bytes());
                    filled += 1;
                } else {
                    self.oversized += 1;
                }
            }
        }
        self.queue.give_back(&mut tray);
        filled
    }

    fn oversized(&mut self) -> u64 {
        std::mem::take(&mut self.oversized)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::link;

    /// Frames each end of the link to the kernel owns.
    const OWN: usize = 96;

    /// A way to the kernel, the kernel's end of it, and a port to have frames from.
    fn ways() -> (DevicePath, link::LinkQueue, link::LinkQueue) {
        let (near, kernel) = link::pair(1514, OWN as u16);
        let (port, _) = link::pair(1514, 256);
        (DevicePath::new(Box::new(near)), kernel, port)
    }

    /// Packets numbered from `first` on, each with a length of its own.
    fn packets(port: &mut impl PacketQueue, first: usize, count: usize) -> Tray {
        let mut tray = Tray::new();
        assert_eq!(port.take(count, &mut tray), count);
        for (index, frame) in tray.frames_mut().iter_mut().enumerate() {
            assert!(frame.set_len(60 + first + index));
            frame.bytes_mut().fill((first + index) as u8);
        }
        tray
    }

    fn assert_numbered(frame: &Frame, number: usize) {
        assert_eq!((frame.len(), frame.bytes()[0]), (60 + number, number as u8));
        assert!(frame.bytes().iter().all(|byte| *byte == number as u8));
    }

    /// Every frame of `queue` is at home: none was lost, none was kept.
    fn assert_all_home(queue: &mut dyn PacketQueue) {
        let mut count = 0;
        let mut trays = Vec::new();
        loop {
            let mut tray = Tray::new();
            let taken = queue.take(tray.room(), &mut tray);
            count += taken;
            trays.push(tray);
            if taken == 0 {
                break;
            }
        }
        trays.iter_mut().for_each(|tray| queue.give_back(tray));
        assert_eq!(count, OWN);
    }

    #[test]
    fn the_kernel_gets_copies_in_order() {
        let (mut path, mut kernel, mut port) = ways();
        let mut sent = packets(&mut port, 0, 16);
        assert_eq!(path.deliver(sent.frames()), Delivered { done: 16, refused: 0 });
        let mut got = Tray::new();
        kernel.receive(&mut got);
        assert_eq!(got.len(), 16);
        for (number, frame) in got.frames().iter().enumerate() {
            assert_numbered(frame, number);
        }
        kernel.give_back(&mut got);
        port.give_back(&mut sent);
        assert_all_home(&mut *path.queue);
        assert_all_home(&mut kernel);
    }

    #[test]
    fn what_finds_no_room_is_not_done_and_not_lost() {
        let (mut path, mut kernel, mut port) = ways();
        let mut offered = packets(&mut port, 7, 16);
        let mut done = 0;
        loop {
            let delivered = path.deliver(offered.frames());
            assert_eq!(delivered.refused, 0);
            done += delivered.done;
            if delivered.done < 16 {
                break;
            }
        }
        assert_all_home(&mut *path.queue);
        let (mut got, mut seen) = (Tray::new(), 0);
        loop {
            kernel.receive(&mut got);
            if got.is_empty() {
                break;
            }
            for frame in got.frames() {
                assert_numbered(frame, 7 + seen % 16);
                seen += 1;
            }
            kernel.give_back(&mut got);
        }
        assert_eq!(seen, done);
        assert_eq!(path.deliver(&offered.frames()[done % 16..]).done, 16 - done % 16);
        port.give_back(&mut offered);
    }

    #[test]
    fn what_the_kernel_sends_waits_for_blanks() {
        let (mut path, mut kernel, mut port) = ways();
        let mut sent = packets(&mut kernel, 0, 40);
        assert_eq!(kernel.transmit(&mut sent), 40);
        let mut seen = 0;
        for wanted in [0, 16, 1, 16, 16] {
            let mut blanks = Tray::new();
            port.take(wanted, &mut blanks);
            let filled = path.collect(blanks.frames_mut());
            for frame in &blanks.frames()[..filled] {
                assert_numbered(frame, seen);
                seen += 1;
            }
            port.give_back(&mut blanks);
        }
        assert_eq!(seen, 40);
        assert_all_home(&mut *path.queue);
        assert_all_home(&mut kernel);
    }

    #[test]
    fn a_frame_that_fits_nowhere_stops_nothing() {
        let (narrow, mut kernel) = link::pair(600, OWN as u16);
        let (mut port, _) = link::pair(1514, 256);
        let mut path = DevicePath::new(Box::new(narrow));
        let mut offered = packets(&mut port, 0, 3);
        assert!(offered.frames_mut()[1].set_len(1500));
        let mut from = 0;
        let mut refused = 0;
        while from < 3 {
            let delivered = path.deliver(&offered.frames()[from..]);
            from += delivered.done;
            refused += delivered.refused;
        }
        let mut got = Tray::new();
        kernel.receive(&mut got);
        assert_eq!((refused, got.len()), (1, 2));
        assert_numbered(&got.frames()[1], 2);
        kernel.give_back(&mut got);
        port.give_back(&mut offered);
        assert_eq!(path.deliver(&[]), Delivered::default());
    }
}
