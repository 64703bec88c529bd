//! The only hand that touches a script, and all it does:
//!
//! 1. Commands in back quotes and Python in `%{ }%` are left out: they set a kernel up or ask it
//!    about its insides. So are questions for `SO_RCVBUF`, which is the kernel's own.
//! 2. Where the text differs by system (`#ifdef`), what stands under `STANDARD` is taken.
//! 3. Of what we send the window and the options are not compared: ours are others.
//! 4. A peer's FIN that we acknowledge and, when the application closes, answer with our own is
//!    answered with both in one segment: a load has nothing more to say. That is done only where
//!    nothing comes in between.
//!
//! A line that is left out leaves its time to the next.

/// Rewrites one script.
#[must_use]
pub(crate) fn rewrite(script: &str) -> String {
    let mut lines = Vec::new();
    let mut delay = 0.0;
    for line in standard(script) {
        if !is_kept(line) {
            delay += relative(line).map_or(0.0, |(time, _)| time);
            continue;
        }
        let line = if is_outbound(line) { lenient(line) } else { line.to_owned() };
        lines.push(match relative(&line) {
            Some((time, rest)) if delay > 0.0 => format!("+{:.6}{rest}", time + delay),
            _ => line,
        });
        delay = 0.0;
    }
    close_at_once(&mut lines);
    lines.join("\n") + "\n"
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

fn is_packet(line: &str) -> bool {
    is_inbound(line) || is_outbound(line)
}

fn next(lines: &[String], from: usize, is_it: impl Fn(&str) -> bool) -> Option<usize> {
    lines.iter().skip(from).position(|line| is_it(line)).map(|place| place + from)
}
