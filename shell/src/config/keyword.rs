//! THE TABLE: every keyword of the configuration language, each exactly once.
//!
//! Reading, the list that `dperf-shell keywords` prints and docs/CONFIG.md are all made from it.
//! A keyword's `form` is also its grammar: a word in brackets may be left out, `...` repeats the
//! last word, every other word must be there.

use std::ops::RangeInclusive;

use dperf_core::plan::Role;

use super::arguments;
use super::error::{Complaint, ConfigError};
use super::lenient::{duration, hexadecimal, leading, scaled};
use super::number::{seconds, whole};
use super::words::Word;
use super::{Config, Protocol};
use Otherwise::{Ignored, Refused};
use Reads::{Choice, Duration, Flag, Hex, Leading, Nothing, Scaled, Seconds, Whole, Words};
use Side::{Both, Client, Server};

/// One keyword.
pub(super) struct Keyword {
    /// The first word of its line.
    pub(super) name: &'static str,
    /// The words that follow.
    pub(super) form: &'static str,
    /// Who it is for.
    pub(super) side: Side,
    /// It may be given several times.
    pub(super) repeats: bool,
    /// What holds when it is not given.
    pub(super) default: &'static str,
    /// What it sets, in a few words.
    pub(super) brief: &'static str,
    /// What else there is to know.
    pub(super) help: &'static str,
    /// A line that uses it.
    pub(super) example: &'static str,
    /// The keyword whose old name this is.
    pub(super) alias_of: &'static str,
    /// What is to be said whenever it is used.
    pub(super) remark: &'static str,
    /// How its arguments are read.
    pub(super) reads: Reads,
}

/// Which side of the load a keyword is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    /// Client and server.
    Both,
    /// The client; what happens on a server.
    Client(Otherwise),
    /// The server; what happens on a client.
    Server(Otherwise),
}

/// What happens to a keyword on the wrong side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Otherwise {
    /// It is ignored, with a note.
    Ignored,
    /// It is an error.
    Refused,
}

/// How arguments are read into the configuration.
pub(super) enum Reads {
    /// No argument.
    Flag(fn(&mut Config)),
    /// A whole number within bounds; as in dperf what stands behind its digits does not count.
    Leading(RangeInclusive<u64>, fn(&mut Config, u64)),
    /// A whole number within bounds.
    Whole(RangeInclusive<u64>, fn(&mut Config, u64)),
    /// A whole number or `0x..` within bounds.
    Hex(RangeInclusive<u64>, fn(&mut Config, u64)),
    /// A number with k, m or g within bounds.
    Scaled(RangeInclusive<u64>, fn(&mut Config, u64)),
    /// A time of whole seconds within bounds; as in dperf its last letter is its unit.
    Duration(RangeInclusive<u64>, fn(&mut Config, u64)),
    /// A time of whole seconds within bounds.
    Seconds(RangeInclusive<u64>, fn(&mut Config, u64)),
    /// One of these words, by its place among them.
    Choice(&'static [&'static str], fn(&mut Config, usize)),
    /// Anything else.
    Words(fn(&mut Config, &Word, &[Word]) -> Result<(), ConfigError>),
    /// Arguments without a meaning.
    Nothing,
}

/// Keywords that belong together.
pub(super) struct Group {
    /// What they are about.
    pub(super) title: &'static str,
    /// What is common to them.
    pub(super) about: &'static str,
    /// The keywords.
    pub(super) keywords: &'static [Keyword],
}

/// What a keyword is unless its entry says otherwise.
const KEYWORD: Keyword = Keyword {
    name: "",
    form: "",
    side: Both,
    repeats: false,
    default: "off",
    brief: "",
    help: "",
    example: "",
    alias_of: "",
    remark: "",
    reads: Nothing,
};

/// All keywords, in the order of the manual.
pub(super) static GROUPS: &[Group] = &[
    Group {
        title: "Role and cores",
        about: "Who we are, and where the work is done.",
        keywords: ROLE,
    },
    Group {
        title: "Ports and addresses",
        about: "The n-th `client` and `server` line belongs to the n-th `port` line; on a server \
                `client` lines are a set of accepted clients and belong to no port.",
        keywords: ADDRESSES,
    },
    Group {
        title: "Load",
        about: "Rates and numbers count for all workers together. A number may end with k, m or g \
                (thousand, million, 10^9).",
        keywords: LOAD,
    },
    Group { title: "Messages", about: "What connections carry.", keywords: MESSAGES },
    Group { title: "TCP", about: "How connections behave.", keywords: TCP },
    Group { title: "Machine", about: "How packets get out of here.", keywords: MACHINE },
    Group { title: "Output", about: "What is said meanwhile.", keywords: OUTPUT },
];

const ROLE: &[Keyword] = &[
    Keyword {
        name: "mode",
        form: "client|server",
        default: "client",
        brief: "which side of the connections we play",
        help: "The client opens connections and sends requests, the server answers.",
        example: "mode server",
        reads: Choice(&["client", "server"], |c, n| c.role = [Role::Client, Role::Server][n]),
        ..KEYWORD
    },
    Keyword {
        name: "cpu",
        form: "CORE|FIRST-LAST...",
        default: "none: it must be given",
        brief: "one worker on each of these cores",
        help: "Workers are numbered in the order of this line and spread over the ports in blocks: \
               with 2 ports and 4 cores the first two cores serve the first port. The number of \
               cores is a multiple of the number of ports. A core may be named again: its workers \
               then share it, with a note.",
        example: "cpu 0-3 48",
        reads: Words(arguments::cpu),
        ..KEYWORD
    },
    Keyword {
        name: "seed",
        form: "N",
        default: "1",
        brief: "start of everything random",
        help: "The same configuration with the same seed makes the same sequence numbers and the \
               same random filler. dperf has no such keyword.",
        example: "seed 42",
        reads: Whole(0..=u64::MAX, |c, n| c.seed = n),
        ..KEYWORD
    },
];

const ADDRESSES: &[Keyword] = &[
    Keyword {
        name: "port",
        form: "NAME ADDRESS GATEWAY [MAC]",
        repeats: true,
        default: "none: it must be given",
        brief: "a network device, our address on it and the next hop",
        help: "NAME is a PCI address (`0000:03:00.1`), `link:NAME` (a link within this process), \
               `memif:SOCKET` (memory shared with another process: the same at the other end, \
               or DPDK's net_memif, VPP or what else speaks memif; behind it may stand `,id=N`, \
               and `,role=client` or `,role=server` if not the server shall make the socket), \
               `af_packet:INTERFACE` (a Linux interface, by packet sockets), \
               `af_xdp:INTERFACE` (the same, by XDP sockets: the kernel keeps all but the load, \
               the port's own address as well; behind it may stand \
               `,defer=TIME`, 1us to 10ms, which puts the interface's interrupts off), a DPDK \
               virtual device with its arguments \
               (`net_memif0,role=server,socket=/run/demo`) or `bondMODE:POLICY(MEMBER,..)`: \
               one to four devices, by PCI address or virtual, bonded by DPDK in its modes 0 \
               (round robin), 1 (active backup), 2 (balance), 3 (broadcast), 4 (LACP), 5 (TLB) \
               or 6 (ALB), with policy 0 (layer 2), 1 (2 and 3) or 2 (3 and 4). All is sent to \
               the gateway, also to addresses of the same network. Without MAC the gateway is \
               asked for it, and every half minute again; with MAC nothing that is heard changes \
               it.",
        example: "port 0000:03:00.1 10.0.1.1 10.0.1.254",
        reads: Words(arguments::port),
        ..KEYWORD
    },
    Keyword {
        name: "client",
        form: "ADDRESS [COUNT] [MORE]...",
        repeats: true,
        default: "none: it must be given",
        brief: "client addresses: COUNT from ADDRESS on, then further ones",
        help: "On a client one line per port. On a server any number of lines, which together are \
               the clients that are answered. A network (`10.0.1.0/24`, its hosts) or a range \
               (`10.0.1.5-10.0.2.4`) stands for ADDRESS and COUNT, or among MORE. At most 65536 \
               addresses; dperf has 254, which differ in the last byte only.",
        example: "client 10.0.1.1 100 10.0.1.200",
        reads: Words(arguments::client),
        ..KEYWORD
    },
    Keyword {
        name: "server",
        form: "ADDRESS [COUNT] [MORE]...",
        repeats: true,
        default: "none: it must be given",
        brief: "server addresses of a port: COUNT from ADDRESS on, then further ones",
        help: "One line per port, on either side, written as `client`. If a port has as many \
               server addresses as workers, each worker has one of them.",
        example: "server 10.0.2.1 1",
        reads: Words(arguments::server),
        ..KEYWORD
    },
    Keyword {
        name: "listen",
        form: "PORT [COUNT]",
        default: "80 1",
        brief: "server ports: COUNT from PORT on",
        help: "Every server address has them all.",
        example: "listen 80 5",
        reads: Words(arguments::listen),
        ..KEYWORD
    },
    Keyword {
        name: "client_port_range",
        form: "FIRST [LAST]",
        default: "1 65535",
        brief: "client ports",
        help: "On a server these are the client ports that are answered. FIRST-LAST is understood \
               too; dperf does not look at what is behind the dash.",
        example: "client_port_range 10000 50000",
        reads: Words(arguments::client_ports),
        ..KEYWORD
    },
    Keyword {
        name: "lport_range",
        form: "FIRST [LAST]",
        default: "",
        brief: "old name of client_port_range",
        example: "lport_range 10000 50000",
        alias_of: "client_port_range",
        remark: "is the old name of client_port_range",
        reads: Words(arguments::client_ports),
        ..KEYWORD
    },
    Keyword {
        name: "tos",
        form: "N|0xN",
        default: "0",
        brief: "type of service (IPv4) or traffic class (IPv6) of what is sent",
        example: "tos 0x68",
        reads: Hex(0..=255, |c, n| c.tos = n as u8),
        ..KEYWORD
    },
    Keyword {
        name: "jumbo",
        form: "[MTU]",
        default: "off: 1500; without MTU: 9710",
        brief: "long packets, of up to MTU bytes",
        help: "MTU is 9000 to 9710; the device must be able to send them.",
        example: "jumbo 9000",
        reads: Words(arguments::jumbo),
        ..KEYWORD
    },
    Keyword {
        name: "neigh_ignore",
        brief: "do not announce or answer for the addresses of the load",
        help: "The port's own address still answers ARP and neighbour solicitations.",
        example: "neigh_ignore",
        reads: Flag(|c| c.neigh_ignore = true),
        ..KEYWORD
    },
    Keyword {
        name: "rss",
        form: "[WORD]...",
        repeats: true,
        brief: "a port's workers share its flows by a hash, not by server address",
        help: "A client's worker then opens only connections whose answers the device brings to \
               its queue; where queue i talks to the peer's queue i (memif), workers share the \
               client ports. A PCI device with several workers needs it unless it has as many \
               server addresses. A device that does not tell its choice is asked by a few dozen \
               connections before the run. The words of older dperf versions are ignored with a \
               note.",
        example: "rss",
        reads: Words(arguments::rss),
        ..KEYWORD
    },
    Keyword {
        name: "flow_isolate",
        brief: "the device passes on nothing but the load",
        help: "By rules for the server addresses, on a device of DPDK's that takes them; ARP and \
               everything else is shut out, so every port needs its gateway's MAC.",
        example: "flow_isolate",
        reads: Flag(|c| c.flow_isolate = true),
        ..KEYWORD
    },
    Keyword {
        name: "vlan",
        form: "ID [INNER]",
        brief: "VLAN tag of every frame",
        help: "One id for all ports, priority 0; frames without it are dropped (dperf takes any). \
               The tag comes on top of the MTU. With INNER there are two tags (QinQ, which dperf \
               has not): ID outside (802.1ad, ethertype 0x88a8), INNER inside; their 8 bytes are \
               taken from the MTU. What goes to the kernel has no tag, what comes from it gets it. \
               Over XDP sockets the port's own address is ours behind tags, since the kernel has \
               none there; a network card that takes tags off for them is refused.",
        example: "vlan 100",
        reads: Words(arguments::vlan),
        ..KEYWORD
    },
    Keyword {
        name: "vxlan",
        form: "VNI SMAC DMAC LOCAL LOCALS REMOTE REMOTES",
        repeats: true,
        brief: "a VXLAN tunnel of the port: inner MACs, tunnel ends here and there",
        help: "Frames go from SMAC to DMAC inside of network VNI. The port and the tunnel's ends, \
               LOCAL here and REMOTE there, are IPv4; clients and servers are inside, of either \
               family. Worker q of the port has the q-th end here and, if there is not one only, \
               the q-th there. The 50 bytes around each frame are taken from the MTU (dperf does \
               not count them).",
        example: "vxlan 1 0c:42:a1:9a:a3:e6 bc:97:e1:b6:e8:12 10.0.1.1 1 10.0.2.1 1",
        reads: Words(arguments::vxlan),
        ..KEYWORD
    },
    Keyword {
        name: "exception",
        form: "PATH [NAME]",
        default: "none",
        brief: "the way to the kernel for everything that is not load",
        help: "PATH is `tap` (one interface per port with one queue per worker), `tap-per-core` \
               (one interface per worker), `vhost-net` (as tap, by DPDK and the kernel's vhost; \
               needs /dev/vhost-net) or `none`. NAME is a letter and up to eight more letters and \
               digits, `dperf` if left out; interfaces are called NAMEs0 (server, first port), \
               NAMEc0 (client), and per core NAMEs0.0, NAMEs0.1. They come up with the port's MAC \
               address and MTU; addresses and routes are given with `ip`, by hand or by \
               `--exception-up`: see docs/EXCEPTION.md.",
        example: "exception tap dperf",
        reads: Words(arguments::exception),
        ..KEYWORD
    },
    Keyword {
        name: "kni",
        form: "[NAME]",
        brief: "dperf's word for `exception tap`",
        help: "NAME begins with a letter and has nine characters at most, none of them / : or %; \
               `dperf` if left out.",
        example: "kni dperf",
        alias_of: "exception",
        remark: "is `exception tap` here: one queue to the kernel for each worker, no shared one",
        reads: Words(arguments::kni),
        ..KEYWORD
    },
];

const LOAD: &[Keyword] = &[
    Keyword {
        name: "duration",
        form: "TIME",
        default: "60s",
        brief: "how long the load lasts after the ramp",
        help: "Seconds, or a number with s, m (minutes), h or d: 4.5m is 270 s. Ctrl-C ends it \
               earlier. A server in one process with its clients ends when they do.",
        example: "duration 4.5m",
        reads: Duration(1..=u32::MAX as u64, |c, n| c.duration_s = n as u32),
        ..KEYWORD
    },
    Keyword {
        name: "cps",
        form: "RATE",
        side: Client(Ignored),
        default: "1000 if cc is given",
        brief: "connections opened a second",
        help: "With cc it is the speed at which connections are opened until there are enough. It \
               is met exactly; dperf rounds each worker's share down.",
        example: "cps 2.4m",
        reads: Scaled(0..=u64::MAX, |c, n| c.cps = n),
        ..KEYWORD
    },
    Keyword {
        name: "cc",
        form: "NUMBER",
        side: Client(Ignored),
        default: "no limit",
        brief: "connections open at once",
        help: "Needs keepalive. The request rate of such a load is cc / INTERVAL of keepalive.",
        example: "cc 100m",
        reads: Scaled(1..=u64::MAX, |c, n| c.cc = n),
        ..KEYWORD
    },
    Keyword {
        name: "keepalive",
        form: "INTERVAL [REQUESTS]",
        brief: "connections stay open; a request every INTERVAL",
        help: "INTERVAL has a unit: us, ms or s; 0us sends the next request as soon as the answer \
               is complete. At most a year. A connection ends after REQUESTS requests (dperf sends \
               one more over TCP, and knows no number over UDP); 0 or none: never. Over UDP a \
               datagram goes out in every INTERVAL, answered or not. On a server INTERVAL is added \
               to the 4 retransmit_timeout after which a silent connection is dropped, and \
               REQUESTS is ignored.",
        example: "keepalive 6.25ms 100",
        reads: Words(arguments::keepalive),
        ..KEYWORD
    },
    Keyword {
        name: "launch_num",
        form: "N",
        side: Client(Ignored),
        default: "0: chosen per worker, 4 to 10",
        brief: "connections opened at one instant",
        help: "1 spreads them most evenly.",
        example: "launch_num 1",
        reads: Whole(0..=i32::MAX as u64, |c, n| c.launch_num = n as u32),
        ..KEYWORD
    },
    Keyword {
        name: "slow_start",
        form: "TIME",
        side: Client(Refused),
        default: "30s",
        brief: "length of the ramp from nothing to full rate",
        help: "0 to 600 s; dperf has no less than 10. The ramp comes before duration; its rate \
               rises once a second.",
        example: "slow_start 10",
        reads: Seconds(0..=600, |c, n| c.slow_start_s = n as u32),
        ..KEYWORD
    },
    Keyword {
        name: "wait",
        form: "TIME",
        side: Client(Refused),
        default: "3s, but not more than slow_start",
        brief: "how long nothing is sent at the start of the ramp",
        example: "wait 3",
        reads: Seconds(0..=i32::MAX as u64, |c, n| c.wait_s = n as u32),
        ..KEYWORD
    },
    Keyword {
        name: "flood",
        side: Client(Ignored),
        brief: "send without waiting for answers",
        help: "TCP sends SYN and nothing else, UDP its message. With keepalive every connection \
               sends one in each INTERVAL; without, it sends one and is closed, and may come again \
               at any time. What comes back is counted and not looked at: no handshake is \
               completed, nothing is retransmitted. Workers of a port need no steering then.",
        example: "flood",
        reads: Flag(|c| c.flood = true),
        ..KEYWORD
    },
    Keyword {
        name: "pipeline",
        form: "N",
        side: Client(Refused),
        default: "0",
        brief: "datagrams sent at one instant",
        help: "Needs protocol udp, and keepalive 0us or flood. Every connection begins with N \
               datagrams; with 0us it keeps N under way, and one that is lost is sent again after \
               retransmit_timeout. 0 is 1.",
        example: "pipeline 4",
        reads: Leading(0..=100, |c, n| c.pipeline = n as u8),
        ..KEYWORD
    },
    Keyword {
        name: "client_hop",
        side: Client(Ignored),
        brief: "change client address and port with every connection",
        help: "Server addresses and ports change too, and still every combination comes before one \
               comes again; dperf's hops reach a few of them only. Without it the server changes \
               fastest, the client address last.",
        example: "client_hop",
        reads: Flag(|c| c.client_hop = true),
        ..KEYWORD
    },
    Keyword {
        name: "change_dip",
        form: "ADDRESS STEP COUNT",
        side: Client(Refused),
        repeats: true,
        brief: "destination addresses of a flood: COUNT of them, STEP apart",
        help: "Needs flood. Each packet goes to the next address; all is still sent to the \
               gateway. The addresses are dealt to the workers in turn. At most 65536 in all.",
        example: "change_dip 10.0.3.1 1 1000",
        reads: Words(arguments::change_dip),
        ..KEYWORD
    },
];

const MESSAGES: &[Keyword] = &[
    Keyword {
        name: "protocol",
        form: "tcp|udp|http",
        default: "tcp",
        brief: "what connections carry",
        help: "tcp on a server takes every data segment for a whole request; http follows requests \
               to their end and counts them. udp: a message is one datagram; a server answers \
               every datagram of its clients with one and keeps nothing of it.",
        example: "protocol http",
        reads: Choice(&["tcp", "udp", "http"], |c, n| {
            c.protocol = [Protocol::Tcp, Protocol::Udp, Protocol::Http][n];
        }),
        ..KEYWORD
    },
    Keyword {
        name: "payload_size",
        form: "BYTES [BYTES]...",
        default: "0: the default message, 85 bytes of request, 99 of response",
        brief: "length of what we send: requests (client) or responses (server)",
        help: "Headers count. 1 to 84 bytes are no HTTP but filler. A client's message fits one \
               segment; a server's may be of any length up to 1 GiB and is sent exactly (dperf \
               rounds up to whole segments). A server may have several sizes, one for each core. \
               Over UDP any size is filler, fits one packet, and 0 is an empty datagram.",
        example: "payload_size 1400",
        reads: Words(arguments::payload_size),
        ..KEYWORD
    },
    Keyword {
        name: "payload_file",
        form: "PATH",
        brief: "a file that is the message, byte for byte",
        help: "It fits one segment. Cannot be combined with payload_size. A relative path \
               starts at the current directory, or else beside the configuration.",
        example: "payload_file request.txt",
        reads: Words(arguments::payload_file),
        ..KEYWORD
    },
    Keyword {
        name: "payload_random",
        brief: "filler of random letters instead of 'a'",
        help: "Chosen once from the seed: every message has the same bytes, and is kept in memory \
               as a whole.",
        example: "payload_random",
        reads: Flag(|c| c.payload_random = true),
        ..KEYWORD
    },
    Keyword {
        name: "packet_size",
        form: "BYTES",
        repeats: true,
        default: "",
        brief: "ignored; use payload_size",
        example: "packet_size 64",
        remark: "is ignored, as in dperf; use payload_size",
        reads: Nothing,
        ..KEYWORD
    },
    Keyword {
        name: "http_host",
        form: "HOST",
        side: Client(Refused),
        default: "dperf",
        brief: "the Host header field of requests",
        help: "Needs protocol http. At most 127 characters.",
        example: "http_host www.example.org",
        reads: Words(arguments::http_host),
        ..KEYWORD
    },
    Keyword {
        name: "http_path",
        form: "PATH",
        side: Client(Refused),
        default: "/",
        brief: "what requests ask for",
        help: "Needs protocol http. Begins with a slash; at most 255 characters.",
        example: "http_path /index.html",
        reads: Words(arguments::http_path),
        ..KEYWORD
    },
    Keyword {
        name: "http_method",
        form: "GET|POST",
        side: Client(Ignored),
        default: "GET",
        brief: "the method of requests",
        help: "A POST carries a body of what payload_size leaves beside the header, none by \
               default.",
        example: "http_method POST",
        reads: Choice(&["GET", "POST"], |c, n| c.http_post = n == 1),
        ..KEYWORD
    },
];

const TCP: &[Keyword] = &[
    Keyword {
        name: "mss",
        form: "BYTES",
        default: "the most that fits the MTU: 1460 (IPv4), 1440 (IPv6)",
        brief: "largest segment, in bytes of payload",
        help: "Announced in SYN, and kept by ourselves.",
        example: "mss 1400",
        reads: Whole(1..=u16::MAX as u64, |c, n| c.mss = n as u16),
        ..KEYWORD
    },
    Keyword {
        name: "send_window",
        form: "SEGMENTS",
        side: Server(Ignored),
        default: "4",
        brief: "segments of one response in flight at most",
        help: "Matters when a response is longer than one segment. dperf allows 2 to 16.",
        example: "send_window 16",
        reads: Scaled(1..=255, |c, n| c.send_window = n as u16),
        ..KEYWORD
    },
    Keyword {
        name: "retransmit_timeout",
        form: "SECONDS",
        default: "2",
        brief: "first retransmission time-out",
        help: "1 to 300 s; it doubles with each of the 3 retransmissions (dperf's stays the same). \
               An answer that does not come within 4 of them, plus the keepalive interval, is an \
               error. Over UDP it is how long an answer is waited for; nothing is sent again.",
        example: "retransmit_timeout 3",
        reads: Leading(1..=300, |c, n| c.retransmit_timeout_s = n as u32),
        ..KEYWORD
    },
    Keyword {
        name: "tcp_rst",
        form: "0|1",
        default: "1",
        brief: "answer segments without a connection with RST",
        help: "Only those to our own addresses; a RST is never answered.",
        example: "tcp_rst 0",
        reads: Leading(0..=1, |c, n| c.tcp_rst = n == 1),
        ..KEYWORD
    },
    Keyword {
        name: "fast_close",
        side: Client(Refused),
        brief: "close connections with RST instead of FIN",
        example: "fast_close",
        reads: Flag(|c| c.fast_close = true),
        ..KEYWORD
    },
    Keyword {
        name: "disable_ack",
        side: Client(Ignored),
        brief: "no ACK that only keeps a server from retransmitting",
        help: "On kept connections an answer is acknowledged by the next request alone, however \
               far away that is: the server may send it again meanwhile. Without it, an answer is \
               acknowledged at once if the next request is more than 20 ms away.",
        example: "disable_ack",
        reads: Flag(|c| c.disable_ack = true),
        ..KEYWORD
    },
];

const MACHINE: &[Keyword] = &[
    Keyword {
        name: "tx_burst",
        form: "FRAMES",
        default: "64",
        brief: "frames that a worker hands to its port at once, at most",
        help: "1 to 1024. A turn of a worker writes 64 frames at most, so more than that is 64. In \
               dperf frames wait until so many are there, or for a tick; nothing waits here: each \
               turn ends with all that it wrote, in bursts of this size.",
        example: "tx_burst 32",
        reads: Whole(1..=1024, |c, n| c.tx_burst = n as u16),
        ..KEYWORD
    },
    Keyword {
        name: "socket_mem",
        form: "MEGABYTES[,MEGABYTES]...",
        default: "DPDK's",
        brief: "DPDK memory of each NUMA node",
        help: "Also lets several processes run side by side.",
        example: "socket_mem 4096,0",
        reads: Words(arguments::socket_mem),
        ..KEYWORD
    },
    Keyword {
        name: "simd512",
        brief: "DPDK drivers may use 512-bit vectors",
        example: "simd512",
        reads: Flag(|c| c.simd512 = true),
        ..KEYWORD
    },
    Keyword {
        name: "eal",
        form: "ARGUMENT...",
        repeats: true,
        default: "none",
        brief: "further arguments for DPDK's EAL",
        help: "Handed on as they are. dperf has no such keyword.",
        example: "eal --no-huge -m 512",
        reads: Words(arguments::eal),
        ..KEYWORD
    },
];

const OUTPUT: &[Keyword] = &[
    Keyword {
        name: "log_level",
        form: "error|warn|info|debug",
        default: "error",
        brief: "what DPDK says",
        example: "log_level info",
        reads: Choice(&["error", "warn", "info", "debug"], |c, n| {
            c.dpdk_log_level = [4, 5, 7, 8][n];
        }),
        ..KEYWORD
    },
    Keyword {
        name: "quiet",
        brief: "no output each second; the total is still printed",
        example: "quiet",
        reads: Flag(|c| c.quiet = true),
        ..KEYWORD
    },
    Keyword {
        name: "clear_screen",
        brief: "clear the screen before each output",
        help: "On a terminal only.",
        example: "clear_screen",
        reads: Flag(|c| c.clear_screen = true),
        ..KEYWORD
    },
    Keyword {
        name: "per_worker",
        brief: "a line for each worker and each port in each output",
        help: "Also `--per-worker`; records have them always. dperf has no such keyword.",
        example: "per_worker",
        reads: Flag(|c| c.per_worker = true),
        ..KEYWORD
    },
    Keyword {
        name: "daemon",
        form: "[WORD]...",
        brief: "run in the background, with the output in a log file",
        help: "Appends to /var/log/dperf/dperf-ctl-client.log or dperf-ctl-server.log; the folder \
               must be there (DPERF_SHELL_LOG_DIR in the environment names another). SIGTERM or \
               SIGINT ends the run in order, with totals in the log. As in dperf, words behind it \
               do not count.",
        example: "daemon",
        reads: Words(arguments::daemon),
        ..KEYWORD
    },
];

/// Every keyword.
pub(super) fn all() -> impl Iterator<Item = &'static Keyword> {
    GROUPS.iter().flat_map(|group| group.keywords)
}

/// The keyword of that name.
pub(super) fn find(name: &str) -> Option<&'static Keyword> {
    all().find(|keyword| keyword.name == name)
}

impl Keyword {
    /// How many arguments there are: at least, and at most.
    pub(super) fn argument_counts(&self) -> (usize, usize) {
        let words: Vec<&str> = self.form.split_whitespace().collect();
        let least = words.iter().filter(|word| !word.starts_with('[')).count();
        let endless = words.last().is_some_and(|word| word.ends_with("...") && !word.contains(','));
        (least, if endless { usize::MAX } else { words.len() })
    }
}

impl Reads {
    /// Reads `arguments`, whose number is right, into `config`.
    pub(super) fn read(
        &self,
        config: &mut Config,
        first: &Word,
        arguments: &[Word],
    ) -> Result<(), ConfigError> {
        let only = arguments.first().unwrap_or(first);
        match self {
            Nothing => {}
            Flag(set) => set(config),
            Leading(range, set) => {
                let value =
                    only.read_leniently(&mut config.remarks, |text| leading(text, range))?;
                set(config, value);
            }
            Whole(range, set) => set(config, only.read(|text| whole(text, range))?),
            Hex(range, set) => {
                let read = |text: &str| hexadecimal(text, range);
                let value = only.read_leniently(&mut config.remarks, read)?;
                set(config, value);
            }
            Scaled(range, set) => {
                let value = only.read_leniently(&mut config.remarks, |text| scaled(text, range))?;
                set(config, value);
            }
            Duration(range, set) => {
                let value =
                    only.read_leniently(&mut config.remarks, |text| duration(text, range))?;
                set(config, value);
            }
            Seconds(range, set) => set(config, only.read(|text| seconds(text, range))?),
            Choice(words, set) => set(config, only.read(|text| choice(text, words))?),
            Words(read) => read(config, first, arguments)?,
        }
        Ok(())
    }
}

fn choice(text: &str, words: &[&str]) -> Result<usize, Complaint> {
    words.iter().position(|word| *word == text).ok_or_else(|| {
        let near = words.iter().find(|word| word.eq_ignore_ascii_case(text));
        let hint = near.map_or(String::new(), |word| format!("write {word}"));
        Complaint::new(format!("'{text}' is none of {}", words.join(", ")), hint)
    })
}
