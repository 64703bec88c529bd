//! The only hand that touches a script, and all it does:
//!
//! 1. Commands in back quotes and Python in `%{ }%` are left out: they set a kernel up or ask it
//!    about its insides. So are questions for `SO_RCVBUF`, which is the kernel's own.
//! 2. Where the text differs by system (`#ifdef`), what stands under `STANDARD` is taken.
//! 3. Of what we send the window and the options are not compared: ours are others.
//! 4. A peer's FIN that we acknowledge and, when the application closes, answer with our own is
//!    answered with both in one segment: a load has nothing more to say. That is done only where
//!    nothing comes in between.
//! 5. A segment that comes at or beyond the right edge of FreeBSD's receive window comes at or
//!    beyond ours: the edge is where the SYN's window ends, and 165 or 705 bytes further once the
//!    window is a multiple of the MSS.
//! 6. A peer's FIN that crosses ours is answered with an ACK (RFC 9293, 3.10.7.4), where FreeBSD
//!    sends its FIN once more with it.
//!
//! A line that is left out leaves its time to the next.

/// Our receive window where no scale was offered.
const WINDOW: u32 = dperf_core::tcp::WINDOW as u32;
/// FreeBSD's: of a SYN, and in multiples of the MSS over IPv4 and IPv6.
const WINDOWS: [u32; 3] = [65_535, 65_700, 66_240];

/// Rewrites one script.
#[must_use]
pub(crate) fn rewrite(script: &str) -> String {
    let mut lines = Vec::new();
    let mut delay = 0.0;
    for line in standard(&joined(script)) {
        if !is_kept(line) {
            delay += relative(line).map_or(0.0, |(time, _)| time);
            continue;
        }
        let line = if is_outbound(line) { lenient(line) } else { moved(line) };
        lines.push(match relative(&line) {
            Some((time, rest)) if delay > 0.0 => format!("+{:.6}{rest}", time + delay),
            _ => line,
        });
        delay = 0.0;
    }
    close_at_once(&mut lines);
    cross(&mut lines);
    lines.join("\n") + "\n"
}

/// Commands and Python over several lines as one line each.
fn joined(script: &str) -> String {
    let mut inside = false;
    let mut before = ' ';
    let fold = |letter: char| {
        match (before, letter) {
            (_, '`') => inside = !inside,
            ('%', '{') => inside = true,
            ('}', '%') => inside = false,
            _ => {}
        }
        before = letter;
        if inside && letter == '\n' { ' ' } else { letter }
    };
    script.chars().map(fold).collect()
}

/// The lines without comments, and without those for FreeBSD alone.
fn standard(script: &str) -> impl Iterator<Item = &str> {
    let mut foreign = false;
    script.lines().filter(move |line| {
        match line.trim() {
            "#ifdef FreeBSD" => foreign = true,
            "#endif" => foreign = false,
            line => return !foreign && !line.is_empty() && !line.starts_with(['#', '/']),
        }
        false
    })
}

fn is_kept(line: &str) -> bool {
    !line.contains('`') && !line.contains("%{") && !line.contains("SO_RCVBUF")
}

/// Seconds since the line before, and the rest of the line.
fn relative(line: &str) -> Option<(f64, &str)> {
    let line = line.trim_start().strip_prefix('+')?.trim_start();
    let end = line.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(line.len());
    Some((line[..end].parse().ok()?, &line[end..]))
}

/// What follows the time of a packet that we send, or that comes.
fn packet<'l>(line: &'l str, arrow: &str) -> Option<&'l str> {
    let line = line.trim_start_matches(|c: char| "+*~. ".contains(c) || c.is_ascii_digit());
    line.strip_prefix(arrow)
}

pub(crate) fn is_outbound(line: &str) -> bool {
    packet(line, "> ").is_some()
}

pub(crate) fn is_inbound(line: &str) -> bool {
    packet(line, "< ").is_some()
}

/// An outbound packet of which neither window nor options are compared.
fn lenient(line: &str) -> String {
    let arrow = line.find("> ").unwrap_or_default() + 2;
    let (time, packet) = line.split_at(arrow);
    let packet = packet.split(" //").next().unwrap_or_default();
    let head = packet.split('<').next().unwrap_or_default();
    let mut words = Vec::new();
    let mut all = head.split_whitespace();
    while let Some(word) = all.next() {
        match word {
            "win" => drop(all.next()),
            word => words.push(word),
        }
    }
    format!("{time}{} <...>", words.join(" "))
}

/// An inbound packet at the edge of our window instead of FreeBSD's (rule 5).
fn moved(line: &str) -> String {
    let Some((from, to, payload)) = place(line) else { return line.to_owned() };
    let Some(window) = WINDOWS.iter().find(|window| (**window..**window + 10).contains(&from))
    else {
        return line.to_owned();
    };
    let by = window - WINDOW;
    line.replacen(
        &format!("{from}:{to}({payload})"),
        &format!("{}:{}({payload})", from - by, to - by),
        1,
    )
}

/// First and last sequence number of an inbound packet, and its length.
fn place(line: &str) -> Option<(u32, u32, u32)> {
    let range = packet(line, "< ")?.split_whitespace().nth(1)?;
    let (from, rest) = range.split_once(':')?;
    let (to, payload) = rest.strip_suffix(')')?.split_once('(')?;
    Some((from.parse().ok()?, to.parse().ok()?, payload.parse().ok()?))
}

/// Flags, sequence numbers and acknowledgment of a packet that we send.
fn sent(line: &str) -> Option<(&str, String)> {
    let mut words = packet(line, "> ")?.split_whitespace();
    let flags = words.next()?;
    Some((flags, words.collect::<Vec<_>>().join(" ")))
}

/// Rule 4.
fn close_at_once(lines: &mut Vec<String>) {
    let mut at = 0;
    while let Some(fin) = next(lines, at, |line| {
        packet(line, "< ").is_some_and(|packet| packet.trim_start().starts_with("F."))
    }) {
        at = fin + 1;
        let Some(ack) = next(lines, at, is_packet).filter(|ack| is_outbound(&lines[*ack])) else {
            continue;
        };
        let Some(close) = next(lines, ack + 1, is_packet) else { continue };
        let (first, second) = (sent(&lines[ack]), sent(&lines[close]));
        if let (Some((".", one)), Some(("F.", two))) = (first, second)
            && one == two
        {
            lines[ack] = format!("+0.00 > F. {two}");
            match relative(&lines[close]).filter(|(time, _)| *time > 0.0) {
                Some((time, _)) => lines[close] = format!("+{time:.6} `true`"),
                None => drop(lines.remove(close)),
            }
        }
    }
}

/// Rule 6.
fn cross(lines: &mut [String]) {
    let mut at = 0;
    while let Some(fin) = next(lines, at, |line| packet(line, "< F. ").is_some()) {
        at = fin + 1;
        let Some(answer) = next(lines, at, is_packet) else { continue };
        let Some(("F.", numbers)) = sent(&lines[answer]) else { continue };
        let Some((seq, rest)) = numbers.split_once(':') else { continue };
        if packet(&lines[fin], "< ").is_some_and(|packet| packet.contains(&format!("ack {seq} ")))
            && lines[..fin].iter().any(|line| sent(line).is_some_and(|(flags, _)| flags == "F."))
            && let (Ok(seq), Some((_, rest))) = (seq.parse::<u32>(), rest.split_once(' '))
        {
            let behind = seq + 1;
            lines[answer] = format!("+0.00 > . {behind}:{behind}(0) {rest}");
        }
    }
}

fn is_packet(line: &str) -> bool {
    is_inbound(line) || is_outbound(line)
}

fn next(lines: &[String], from: usize, is_it: impl Fn(&str) -> bool) -> Option<usize> {
    lines.iter().skip(from).position(|line| is_it(line)).map(|place| place + from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(lines: &[&str]) -> Vec<String> {
        rewrite(&lines.join("\n")).lines().map(str::to_owned).collect()
    }

    #[test]
    fn what_asks_a_kernel_is_left_out_and_time_is_not() {
        let script = [
            "// a comment",
            "--ip_version=ipv4",
            "0 `one",
            "   two`",
            "+0.10 `three`",
            "+0.20 %{ print(1)",
            "}%",
            "+0.05 getsockopt(3, SOL_SOCKET, SO_RCVBUF, [65700], [4]) = 0",
            "+0.10 close(3) = 0",
        ];
        assert_eq!(rewritten(&script), ["--ip_version=ipv4", "+0.450000 close(3) = 0"]);
    }

    #[test]
    fn what_stands_for_one_system_alone_is_left_out() {
        let script =
            ["#ifdef FreeBSD", "+0 close(3) = 0", "#endif", "#ifdef STANDARD", "+0 x", "#endif"];
        assert_eq!(rewritten(&script), ["+0 x"]);
    }

    #[test]
    fn windows_and_options_are_compared_for_nobody_but_the_peer() {
        let came = "+0.10 < S. 0:0(0) ack 1 win 32767 <mss 1460,sackOK,eol,eol>";
        let script = ["+0.00 > S  0:0(0)  win 65535 <mss 1460,nop,wscale 6>", came];
        assert_eq!(rewritten(&script), ["+0.00 > S 0:0(0) <...>", came]);
    }

    #[test]
    fn an_application_closes_with_its_peer_if_nothing_comes_between() {
        let ack = "+0.00 > . 1:1(0) ack 2 <...>";
        let (fin, ours) = ("+0.10 < F. 1:1(0) ack 1 win 9", "+0.00 > F. 1:1(0) ack 2 <...>");
        let script = [fin, "+0.00 > . 1:1(0) ack 2", "+0 close(4) = 0", "+0.00 > F. 1:1(0) ack 2"];
        assert_eq!(rewritten(&script), [fin, ours, "+0 close(4) = 0"]);
        let between = "+0.10 < R 2:2(0) win 9";
        let script = [fin, "+0.00 > . 1:1(0) ack 2", between, "+0.00 > F. 1:1(0) ack 2"];
        assert_eq!(rewritten(&script), [fin, ack, between, ours]);
    }

    #[test]
    fn the_edge_of_the_window_is_ours() {
        for (theirs, ours) in [(65_535, 58_400), (65_701, 58_401), (66_242, 58_402), (4, 4)] {
            let script = format!("+0.10 < R {theirs}:{theirs}(0) win 9");
            assert_eq!(rewritten(&[&script]), [format!("+0.10 < R {ours}:{ours}(0) win 9")]);
        }
    }

    #[test]
    fn a_fin_that_crosses_ours_gets_an_ack() {
        let (ours, theirs) = ("+0.00 > F. 1:1(0) ack 1 <...>", "+0.10 < F. 1:1(0) ack 1 win 9");
        let script = ["+0.00 > F. 1:1(0) ack 1", theirs, "+0.00 > F. 1:1(0) ack 2"];
        assert_eq!(rewritten(&script), [ours, theirs, "+0.00 > . 2:2(0) ack 2 <...>"]);
    }
}
