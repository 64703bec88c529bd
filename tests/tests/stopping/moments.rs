//! Signals at any moment: while it starts, while the rate rises, at full rate, while it ends.

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use dperf_tests::namespace::alone;
use dperf_tests::process::Signal;
use dperf_tests::program::Outcome;
use dperf_tests::random::Random;
use dperf_tests::replay;

use crate::setup::{Kind, RAMP, Setup};

/// Moments for each kind of run and each signal.
const MOMENTS: usize = 3;
/// Seconds at full rate.
const SECONDS: u64 = 1;

/// The longest a program may take to end: open connections get 4 s, threads 5 s, and a busy machine
/// lets it run now and then.
const BOUND: Duration = Duration::from_secs(15);

/// When the signal comes, in milliseconds from the start: while the program starts, or at any time
/// until a little after its end.
fn moment(random: &mut Random) -> u64 {
    let whole = 1_000 * (RAMP + SECONDS + 1);
    if random.chance(300_000) { random.below(100) } else { random.below(whole) }
}

#[test]
fn a_signal_at_any_moment_ends_a_run_in_order() {
    let Some(_alone) = alone("a_signal_at_any_moment_ends_a_run_in_order", &[]) else { return };
    let seed = replay::seed();
    println!("again: DPERF_SIM_SEED={seed}");
    let mut random = Random::new(seed);
    for kind in [Kind::Link, Kind::Tap, Kind::Sockets] {
        for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
            let mut moments = [(); MOMENTS].map(|()| moment(&mut random));
            moments.sort_unstable();
            signal_at(kind, signal, &moments);
        }
    }
}

/// Starts a run for each of `moments`, all side by side, and sends each its signal at that moment.
fn signal_at(kind: Kind, signal: Signal, moments: &[u64]) {
    let setups: Vec<_> = moments.iter().map(|_| Setup::new(kind, SECONDS)).collect();
    let begun: Vec<_> = setups.iter().map(|setup| (Instant::now(), setup.start())).collect();
    let signalled: Vec<_> = begun
        .into_iter()
        .zip(moments)
        .map(|((begun, mut programs), millis)| {
            let at = begun + Duration::from_millis(*millis);
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            programs.iter_mut().for_each(|(program, _)| program.process().signal(signal));
            programs
        })
        .collect();
    for ((programs, setup), millis) in signalled.into_iter().zip(&setups).zip(moments) {
        let what = format!("{kind:?}, {signal:?} after {millis} ms");
        for (program, roles) in programs {
            judge(&what, signal, program.end(0), roles);
        }
        setup.assert_nothing_left(&what);
    }
}

/// A program that was sent `signal` ended as it should, and told what it could.
fn judge(what: &str, signal: Signal, Outcome(ended): Outcome, roles: usize) {
    let told = format!("{what}: {}\n{}{}", ended.status, ended.out, ended.err);
    assert!(ended.took <= BOUND, "{told}");
    let totals = ended.out.matches("\"type\":\"final\"").count();
    match (ended.status.code(), ended.status.signal()) {
        // It ran, and all of its roles were told of.
        (Some(0 | 1), _) => assert_eq!(totals, roles, "{told}"),
        // It had not begun, and says why it does not.
        (Some(2), _) => assert!(ended.err.contains("stopped"), "{told}"),
        (None, Some(by)) => {
            assert_eq!(by, signal.as_raw(), "{told}");
            // Nobody is asked before a KILL, nor before anything was opened.
            assert!(signal == Signal::KILL || ended.out.is_empty(), "{told}");
        }
        _ => panic!("{told}"),
    }
}
