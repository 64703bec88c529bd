//! The header section, line by line: the fields that tell where a message ends, whether another
//! follows and what its sender waits for are read, all others are passed over, eight bytes at a
//! time.

use super::scanner::{
    CHUNKED, CLOSE, CODED, EXPECTS, FRAMING, KEEP_ALIVE, LEFT_MAX, LENGTH, Phase, Scanner, Stepped,
    TRAILER, VERSION_1_0, take,
};
use super::words::{Words, advance, find_line_stop, narrow, token_run, whole};
use super::{Fault, Kind, Message};

/// The field names that matter, in lower case.
static NAMES: [&[u8]; 4] = [b"content-length", b"transfer-encoding", b"connection", b"expect"];
const NAME_LENGTH: u8 = 1 << 0;
const NAME_CODING: u8 = 1 << 1;
const NAME_CONNECTION: u8 = 1 << 2;
const NAME_EXPECT: u8 = 1 << 3;
const ALL_NAMES: u8 = NAME_LENGTH | NAME_CODING | NAME_CONNECTION | NAME_EXPECT;
/// The elements of lists that matter: connection options, a transfer coding; in lower case.
static ELEMENTS: [&[u8]; 3] = [b"close", b"keep-alive", b"chunked"];
const OPTION_CLOSE: u8 = 1 << 0;
const OPTION_KEEP_ALIVE: u8 = 1 << 1;
const OPTIONS: u8 = OPTION_CLOSE | OPTION_KEEP_ALIVE;
const CODING_CHUNKED: u8 = 1 << 2;
/// Flag in `candidates`: the comma list is of transfer codings, not of connection options.
const CODINGS: u8 = 1 << 6;

impl Scanner {
    /// The first byte of a line: a name, or the empty line that ends the section.
    pub(super) fn field(&mut self, kind: Kind, rest: &mut &[u8]) -> Result<Option<Message>, Fault> {
        match **rest {
            [b'\r', b'\n', ..] => self.eat(2, Phase::Field, rest),
            [b'\n', ..] => self.eat(1, Phase::Field, rest),
            [b'\r', ..] => {
                self.eat(1, Phase::HeadLf, rest);
                return Ok(None);
            }
            [b' ' | b'\t', ..] => return Err(Fault::Fold),
            [] => return Ok(None),
            [first, ..] => {
                self.candidates &= TRAILER;
                if self.candidates == 0 && matches!(first | 0x20, b'c' | b't' | b'e') {
                    self.candidates = ALL_NAMES;
                }
                self.position = 0;
                self.phase = Phase::Name;
                return self.name(kind, rest).map(|()| None);
            }
        }
        self.section_ends(kind)
    }

    /// RFC 9112 section 5.1: no whitespace between the name and its colon.
    pub(super) fn name(&mut self, kind: Kind, rest: &mut &[u8]) -> Stepped {
        self.word(&NAMES, rest);
        match rest.first() {
            None => return Ok(()),
            Some(b':') if self.position > 0 => {}
            Some(0) => return Err(Fault::Nul),
            Some(_) => return Err(Fault::Field),
        }
        take(rest, 1);
        match whole(&NAMES, self.candidates & ALL_NAMES, self.position) {
            NAME_LENGTH => self.length_name(),
            NAME_CODING => self.coding_name(),
            NAME_CONNECTION => {
                self.candidates = 0;
                self.phase = Phase::ListGap;
                Ok(())
            }
            word => {
                if word == NAME_EXPECT && kind == Kind::Request {
                    self.facts |= EXPECTS;
                }
                self.phase = Phase::Skip;
                if rest.is_empty() { Ok(()) } else { self.skip(rest) }
            }
        }
    }

    /// Matches the token characters at the front against the candidates among `words`.
    fn word(&mut self, words: &Words, rest: &mut &[u8]) {
        let run = take(rest, token_run(rest));
        let flags = self.candidates & (TRAILER | CODINGS);
        let same = <[u8]>::eq_ignore_ascii_case;
        self.candidates = flags | narrow(words, self.candidates & !flags, self.position, run, same);
        self.position = advance(self.position, run.len());
    }

    pub(super) fn skip(&mut self, rest: &mut &[u8]) -> Stepped {
        take(rest, find_line_stop(rest));
        if rest.is_empty() { Ok(()) } else { self.line_end(Fault::Field, rest) }
    }

    fn length_name(&mut self) -> Stepped {
        self.phase = Phase::LengthGap;
        match self.facts & FRAMING {
            0 | LENGTH => Ok(()),
            _ => Err(Fault::Framing),
        }
    }

    /// RFC 9112 section 6.1: neither with a Content-Length nor in HTTP/1.0.
    fn coding_name(&mut self) -> Stepped {
        if self.facts & FRAMING == LENGTH || self.facts & VERSION_1_0 != 0 {
            return Err(Fault::Framing);
        }
        if self.facts & FRAMING == 0 {
            self.facts |= CODED;
        }
        self.candidates = CODINGS;
        self.phase = Phase::ListGap;
        Ok(())
    }

    pub(super) fn list_gap(&mut self, rest: &mut &[u8]) -> Stepped {
        while let Some(byte) = Self::after_blanks(rest) {
            match byte {
                b',' => _ = take(rest, 1),
                b'\r' | b'\n' | 0 => return self.line_end(Fault::Field, rest),
                _ => {
                    let codings = self.candidates & CODINGS;
                    self.candidates = if codings != 0 { CODINGS | CODING_CHUNKED } else { OPTIONS };
                    self.position = 0;
                    self.phase = Phase::ListToken;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    pub(super) fn list_token(&mut self, rest: &mut &[u8]) -> Stepped {
        self.word(&ELEMENTS, rest);
        match rest.first() {
            None => {}
            Some(b' ' | b'\t') => self.eat(1, Phase::ListTail, rest),
            Some(b',' | b'\r' | b'\n' | 0) => return self.element_ends(rest),
            Some(&byte) => {
                self.other_element(byte)?;
                take(rest, 1);
            }
        }
        Ok(())
    }

    pub(super) fn list_tail(&mut self, rest: &mut &[u8]) -> Stepped {
        match Self::after_blanks(rest) {
            None => Ok(()),
            Some(b',' | b'\r' | b'\n' | 0) => self.element_ends(rest),
            Some(byte) => self.other_element(byte),
        }
    }

    /// The element is none of the words: it has parameters, or is no token at all. A quoted
    /// parameter of a transfer coding could hide a comma and is refused.
    fn other_element(&mut self, byte: u8) -> Stepped {
        self.candidates &= CODINGS;
        self.phase = Phase::ListToken;
        if byte == b'"' && self.candidates == CODINGS { Err(Fault::Framing) } else { Ok(()) }
    }

    /// Takes note of an element and goes on after it. Among transfer codings the last one counts
    /// (RFC 9112 section 6.3, rule 4).
    fn element_ends(&mut self, rest: &mut &[u8]) -> Stepped {
        let word = whole(&ELEMENTS, self.candidates & !CODINGS, self.position);
        if self.candidates & CODINGS != 0 {
            let framing = if word == CODING_CHUNKED { CHUNKED } else { CODED };
            self.facts = self.facts & !FRAMING | framing;
        } else if word == OPTION_CLOSE {
            self.facts |= CLOSE;
        } else if word == OPTION_KEEP_ALIVE {
            self.facts |= KEEP_ALIVE;
        }
        match rest.first() {
            Some(b',') => self.eat(1, Phase::ListGap, rest),
            _ => return self.line_end(Fault::Field, rest),
        }
        Ok(())
    }

    pub(super) fn length_gap(&mut self, rest: &mut &[u8]) -> Stepped {
        match Self::after_blanks(rest) {
            None => {}
            Some(b'0'..=b'9') if self.facts & FRAMING == LENGTH => {
                self.position = 0;
                self.phase = Phase::LengthAgain;
            }
            Some(b'0'..=b'9') => {
                self.facts |= LENGTH;
                self.phase = Phase::LengthFirst;
            }
            Some(_) => return Err(Fault::Length),
        }
        Ok(())
    }

    pub(super) fn length_first(&mut self, rest: &mut &[u8]) -> Stepped {
        let mut length = self.left();
        while let Some(digit) = digit(rest) {
            length = length * 10 + digit;
            if length > LEFT_MAX {
                return Err(Fault::Length);
            }
            take(rest, 1);
        }
        self.set_left(length);
        self.length_ends(rest)
    }

    /// A repeated length must say the same number; it is compared digit by digit, so that there
    /// is no need to store it.
    pub(super) fn length_again(&mut self, rest: &mut &[u8]) -> Stepped {
        let digits = self.left().checked_ilog10().map_or(0, |log| log + 1);
        while let Some(digit) = digit(rest) {
            if self.position > 0 || digit != 0 {
                let above = digits.checked_sub(u32::from(self.position) + 1);
                let same = |above| self.left() / 10u64.pow(above) % 10 == digit;
                if !above.is_some_and(same) {
                    return Err(Fault::Length);
                }
                self.position += 1;
            }
            take(rest, 1);
        }
        if !rest.is_empty() && u32::from(self.position) != digits {
            return Err(Fault::Length);
        }
        self.length_ends(rest)
    }

    fn length_ends(&mut self, rest: &mut &[u8]) -> Stepped {
        match rest.first() {
            None => {}
            Some(b' ' | b'\t') => self.eat(1, Phase::LengthTail, rest),
            Some(b',') => self.eat(1, Phase::LengthGap, rest),
            Some(_) => return self.line_end(Fault::Length, rest),
        }
        Ok(())
    }

    pub(super) fn length_tail(&mut self, rest: &mut &[u8]) -> Stepped {
        Self::after_blanks(rest);
        self.length_ends(rest)
    }
}

/// The decimal digit at the front, if there is one.
#[inline]
fn digit(rest: &[u8]) -> Option<u64> {
    rest.first().filter(|byte| byte.is_ascii_digit()).map(|byte| u64::from(byte - b'0'))
}
