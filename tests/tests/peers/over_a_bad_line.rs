//! The kernel's TCP behind a line that loses, doubles and reorders: either side asks, every answer
//! is whole and exact, and no connection is left over.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use dperf_tests::conditions::Conditions;
use dperf_tests::judge::Judge;
use dperf_tests::namespace::{Namespace, alone, join};
use dperf_tests::process::Folder;
use dperf_tests::program::{Outcome, Program};
use dperf_tests::relay;

use crate::net::{CABLE, LOAD, Nginx, OURS, PEER, PORT, Way, client, server, tool};

/// Half a millisecond each way.
const LINE: Conditions = Conditions { delay: 500_000, ..Conditions::CABLE };

const LINES: [(&str, Conditions); 5] = [
    ("no loss", LINE),
    ("1 % loss", Conditions { loss: 10_000, ..LINE }),
    ("5 % loss", Conditions { loss: 50_000, ..LINE }),
    ("reordering", Conditions { reorder: 100_000, ..LINE }),
    ("duplication", Conditions { duplicate: 100_000, ..LINE }),
];

/// Seconds that a client asks.
const SECONDS: u64 = 3;
/// Answers that curl asks for.
const ANSWERS: usize = 20;
/// Bytes of each, and of its body.
const PAYLOAD: usize = 50_000;
const BODY: usize = PAYLOAD - 85;

struct Line {
    here: Namespace,
    there: Namespace,
    between: Namespace,
    folder: Folder,
}

impl Line {
    fn new() -> Line {
        let [here, there, between] = [(); 3].map(|()| Namespace::new());
        let line = Line { here, there, between, folder: Folder::new() };
        join((&line.here, PORT), (&line.between, "near0"));
        join((&line.there, CABLE), (&line.between, "far0"));
        line.there.address(CABLE, &format!("{PEER}/24"));
        line
    }

    /// Lets `act` run while the line carries, and checks that the line was as bad as asked for.
    fn carry<R>(&self, conditions: Conditions, act: impl FnOnce() -> R) -> R {
        let ends = [("near0", self.here.mac(PORT)), ("far0", self.there.mac(CABLE))];
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let stop = &stop;
            let carrier = scope
                .spawn(move || self.between.inside(|| relay::carry(ends, 1, conditions, stop)));
            let result = act();
            stop.store(true, Relaxed);
            for fates in carrier.join().expect("the line holds") {
                assert!(fates.sent > 500, "{fates:?}");
                assert_eq!(fates.lost > 0, conditions.loss > 0, "{fates:?}");
                assert_eq!(fates.doubled > 0, conditions.duplicate > 0, "{fates:?}");
            }
            result
        })
    }
}

#[test]
fn linux_finds_no_fault_over_a_bad_line() {
    let tools = ["curl", "nginx", "ss"];
    let Some(_alone) = alone("linux_finds_no_fault_over_a_bad_line", &tools) else { return };
    let mut judge = Judge::new("Linux, as a peer on a bad line", "");
    for (name, conditions) in LINES {
        judge.case(format!("our server, {name}"), asked(conditions));
        judge.case(format!("our client, {name}"), asking(conditions, 100, "/1k"));
    }
    // What lies behind a hole is not kept, and nothing selective is acknowledged: where much is
    // lost or overtaken, the kernel takes seconds for a hundred kilobytes, more than a run's end
    // has patience for.
    for (name, conditions) in LINES.into_iter().filter(|(_, it)| it.loss + it.reorder < 50_000) {
        judge.case(format!("our client, 100 kB, {name}"), asking(conditions, 20, "/100k"));
    }
    judge.finish();
}

/// curl asks our server, and compares every byte.
fn asked(conditions: Conditions) -> Result<(), String> {
    let line = Line::new();
    let text = server(OURS, &format!("payload_size {PAYLOAD}\nretransmit_timeout 1s"));
    let outcome = line.carry(conditions, || {
        let words = ["--allow", "skErr=2"];
        let mut server = Program::start_with(&line.here, &line.folder, "server", &text, &words);
        server.wait_for_load();
        let body = line.folder.file("#1").display().to_string();
        let ask = "curl -sS -m 60 --connect-timeout 30 -w %{http_code}\\n";
        let said = tool(&line.there, &format!("{ask} -o {body} http://{LOAD}/[1-{ANSWERS}]"));
        assert_eq!(said, "200\n".repeat(ANSWERS));
        server.stop()
    });
    for number in 1..=ANSWERS {
        let body = line.folder.read(&number.to_string());
        let filler = body.strip_suffix(b"\n").unwrap_or(&body);
        if body.len() != BODY || filler.iter().skip(14).any(|byte| *byte != b'a') {
            return Err(format!("answer {number} is another one, of {} bytes", body.len()));
        }
    }
    judge(&outcome, conditions, ANSWERS as u64)
}

/// Our client asks nginx.
fn asking(conditions: Conditions, cps: u64, path: &str) -> Result<(), String> {
    let line = Line::new();
    let way = Way { gateway: PEER, server: PEER };
    let words = format!("cps {cps}\nretransmit_timeout 1s\nhttp_path {path}");
    let text = client(&way, SECONDS, &words);
    let outcome = line.carry(conditions, || {
        let _nginx = Nginx::start(&line.there, &line.folder);
        let words = ["--allow", "skErr=2"];
        Program::start_with(&line.here, &line.folder, "client", &text, &words).end(SECONDS)
    });
    judge(&outcome, conditions, cps * SECONDS * 9 / 10)
}

/// Every connection ended well, but for two at most (the kernel's patience outlasts a run's end),
/// and on a good line nothing of ours was sent twice (the peer may, where its machine is busy).
fn judge(outcome: &Outcome, conditions: Conditions, least: u64) -> Result<(), String> {
    let [opened, closed, errors, answers, broken] =
        ["skOpen", "skClose", "skErr", "http2XX", "httpErr"].map(|name| outcome.count(name));
    let again: u64 = ["synRt", "finRt", "pushRt"].iter().map(|name| outcome.count(name)).sum();
    let left = opened - closed;
    let ended = answers + errors + left >= opened && errors + left <= 2 && broken == 0;
    let quiet = !conditions.is_faithful() || again + errors + left == 0;
    if ended && quiet && answers >= least && outcome.code() == Some(0) {
        return Ok(());
    }
    let kinds = ["skErrTimeout", "skErrResponse", "skErrReset", "skErrIdle"];
    let kinds = kinds.map(|kind| format!("{kind} {}", outcome.count(kind))).join(", ");
    Err(format!(
        "{opened} opened, {left} left open, {errors} errors ({kinds}), {answers} answers, \
         {broken} broken, {again} sent again, {}",
        outcome.0.status
    ))
}
