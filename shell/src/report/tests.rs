//! The block is dperf's, letter by letter; what it lacks comes behind.

use std::sync::OnceLock;

use dperf_core::plan::Messages;
use dperf_core::stats::{Count, Page, Snapshot};
use dperf_core::sync::Control;
use dperf_core::time::{Instant, TickRate};

use super::sample::{Sample, Span};
use super::{block, details, reasons, record};
use crate::config::{Protocol, Source, read};
use crate::role::{RoleRun, Who};

const CLIENT: &str = "cpu 0-1\nport link:a 10.0.1.1 10.0.2.1\nclient 10.0.1.1 10\n\
                      server 10.0.2.1 1\nrss\n";

/// The row of connections up to its last number, with the numbers of [`page`] 1 and 2.
const CONNECTIONS: &str = "skOpen  4,500              skClose  1,500              \
                           skCon    3,000              skErr   ";

fn role(lines: &str) -> RoleRun {
    let bytes = format!("{CLIENT}{lines}\n").into_bytes();
    let read = read(&[Source { name: "t.conf".to_owned(), bytes }]).unwrap();
    static CONTROL: OnceLock<Control> = OnceLock::new();
    let mut role = RoleRun::new(read, Vec::new(), CONTROL.get_or_init(Control::default));
    for queue in 0..2 {
        role.workers.push(Who { name: format!("client-0.{queue}"), cpu: queue, port: 0 });
    }
    role
}

/// A page on which every counter counted: the n-th `factor` x 7 x 10^(n modulo 13).
fn page(factor: u64) -> Snapshot {
    let mut page = Page::new();
    let (mut writer, reader) = page.open();
    for (place, count) in Count::ALL.iter().enumerate() {
        writer.add(*count, factor * 7 * 10u64.pow(place as u32 % 13));
    }
    writer.set(Count::SkOpen, factor * 1500);
    writer.set(Count::SkClose, factor * 500);
    writer.set(Count::BusyTicks, factor * 12);
    writer.set(Count::RttCount, 10);
    writer.set(Count::RttUnits, 12_345_670);
    reader.snapshot()
}

fn sample<'a>(role: &'a RoleRun, pages: &[Snapshot]) -> Sample<'a> {
    let rate = TickRate::new(1_000_000);
    let (start, now) = (Instant(0), Instant(100));
    Sample::new(role, false, &[], pages, Span { start, since: start, now, rate })
}

/// A row as C writes dperf's: `%v` a number in 18 columns, `%w` in 10, names of counters in order.
fn row(format: &str, counts: &Snapshot, names: &[Count]) -> String {
    let mut names = names.iter();
    let mut text = String::new();
    let mut pieces = format.split('%');
    text += pieces.next().unwrap();
    for piece in pieces {
        let number = super::grouped(counts.get(*names.next().unwrap()));
        let width = if piece.starts_with('v') { 18 } else { 10 };
        text += &format!("{number:<width$}{}", &piece[1..]);
    }
    assert_eq!(names.next(), None);
    text + "\n"
}

/// dperf's rows of packets, which every block begins with.
fn packets(counts: &Snapshot, with_kernel: bool) -> String {
    use Count::{
        ArpRx, ArpTx, BadRx, BitsRx, BitsTx, DropTx, IcmpRx, IcmpTx, KniErrors, KniFull, KniRx,
        KniTx, OtherRx, PktRx, PktTx, TcpRx, TcpTx, TosRx, UdpRx, UdpTx,
    };
    let kernel = row(
        "kniRx   %v kniTx    %v kniFull  %v kniErr  %v",
        counts,
        &[KniRx, KniTx, KniFull, KniErrors],
    );
    let rows = [
        row(
            "pktRx   %v pktTx    %v bitsRx   %v bitsTx  %v dropTx  %v",
            counts,
            &[PktRx, PktTx, BitsRx, BitsTx, DropTx],
        ),
        if with_kernel { kernel } else { String::new() },
        row("tcpRx   %v tcpTx    %v udpRx    %v udpTx   %v", counts, &[TcpRx, TcpTx, UdpRx, UdpTx]),
        row(
            "arpRx   %v arpTx    %v icmpRx   %v icmpTx  %v",
            counts,
            &[ArpRx, ArpTx, IcmpRx, IcmpTx],
        ),
        row("tosRx   %v otherRx  %v badRx    %v", counts, &[TosRx, OtherRx, BadRx]),
    ];
    rows.concat()
}

fn segments(counts: &Snapshot) -> String {
    use Count::{
        AckDup, AckRt, FinRt, FinRx, FinTx, PushRt, RstRx, RstTx, SynRt, SynRx, SynTx, TcpDrop,
        UdpDrop,
    };
    let rows = [
        row(
            "synRx   %v synTx    %v finRx    %v finTx   %v rstRx   %w rstTx %w",
            counts,
            &[SynRx, SynTx, FinRx, FinTx, RstRx, RstTx],
        ),
        row(
            "synRt   %v finRt    %v ackRt    %v pushRt  %v",
            counts,
            &[SynRt, FinRt, AckRt, PushRt],
        ),
        row("tcpDrop %v udpDrop  %v ackDup   %v", counts, &[TcpDrop, UdpDrop, AckDup]),
    ];
    rows.concat()
}

fn device(counts: &Snapshot) -> String {
    use Count::{Ierrors, Imissed, Oerrors, RxNombuf};
    row(
        "ierrors %v oerrors  %v imissed  %v rxNombuf %v",
        counts,
        &[Ierrors, Oerrors, Imissed, RxNombuf],
    )
}

#[test]
fn a_block_of_http_is_dperfs() {
    let role = role("cps 1k");
    let sample = sample(&role, &[page(1), page(2)]);
    let counts = &sample.counts;
    use Count::{Http2xx, HttpErr, HttpGet, HttpPost};
    let expected = [
        "\nseconds 0                  cpuUsage 12  24  \n".to_owned(),
        packets(counts, false),
        segments(counts),
        // 24,691,340 us / 20 handshakes, cut off behind the first decimal.
        CONNECTIONS.to_owned(),
        row("%v rtt(us) 1,234,567.0", counts, &[Count::SkErr]),
        row(
            "httpGet %v httpPost %v http2XX  %v httpErr %v",
            counts,
            &[HttpGet, HttpPost, Http2xx, HttpErr],
        ),
        device(counts),
        "\n".to_owned(),
    ];
    assert_eq!(block::interval(&sample, false, ""), expected.concat());
}

#[test]
fn blocks_of_other_messages_are_dperfs() {
    let mut kept = role("cps 1k\nkeepalive 1ms\nkni");
    kept.messages = Messages::Raw;
    let sampled = sample(&kept, &[page(1), page(2)]);
    let counts = &sampled.counts;
    let connections = CONNECTIONS;
    let expected = [
        packets(counts, true),
        segments(counts),
        connections.to_owned() + &row("%v", counts, &[Count::SkErr]),
        row("tcpReq  %v tcpRsp   %v", counts, &[Count::TcpReq, Count::TcpRsp]),
        device(counts),
    ];
    let text = block::interval(&sampled, false, "");
    let (_, rows) = text.trim_start().split_once('\n').unwrap();
    assert_eq!(rows, expected.concat() + "\n");
    kept.read.config.protocol = Protocol::Udp;
    kept.read.config.exception = None;
    let sampled = sample(&kept, &[page(1), page(2)]);
    let expected = [
        packets(counts, false),
        row(
            "udpRt   %v udpDrop  %v tcpDrop  %v",
            counts,
            &[Count::UdpRt, Count::UdpDrop, Count::TcpDrop],
        ),
        connections.to_owned() + &row("%v", counts, &[Count::SkErr]),
        device(counts),
    ];
    let text = block::interval(&sampled, false, "");
    let (_, rows) = text.trim_start().split_once('\n').unwrap();
    assert_eq!(rows, expected.concat() + "\n");
}

#[test]
fn the_last_block_has_dperfs_frame() {
    let role = role("cps 1k");
    let sample = sample(&role, &[page(1)]);
    let text = block::last(&sample, false, "");
    let version = env!("CARGO_PKG_VERSION");
    let bar = "-----------------------\n";
    let head = format!(
        "\n{bar}dperf-shell Test Finished\nVersion: {version}\nLicense: Apache-2.0\n\
         Role:    client, after 0 s\n{bar}\nTotal Numbers:\npktRx   "
    );
    assert!(text.starts_with(&head), "{text}");
    let end = device(&sample.counts) + "\n-----------------------\n";
    assert!(text.ends_with(&end), "{text}");
}

/// Whoever asks why finds it below the totals, and nothing where nothing went wrong.
#[test]
fn reasons_are_told_as_far_as_they_counted() {
    let role = role("cps 1k");
    let mut page = Page::new();
    let (mut writer, reader) = page.open();
    for (count, n) in [
        (Count::SkErr, 3000),
        (Count::SkErrReset, 3000),
        (Count::DropTx, 4),
        (Count::DropNoConnection, 5),
        (Count::Deferred, 7),
    ] {
        writer.add(count, n);
    }
    let told = reasons::line(&sample(&role, &[reader.snapshot()]));
    assert_eq!(told, "reasons: skErrReset 3,000, deferred 7, dropNoConnection 5\n");
    assert_eq!(reasons::line(&sample(&role, &[Snapshot::default()])), "");
}

/// dperf loses what is above 10^15.
#[test]
fn long_numbers_are_whole() {
    let role = role("cps 1k");
    let mut page = Page::new();
    let (mut writer, reader) = page.open();
    writer.add(Count::BitsRx, 12_345_678_901_234_567_890);
    let text = block::last(&sample(&role, &[reader.snapshot()]), false, "");
    assert!(text.contains(" bitsRx   12,345,678,901,234,567,890 bitsTx  0"), "{text}");
}

#[test]
fn faults_are_red_and_stay_in_their_columns() {
    let role = role("cps 1k");
    let sample = sample(&role, &[page(1)]);
    let plain = block::interval(&sample, false, "");
    let red = block::interval(&sample, true, "");
    assert!(red.contains("\x1b[41;37m"));
    assert_eq!(red.replace("\x1b[41;37m", "").replace("\x1b[0m", ""), plain);
    assert!(!red.contains(" \x1b[0m"), "blanks are not red");
}

#[test]
fn every_worker_and_port_has_its_own_line_and_record() {
    let role = role("cps 1k\nper_worker");
    let sample = sample(&role, &[page(1), page(2)]);
    let table = details::table(&sample);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 4, "{table}");
    let first = |line: &str| line.split_whitespace().take(3).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(first(lines[0]), ["worker", "cpu", "cpuUsage"]);
    assert_eq!(first(lines[1]), ["client-0.0", "0", "12"]);
    assert_eq!(first(lines[2]), ["client-0.1", "1", "24"]);
    assert_eq!(first(lines[3]), ["port", "0", "link:a"]);
    assert!(lines[3].ends_with(" 3,000"), "{table}");
    let record = record::interval(&sample);
    let of = |part: &str, index: usize, name: &str| record[part][index][name].as_u64().unwrap();
    for name in ["pktRx", "skOpen", "imissed", "skCon"] {
        let sum = of("workers", 0, name) + of("workers", 1, name);
        assert_eq!(record[name].as_u64(), Some(sum), "{name}");
        assert_eq!(of("ports", 0, name), sum, "{name}");
    }
    assert_eq!(record["cpuUsage"], serde_json::json!([12, 24]));
    assert_eq!(record["workers"][1]["name"], "client-0.1");
}

#[test]
fn numbers_are_grouped_by_thousands() {
    for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (12_345_678, "12,345,678")] {
        assert_eq!(super::grouped(number), text);
    }
    assert_eq!(super::grouped(u64::MAX), "18,446,744,073,709,551,615");
}
