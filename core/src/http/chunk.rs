//! The chunked coding (RFC 9112 section 7.1): sizes are read, extensions and the bytes of the
//! chunks are passed over, and every chunk must end where its size says. The line ends of chunks
//! are CRLF and nothing else; the lines of the trailer section are header lines again.

use super::Fault;
use super::scanner::{LEFT_MAX, Phase, Scanner, Stepped, TRAILER, take};
use super::words::find_line_stop;

impl Scanner {
    pub(super) fn chunk_start(&mut self, rest: &mut &[u8]) -> Stepped {
        if hex(rest).is_none() {
            return Err(Fault::Chunk);
        }
        self.set_left(0);
        self.phase = Phase::ChunkDigits;
        Ok(())
    }

    pub(super) fn chunk_digits(&mut self, rest: &mut &[u8]) -> Stepped {
        let mut size = self.left();
        while let Some(digit) = hex(rest) {
            size = size << 4 | digit;
            if size > LEFT_MAX {
                return Err(Fault::Chunk);
            }
            take(rest, 1);
        }
        self.set_left(size);
        self.chunk_size_ends(rest)
    }

    pub(super) fn chunk_gap(&mut self, rest: &mut &[u8]) -> Stepped {
        Self::after_blanks(rest);
        self.chunk_size_ends(rest)
    }

    fn chunk_size_ends(&mut self, rest: &mut &[u8]) -> Stepped {
        match rest.first() {
            None => {}
            Some(b'\r') => self.eat(1, Phase::ChunkSizeLf, rest),
            Some(b';') => self.eat(1, Phase::ChunkExtension, rest),
            Some(b' ' | b'\t') => self.eat(1, Phase::ChunkGap, rest),
            Some(_) => return Err(Fault::Chunk),
        }
        Ok(())
    }

    pub(super) fn chunk_extension(&mut self, rest: &mut &[u8]) -> Stepped {
        take(rest, find_line_stop(rest));
        if rest.is_empty() {
            return Ok(());
        }
        self.expect(b'\r', Phase::ChunkSizeLf, Fault::Chunk, rest)
    }

    /// The size is known: zero is the last chunk, and the trailer section follows.
    pub(super) fn chunk_size_lf(&mut self, rest: &mut &[u8]) -> Stepped {
        self.expect(b'\n', Phase::ChunkData, Fault::Chunk, rest)?;
        if self.left() == 0 {
            self.candidates = TRAILER;
            self.phase = Phase::Field;
        }
        Ok(())
    }

    pub(super) fn chunk_data(&mut self, rest: &mut &[u8]) -> Stepped {
        self.pass(rest);
        if self.left() == 0 {
            self.phase = Phase::ChunkDataCr;
        }
        Ok(())
    }
}

/// The value of the hexadecimal digit at the front, if there is one.
#[inline]
fn hex(rest: &[u8]) -> Option<u64> {
    rest.first().and_then(|&byte| char::from(byte).to_digit(16)).map(u64::from)
}
