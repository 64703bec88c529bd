//! The loads, in dperf's configuration language, and the devices that carry them.

use std::process::Command;

use dperf_tests::program;

use crate::run::{Place, Tester};

/// How the two sides are joined.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Transport {
    /// Both in one process: no driver, and only ours.
    Link,
    /// Two processes and shared memory: ours natively, a peer by DPDK.
    Memif,
    /// The same, both by DPDK.
    NetMemif,
    /// A client and nobody else.
    Null,
    /// A virtual cable between two kernels, by packet sockets: ours natively, a peer by DPDK.
    AfPacket,
    /// The same, by XDP sockets.
    AfXdp,
    /// The same, interrupts put off: a peer's are put off for it.
    AfXdpDeferred,
}

impl Transport {
    /// As people call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Transport::Link => "link",
            Transport::Memif => "memif",
            Transport::NetMemif => "net_memif",
            Transport::Null => "net_null",
            Transport::AfPacket => "AF_PACKET",
            Transport::AfXdp => "AF_XDP",
            Transport::AfXdpDeferred => "AF_XDP, deferred",
        }
    }

    /// What this machine has not.
    pub(crate) fn lacking(self) -> Option<&'static str> {
        let help = Command::new(program::path()).arg("--help").output().expect("it starts");
        let dpdk = String::from_utf8_lossy(&help.stdout).contains("DPDK: built in");
        match self {
            Transport::NetMemif | Transport::Null if !dpdk => Some("a program built with DPDK"),
            _ if self.is_cable() && !rustix::process::geteuid().is_root() => {
                Some("root, to make network namespaces")
            }
            _ => None,
        }
    }

    /// There is a cable between two namespaces.
    pub(crate) fn is_cable(self) -> bool {
        matches!(self, Transport::AfPacket | Transport::AfXdp | Transport::AfXdpDeferred)
    }

    /// The device as DPDK's words for it.
    pub(crate) fn vdev(self, role: &str, place: &Place) -> String {
        match self {
            Transport::Link => "link:bench".to_string(),
            Transport::Memif | Transport::NetMemif => {
                let socket = place.socket().display().to_string();
                format!(
                    "net_memif0,role={role},socket={socket},socket-abstract=no,bsize=2048,rsize=12"
                )
            }
            Transport::Null => "net_null0,no-rx=1".to_string(),
            Transport::AfPacket => {
                format!(
                    "net_af_packet0,iface={},framesz=2048,qdisc_bypass=1",
                    place.interface(role)
                )
            }
            Transport::AfXdp | Transport::AfXdpDeferred => {
                format!("net_af_xdp0,iface={}", place.interface(role))
            }
        }
    }

    /// The words of the `port` line.
    fn port(self, role: &str, tester: &Tester, place: &Place) -> String {
        let ends = if role == "client" { "10.0.1.1 10.0.2.1" } else { "10.0.2.1 10.0.1.1" };
        let device = match self {
            Transport::Memif if tester.ours => format!("memif:{}", place.socket().display()),
            Transport::AfPacket if tester.ours => format!("af_packet:{}", place.interface(role)),
            Transport::AfXdp if tester.ours => format!("af_xdp:{}", place.interface(role)),
            Transport::AfXdpDeferred if tester.ours => {
                format!("af_xdp:{},defer={DEFERRED_US}us", place.interface(role))
            }
            _ => self.vdev(role, place),
        };
        // Nobody answers for the gateway of a null device.
        let mac = if self == Transport::Null { " 02:00:00:00:00:01" } else { "" };
        format!("{device} {ends}{mac}")
    }
}

/// How long interrupts are put off where they are, in microseconds.
pub(crate) const DEFERRED_US: u32 = 100;

/// How much is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ask {
    /// What is written in the load.
    Fixed,
    /// The highest rate of connections without a loss, looked for from here on.
    Knee(u64),
}

/// One load over one transport.
#[derive(Debug)]
pub(crate) struct Load {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// What it does, for the table.
    pub(crate) what: &'static str,
    /// The devices.
    pub(crate) transport: Transport,
    /// How much of it.
    pub(crate) ask: Ask,
    /// The counter that tells the rate, and its unit.
    pub(crate) counter: &'static str,
    /// Its unit per second.
    pub(crate) unit: &'static str,
    /// The first second that is looked at, if every tuple was used by then: before it, connections
    /// open.
    from_second: u64,
    /// The core's own benchmark of it, which counts instructions.
    pub(crate) scenario: Option<&'static str>,
    /// A worker never rests: what it says about its time is not needed.
    pub(crate) saturated: bool,
    /// Huge pages that a tester needs which takes them all at once, in MiB.
    memory_mb: u32,
    /// Server ports.
    listens: u32,
    both: &'static str,
    client: &'static str,
    /// The client's lines for ours, where another tester refuses to be asked for so much.
    client_ours: Option<&'static str>,
    server: &'static str,
}

impl Load {
    /// The lines for `role`. `rate` is the asked rate, where one is looked for.
    pub(crate) fn text(&self, role: &str, tester: &Tester, place: &Place, rate: u64) -> String {
        let port = self.transport.port(role, tester, place);
        let mut text = format!(
            "mode {role}\nport {port}\nduration 1m\nlisten 80 {}\nserver 10.0.2.1 1\n{}\n",
            self.listens, self.both
        );
        if self.ask != Ask::Fixed {
            text += &format!("client 10.0.1.1 {}\n", tuples(rate) / PORTS + 1);
        }
        if role == "client" {
            let lines = self.client_ours.filter(|_| tester.ours).unwrap_or(self.client);
            text += &format!("cpu 0\nslow_start 1\n{lines}\n");
            if self.ask != Ask::Fixed {
                text += &format!("cps {rate}\n");
            }
        } else {
            text += &format!("cpu 1\n{}\n", self.server);
        }
        text + &tester.memory(self.memory_mb)
    }

    /// The first second that is looked at where so much is asked: no connection is the first that
    /// touches its memory.
    pub(crate) fn first_second(&self, rate: u64) -> u64 {
        self.from_second + tuples(rate) / FIRST_USES
    }

    /// Another tester can do it.
    pub(crate) fn for_both(&self) -> bool {
        self.transport != Transport::Link
    }
}

/// Ports of a client's address.
const PORTS: u64 = 65_535;

/// As few tuples as may be: each may be taken for two seconds.
const fn tuples(rate: u64) -> u64 {
    2 * rate
}

/// So many tuples are used for the first time in a second, at least: it costs what a virtual
/// machine's host takes for their memory.
const FIRST_USES: u64 = 1_500_000;

const SHORT: &str = "protocol http";
const KEPT: &str = "protocol http\nclient 10.0.1.1 16\nkeepalive 0us";
const DATAGRAMS: &str = "protocol udp\npayload_size 18\nclient 10.0.1.1 16\nkeepalive 0us";

const fn short(name: &'static str, transport: Transport, from: u64) -> Load {
    Load {
        name,
        what: "short connections",
        transport,
        ask: Ask::Knee(from),
        counter: "http2XX",
        unit: "connections",
        from_second: 4,
        scenario: Some("short-1k"),
        saturated: false,
        memory_mb: 1300,
        listens: 1,
        both: SHORT,
        client: "",
        client_ours: None,
        server: "",
    }
}

const fn kept(name: &'static str, transport: Transport) -> Load {
    Load {
        what: "requests, 512 kept",
        ask: Ask::Fixed,
        unit: "requests",
        scenario: Some("keepalive-1k"),
        both: KEPT,
        client: "cc 512\ncps 100k",
        ..short(name, transport, 0)
    }
}

/// Every load of the table.
pub(crate) const LOADS: &[Load] = &[
    Load {
        what: "ping-pong 18 B, 512 flows",
        counter: "udpRx",
        unit: "datagrams",
        scenario: Some("udp-512"),
        both: DATAGRAMS,
        ..kept("udp-memif", Transport::Memif)
    },
    Load {
        what: "ping-pong 18 B, 512 flows",
        counter: "udpRx",
        unit: "datagrams",
        scenario: None,
        both: DATAGRAMS,
        ..kept("udp-net-memif", Transport::NetMemif)
    },
    kept("kept-memif", Transport::Memif),
    short("short-memif", Transport::Memif, 600_000),
    short("short-net-memif", Transport::NetMemif, 600_000),
    Load {
        what: "bulk, 300 x 1 MB",
        counter: "bitsRx",
        unit: "bits",
        scenario: None,
        both: "protocol http\nclient 10.0.1.1 16\nkeepalive 0us\nmss 1460",
        client: "cc 300\ncps 10k",
        server: "payload_size 1000000",
        ..kept("bulk-memif", Transport::Memif)
    },
    Load {
        what: "flood of datagrams 18 B",
        counter: "pktTx",
        unit: "datagrams",
        scenario: Some("flood-1k"),
        saturated: true,
        both: "protocol udp\npayload_size 18\nflood\nclient 10.0.1.1 16\nkeepalive 250us",
        client: "cc 20k\ncps 100k\ntx_burst 64",
        ..kept("udp-flood-null", Transport::Null)
    },
    Load {
        what: "flood of SYN",
        counter: "synTx",
        unit: "segments",
        scenario: None,
        saturated: true,
        // As many tuples as are opened in the time of a retransmission.
        listens: 5,
        memory_mb: 8500,
        both: "protocol tcp\nflood\nclient 10.0.1.1 250",
        client: "cps 40m",
        client_ours: Some("cps 80m"),
        ..kept("syn-flood-null", Transport::Null)
    },
    short("short-af-xdp", Transport::AfXdp, 60_000),
    short("short-af-xdp-deferred", Transport::AfXdpDeferred, 100_000),
    short("short-af-packet", Transport::AfPacket, 40_000),
    Load {
        what: "1 M open, 250 k requests/s",
        from_second: 9,
        both: "protocol http\nclient 10.0.1.1 16\nkeepalive 4s",
        client: "cc 1m\ncps 250k",
        ..kept("million-memif", Transport::Memif)
    },
    kept("kept-link", Transport::Link),
    short("short-link", Transport::Link, 800_000),
];
