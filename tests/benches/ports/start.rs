//! How long a start takes with one tuple and with a hundred million.

use std::time::{Duration, Instant};

use crate::figures::{median, spread};
use crate::load::Transport;
use crate::run::{Bench, Place, Tester};

/// Its name on the command line.
pub(crate) const NAME: &str = "start";
/// How long a start may take.
const LIMIT: Duration = Duration::from_secs(120);

/// So many tuples, and the MiB that a tester needs for them which fills all of them first.
const SIZES: [(&str, &str, u32); 2] = [
    ("10 tuples", "client 10.0.1.1 1\nclient_port_range 1000-1009\nlisten 80 1\n", 1300),
    ("115 M tuples", "client 10.0.1.1 250\nclient_port_range 1-65535\nlisten 80 7\n", 9200),
];

/// Prints, for each tester, the time from its call to the end of its first second.
pub(crate) fn measure(_bench: &Bench, testers: &[Tester], rounds: usize) {
    if let Some(what) = Transport::Null.lacking() {
        println!("skipped: {NAME} needs {what}");
        return;
    }
    for tester in testers {
        let mut medians = Vec::new();
        for (name, lines, memory_mb) in SIZES {
            let times: Vec<f64> = (0..rounds)
                .filter_map(|_| time(tester, &format!("{lines}{}", tester.memory(memory_mb))))
                .collect();
            println!(
                "start-up to the first second's end, {}, {name}: {} s",
                tester.name,
                spread(&times, 1.0, 2)
            );
            medians.push(median(&times));
        }
        println!("{}: {:.2} s more", tester.name, medians[1] - medians[0]);
    }
}

fn time(tester: &Tester, lines: &str) -> Option<f64> {
    let place = Place::new(Transport::Null);
    let text = format!(
        "mode client\ncpu 0\nduration 10s\nslow_start 1\nport net_null0,no-rx=1 10.0.1.1 10.0.2.1 \
         02:00:00:00:00:01\nserver 10.0.2.1 1\ncps 1\nprotocol tcp\nwait 1\n{lines}"
    );
    let file = place.folder.write("client", text);
    let begun = Instant::now();
    let mut process = place.start("client", &tester.command(&[file]));
    while begun.elapsed() < LIMIT && process.runs() {
        if process.out().contains("\nseconds 1 ") {
            return Some(begun.elapsed().as_secs_f64());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    println!("{} gave no result:\n{}{}", tester.name, process.out(), process.err());
    None
}
