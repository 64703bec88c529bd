//! dperf's block of counters, to the column: scripts scrape it.

use std::fmt::Write;

use dperf_core::plan::{Messages, Role};
use dperf_core::stats::Count;

use crate::config::Protocol;

use super::{Sample, grouped};

/// White on red.
const ALARM: (&str, &str) = ("\x1b[41;37m", "\x1b[0m");

/// One cell: a label in its column and what stands behind it.
enum Cell {
    /// A number.
    Value(&'static str, u64),
    /// A number that should be zero.
    Fault(&'static str, u64),
    /// A number that should be zero, in a narrow column.
    Narrow(&'static str, u64),
    /// Any text, in a narrow column.
    Text(&'static str, String),
}

/// The block of one second; `details` stand before its end.
pub(super) fn interval(sample: &Sample<'_>, color: bool, details: &str) -> String {
    let mut text = format!("\nseconds {:<18} cpuUsage ", sample.second);
    for worker in &sample.workers {
        // Writing into a String cannot fail.
        let _ = write!(text, "{:<4}", worker.cpu_usage);
    }
    // dperf has one role in a process.
    if sample.among_others {
        text.push_str(sample.role.name());
    }
    text.push('\n');
    text + &counters(sample, color) + details + "\n"
}

/// The block of the whole run.
pub(super) fn last(sample: &Sample<'_>, color: bool, details: &str) -> String {
    const BAR: &str = "-----------------------\n";
    format!(
        "\n{BAR}dperf-shell Test Finished\nVersion: {}\nLicense: Apache-2.0\nRole:    {}, after {} \
         s\n{BAR}\nTotal Numbers:\n{}{details}\n{BAR}",
        env!("CARGO_PKG_VERSION"),
        sample.role.name(),
        sample.second,
        counters(sample, color)
    )
}

fn counters(sample: &Sample<'_>, color: bool) -> String {
    rows(sample).into_iter().map(|row| line(&row, color)).collect()
}

/// The rows in dperf's order.
fn rows(sample: &Sample<'_>) -> Vec<Vec<Cell>> {
    let udp = sample.role.config().protocol == Protocol::Udp;
    let mut rows = packets(sample);
    rows.extend(if udp { datagrams(sample) } else { segments(sample) });
    rows.push(connections(sample));
    rows.extend(messages(sample, udp));
    rows.push(device(sample));
    rows
}

fn packets(sample: &Sample<'_>) -> Vec<Vec<Cell>> {
    use Cell::{Fault, Value};
    let n = |count| sample.counts.get(count);
    let mut rows = vec![
        vec![
            Value("pktRx   ", n(Count::PktRx)),
            Value("pktTx    ", n(Count::PktTx)),
            Value("bitsRx   ", n(Count::BitsRx)),
            Value("bitsTx  ", n(Count::BitsTx)),
            Fault("dropTx  ", n(Count::DropTx)),
        ],
        vec![
            Value("tcpRx   ", n(Count::TcpRx)),
            Value("tcpTx    ", n(Count::TcpTx)),
            Value("udpRx    ", n(Count::UdpRx)),
            Value("udpTx   ", n(Count::UdpTx)),
        ],
        vec![
            Value("arpRx   ", n(Count::ArpRx)),
            Value("arpTx    ", n(Count::ArpTx)),
            Value("icmpRx   ", n(Count::IcmpRx)),
            Value("icmpTx  ", n(Count::IcmpTx)),
        ],
        vec![
            Value("tosRx   ", n(Count::TosRx)),
            Value("otherRx  ", n(Count::OtherRx)),
            Fault("badRx    ", n(Count::BadRx)),
        ],
    ];
    if sample.role.config().exception.is_some() {
        let kernel = vec![
            Value("kniRx   ", n(Count::KniRx)),
            Value("kniTx    ", n(Count::KniTx)),
            Fault("kniFull  ", n(Count::KniFull)),
            Fault("kniErr  ", n(Count::KniErrors)),
        ];
        rows.insert(1, kernel);
    }
    rows
}

fn datagrams(sample: &Sample<'_>) -> Vec<Vec<Cell>> {
    use Cell::Fault;
    let n = |count| sample.counts.get(count);
    vec![vec![
        Fault("udpRt   ", n(Count::UdpRt)),
        Fault("udpDrop  ", n(Count::UdpDrop)),
        Fault("tcpDrop  ", n(Count::TcpDrop)),
    ]]
}

fn segments(sample: &Sample<'_>) -> Vec<Vec<Cell>> {
    use Cell::{Fault, Narrow, Value};
    let n = |count| sample.counts.get(count);
    vec![
        vec![
            Value("synRx   ", n(Count::SynRx)),
            Value("synTx    ", n(Count::SynTx)),
            Value("finRx    ", n(Count::FinRx)),
            Value("finTx   ", n(Count::FinTx)),
            Narrow("rstRx   ", n(Count::RstRx)),
            Narrow("rstTx ", n(Count::RstTx)),
        ],
        vec![
            Fault("synRt   ", n(Count::SynRt)),
            Fault("finRt    ", n(Count::FinRt)),
            Fault("ackRt    ", n(Count::AckRt)),
            Fault("pushRt  ", n(Count::PushRt)),
        ],
        vec![
            Fault("tcpDrop ", n(Count::TcpDrop)),
            Fault("udpDrop  ", n(Count::UdpDrop)),
            Fault("ackDup   ", n(Count::AckDup)),
        ],
    ]
}

fn connections(sample: &Sample<'_>) -> Vec<Cell> {
    use Cell::{Fault, Text, Value};
    let n = |count| sample.counts.get(count);
    let mut row = vec![
        Value("skOpen  ", n(Count::SkOpen)),
        Value("skClose  ", n(Count::SkClose)),
        Value("skCon    ", sample.open),
        Fault("skErr   ", n(Count::SkErr)),
    ];
    if sample.role.role() == Role::Client && sample.role.config().keepalive.is_none() {
        let tenths = (sample.rtt_us.unwrap_or(0.0) * 10.0) as u64;
        row.push(Text("rtt(us) ", format!("{}.{}", grouped(tenths / 10), tenths % 10)));
    }
    row
}

fn device(sample: &Sample<'_>) -> Vec<Cell> {
    use Cell::Fault;
    let n = |count| sample.counts.get(count);
    vec![
        Fault("ierrors ", n(Count::Ierrors)),
        Fault("oerrors  ", n(Count::Oerrors)),
        Fault("imissed  ", n(Count::Imissed)),
        Fault("rxNombuf ", n(Count::RxNombuf)),
    ]
}

fn messages(sample: &Sample<'_>, udp: bool) -> Option<Vec<Cell>> {
    use Cell::{Fault, Value};
    let n = |count| sample.counts.get(count);
    match sample.role.messages {
        _ if udp => None,
        Messages::Raw => {
            Some(vec![Value("tcpReq  ", n(Count::TcpReq)), Value("tcpRsp   ", n(Count::TcpRsp))])
        }
        Messages::HttpGet | Messages::HttpPost => Some(vec![
            Value("httpGet ", n(Count::HttpGet)),
            Value("httpPost ", n(Count::HttpPost)),
            Value("http2XX  ", n(Count::Http2xx)),
            Fault("httpErr ", n(Count::HttpErr)),
        ]),
    }
}

/// Cells are joined by one space; what is no fault is padded and nothing follows the last.
fn line(row: &[Cell], color: bool) -> String {
    let cells: Vec<String> = row.iter().map(|cell| padded(cell, color)).collect();
    cells.join(" ") + "\n"
}

fn padded(cell: &Cell, color: bool) -> String {
    let (label, number, width, fault) = match cell {
        Cell::Value(label, number) => (label, grouped(*number), 18, false),
        Cell::Fault(label, number) => (label, grouped(*number), 18, *number > 0),
        Cell::Narrow(label, number) => (label, grouped(*number), 10, *number > 0),
        Cell::Text(label, number) => (label, number.clone(), 10, false),
    };
    let (on, off) = if fault && color { ALARM } else { ("", "") };
    let room = width - number.len().min(width);
    format!("{label}{on}{number}{off}{:room$}", "")
}
