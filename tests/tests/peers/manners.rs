//! How the program behaves towards the machine it runs on: the kernel under it neither disturbs nor
//! is disturbed, an end that is asked for comes, and nothing is left behind.

use std::time::{Duration, Instant};

use dperf_tests::kernel::{Counters, RESETS};
use dperf_tests::namespace::{Namespace, alone};
use dperf_tests::process::Signal;

use crate::net::{Checksums, LOAD, LOAD_ADDRESSES, Net, Nginx, OURS, PEER, PORT, under_wrk};

/// Seconds of load during which something is tried.
const WHILE: u64 = 8;

/// A net whose kernel has the program's addresses too.
fn shared() -> Net {
    let net = Net::new(Checksums::Made);
    net.here.address(PORT, &format!("{OURS}/24"));
    net.here.address(PORT, &format!("{LOAD}/24"));
    net
}

/// Somebody answers at `address`, each time once.
fn assert_answers_once(namespace: &Namespace, address: &str) {
    let text = namespace.run(&format!("ping -q -i 0.02 -c 50 -W 2 {address}"));
    let all = "50 packets transmitted, 50 received, 0% packet loss";
    assert!(text.contains(all), "{address}: {text}");
}

/// The kernel under the program speaks for itself again, and nothing of the program is left.
fn assert_nothing_left(net: &Net) {
    let sees = |address| net.there.succeeds(&format!("ping -q -c 1 -W 1 {address}"));
    assert!(sees(OURS) && sees(LOAD), "the kernel does not answer");
    let link = net.here.run(&format!("ip -details link show dev {PORT}"));
    assert!(link.contains("promiscuity 0") && !link.contains("PROMISC"), "{link}");
    assert!(!link.contains("ALLMULTI"), "{link}");
    assert_eq!(net.here.run("nft list tables").trim(), "");
    // The loopback interface and the port.
    assert_eq!(net.here.run("ip -oneline link").lines().count(), 2);
}

#[test]
fn the_kernel_is_silent_while_we_run_and_speaks_after() {
    let tools = ["nginx", "ss", "ping", "nft"];
    let Some(_alone) = alone("the_kernel_is_silent_while_we_run_and_speaks_after", &tools) else {
        return;
    };
    let net = shared();
    let nginx = Nginx::start(&net.there, &net.folder);
    let (here, there) = (Counters::of(&net.here), Counters::of(&net.there));
    let mut client = net.client(WHILE, "cps 1k\nhttp_path /1k");
    client.wait_for_load();
    for address in [OURS, LOAD] {
        assert_answers_once(&net.there, address);
    }
    let outcome = client.end(WHILE);
    net.assert_clean(&outcome, &[], &there, RESETS);
    assert_eq!(outcome.count("rstRx") + outcome.count("rstTx"), 0);
    let heard = Counters::of(&net.here).since(&here);
    assert_eq!(heard.nonzero(&["TcpOutRsts", "TcpInSegs", "IcmpOutEchoReps"]), [""; 0]);
    assert_nothing_left(&net);
    nginx.stop(&net.folder);
}

#[test]
fn the_kernel_speaks_after_a_kill() {
    let tools = ["nginx", "ss", "ping", "nft"];
    let Some(_alone) = alone("the_kernel_speaks_after_a_kill", &tools) else { return };
    let net = shared();
    let nginx = Nginx::start(&net.there, &net.folder);
    let mut client = net.client(60, "cps 1k\nhttp_path /1k");
    client.wait_for_load();
    let before = Counters::of(&net.here);
    assert_answers_once(&net.there, OURS);
    let heard = Counters::of(&net.here).since(&before);
    assert_eq!(heard.nonzero(&["TcpOutRsts", "TcpInSegs", "IcmpOutEchoReps"]), [""; 0]);
    let outcome = client.stop_by(Signal::KILL);
    assert_eq!(outcome.code(), None);
    assert_nothing_left(&net);
    nginx.stop(&net.folder);
}

#[test]
fn pings_are_answered_once_under_load() {
    let tools = ["wrk", "ping"];
    let Some(_alone) = alone("pings_are_answered_once_under_load", &tools) else { return };
    let net = Net::new(Checksums::Made);
    let before = Counters::of(&net.there);
    let server = net.server_with("keepalive 1s", &["--allow", "skErr=32"]);
    under_wrk(&net, &[], || {
        let last = LOAD.replace(".10", &format!(".{}", 9 + LOAD_ADDRESSES));
        for address in [OURS, LOAD, &last] {
            assert_answers_once(&net.there, address);
        }
    });
    let outcome = server.stop();
    net.assert_clean(&outcome, &["skErr", "tcpDrop"], &before, &[]);
    assert_eq!(outcome.count("icmpTx"), 150);
}

#[test]
fn an_end_that_is_asked_for_comes() {
    let tools = ["nginx", "ss", "ping", "nft"];
    let Some(_alone) = alone("an_end_that_is_asked_for_comes", &tools) else { return };
    for signal in [Signal::INT, Signal::TERM] {
        for words in ["cps 1k\nhttp_path /100k", "cps 1k\ncc 100\nkeepalive 1s\nhttp_path /1k"] {
            let net = shared();
            let nginx = Nginx::start(&net.there, &net.folder);
            let before = Counters::of(&net.there);
            let mut client = net.client(60, words);
            client.wait_for_load();
            std::thread::sleep(Duration::from_secs(1));
            let outcome = client.stop_by(signal);
            println!("{signal:?}, {words:?}: over within {:?}", outcome.0.took);
            net.assert_clean(&outcome, &[], &before, RESETS);
            assert_eq!(outcome.record()["passed"], true);
            assert_eq!(outcome.count("skClose"), outcome.count("skOpen"));
            assert_nothing_left(&net);
            nginx.stop(&net.folder);
        }
        let net = shared();
        let outcome = net.server("").stop_by(signal);
        assert_eq!(outcome.faults(&[]), [""; 0]);
        assert_nothing_left(&net);
    }
}

/// Whoever never found its gateway has not started: another status, one sentence, and no delay.
#[test]
fn an_end_that_is_asked_for_early_comes() {
    let Some(_alone) = alone("an_end_that_is_asked_for_early_comes", &["ping", "nft"]) else {
        return;
    };
    let net = shared();
    net.there.run(&format!("ip address del {PEER}/24 dev {}", crate::net::CABLE));
    let mut client = net.client(60, "cps 1k");
    let planned = |process: &dperf_tests::process::Process| process.out().contains('\n');
    client.process().wait_until("a plan", Duration::from_secs(10), planned);
    let outcome = client.stop_by(Signal::INT);
    assert_eq!(outcome.code(), Some(2), "{}", outcome.0.err);
    assert!(outcome.0.err.contains(PEER), "{}", outcome.0.err);
    assert!(outcome.0.took < Duration::from_secs(1), "{:?}", outcome.0.took);
    net.there.address(crate::net::CABLE, &format!("{PEER}/24"));
    assert_nothing_left(&net);
}

#[test]
fn an_interface_that_goes_ends_the_run() {
    let tools = ["nginx", "ss"];
    let Some(_alone) = alone("an_interface_that_goes_ends_the_run", &tools) else { return };
    for words in ["cps 1k\nhttp_path /1k", "cps 1k\ncc 100\nkeepalive 10ms\nhttp_path /1k"] {
        let net = Net::new(Checksums::Made);
        let _nginx = Nginx::start(&net.there, &net.folder);
        let mut client = net.client(60, words);
        client.wait_for_load();
        net.here.run(&format!("ip link del {PORT}"));
        let gone = Instant::now();
        let outcome = client.end(0);
        assert!(gone.elapsed() < Duration::from_secs(6), "{:?}", gone.elapsed());
        println!("{words:?}: over {:?} after its interface", gone.elapsed());
        assert_eq!(outcome.code(), Some(1));
        let sentence = format!("port af_packet:{PORT}: the device is gone; the run ended early");
        assert!(outcome.0.err.contains(&sentence), "{}", outcome.0.err);
        assert!(outcome.count("http2XX") > 0);
        assert_eq!(outcome.record()["passed"], false);
    }
}
