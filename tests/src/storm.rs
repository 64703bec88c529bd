//! Frames that no peer should send: real ones with bits flipped, flags, sequence numbers and
//! lengths changed, and plain noise; most with right checksums, so that they come far.

use crate::random::Random;
use crate::reference;
use crate::wire::Wire;

/// A source of bad weather.
#[derive(Clone, Debug)]
pub struct Storm {
    random: Random,
    /// Frames thrown in so far.
    pub thrown: u64,
}

impl Storm {
    /// The weather of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Storm {
        Storm { random: Random::new(seed ^ 0x0005_7012), thrown: 0 }
    }

    /// Throws one frame at the machine that a real frame went to.
    pub fn throw(&mut self, wire: &mut Wire) {
        let pick = self.random.draw();
        let Some(mut frame) = wire.recent(pick).map(<[u8]>::to_vec) else { return };
        let Some(station) = wire.station_of(&frame) else { return };
        for _ in 0..=self.random.below(3) {
            self.change(&mut frame);
        }
        if !self.random.chance(100_000) {
            reference::repair(&mut frame);
        }
        wire.inject(station, &frame);
        self.thrown += 1;
    }

    fn change(&mut self, frame: &mut Vec<u8>) {
        let len = frame.len() as u64;
        if let Some((udp, _)) = reference::datagram_of(frame) {
            return self.change_datagram(frame, udp);
        }
        let Some((tcp, _)) = reference::segment_of(frame) else { return };
        match self.random.below(10) {
            0 => frame[tcp + 13] = self.random.draw() as u8,
            1 => frame[tcp + 13] = [4, 2, 0x12, 0x11, 0x14, 0x10][self.random.below(6) as usize],
            2 => self.shift(&mut frame[tcp + 4..tcp + 8]),
            3 => self.shift(&mut frame[tcp + 8..tcp + 12]),
            4 => frame[tcp + 14..tcp + 16].fill(if self.random.chance(500_000) { 0 } else { 255 }),
            5 => frame.truncate(self.random.below(len) as usize),
            6 => frame.extend_from_slice(&[0x61; 40]),
            7 => frame[12 + self.random.below(len - 12) as usize] = self.random.draw() as u8,
            8 => frame[tcp + 12] = self.random.draw() as u8,
            _ => frame[14 + self.random.below(len - 14) as usize] ^= 1 << self.random.below(8),
        }
        if frame.len() < 14 {
            frame.resize(14, 0);
        }
    }

    /// Ports, lengths, no checksum, cut off, or any bit.
    fn change_datagram(&mut self, frame: &mut Vec<u8>, udp: usize) {
        let len = frame.len() as u64;
        match self.random.below(6) {
            0 => frame[udp + self.random.below(4) as usize] ^= 1,
            1 => frame[udp + 5] = self.random.draw() as u8,
            2 => frame[udp + 6..udp + 8].fill(0),
            3 => frame.truncate(14 + self.random.below(len - 14) as usize),
            4 => frame.extend_from_slice(&[0x61; 40]),
            _ => frame[14 + self.random.below(len - 14) as usize] ^= 1 << self.random.below(8),
        }
    }

    /// Moves a sequence number a little or anywhere.
    fn shift(&mut self, number: &mut [u8]) {
        let Ok(bytes) = <[u8; 4]>::try_from(&*number) else { return };
        let by = match self.random.below(3) {
            0 => self.random.draw() as u32,
            1 => self.random.below(4000) as u32,
            _ => 0u32.wrapping_sub(self.random.below(4000) as u32),
        };
        number.copy_from_slice(&u32::from_be_bytes(bytes).wrapping_add(by).to_be_bytes());
    }
}
