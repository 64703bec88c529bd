//! What crossed the wire, as a capture file with nanoseconds; the same run gives the same bytes.

/// Magic of a capture with nanosecond time stamps, in the writer's byte order.
const MAGIC: u32 = 0xa1b2_3c4d;
/// LINKTYPE_ETHERNET.
const ETHERNET: u32 = 1;
const SNAP_BYTES: u32 = 65_535;
const NANOS: u64 = 1_000_000_000;
const FILE_HEADER_BYTES: usize = 24;
const FRAME_HEADER_BYTES: usize = 16;

/// A capture in memory: a fingerprint of everything, and the frames themselves if asked for.
#[derive(Clone, Debug)]
pub struct Capture {
    bytes: Option<Vec<u8>>,
    hash: u64,
    frames: u64,
}

impl Capture {
    /// An empty capture that keeps frames or only their fingerprint.
    #[must_use]
    pub fn new(keep: bool) -> Capture {
        let bytes = keep.then(|| {
            let mut header = Vec::with_capacity(1 << 16);
            header.extend(MAGIC.to_le_bytes());
            header.extend(2u16.to_le_bytes());
            header.extend(4u16.to_le_bytes());
            header.extend([0; 8]);
            header.extend(SNAP_BYTES.to_le_bytes());
            header.extend(ETHERNET.to_le_bytes());
            header
        });
        Capture { bytes, hash: 0xcbf2_9ce4_8422_2325, frames: 0 }
    }

    /// One frame at `nanos`.
    pub fn add(&mut self, nanos: u64, frame: &[u8]) {
        self.frames += 1;
        self.mix(nanos);
        for word in frame.chunks(8) {
            let mut bytes = [0; 8];
            bytes[..word.len()].copy_from_slice(word);
            self.mix(u64::from_le_bytes(bytes));
        }
        let Some(bytes) = &mut self.bytes else { return };
        let len = (frame.len() as u32).to_le_bytes();
        bytes.extend(((nanos / NANOS) as u32).to_le_bytes());
        bytes.extend(((nanos % NANOS) as u32).to_le_bytes());
        bytes.extend(len);
        bytes.extend(len);
        bytes.extend(frame);
    }

    fn mix(&mut self, word: u64) {
        self.hash = (self.hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }

    /// A fingerprint of every byte and time so far.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Frames seen so far.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// The capture file, if frames were kept.
    #[must_use]
    pub fn file(&self) -> Option<&[u8]> {
        self.bytes.as_deref()
    }
}

/// The frames of a capture file, each with its time in nanoseconds.
pub fn frames(file: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let mut rest = &file[FILE_HEADER_BYTES..];
    std::iter::from_fn(move || {
        let (header, after) = rest.split_at_checked(FRAME_HEADER_BYTES)?;
        let number = |at: usize| {
            header[at..at + 4].iter().rev().fold(0u64, |word, byte| word << 8 | u64::from(*byte))
        };
        let (frame, after) = after.split_at(number(8) as usize);
        rest = after;
        Some((number(0) * NANOS + number(4), frame))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capture_is_laid_out_as_the_format_says() {
        let mut capture = Capture::new(true);
        capture.add(3_000_000_007, &[1, 2, 3]);
        let file = capture.file().expect("kept");
        assert_eq!(file.len(), 24 + 16 + 3);
        assert_eq!(file[..4], [0x4d, 0x3c, 0xb2, 0xa1]);
        assert_eq!(file[24..36], [3, 0, 0, 0, 7, 0, 0, 0, 3, 0, 0, 0]);
        let read: Vec<_> = frames(file).collect();
        assert_eq!(read, [(3_000_000_007, &[1u8, 2, 3][..])]);
        assert_eq!((&file[40..], capture.frames()), (&[1u8, 2, 3][..], 1));
        assert_ne!(capture.hash(), Capture::new(false).hash());
    }
}
