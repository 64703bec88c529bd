//! What holds at the end of every run, whatever the network did; and what holds besides when it did
//! nothing.

use std::fmt::Display;

use dperf_core::plan::{Messages, Transport};
use dperf_core::stats::{Count, Snapshot};

use crate::replay;
use crate::scenario::Scenario;
use crate::sim::{Book, Outcome, Report};

/// Why connections fail.
const FAILURES: [Count; 4] =
    [Count::SkErrTimeout, Count::SkErrResponse, Count::SkErrReset, Count::SkErrIdle];

/// What a received frame is.
const KINDS: [Count; 10] = [
    Count::TcpRx,
    Count::UdpRx,
    Count::ArpRx,
    Count::IcmpRx,
    Count::OtherRx,
    Count::BadRx,
    Count::DropForeignMac,
    Count::DropForeignAddress,
    Count::DropVlan,
    Count::DropVxlan,
];

/// What a sent frame is.
const SENT: [Count; 5] = [Count::TcpTx, Count::UdpTx, Count::ArpTx, Count::IcmpTx, Count::KniTx];

/// What sent load is.
const LOAD: [Count; 2] = [Count::TcpTx, Count::UdpTx];

/// Why a malformed frame is dropped.
const BAD: [Count; 9] = [
    Count::DropTruncated,
    Count::DropVersion,
    Count::DropHeaderLength,
    Count::DropTotalLength,
    Count::DropOptions,
    Count::DropFragment,
    Count::DropExtension,
    Count::DropChecksum,
    Count::DropValue,
];

/// Why a segment is dropped.
const REFUSED: [Count; 6] = [
    Count::DropNoConnection,
    Count::DropWrongQueue,
    Count::DropFlags,
    Count::DropSequence,
    Count::DropOutOfOrder,
    Count::DropFlood,
];

fn sum(counts: &Snapshot, of: &[Count]) -> u64 {
    of.iter().map(|count| counts.get(*count)).sum()
}

/// Holds a run to every law that applies.
///
/// # Panics
/// One is broken; how the run is found again was told.
pub fn hold(scenario: &Scenario, report: &Report) {
    if let Err(broken) = check(scenario, report) {
        replay::tell(scenario, (report.steps, report.end), report.capture.as_deref());
        panic!("{broken}\n{:?}", report.machines);
    }
}

/// Checks every law that applies; the text says which were broken.
///
/// # Errors
/// One line for each broken law.
pub fn check(scenario: &Scenario, report: &Report) -> Result<(), String> {
    let mut broken = Vec::new();
    let calm = report.machines.iter().all(|machine| machine.fates.injected == 0);
    for (index, machine) in report.machines.iter().enumerate() {
        let name = format!("{:?} {}", machine.role, index / 2);
        for (core, book) in machine.cores.iter().enumerate() {
            own(&mut broken, &format!("{name}.{core}"), book);
            if calm || !scenario.kernel {
                every_frame(&mut broken, &format!("{name}.{core}"), book);
            }
            let what = format_args!("{name}.{core}: tcpDrop = its reasons");
            let reasons = sum(&book.counts, &REFUSED);
            same(&mut broken, what, book.counts.get(Count::TcpDrop), reasons);
        }
        network(&mut broken, &name, machine);
        if scenario.network.is_faithful() && calm && scenario.is_prompt() && !scenario.flood {
            lossless(&mut broken, &name, machine);
        }
    }
    for pair in report.machines.chunks(2) {
        if let [client, server] = pair {
            between(&mut broken, scenario, client, server);
        }
    }
    if broken.is_empty() { Ok(()) } else { Err(broken.join("\n")) }
}

/// Says that two numbers are the same, or notes what they are.
fn same(broken: &mut Vec<String>, what: impl Display, one: u64, other: u64) {
    if one != other {
        broken.push(format!("{what}: {one} is not {other}"));
    }
}

/// Laws of one worker.
fn own(broken: &mut Vec<String>, name: &str, book: &Book) {
    let Book { counts, tally, kernel, held, open } = book;
    let mut same =
        |what: &str, one, other| same(broken, format_args!("{name}: {what}"), one, other);
    same(
        "frames received + taken = sent + given back + held",
        tally.received + tally.taken,
        tally.sent + tally.given_back + held,
    );
    same("pktRx = frames received", counts.get(Count::PktRx), tally.received);
    same("pktTx = frames sent", counts.get(Count::PktTx), tally.sent);
    same("every slot is closed", *open, 0);
    same("skOpen = skClose", counts.get(Count::SkOpen), counts.get(Count::SkClose));
    same("skErr = its kinds", counts.get(Count::SkErr), sum(counts, &FAILURES));
    same("kniRx = taken by the kernel", counts.get(Count::KniRx), kernel.taken);
    same("kniTx = sent by the kernel", counts.get(Count::KniTx), kernel.sent);
}

/// Every frame of a worker has one owner: one counter of what it is, one reason if it was dropped.
fn every_frame(broken: &mut Vec<String>, name: &str, Book { counts, .. }: &Book) {
    let mut same =
        |what: &str, one, other| same(broken, format_args!("{name}: {what}"), one, other);
    let (came, kinds) = (counts.get(Count::PktRx), sum(counts, &KINDS));
    // What was damaged on its way to the kernel may be anything there.
    let kernel = sum(counts, &[Count::KniRx, Count::KniErrors, Count::KniFull]);
    let strange = came.saturating_sub(kinds).min(kernel);
    same("pktRx = what they are", came, kinds + strange);
    same("badRx = its reasons", counts.get(Count::BadRx), sum(counts, &BAD));
    let left = counts.get(Count::PktTx) + counts.get(Count::DropTx);
    same("what was made = pktTx + dropTx", sum(counts, &SENT), left);
}

/// Laws of one machine and the network.
fn network(broken: &mut Vec<String>, name: &str, machine: &Outcome) {
    let Outcome { counts, fates, ledger, .. } = machine;
    let mut same =
        |what: &str, one, other| same(broken, format_args!("{name}: {what}"), one, other);
    let (made, ended) = ledger.sums();
    same("every frame ends once", made, ended);
    same("pktRx = what the network brought", counts.get(Count::PktRx), ledger.received);
    same("imissed = what the rings had no room for", counts.get(Count::Imissed), ledger.missed);
    let (made, left) = (sum(counts, &LOAD), fates.sent + counts.get(Count::DropTx));
    same("tcpTx + udpTx = load on the wire + dropTx", made, left);
}

/// Counters that stay at zero when the network is faithful and both sides behave.
fn lossless(broken: &mut Vec<String>, name: &str, machine: &Outcome) {
    let silent = [
        Count::BadRx,
        Count::SynRt,
        Count::FinRt,
        Count::PushRt,
        Count::AckRt,
        Count::AckDup,
        Count::TcpDrop,
        Count::UdpDrop,
        Count::UdpRt,
        Count::SkErr,
        Count::HttpErr,
        Count::ChallengeAck,
    ];
    let drops = Count::ALL.iter().filter(|count| count.name().starts_with("drop"));
    for count in silent.iter().chain(drops) {
        let what = format_args!("{name}: {} without loss", count.name());
        same(broken, what, machine.counts.get(*count), 0);
    }
}

/// Laws between the two sides of a pair.
fn between(broken: &mut Vec<String>, scenario: &Scenario, client: &Outcome, server: &Outcome) {
    if client.fates.injected + server.fates.injected > 0 {
        // A stranger's segment may be answered to an address that nobody has.
        return;
    }
    for (what, from, to) in [("client to server", client, server), ("back", server, client)] {
        let Outcome { fates, .. } = from;
        let arrived = fates.sent - fates.lost + fates.doubled;
        let came = to.counts.get(Count::TcpRx) + to.counts.get(Count::UdpRx);
        // Nothing comes out of a tunnel before its gateway is known.
        let early = arrived.saturating_sub(came).min(to.counts.get(Count::DropVxlan));
        let ended = came + early;
        let under_way = arrived.saturating_sub(ended).min(to.ledger.under_way);
        same(broken, format_args!("{what}: tcpRx + udpRx + dropVxlan"), ended + under_way, arrived);
        // What is for all comes to the other pairs as well.
        let same_frames = scenario.pairs == 1 && to.ledger.under_way == 0;
        if scenario.network.is_faithful() && same_frames && !scenario.network.pad {
            let (sent, came) = (from.counts.get(Count::BitsTx), to.counts.get(Count::BitsRx));
            same(broken, format_args!("{what}: bits"), sent, came);
        }
    }
    match scenario.transport {
        Transport::Tcp if scenario.flood => {}
        Transport::Tcp => exchange(broken, scenario, client, server),
        Transport::Udp => datagrams(broken, scenario, client, server),
    }
}

/// What the two sides say of the datagrams they exchanged.
fn datagrams(broken: &mut Vec<String>, scenario: &Scenario, client: &Outcome, server: &Outcome) {
    let of = |machine: &Outcome, count| machine.counts.get(count);
    // (A server that does not know its gateway yet cannot answer.)
    let used = of(server, Count::UdpTx) + of(server, Count::UdpDrop);
    same(broken, "each is answered or dropped", of(server, Count::UdpRx), used);
    same(broken, "a server opens nothing", of(server, Count::SkOpen), 0);
    if scenario.flood {
        return;
    }
    let (sent, came) = (of(client, Count::UdpTx), of(client, Count::UdpRx));
    let (late, lost) = (of(client, Count::UdpDrop), of(client, Count::UdpRt));
    let used = came - late;
    if scenario.network.duplicate == 0 {
        same(broken, "datagrams sent are answered or lost", sent, used + lost);
    }
    if scenario.keepalive.is_none() {
        same(broken, "one datagram for each connection", sent, of(client, Count::SkOpen));
        same(broken, "each answer is timed", used, of(client, Count::RttCount));
    }
}

/// What the two sides say of the messages they exchanged.
fn exchange(broken: &mut Vec<String>, scenario: &Scenario, client: &Outcome, server: &Outcome) {
    let (request, response) = match scenario.messages {
        Messages::HttpGet => (Count::HttpGet, Count::Http2xx),
        Messages::HttpPost => (Count::HttpPost, Count::Http2xx),
        Messages::Raw => (Count::TcpReq, Count::TcpRsp),
    };
    let of = |machine: &Outcome, count| machine.counts.get(count);
    let failed = of(client, Count::SkErr) + of(server, Count::SkErr);
    if failed == 0 {
        same(broken, "requests", of(client, request), of(server, request));
        same(broken, "responses", of(client, response), of(server, response));
        same(broken, "each request has its response", of(client, request), of(client, response));
        same(broken, "skOpen", of(client, Count::SkOpen), of(server, Count::SkOpen));
    }
    if scenario.keepalive.is_none() {
        // Every connection succeeded, or is counted as failed.
        let (opened, served) = (of(client, Count::SkOpen), of(client, response));
        let errors = of(client, Count::SkErr);
        if served + errors < opened {
            broken
                .push(format!("{opened} opened, {served} served, only {errors} counted as failed"));
        }
    }
}
