//! Two processes over DPDK's virtual devices: what one sends the other receives, all of it, counted
//! on both sides; and both end in order.
//!
//! Needs a program that was built with DPDK, and root; what is lacking is said and skipped, or
//! fails with CI=true.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use dperf_tests::conditions::Conditions;
use dperf_tests::namespace::{Alone, Namespace, alone, join, skip};
use dperf_tests::process::{Folder, Process};
use dperf_tests::program::{self, Outcome, Program};
use dperf_tests::relay;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketType};

const SERVER: &str = "10.77.0.1";
const CLIENT: &str = "10.77.0.2";

/// Seconds of load.
const SECONDS: u64 = 3;

/// The longest that DPDK may take to open a port.
const OPEN: Duration = Duration::from_secs(20);

/// One load over a pair of devices.
struct Load<'a> {
    /// Of the server and of the client.
    devices: [&'a str; 2],
    /// Processors of each.
    cpus: [&'a str; 2],
    /// Addresses of each side.
    addresses: u8,
    /// What connections carry.
    protocol: &'a str,
    /// What both sides are told; TUNNEL is a line that takes the load into one.
    words: &'a str,
    /// What the client is told.
    client: &'a str,
    /// At least so many connections a second.
    rate: u64,
    /// Over IPv6.
    ipv6: bool,
}

impl Load<'_> {
    /// What both sides are told, with the addresses of the family.
    fn family(&self, text: &str) -> String {
        if self.ipv6 { text.replace("10.77.0.", "fd77::") } else { text.to_owned() }
    }

    fn server(&self) -> String {
        let Load { devices: [device, _], cpus: [cpus, _], addresses, words, protocol, .. } = self;
        let words = words.replace("TUNNEL", &tunnel([SERVER, CLIENT], [2, 1]));
        format!(
            "mode server\ncpu {cpus}\nduration 600s\nprotocol {protocol}\n\
             port {device} {SERVER} {CLIENT}\nclient 10.77.0.100 {addresses}\n\
             server 10.77.0.200 {addresses}\n{words}\n"
        )
    }

    fn client(&self) -> String {
        let Load { devices: [_, device], cpus: [_, cpus], addresses, words, .. } = self;
        let Load { protocol, client, .. } = self;
        let words = words.replace("TUNNEL", &tunnel([CLIENT, SERVER], [1, 2]));
        format!(
            "mode client\ncpu {cpus}\nduration {SECONDS}s\nslow_start 0\nprotocol {protocol}\n\
             port {device} {CLIENT} {SERVER}\nclient 10.77.0.100 {addresses}\n\
             server 10.77.0.200 {addresses}\n{words}\n{client}\n"
        )
    }

    /// Runs it in the two namespaces; the client starts when the server is `open`.
    fn run(&self, spaces: [&Namespace; 2], folder: &Folder, open: impl Fn(&Process) -> bool) {
        let mut server = Program::start(spaces[0], folder, "server", &self.family(&self.server()));
        server.process().wait_until("an open port", OPEN, open);
        let client = Program::start(spaces[1], folder, "client", &self.family(&self.client()));
        let client = client.end(SECONDS);
        let server = server.stop();
        let opened = client.count("skOpen");
        println!("{}: {opened} connections in {SECONDS} s", self.devices[0]);
        assert_agree(&client, &server);
        assert!(opened >= self.rate * SECONDS * 99 / 100, "{opened} connections");
    }
}

/// One side's end of a tunnel: addresses outside, and the last bytes of MAC addresses inside, our
/// own first.
fn tunnel([here, there]: [&str; 2], [ours, theirs]: [u8; 2]) -> String {
    let mac = |last| format!("02:00:00:00:01:0{last}");
    format!("vxlan 7 {} {} {here} 1 {there} 1", mac(ours), mac(theirs))
}

/// Nothing failed, and what one sent the other has received.
fn assert_agree(client: &Outcome, server: &Outcome) {
    let both = |name| (client.count(name), server.count(name));
    let say = || format!("client: {}\nserver: {}", client.record(), server.record());
    assert_eq!(client.faults(&[]), [""; 0], "{}", say());
    assert_eq!(server.faults(&[]), [""; 0], "{}", say());
    let pairs = [("tcpTx", "tcpRx"), ("tcpRx", "tcpTx"), ("udpTx", "udpRx"), ("udpRx", "udpTx")];
    for (sent, received) in pairs {
        let (ours, theirs) = (client.count(sent), server.count(received));
        assert_eq!(ours, theirs, "the client's {sent}, the server's {received}: {}", say());
    }
    // A server keeps nothing of datagrams.
    let udp = client.count("udpTx") > 0;
    for name in if udp { &[] } else { &["skOpen", "skClose", "http2XX", "httpGet"][..] } {
        let (ours, theirs) = both(name);
        assert_eq!(ours, theirs, "{name}: {}", say());
    }
}

/// Two shared-memory devices over a socket in `folder`, and whether the first is there.
fn memif(folder: &Folder) -> ([String; 2], impl Fn(&Process) -> bool) {
    let socket = folder.file("memif.sock");
    let device =
        |role| format!("net_memif0,role={role},socket={},socket-abstract=no", socket.display());
    (["server", "client"].map(device), move |_: &Process| socket.exists())
}

fn over_memif(load: &Load<'_>) {
    let (folder, one, other) = (Folder::new(), Namespace::new(), Namespace::new());
    let (devices, open) = memif(&folder);
    let load = Load { devices: [&devices[0], &devices[1]], ..*load };
    load.run([&one, &other], &folder, open);
}

const MEMIF: Load<'_> = Load {
    devices: ["", ""],
    cpus: ["0", "1"],
    addresses: 1,
    protocol: "http",
    words: "eal --no-huge",
    client: "cps 20k",
    rate: 20_000,
    ipv6: false,
};

/// The machine for this test, with DPDK and two processors; else it is skipped by name.
fn alone_on_two_cpus(test: &str) -> Option<Alone> {
    let alone = alone(test, &[])?;
    if !program::has_dpdk(test) {
        return None;
    }
    if program::cpu() == 0 {
        skip(test, "two processors");
        return None;
    }
    Some(alone)
}

#[test]
fn memif_loses_nothing() {
    let Some(_alone) = alone_on_two_cpus("memif_loses_nothing") else { return };
    over_memif(&MEMIF);
    over_memif(&Load {
        words: "eal --no-huge\nkeepalive 1ms 100",
        client: "cps 100\nlaunch_num 1",
        rate: 100,
        ..MEMIF
    });
}

#[test]
fn memif_loses_nothing_over_ipv6() {
    let Some(_alone) = alone_on_two_cpus("memif_loses_nothing_over_ipv6") else { return };
    over_memif(&Load { ipv6: true, ..MEMIF });
    let words = "eal --no-huge\npayload_size 1440\ntos 0xb8";
    over_memif(&Load { ipv6: true, words, client: "cps 10k", rate: 10_000, ..MEMIF });
}

/// Frames of full length, which begin elsewhere in their buffers than the device let them begin.
#[test]
fn memif_loses_nothing_in_tags_and_tunnels() {
    let Some(_alone) = alone_on_two_cpus("memif_loses_nothing_in_tags_and_tunnels") else { return };
    for words in ["vlan 100\npayload_size 1460", "vlan 200 100\npayload_size 1452"] {
        let words = &format!("eal --no-huge\n{words}");
        over_memif(&Load { words, client: "cps 5k", rate: 5_000, ..MEMIF });
    }
    let words = "eal --no-huge\nTUNNEL\npayload_size 1410";
    over_memif(&Load { words, client: "cps 5k", rate: 5_000, ..MEMIF });
}

#[test]
fn memif_loses_no_datagram() {
    let Some(_alone) = alone_on_two_cpus("memif_loses_no_datagram") else { return };
    let udp = Load { protocol: "udp", words: "eal --no-huge\npayload_size 64", ..MEMIF };
    over_memif(&udp);
    over_memif(&Load {
        words: "eal --no-huge\npayload_size 1472\nkeepalive 0us",
        client: "cps 100\ncc 4\npipeline 4",
        rate: 0,
        ..udp
    });
}

#[test]
fn memif_loses_nothing_on_two_queues() {
    let Some(_alone) = alone_on_two_cpus("memif_loses_nothing_on_two_queues") else { return };
    // Two workers on one processor: more threads than processors would wait for each other.
    let queues = Load { cpus: ["0 0", "1 1"], client: "cps 10k", rate: 10_000, ..MEMIF };
    over_memif(&Load { words: "eal --no-huge\nrss", ..queues });
    // A server address for each worker: its queue is found by it.
    over_memif(&Load { addresses: 2, ..queues });
}

/// The same devices with one end that DPDK knows nothing of, either end.
#[test]
fn memif_of_dpdk_and_ours_lose_nothing() {
    let Some(_alone) = alone_on_two_cpus("memif_of_dpdk_and_ours_lose_nothing") else { return };
    for ours in [0, 1] {
        for (cpus, words) in [(["0", "1"], MEMIF.words), (["0 0", "1 1"], "eal --no-huge\nrss")] {
            let (folder, one, other) = (Folder::new(), Namespace::new(), Namespace::new());
            let (mut devices, open) = memif(&folder);
            devices[ours] = format!("memif:{}", folder.file("memif.sock").display());
            let devices = [&*devices[0], &devices[1]];
            let load = Load { devices, cpus, words, client: "cps 10k", rate: 10_000, ..MEMIF };
            load.run([&one, &other], &folder, open);
        }
    }
}

/// A peer whose socket is there before its device is started hangs up on whoever calls.
#[test]
fn who_is_hung_up_on_calls_again() {
    let Some(_alone) = alone_on_two_cpus("who_is_hung_up_on_calls_again") else { return };
    for ours in [false, true] {
        hang_up_once(ours);
    }
}

/// `ours`: the client's device is none of DPDK's.
fn hang_up_once(ours: bool) {
    let (folder, one, other) = (Folder::new(), Namespace::new(), Namespace::new());
    let (mut devices, _) = memif(&folder);
    if ours {
        devices[1] = format!("memif:{}", folder.file("memif.sock").display());
    }
    let load = Load { devices: [&devices[0], &devices[1]], client: "cps 1k", ..MEMIF };
    let path = folder.file("memif.sock");
    let socket = net::socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).expect("a socket");
    net::bind(&socket, &SocketAddrUnix::new(&path).expect("a short path")).expect("its name");
    net::listen(&socket, 1).expect("a listener");
    let client = Program::start(&other, &folder, "client", &load.client());
    drop(net::accept(&socket).expect("a call"));
    drop(socket);
    std::fs::remove_file(&path).expect("the socket's name");
    let server = Program::start(&one, &folder, "server", &load.server());
    let client = client.end(SECONDS + OPEN.as_secs());
    assert_agree(&client, &server.stop());
}

/// Huge pages for one test; dropping it gives back what it took, unless somebody took more since.
struct HugePages {
    before: u64,
    taken: u64,
}

const HUGE_PAGES: &str = "/proc/sys/vm/nr_hugepages";

impl HugePages {
    fn count() -> u64 {
        let text = std::fs::read_to_string(HUGE_PAGES).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    }

    /// At least `taken` of them; none if the system has not that many.
    fn take(taken: u64) -> Option<HugePages> {
        let before = HugePages::count();
        if before < taken {
            let _ = std::fs::write(HUGE_PAGES, taken.to_string());
        }
        let pages = HugePages { before, taken };
        (HugePages::count() >= taken).then_some(pages)
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        if self.before < self.taken && HugePages::count() <= self.taken {
            let _ = std::fs::write(HUGE_PAGES, self.before.to_string());
        }
    }
}

#[test]
fn memif_loses_nothing_on_huge_pages() {
    let test = "memif_loses_nothing_on_huge_pages";
    let Some(_alone) = alone_on_two_cpus(test) else { return };
    let Some(_pages) = HugePages::take(600) else { return skip(test, "600 huge pages") };
    // It would take ordinary ones, were it not told.
    over_memif(&Load { words: "eal --in-memory", ..MEMIF });
}

/// A driver on both ends of a pair of virtual interfaces.
fn over_interfaces(driver: &str, words: &str) {
    let (folder, one, other) = (Folder::new(), Namespace::new(), Namespace::new());
    join((&one, "port0"), (&other, "port0"));
    let device = format!("{driver}0,iface=port0");
    let load = Load {
        devices: [&device, &device],
        words: &format!("eal --no-huge\n{words}"),
        client: "cps 2k",
        rate: 2_000,
        ..MEMIF
    };
    load.run([&one, &other], &folder, |server| server.out().contains('\n'));
}

#[test]
fn packet_sockets_of_dpdk_lose_nothing() {
    let Some(_alone) = alone_on_two_cpus("packet_sockets_of_dpdk_lose_nothing") else { return };
    over_interfaces("net_af_packet", "");
    over_interfaces("net_af_packet", "payload_size 1400");
}

#[test]
fn xdp_sockets_of_dpdk_lose_nothing() {
    let Some(_alone) = alone_on_two_cpus("xdp_sockets_of_dpdk_lose_nothing") else { return };
    over_interfaces("net_af_xdp", "");
    over_interfaces("net_af_xdp", "payload_size 1400");
}

/// Two cables from one namespace to another.
fn two_cables() -> [Namespace; 2] {
    let spaces = [Namespace::new(), Namespace::new()];
    for name in ["port0", "port1"] {
        join((&spaces[0], name), (&spaces[1], name));
    }
    spaces
}

/// Both ends of two cables, bonded in this way.
fn bonded(way: &str) -> String {
    format!("bond{way}(net_af_packet0,iface=port0,net_af_packet1,iface=port1)")
}

/// Frames that crossed each cable from there to here.
fn crossed(space: &Namespace) -> [u64; 2] {
    ["port0", "port1"].map(|name| {
        let path = format!("cat /sys/class/net/{name}/statistics/rx_packets");
        space.run(&path).trim().parse().expect("a number")
    })
}

#[test]
fn bonds_lose_nothing() {
    let Some(_alone) = alone_on_two_cpus("bonds_lose_nothing") else { return };
    // One cable in reserve; a cable for each packet in turn; a cable for each flow; LACP.
    for (way, both_used) in [("1:0", false), ("0:0", true), ("2:2", true), ("4:2", true)] {
        let (folder, [one, other]) = (Folder::new(), two_cables());
        let device = bonded(way);
        let load = Load {
            devices: [&device, &device],
            words: "eal --no-huge",
            client: "cps 2k",
            rate: 2_000,
            ipv6: way == "2:2",
            ..MEMIF
        };
        // With LACP neither is open without the other.
        let lacp = way.starts_with('4');
        load.run([&one, &other], &folder, |server| lacp || server.out().contains('\n'));
        let [first, second] = crossed(&one);
        println!("bond{way}: {first} and {second} frames");
        let rare = first.min(second);
        assert_eq!(rare > 1000, both_used, "{way}: {first} and {second} frames");
    }
}

/// Two devices over the kernel's TAP interfaces, with two queues each, whose kernel brings answers
/// to the queue that asked and whose driver does not tell so.
///
/// At so low a rate more than a hundredth of all is in the last launch, unless each is its own.
const TAPS: Load<'_> = Load {
    devices: ["net_tap0,iface=tap0", "net_tap1,iface=tap1"],
    cpus: ["0 0", "1 1"],
    words: "eal --no-huge\nrss",
    client: "cps 200\nlaunch_num 1",
    rate: 200,
    ..MEMIF
};

/// The kernel notes the queue of a question after it has handed the question on: an answer that is
/// quicker than that comes anywhere.
const SLOW: Conditions = Conditions { delay: 500_000, ..Conditions::CABLE };

/// The MAC address of the device behind `name`, once that is up: only then it tells its carrier.
fn mac_of_tap(space: &Namespace, process: &mut Process, name: &str) -> [u8; 6] {
    let is_up = format!("cat /sys/class/net/{name}/carrier");
    process.wait_until("a TAP interface", OPEN, |_| space.succeeds(&is_up));
    space.mac(name)
}

#[test]
fn a_device_that_hides_its_hash_is_asked_before_the_run() {
    let test = "a_device_that_hides_its_hash_is_asked_before_the_run";
    let Some(_alone) = alone_on_two_cpus(test) else { return };
    let (folder, space) = (Folder::new(), Namespace::new());
    space.sysctl("net.ipv6.conf.default.disable_ipv6", 1);
    let mut server = Program::start(&space, &folder, "server", &TAPS.server());
    let near = mac_of_tap(&space, server.process(), "tap0");
    let mut client = Program::start(&space, &folder, "client", &TAPS.client());
    let far = mac_of_tap(&space, client.process(), "tap1");
    let stop = AtomicBool::new(false);
    let client = std::thread::scope(|scope| {
        let (space, stop) = (&space, &stop);
        scope.spawn(move || {
            space.inside(|| relay::carry([("tap0", near), ("tap1", far)], 1, SLOW, stop))
        });
        let client = client.end(SECONDS + OPEN.as_secs());
        stop.store(true, Relaxed);
        client
    });
    let _ = server.stop();
    let said = &client.0.err;
    assert!(said.contains("16 connections before the run showed which of its queues"), "{said}");
    assert_eq!(client.count("skOpen"), client.count("http2XX"), "{}", client.record());
    assert!(client.count("skOpen") >= TAPS.rate * SECONDS * 99 / 100, "{}", client.record());
    assert_eq!((client.count("skErr"), client.count("dropWrongQueue")), (0, 0));
}

/// Its own server, which does not run yet, cannot be asked.
#[test]
fn a_client_beside_its_server_is_told_that_it_cannot_ask() {
    let test = "a_client_beside_its_server_is_told_that_it_cannot_ask";
    let Some(_alone) = alone_on_two_cpus(test) else { return };
    let (folder, space) = (Folder::new(), Namespace::new());
    let files = [("server", TAPS.server()), ("client", TAPS.client())]
        .map(|(name, text)| folder.write(&format!("{name}.conf"), text));
    let ended = Program::start_beside(&space, &folder, "both", &files, &[]).end(0);
    let said = ended.0.err.clone();
    assert_ne!(ended.code(), Some(0));
    let why = "client.conf:6:1: net_tap1,iface=tap1 does not tell which of its queues an answer \
               comes to, and a server of the same process cannot be asked before the run";
    assert_eq!(said.matches(why).count(), 1, "{said}");
}

/// Whatever drives it, a device that is not there is named, with the line that asks for it.
#[test]
fn a_device_that_is_missing_is_named_with_its_line() {
    let test = "a_device_that_is_missing_is_named_with_its_line";
    let Some(_alone) = alone(test, &[]) else { return };
    if !program::has_dpdk(test) {
        return;
    }
    let (folder, space) = (Folder::new(), Namespace::new());
    for (device, named) in [
        ("af_packet:none0", "none0"),
        ("af_xdp:none0", "none0"),
        ("0000:ff:1f.7", "0000:ff:1f.7"),
        ("net_af_packet0,iface=none0", "net_af_packet0"),
        ("net_nothing0", "net_nothing0"),
        ("bond1:0(net_af_packet0,iface=none0)", "net_af_packet0"),
    ] {
        let load = Load { devices: [device, ""], ..MEMIF };
        let ended = Program::start(&space, &folder, "server", &load.server()).end(0).0;
        let place = folder.file("server.conf:5:1: ").display().to_string();
        assert!(!ended.status.success(), "{device}");
        assert!(ended.err.contains(&place) && ended.err.contains(named), "{device}: {}", ended.err);
        assert!(ended.took < OPEN, "{device}: {:?}", ended.took);
    }
}
