//! Our client and our server on a switch, and somebody else there who sends what no honest station
//! does, to both, at rate, while the load runs: no connection suffers, each frame shows in its own
//! counter, and neither side ever says a word that it would not have said alone.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use dperf_tests::hostile::{self, Hostile, PORT as HOSTILE_PORT};
use dperf_tests::ipv4::Way;
use dperf_tests::namespace::{Namespace, alone, join};
use dperf_tests::pcap::frames;
use dperf_tests::process::{Folder, Process, Signal};
use dperf_tests::program::{self, Outcome, Program};
use dperf_tests::raw::RawSocket;
use smoltcp::wire::{EthernetAddress, Ipv4Address};

use crate::net::PORT;

/// Seconds of load.
const SECONDS: u64 = 20;
/// How often each hostile frame is sent to each address.
const TIMES: usize = 100;
/// Resets of the load's own connections.
const RESETS: u16 = 10_000;
/// Frames a second.
const RATE: u64 = 10_000;

/// The stranger.
const EVIL: (EthernetAddress, Ipv4Address) =
    (EthernetAddress([2, 6, 6, 6, 6, 6]), Ipv4Address::new(10, 77, 0, 66));

/// One of our two sides.
struct Side {
    namespace: Namespace,
    mac: EthernetAddress,
    /// The port's address, and the first of four for the load.
    addresses: [Ipv4Address; 2],
    /// Where the switch hears it.
    socket: &'static str,
}

impl Side {
    fn new(between: &Namespace, socket: &'static str, host: u8, load: u8) -> Side {
        let namespace = Namespace::new();
        join((&namespace, PORT), (between, socket));
        let text = namespace.run(&format!("cat /sys/class/net/{PORT}/address"));
        let octets: Vec<u8> = text
            .trim()
            .split(':')
            .map(|octet| u8::from_str_radix(octet, 16).expect("an octet"))
            .collect();
        between.run(&format!("ip link set {socket} master switch0"));
        let addresses = [host, load].map(|last| Ipv4Address::new(10, 77, 0, last));
        Side { namespace, mac: EthernetAddress::from_bytes(&octets), addresses, socket }
    }

    fn owns(&self, address: &[u8]) -> bool {
        let [host, load] = self.addresses.map(|address| address.octets());
        let last = load[3]..load[3] + 4;
        address == host || (address[..3] == load[..3] && last.contains(&address[3]))
    }

    /// Everything hostile there is for this side.
    fn frames(&self) -> Vec<Hostile> {
        let macs = [EVIL.0, self.mac];
        let to = |address| hostile::frames(&Way { macs, addresses: [EVIL.1, address] });
        self.addresses.iter().flat_map(|address| to(*address)).collect()
    }
}

#[test]
fn hostile_frames_change_nothing() {
    let tools = ["tcpdump", "bridge"];
    let Some(_alone) = alone("hostile_frames_change_nothing", &tools) else { return };
    let (between, folder) = (Namespace::new(), Folder::new());
    for version in ["all", "default"] {
        between.sysctl(&format!("net.ipv6.conf.{version}.disable_ipv6"), 1);
    }
    // A switch looks at no packet, unless its machine has a firewall for it.
    for family in ["iptables", "ip6tables", "arptables"] {
        between.succeeds(&format!("sysctl -q -w net.bridge.bridge-nf-call-{family}=0"));
    }
    between.run("ip link add switch0 type bridge mcast_snooping 0");
    between.run("ip link set switch0 up");
    join((&between, "evil0"), (&between, "evil1"));
    between.run("ip link set evil0 master switch0");
    // Whoever says to be another does not move it.
    between.run("bridge link set dev evil0 learning off");
    let sides = [Side::new(&between, "near0", 2, 30), Side::new(&between, "far0", 1, 10)];
    let taps = sides.each_ref().map(|side| listen(&between, side, &folder));
    let [mut client, server] = start(&sides, &folder);
    client.wait_for_load();
    let expected = between.inside(|| throw(&sides));
    assert!(client.process().runs(), "the load ended first");
    let outcomes = [client.end(SECONDS), server.stop()];
    for (tap, (side, other)) in taps.into_iter().zip([(0, 1), (1, 0)]) {
        tap.end_by(Signal::INT, Duration::from_secs(10));
        let capture = folder.read(sides[side].socket);
        assert_says_only_what_it_should(&capture, &sides[side], &sides[other]);
    }
    for (outcome, expected) in outcomes.iter().zip(&expected) {
        assert_unharmed(outcome, expected);
    }
}

/// Writes down what `side` says.
fn listen(between: &Namespace, side: &Side, folder: &Folder) -> Process {
    let socket = side.socket;
    let file = folder.file(socket).display().to_string();
    let line = format!(
        "tcpdump -Z root -U -s 100 -B 65536 --time-stamp-precision=nano -Q in -i {socket} -w {file}"
    );
    let mut process = Process::start(between.line(&line), &format!("tcpdump-{socket}"), folder);
    let listens = |process: &Process| process.err().contains("listening on");
    process.wait_until("listening", Duration::from_secs(10), listens);
    process
}

fn start(sides: &[Side; 2], folder: &Folder) -> [Program; 2] {
    let cpu = program::cpu();
    let common = |host, gateway| {
        format!(
            "cpu {cpu}\nprotocol http\nlisten 80\nslow_start 0\n\
             port af_packet:{PORT} {host} {gateway}\n\
             client 10.77.0.30 4\nserver 10.77.0.10 4\nkeepalive 1ms 3\n"
        )
    };
    let [client, server] = sides;
    let text = format!("mode server\nduration 600s\n{}", common("10.77.0.1", "10.77.0.2"));
    let text = text.replace("slow_start 0\n", "").replace("keepalive 1ms 3", "keepalive 1s");
    let server = Program::start(&server.namespace, folder, "server", &text);
    let text = common("10.77.0.2", "10.77.0.1");
    let text = format!("mode client\nduration {SECONDS}s\ncps 500\n{text}");
    [Program::start(&client.namespace, folder, "client", &text), server]
}

/// Sends it all, and says what each side must count.
fn throw(sides: &[Side; 2]) -> [BTreeMap<&'static str, u64>; 2] {
    let socket = RawSocket::open("evil1");
    let mut expected = [BTreeMap::new(), BTreeMap::new()];
    let (begun, mut sent) = (Instant::now(), 0u64);
    let mut send = |frame: &[u8]| {
        let due = begun + Duration::from_micros(sent * 1_000_000 / RATE);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        while !socket.send(frame) {
            thread::yield_now();
        }
        sent += 1;
    };
    for index in [0, 1] {
        for hostile in sides[index].frames() {
            (0..TIMES).for_each(|_| send(&hostile.frame));
            // What is for nobody comes to everybody.
            let all = hostile.counter == "dropForeignMac";
            for side in (0..2).filter(|side| all || *side == index) {
                *expected[side].entry(hostile.counter).or_default() += TIMES as u64;
            }
        }
        let [to, from] = [index, 1 - index].map(|side| sides[side].addresses[1]);
        let way = Way { macs: [EVIL.0, sides[index].mac], addresses: [from, to] };
        for port in 1..=RESETS {
            let ports = if index == 0 { [80, port] } else { [port, 80] };
            send(&way.segment(ports, "R", b""));
        }
        for counter in ["rstRx", "dropNoConnection"] {
            *expected[index].entry(counter).or_default() += u64::from(RESETS);
        }
    }
    expected
}

/// All that left `side` is load for `other`, and ARP about itself.
fn assert_says_only_what_it_should(capture: &[u8], side: &Side, other: &Side) {
    let (mut load, mut wrong) = (0, Vec::new());
    for (_, frame) in frames(capture) {
        let right = match &frame[12..14] {
            [8, 6] => side.owns(&frame[28..32]),
            [8, 0] => {
                load += 1;
                let ports = [&frame[34..36], &frame[36..38]];
                let ours = side.owns(&frame[26..30]) && other.owns(&frame[30..34]);
                let reset = frame[47] & 4 != 0;
                let hostile = ports.contains(&&HOSTILE_PORT.to_be_bytes()[..]);
                ours && frame[23] == 6 && !reset && !hostile && frame[..6] == other.mac.0
            }
            _ => false,
        };
        if !right || frame[6..12] != side.mac.0 {
            wrong.push(format!("{frame:02x?}"));
        }
    }
    wrong.truncate(5);
    assert!(wrong.is_empty(), "{} said:\n{}", side.socket, wrong.join("\n"));
    assert!(load > 1000, "{} said too little: {load} frames", side.socket);
}

/// No error, and every hostile frame that the device did not lose is in its counter.
fn assert_unharmed(outcome: &Outcome, expected: &BTreeMap<&'static str, u64>) {
    let record = outcome.record();
    assert_eq!(outcome.code(), Some(0), "{record}");
    for name in ["skErr", "httpErr", "rstTx", "challengeAck", "icmpTx"] {
        assert_eq!(outcome.count(name), 0, "{name}: {record}");
    }
    assert_eq!(outcome.count("skOpen"), outcome.count("skClose"));
    assert!(outcome.count("http2XX") > 10_000, "{record}");
    let missed = outcome.count("imissed");
    let is_other = |(name, count): &(&&str, &u64)| {
        // A reset may happen upon a connection that is open just then.
        let open = if **name == "dropNoConnection" { outcome.count("dropSequence") } else { 0 };
        let counted = outcome.count(name) + open;
        counted > **count || counted + missed < **count
    };
    let told = |(name, count): (&&str, &u64)| format!("{name} {} of {count}", outcome.count(name));
    let wrong: Vec<String> = expected.iter().filter(is_other).map(told).collect();
    assert!(wrong.is_empty(), "{}, {missed} missed: {record}", wrong.join(", "));
}
