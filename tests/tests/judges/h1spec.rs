//! h1spec's requests, put to our scanner: it waits where a server should wait, takes what is to be
//! answered, and refuses what is to be refused. (Our server refuses by its counter and its silence:
//! a load tester has no error page.)
//!
//! `DPERF_H1SPEC` names the folder that holds `http_test.ts`.

use dperf_core::http::{Event, Kind, Scanner};
use dperf_tests::judge::{Judge, folder};

use crate::escape::unescape;

/// What we say otherwise, and why.
const EXPECTED: &str = include_str!("../../data/judges/h1spec.txt");

#[test]
fn h1spec_finds_no_fault() {
    let Some(folder) = folder("h1spec", "DPERF_H1SPEC") else { return };
    let text = std::fs::read_to_string(folder.join("http_test.ts"));
    let text = text.expect("DPERF_H1SPEC holds http_test.ts");
    let mut judge = Judge::new("h1spec", EXPECTED);
    for case in text.split("request: \"").skip(1) {
        let (request, rest) = case.split_once("\",\n").expect("a string");
        let name = rest.split('"').nth(1).expect("a description");
        let about = rest.split('}').next().unwrap_or_default();
        judge.case(name, put(&unescape(request), about));
    }
    judge.finish();
}

/// Puts a request that is to be waited at, answered or refused, as `about` says.
fn put(request: &[u8], about: &str) -> Result<(), String> {
    let may = |status: &str| about.contains(status);
    let event = Scanner::default().scan(Kind::Request, request).event;
    let right = match event {
        Event::More => may("expectedTimeout: true"),
        Event::Complete(_) => may("[200, 299]"),
        Event::Broken(_) => may("[400, 499]") || may("[400, 599]") || may("[500, 599]"),
    };
    if right { Ok(()) } else { Err(format!("we: {event:?}")) }
}
