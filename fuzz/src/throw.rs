//! One frame thrown at a worker: a real one with one thing changed, told in six bytes.

use dperf_tests::reference;

/// What is thrown, and when.
#[derive(Clone, Copy, Debug)]
pub struct Throw {
    /// How long to wait before; the target says in what.
    pub wait: u8,
    /// Which of the real frames is taken.
    pub pick: u8,
    /// What is changed in it; from 192 on its checksums stay as they were.
    pub change: u8,
    /// Where, and how much.
    pub at: u8,
    /// By what.
    pub by: [u8; 2],
}

/// Bytes of a throw.
const BYTES: usize = 6;

impl Throw {
    /// Takes the first throw off `script`.
    pub fn next(script: &mut &[u8]) -> Option<Throw> {
        let (&[wait, pick, change, at, high, low], rest) = script.split_first_chunk::<BYTES>()?;
        *script = rest;
        Some(Throw { wait, pick, change, at, by: [high, low] })
    }

    /// Changes `frame`, which is a whole one.
    pub fn apply(&self, frame: &mut Vec<u8>) {
        let tcp = reference::segment_of(frame).map_or(14, |(tcp, _)| tcp);
        let at = match self.change % 8 {
            // TCP's flags, sequence, acknowledgement, window, offset; or any place.
            0 => tcp + 13,
            1 => tcp + 6,
            2 => tcp + 10,
            3 => tcp + 14,
            4 => tcp + 12,
            _ => 12 + usize::from(self.at),
        };
        match self.change % 8 {
            5 => frame.truncate(at.max(14)),
            6 => frame.extend(std::iter::repeat_n(self.by[1], usize::from(self.at))),
            _ => {
                for (place, byte) in frame.iter_mut().skip(at).zip(self.by) {
                    *place = place.wrapping_add(byte);
                }
            }
        }
        if self.change < 192 {
            reference::repair(frame);
        }
    }
}
