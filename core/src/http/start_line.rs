//! The first line of a message: the method of a request, the status of a response, the version
//! of both.

use super::scanner::{
    INTERIM, NO_CONTENT, NOT_MODIFIED, Phase, SWITCHING, Scanner, Stepped, VERSION_1_0, take,
};
use super::words::{advance, find_below, narrow, token_run, whole};
use super::{Fault, Kind, Method};

/// The methods told apart; they are case-sensitive (RFC 9110 section 9.1).
static METHODS: [&[u8]; 3] = [b"GET", b"POST", b"HEAD"];
const VERSION: &[u8] = b"HTTP/1.";

impl Scanner {
    pub(super) fn start(&mut self, kind: Kind, rest: &mut &[u8]) -> Stepped {
        self.position = 0;
        match (kind, rest.first()) {
            (Kind::Response, _) => self.phase = Phase::Version,
            // Empty lines before a request line are passed over (RFC 9112 section 2.2).
            (Kind::Request, Some(b'\r')) => self.eat(1, Phase::BlankLf, rest),
            (Kind::Request, Some(b'\n')) => self.eat(1, Phase::Start, rest),
            (Kind::Request, _) => {
                self.candidates = (1 << METHODS.len()) - 1;
                self.phase = Phase::Method;
            }
        }
        Ok(())
    }

    pub(super) fn method(&mut self, rest: &mut &[u8]) -> Stepped {
        let run = take(rest, token_run(rest));
        self.candidates = narrow(&METHODS, self.candidates, self.position, run, <[u8]>::eq);
        self.position = advance(self.position, run.len());
        match rest.first() {
            None => return Ok(()),
            Some(b' ') if self.position > 0 => {}
            Some(_) => return Err(Fault::StartLine),
        }
        self.facts |= match whole(&METHODS, self.candidates, self.position) {
            0b001 => Method::Get as u8,
            0b010 => Method::Post as u8,
            0b100 => Method::Head as u8,
            _ => Method::Other as u8,
        };
        self.candidates = 0;
        self.position = 0;
        self.eat(1, Phase::Target, rest);
        Ok(())
    }

    pub(super) fn target(&mut self, rest: &mut &[u8]) -> Stepped {
        let run = take(rest, find_below::<{ b' ' + 1 }>(rest));
        self.position = advance(self.position, run.len());
        match rest.first() {
            None => {}
            Some(b' ') if self.position > 0 => {
                self.position = 0;
                self.eat(1, Phase::Version, rest);
            }
            Some(_) => return Err(Fault::StartLine),
        }
        Ok(())
    }

    /// RFC 9112 section 2.3: the name is case-sensitive, both numbers are one digit.
    pub(super) fn version(&mut self, rest: &mut &[u8]) -> Stepped {
        let wanted = VERSION.get(usize::from(self.position)..).unwrap_or_default();
        let run = take(rest, wanted.len());
        if !wanted.starts_with(run) {
            return Err(Fault::Version);
        }
        self.position = advance(self.position, run.len());
        match rest.first() {
            None => return Ok(()),
            Some(b'0') => self.facts |= VERSION_1_0,
            Some(b'1'..=b'9') => {}
            Some(_) => return Err(Fault::Version),
        }
        self.position = 0;
        self.eat(1, Phase::VersionEnd, rest);
        Ok(())
    }

    pub(super) fn version_end(&mut self, kind: Kind, rest: &mut &[u8]) -> Stepped {
        match kind {
            Kind::Request => self.line_end(Fault::StartLine, rest),
            Kind::Response => self.expect(b' ', Phase::Status, Fault::StartLine, rest),
        }
    }

    pub(super) fn status(&mut self, rest: &mut &[u8]) -> Stepped {
        let run = take(rest, 3usize.saturating_sub(usize::from(self.position)));
        let mut code = self.left();
        for byte in run {
            if !byte.is_ascii_digit() {
                return Err(Fault::StartLine);
            }
            code = code * 10 + u64::from(byte - b'0');
        }
        self.position = advance(self.position, run.len());
        if self.position < 3 {
            self.set_left(code);
        } else {
            self.facts |= shape(code);
            self.set_left(0);
            self.phase = Phase::StatusEnd;
        }
        Ok(())
    }

    pub(super) fn status_end(&mut self, rest: &mut &[u8]) -> Stepped {
        match rest.first() {
            Some(b' ') => self.eat(1, Phase::Skip, rest),
            // The space before an empty reason is often left out.
            _ => return self.line_end(Fault::StartLine, rest),
        }
        Ok(())
    }
}

/// The shape of a response: an index into [`CLASSES`]. A code outside 100 to 599 counts as 5xx
/// (RFC 9110 section 15).
fn shape(status: u64) -> u8 {
    match status {
        101 => SWITCHING,
        204 => NO_CONTENT,
        304 => NOT_MODIFIED,
        100..=199 => INTERIM,
        200..=299 => 2,
        300..=399 => 4,
        400..=499 => 6,
        _ => 7,
    }
}
