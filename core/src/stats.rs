//! Counters: one writer (the core that owns them), any number of readers, never reset.
//!
//! A [`Page`] is a row of 64-bit words. [`Page::open`] splits it into the only [`Writer`] there can
//! be and a [`Reader`] that anybody may copy. Adding is a plain load and store: no lock prefix,
//! since nobody else writes. Readers show differences, so nothing is ever set back to zero.
//!
//! ```
//! # use dperf_core::stats::Page;
//! let mut page = Page::new();
//! let (first, _) = page.open();
//! drop(first);
//! ```
//! ```compile_fail,E0499
//! # use dperf_core::stats::Page;
//! let mut page = Page::new();
//! let (first, _) = page.open();
//! let (second, _) = page.open(); // a second pen for the same page
//! drop(first);
//! ```
//! The pen moves to its core, and is neither copied nor used from two:
//! ```
//! fn pen(writer: dperf_core::stats::Writer<'static>) {
//!     fn needs_send<T: Send>(_: T) {}
//!     needs_send(writer);
//! }
//! ```
//! ```compile_fail,E0599
//! fn pen(writer: dperf_core::stats::Writer<'static>) {
//!     fn needs_send<T: Send>(_: T) {}
//!     needs_send(writer.clone());
//! }
//! ```
//! ```compile_fail,E0277
//! fn pen(writer: dperf_core::stats::Writer<'static>) {
//!     fn needs_send<T: Send>(_: T) {}
//!     needs_send(&writer);
//! }
//! ```

use core::marker::PhantomData;

use crate::sync::atomic::{AtomicU64, Relaxed};

macro_rules! counters {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What is counted. The names are dperf's where dperf counts the same thing.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(usize)]
        pub enum Count { $($(#[$doc])* $variant,)* }

        impl Count {
            /// Every counter, in the order of the page.
            pub const ALL: &[Count] = &[$(Count::$variant,)*];

            /// The counter's name in reports and in JSON.
            pub const fn name(self) -> &'static str {
                match self { $(Count::$variant => $name,)* }
            }
        }
    };
}

counters! {
    /// Frames received, before any check.
    PktRx = "pktRx",
    /// Frames handed to the device.
    PktTx = "pktTx",
    /// Bits received: 8 x frame length without FCS.
    BitsRx = "bitsRx",
    /// Bits sent: 8 x frame length without FCS.
    BitsTx = "bitsTx",
    /// Frames given up because the device took nothing for too long.
    DropTx = "dropTx",
    /// TCP segments for one of our addresses.
    TcpRx = "tcpRx",
    /// TCP segments sent.
    TcpTx = "tcpTx",
    /// UDP datagrams for one of our addresses.
    UdpRx = "udpRx",
    /// UDP datagrams sent.
    UdpTx = "udpTx",
    /// ARP packets received.
    ArpRx = "arpRx",
    /// ARP packets sent.
    ArpTx = "arpTx",
    /// ICMP and ICMPv6 messages received.
    IcmpRx = "icmpRx",
    /// ICMP and ICMPv6 messages sent.
    IcmpTx = "icmpTx",
    /// Packets that carry the configured type of service (0: not counted).
    TosRx = "tosRx",
    /// Packets of a protocol nobody here speaks.
    OtherRx = "otherRx",
    /// Malformed packets (the sum of the drop reasons that say so).
    BadRx = "badRx",
    /// SYN segments received for a known tuple.
    SynRx = "synRx",
    /// SYN segments sent, retransmissions included.
    SynTx = "synTx",
    /// FIN segments received for a known tuple.
    FinRx = "finRx",
    /// FIN segments sent, retransmissions included.
    FinTx = "finTx",
    /// RST segments received for a known tuple.
    RstRx = "rstRx",
    /// RST segments sent.
    RstTx = "rstTx",
    /// SYN retransmissions.
    SynRt = "synRt",
    /// FIN retransmissions.
    FinRt = "finRt",
    /// ACKs repeated because the peer repeated itself.
    AckRt = "ackRt",
    /// Data retransmissions.
    PushRt = "pushRt",
    /// TCP segments dropped: no connection, or not acceptable.
    TcpDrop = "tcpDrop",
    /// UDP datagrams dropped.
    UdpDrop = "udpDrop",
    /// Duplicate ACKs received.
    AckDup = "ackDup",
    /// UDP requests without an answer in time.
    UdpRt = "udpRt",
    /// Connections opened.
    SkOpen = "skOpen",
    /// Connections closed, for whatever reason.
    SkClose = "skClose",
    /// Connections that failed (the sum of the four kinds below).
    SkErr = "skErr",
    /// Failed: retransmissions exhausted.
    SkErrTimeout = "skErrTimeout",
    /// Failed: no answer to a delivered request in time.
    SkErrResponse = "skErrResponse",
    /// Failed: reset by the peer before the exchange was complete.
    SkErrReset = "skErrReset",
    /// Failed: a server connection on which nothing happened for too long.
    SkErrIdle = "skErrIdle",
    /// GET requests sent (client) or received (server).
    HttpGet = "httpGet",
    /// POST requests sent (client) or received (server).
    HttpPost = "httpPost",
    /// Responses of class 2xx received (client) or sent (server).
    Http2xx = "http2XX",
    /// Responses of another class, and messages that break HTTP.
    HttpErr = "httpErr",
    /// Raw (not HTTP) requests.
    TcpReq = "tcpReq",
    /// Raw (not HTTP) responses.
    TcpRsp = "tcpRsp",
    /// Handshakes (UDP: answers) timed.
    RttCount = "rttCount",
    /// Sum of those times, in the finest stamp units of the clock.
    RttUnits = "rttUnits",
    /// Turns in which due opens were put off, because no tuple was free or the device was full.
    Deferred = "deferred",
    /// Challenge ACKs sent (RFC 5961).
    ChallengeAck = "challengeAck",
    /// Frames lost by a full receive ring, as the device tells.
    Imissed = "imissed",
    /// Frames received with an error, as the device tells.
    Ierrors = "ierrors",
    /// Frames not sent, as the device tells.
    Oerrors = "oerrors",
    /// Frames lost because no receive buffer was free, as the device tells.
    RxNombuf = "rxNombuf",
    /// Packets handed to the kernel.
    KniRx = "kniRx",
    /// Packets from the kernel, sent for it.
    KniTx = "kniTx",
    /// Packets for the kernel that were dropped because it took none for too long.
    KniFull = "kniFull",
    /// Packets that the kernel refused, and such of its own as are longer than the port's frames.
    KniErrors = "kniErrors",
    /// Ticks spent in turns that moved something.
    BusyTicks = "busyTicks",
    /// Turns of the worker's loop.
    Turns = "turns",
    /// Turns that moved nothing.
    IdleTurns = "idleTurns",
    /// Dropped: a frame too short for the headers it announces.
    DropTruncated = "dropTruncated",
    /// Dropped: IP version and ethertype disagree.
    DropVersion = "dropVersion",
    /// Dropped: a header length field that lies.
    DropHeaderLength = "dropHeaderLength",
    /// Dropped: a total length field that lies.
    DropTotalLength = "dropTotalLength",
    /// Dropped: a loop or a bad length in TCP options.
    DropOptions = "dropOptions",
    /// Dropped: an IP fragment.
    DropFragment = "dropFragment",
    /// Dropped: IPv6 extension headers, too long, too many or leading on to somebody else.
    DropExtension = "dropExtension",
    /// Dropped: a wrong checksum.
    DropChecksum = "dropChecksum",
    /// Dropped: another field with a value that is not allowed.
    DropValue = "dropValue",
    /// Dropped: a frame without our VLAN tags.
    DropVlan = "dropVlan",
    /// Dropped: a VXLAN packet of a network that is not ours, or before the gateway is known.
    DropVxlan = "dropVxlan",
    /// Dropped: a destination MAC address that is not ours.
    DropForeignMac = "dropForeignMac",
    /// Dropped: a destination IP address that is not ours.
    DropForeignAddress = "dropForeignAddress",
    /// Dropped: a TCP segment to our address without a connection.
    DropNoConnection = "dropNoConnection",
    /// Dropped: a segment or datagram of another worker's connection, brought to a queue other than
    /// the one that the device's hash names.
    DropWrongQueue = "dropWrongQueue",
    /// Dropped: a TCP flag combination that no state allows.
    DropFlags = "dropFlags",
    /// Dropped: sequence numbers outside the window.
    DropSequence = "dropSequence",
    /// Dropped: data behind a hole, asked for again with a duplicate ACK.
    DropOutOfOrder = "dropOutOfOrder",
    /// Dropped: an answer to a flood, which hears nothing.
    DropFlood = "dropFlood",
}

/// Counters on a page.
pub const COUNTERS: usize = Count::ALL.len();

/// One core's counters. Two cache lines of alignment keep the adjacent-line prefetcher quiet.
#[derive(Debug)]
#[repr(align(128))]
pub struct Page([AtomicU64; COUNTERS]);

impl Default for Page {
    fn default() -> Self {
        Page::new()
    }
}

impl Page {
    /// A page of zeros.
    pub fn new() -> Page {
        Page(core::array::from_fn(|_| AtomicU64::new(0)))
    }

    /// The one pen and a glass. The exclusive borrow makes a second pen impossible.
    pub fn open(&mut self) -> (Writer<'_>, Reader<'_>) {
        let page = &*self;
        (Writer { page, own: PhantomData }, Reader(page))
    }
}

/// The pen of one page; it exists once.
#[derive(Debug)]
pub struct Writer<'a> {
    page: &'a Page,
    /// Not `Sync`: two threads may not hold one pen by reference.
    own: PhantomData<core::cell::Cell<()>>,
}

impl Writer<'_> {
    /// Adds `n` to `count`.
    #[inline(always)]
    pub fn add(&mut self, count: Count, n: u64) {
        let word = &self.page.0[count as usize];
        word.store(word.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Adds one to `count`.
    #[inline(always)]
    pub fn inc(&mut self, count: Count) {
        self.add(count, 1);
    }

    /// Writes a total that somebody else counts (a device's own counters).
    pub fn set(&mut self, count: Count, total: u64) {
        self.page.0[count as usize].store(total, Relaxed);
    }

    /// What `count` stands at.
    #[inline]
    pub fn get(&self, count: Count) -> u64 {
        self.page.0[count as usize].load(Relaxed)
    }
}

/// The glass over a page.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a Page);

impl Reader<'_> {
    /// What `count` stands at.
    pub fn get(&self, count: Count) -> u64 {
        self.0.0[count as usize].load(Relaxed)
    }

    /// All counters now. Each is exact; together they are not one instant while the writer runs.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(core::array::from_fn(|index| self.0.0[index].load(Relaxed)))
    }
}

/// Values of all counters, of one page or summed over several.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Snapshot([u64; COUNTERS]);

impl Default for Snapshot {
    fn default() -> Self {
        Snapshot([0; COUNTERS])
    }
}

impl Snapshot {
    /// The value of one counter.
    pub fn get(&self, count: Count) -> u64 {
        self.0[count as usize]
    }

    /// Connections open: opened less closed.
    pub fn open_connections(&self) -> u64 {
        // They are not read at one moment: one may close that was opened in between.
        self.get(Count::SkOpen).saturating_sub(self.get(Count::SkClose))
    }

    /// `self` and `other` together.
    #[must_use]
    pub fn plus(&self, other: &Snapshot) -> Snapshot {
        Snapshot(core::array::from_fn(|index| self.0[index].wrapping_add(other.0[index])))
    }

    /// What has come since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Snapshot) -> Snapshot {
        Snapshot(core::array::from_fn(|index| self.0[index].wrapping_sub(earlier.0[index])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_in_page_order() {
        for (index, count) in Count::ALL.iter().enumerate() {
            assert_eq!(*count as usize, index);
            assert!(Count::ALL[index + 1..].iter().all(|other| other.name() != count.name()));
        }
    }

    #[test]
    fn readers_show_differences() {
        let mut page = Page::new();
        let (mut pen, glass) = page.open();
        pen.inc(Count::SkOpen);
        let before = glass.snapshot();
        pen.add(Count::SkOpen, 4);
        pen.inc(Count::SkClose);
        let now = glass.snapshot();
        assert_eq!(now.since(&before).get(Count::SkOpen), 4);
        assert_eq!((now.open_connections(), now.plus(&before).get(Count::SkOpen)), (4, 6));
    }
}
