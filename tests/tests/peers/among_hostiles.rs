//! Our client and our server on a switch, and somebody else there who sends what no honest station
//! does, to both, at rate, while the load runs, over IPv4, over IPv6 and in a tunnel: no connection
//! suffers, each frame shows in its own counter, and neither side ever says a word that it would
//! not have said alone.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::thread;
use std::time::{Duration, Instant};

use dperf_tests::hostile::{self, Hostile, PORT as HOSTILE_PORT};
use dperf_tests::namespace::{Namespace, alone, join};
use dperf_tests::pcap::frames;
use dperf_tests::process::{Folder, Process, Signal};
use dperf_tests::program::{self, Outcome, Program};
use dperf_tests::raw::RawSocket;
use dperf_tests::reference::innermost;
use dperf_tests::{ipv4, ipv6};
use smoltcp::wire::EthernetAddress;

use crate::net::PORT;

/// How often each hostile frame is sent to each address.
const TIMES: usize = 100;
/// Resets of the load's own connections.
const RESETS: u16 = 10_000;
/// Frames a second.
const RATE: u64 = 10_000;

/// The stranger, wherever it is.
const EVIL: EthernetAddress = EthernetAddress([2, 6, 6, 6, 6, 6]);
/// The last part of its address, and of the first of four for the load of client and server.
const LAST: (u8, [u8; 2]) = (0x66, [0x30, 0x10]);
/// The tunnel's network, and the MAC addresses of the client and the server in it.
const TUNNEL: (u32, [EthernetAddress; 2]) =
    (100, [EthernetAddress([2, 0, 0, 0, 7, 1]), EthernetAddress([2, 0, 0, 0, 7, 2])]);

/// What the load is carried by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Carrier {
    Ipv4,
    Ipv6,
    /// IPv4 in a VXLAN tunnel over IPv4.
    Tunnel,
}

impl Carrier {
    /// An address on the switch.
    fn outside(self, last: u8) -> IpAddr {
        match self {
            Carrier::Ipv6 => Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, last.into()).into(),
            _ => Ipv4Addr::new(10, 77, 0, last).into(),
        }
    }

    /// An address of the load's network.
    fn load(self, last: u8) -> IpAddr {
        match self {
            Carrier::Tunnel => Ipv4Addr::new(172, 16, 0, last).into(),
            _ => self.outside(last),
        }
    }
}

/// One of our two sides.
struct Side {
    carrier: Carrier,
    /// The client is 0, the server 1.
    index: usize,
    namespace: Namespace,
    mac: EthernetAddress,
    /// Where the switch hears it.
    socket: &'static str,
}

impl Side {
    fn new(carrier: Carrier, between: &Namespace, index: usize, socket: &'static str) -> Side {
        let namespace = Namespace::new();
        join((&namespace, PORT), (between, socket));
        let text = namespace.run(&format!("cat /sys/class/net/{PORT}/address"));
        let octets: Vec<u8> = text
            .trim()
            .split(':')
            .map(|octet| u8::from_str_radix(octet, 16).expect("an octet"))
            .collect();
        between.run(&format!("ip link set {socket} master switch0"));
        let mac = EthernetAddress::from_bytes(&octets);
        Side { carrier, index, namespace, mac, socket }
    }

    /// The port's own address.
    fn host(&self) -> IpAddr {
        self.carrier.outside(2 - self.index as u8)
    }

    /// The addresses of the load.
    fn loads(&self) -> [IpAddr; 4] {
        [0, 1, 2, 3].map(|more| self.carrier.load(LAST.1[self.index] + more))
    }

    /// The MAC address that the load is sent to.
    fn load_mac(&self) -> EthernetAddress {
        if self.carrier == Carrier::Tunnel { TUNNEL.1[self.index] } else { self.mac }
    }

    fn owns(&self, octets: &[u8]) -> bool {
        let is = |address: &IpAddr| match address {
            IpAddr::V4(address) => address.octets() == octets,
            IpAddr::V6(address) => address.octets() == octets,
        };
        is(&self.host()) || self.loads().iter().any(is)
    }

    /// Everything hostile there is for this side, but for what the bridge lets nobody send: frames
    /// from a group's MAC address, or from none.
    fn frames(&self) -> Vec<Hostile> {
        let Side { carrier, .. } = self;
        let tos = match carrier {
            Carrier::Tunnel => vec![self.loads()[0]],
            _ => vec![self.host(), self.loads()[0]],
        };
        let macs = [EVIL, self.load_mac()];
        let to = |to| match (carrier.load(LAST.0), to) {
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                hostile::ipv6_frames(&ipv6::Way { macs, addresses: [from, to], hops: 255 })
            }
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let inside = ipv4::Way { macs, addresses: [from, to] };
                match self.tunnel() {
                    Some(way) => hostile::vxlan_frames(&way, TUNNEL.0, &inside),
                    None => hostile::frames(&inside),
                }
            }
            _ => unreachable!("one family"),
        };
        let passes = |hostile: &Hostile| {
            hostile.frame.get(6..12).is_none_or(|from| from[0] & 1 == 0 && from != [0; 6])
        };
        tos.into_iter().flat_map(to).filter(passes).collect()
    }

    /// The stranger's way to this side's end of the tunnel, if there is one.
    fn tunnel(&self) -> Option<ipv4::Way> {
        let addresses = [self.carrier.outside(LAST.0), self.host()];
        match (self.carrier, addresses) {
            (Carrier::Tunnel, [IpAddr::V4(from), IpAddr::V4(to)]) => {
                Some(ipv4::Way { macs: [EVIL, self.mac], addresses: [from, to] })
            }
            _ => None,
        }
    }

    /// A reset of one of the load's connections, in the name of the `other` side.
    fn reset(&self, other: &Side, port: u16) -> Vec<u8> {
        let ports = if self.index == 0 { [80, port] } else { [port, 80] };
        let macs = [EVIL, self.load_mac()];
        match (other.loads()[0], self.loads()[0]) {
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                ipv6::Way { macs, addresses: [from, to], hops: 64 }.segment(ports, "R")
            }
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let inside = ipv4::Way { macs, addresses: [from, to] }.segment(ports, "R", b"");
                match self.tunnel() {
                    Some(way) => hostile::in_tunnel(&way, TUNNEL.0, &inside),
                    None => inside,
                }
            }
            _ => unreachable!("one family"),
        }
    }
}

#[test]
fn hostile_frames_change_nothing() {
    change_nothing("hostile_frames_change_nothing", Carrier::Ipv4);
}

#[test]
fn hostile_frames_change_nothing_over_ipv6() {
    change_nothing("hostile_frames_change_nothing_over_ipv6", Carrier::Ipv6);
}

#[test]
fn hostile_frames_change_nothing_in_a_tunnel() {
    change_nothing("hostile_frames_change_nothing_in_a_tunnel", Carrier::Tunnel);
}

fn change_nothing(test: &str, carrier: Carrier) {
    let Some(_alone) = alone(test, &["tcpdump", "bridge"]) else { return };
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
    let sides = [(0, "near0"), (1, "far0")]
        .map(|(index, socket)| Side::new(carrier, &between, index, socket));
    let taps = sides.each_ref().map(|side| listen(&between, side, &folder));
    let [mut client, server] = start(&sides, &folder);
    client.wait_for_load();
    let expected = between.inside(|| throw(&sides));
    assert!(client.process().runs(), "the load ended first");
    let outcomes = [client.stop(), server.stop()];
    for (tap, (side, other)) in taps.into_iter().zip([(0, 1), (1, 0)]) {
        tap.end_by(Signal::INT, Duration::from_secs(10));
        let capture = folder.read(sides[side].socket);
        assert_says_only_what_it_should(&capture, &sides[side], &sides[other]);
    }
    for (outcome, expected) in outcomes.iter().zip(&expected) {
        assert_unharmed(carrier, outcome, expected);
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
    let [clients, servers] = sides.each_ref().map(|side| side.loads()[0]);
    let common = |[here, there]: [usize; 2]| {
        let [host, gateway] = [here, there].map(|side| sides[side].host());
        let [ours, theirs] = [here, there].map(|side| TUNNEL.1[side]);
        let tunnel = match sides[here].carrier {
            Carrier::Tunnel => {
                format!("vxlan {} {ours} {theirs} {host} 1 {gateway} 1", TUNNEL.0).replace('-', ":")
            }
            _ => String::new(),
        };
        format!(
            "cpu {cpu}\nprotocol http\nlisten 80\nport af_packet:{PORT} {host} {gateway}\n\
             client {clients} 4\nserver {servers} 4\n{tunnel}\n"
        )
    };
    let [client, server] = sides;
    let text = format!("mode server\nduration 600s\nkeepalive 1s\n{}", common([1, 0]));
    let server = Program::start(&server.namespace, folder, "server", &text);
    let text = format!(
        "mode client\nduration 600s\nslow_start 0\ncps 500\nkeepalive 1ms 3\n{}",
        common([0, 1])
    );
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
            // What is for nobody comes to everybody, unless it comes through a tunnel.
            let all = hostile.counter == "dropForeignMac" && sides[0].carrier != Carrier::Tunnel;
            for side in (0..2).filter(|side| all || *side == index) {
                *expected[side].entry(hostile.counter).or_default() += TIMES as u64;
            }
        }
        for port in 1..=RESETS {
            send(&sides[index].reset(&sides[1 - index], port));
        }
        for counter in ["rstRx", "dropNoConnection"] {
            *expected[index].entry(counter).or_default() += u64::from(RESETS);
        }
    }
    expected
}

/// All that left `side` is load for `other`, and ARP or neighbour discovery about itself.
fn assert_says_only_what_it_should(capture: &[u8], side: &Side, other: &Side) {
    let (mut load, mut wrong) = (0, Vec::new());
    for (_, outer) in frames(capture) {
        let frame = innermost(outer);
        // Protocol, addresses and what is behind them.
        let (protocol, from, to, upper) = match &frame[12..14] {
            [8, 0] => (frame[23], &frame[26..30], &frame[30..34], &frame[34..]),
            [0x86, 0xdd] => (frame[20], &frame[22..38], &frame[38..54], &frame[54..]),
            _ => (0, &frame[28..32], &frame[38..42], &frame[42..]),
        };
        let right = match (&frame[12..14], protocol) {
            ([8, 6], _) | ([0x86, 0xdd], NEIGHBOURS) => side.owns(from),
            ([8, 0] | [0x86, 0xdd], TCP) => {
                load += 1;
                let hostile =
                    [&upper[..2], &upper[2..4]].contains(&&HOSTILE_PORT.to_be_bytes()[..]);
                let reset = upper[13] & 4 != 0;
                let way = side.owns(from) && other.owns(to);
                let is_wrapped = outer.len() > frame.len();
                let wrapped = is_wrapped == (side.carrier == Carrier::Tunnel);
                way && !reset && !hostile && wrapped && outer[..6] == other.mac.0
            }
            _ => false,
        };
        if !right || outer[6..12] != side.mac.0 {
            wrong.push(format!("{outer:02x?}"));
        }
    }
    wrong.truncate(5);
    assert!(wrong.is_empty(), "{} said:\n{}", side.socket, wrong.join("\n"));
    assert!(load > 1000, "{} said too little: {load} frames", side.socket);
}

/// Protocol numbers: ICMPv6, of which nothing but neighbour discovery is said, and TCP.
const NEIGHBOURS: u8 = 58;
const TCP: u8 = 6;

/// No error, and every hostile frame that the device did not lose is in its counter.
fn assert_unharmed(carrier: Carrier, outcome: &Outcome, expected: &BTreeMap<&'static str, u64>) {
    let record = outcome.record();
    assert_eq!(outcome.code(), Some(0), "{record}");
    for name in ["skErr", "httpErr", "rstTx", "challengeAck"] {
        assert_eq!(outcome.count(name), 0, "{name}: {record}");
    }
    // Neighbours are asked for and answered over IPv6.
    let most = if carrier == Carrier::Ipv6 { 100 } else { 0 };
    assert!(outcome.count("icmpTx") <= most, "{record}");
    assert_eq!(outcome.count("skOpen"), outcome.count("skClose"));
    assert!(outcome.count("http2XX") > 3_000, "{record}");
    let missed = outcome.count("imissed");
    let is_other = |(name, count): &(&&str, &u64)| {
        // A reset may happen upon a connection that is open just then.
        let open = if **name == "dropNoConnection" { outcome.count("dropSequence") } else { 0 };
        let counted = outcome.count(name) + open;
        // Honest neighbours speak as well, and what is malformed is counted there besides.
        let more = counted > **count && **name != "icmpRx";
        more || counted + missed < **count
    };
    let told = |(name, count): (&&str, &u64)| format!("{name} {} of {count}", outcome.count(name));
    let wrong: Vec<String> = expected.iter().filter(is_other).map(told).collect();
    assert!(wrong.is_empty(), "{}, {missed} missed: {record}", wrong.join(", "));
}
