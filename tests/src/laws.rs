//! What holds at the end of every run, whatever the network did; and what holds besides when it did
//! nothing.

use dperf_core::plan::{Messages, Transport};
use dperf_core::stats::Count;

use crate::scenario::Scenario;
use crate::sim::{Outcome, Report};

/// Checks every law that applies; the text says which were broken.
///
/// # Errors
/// One line for each broken law.
pub fn check(scenario: &Scenario, report: &Report) -> Result<(), String> {
    let mut broken = Vec::new();
    let calm = report.machines.iter().all(|machine| machine.fates.injected == 0);
    for (index, machine) in report.machines.iter().enumerate() {
        let name = format!("{:?} {}", machine.role, index / 2);
        own(&mut broken, &name, machine);
        if scenario.network.is_faithful() && calm {
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
fn same(broken: &mut Vec<String>, what: &str, one: u64, other: u64) {
    if one != other {
        broken.push(format!("{what}: {one} is not {other}"));
    }
}

/// Laws of one machine.
fn own(broken: &mut Vec<String>, name: &str, machine: &Outcome) {
    let (counts, tally) = (&machine.counts, &machine.tally);
    let mut same = |what: &str, one, other| same(broken, &format!("{name}: {what}"), one, other);
    let returned = tally.sent + tally.given_back + machine.held as u64;
    same(
        "frames received + taken = sent + given back + held",
        tally.received + tally.taken,
        returned,
    );
    same("pktRx = frames received", counts.get(Count::PktRx), tally.received);
    same("pktTx = frames sent", counts.get(Count::PktTx), tally.sent);
    same("every slot is closed", machine.open as u64, 0);
    same("skOpen = skClose", counts.get(Count::SkOpen), counts.get(Count::SkClose));
    let kinds = [Count::SkErrTimeout, Count::SkErrResponse, Count::SkErrReset, Count::SkErrIdle];
    let kinds = kinds.iter().map(|kind| counts.get(*kind)).sum();
    same("skErr = its kinds", counts.get(Count::SkErr), kinds);
    same(
        "tcpTx + udpTx = load on the wire + dropTx",
        counts.get(Count::TcpTx) + counts.get(Count::UdpTx),
        machine.fates.sent + counts.get(Count::DropTx),
    );
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
        let what = format!("{name}: {} without loss", count.name());
        same(broken, &what, machine.counts.get(*count), 0);
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
        same(broken, &format!("{what}: tcpRx + udpRx"), came, arrived);
        let same_length = !scenario.network.pad;
        if scenario.network.is_faithful() && same_length {
            let (sent, came) = (from.counts.get(Count::BitsTx), to.counts.get(Count::BitsRx));
            same(broken, &format!("{what}: bits"), sent, came);
        }
    }
    match scenario.transport {
        Transport::Tcp => exchange(broken, scenario, client, server),
        Transport::Udp => datagrams(broken, scenario, client, server),
    }
}

/// What the two sides say of the datagrams they exchanged.
fn datagrams(broken: &mut Vec<String>, scenario: &Scenario, client: &Outcome, server: &Outcome) {
    let of = |machine: &Outcome, count| machine.counts.get(count);
    same(broken, "each is answered", of(server, Count::UdpRx), of(server, Count::UdpTx));
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
