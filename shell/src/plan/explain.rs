//! The plan in words: what will happen, with what, and what is ignored.

use std::fmt::Write;

use super::Plan;
use super::buffers::assumes_huge_pages;
use super::exchange::FrameRecord;
use super::load::LoadRecord;
use super::record::{MessageRecord, PlanRecord, distinct_cores};
use crate::config::{Config, Note, Port, PortName};

/// What `plan` means, for a person. It never looks at this machine.
pub fn explain(config: &Config, plan: &Plan, notes: &[Note]) -> String {
    let record = PlanRecord::new(config, plan, notes);
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = write_all(&mut text, &record);
    if plan.assumed {
        let _ = writeln!(text, "\nNo port was opened: {}.", assumptions(config));
    }
    text
}

fn write_all(text: &mut String, record: &PlanRecord) -> std::fmt::Result {
    writeln!(
        text,
        "{}: {} on {}, {}",
        record.role,
        plural(record.workers.len(), "worker"),
        plural(distinct_cores(record), "core"),
        message(&record.message),
    )?;
    settings(text, record)?;
    ports(text, record)?;
    workers(text, record)?;
    totals(text, record)?;
    if !record.notes.is_empty() {
        writeln!(text, "\nnotes")?;
        for note in &record.notes {
            writeln!(text, "  {note}")?;
        }
    }
    Ok(())
}

/// What this plan takes for granted that only an opened port knows.
fn assumptions(config: &Config) -> String {
    let mtu = config.mtu;
    let of_port = |port: &Port| match &port.name {
        PortName::AfPacket(_) | PortName::AfXdp(_) => {
            Some(format!("the MTU of {}, {mtu}", port.name.devices().concat()))
        }
        PortName::Link(_) => Some(format!("the other end of {}, like this one", port.name)),
        PortName::Memif(_) | PortName::Pci(_) | PortName::Vdev(_) | PortName::Bond { .. } => None,
    };
    let mut all: Vec<String> = config.ports.iter().filter_map(of_port).collect();
    all.extend(assumes_huge_pages(config).then(|| "huge pages".to_owned()));
    all.push("MAC addresses".to_owned());
    format!("assumed are {}", all.join("; "))
}

/// `HTTP response of 500 bytes`.
fn message(message: &MessageRecord) -> String {
    let MessageRecord { name, form, bytes, bytes_per_worker } = message;
    match (*form, bytes_per_worker.as_slice()) {
        ("SYN", _) => format!("{form} {name}"),
        (_, []) => format!("{form} {name} of {}", plural(*bytes as usize, "byte")),
        (_, sizes) => {
            let sizes: Vec<String> = sizes.iter().map(u32::to_string).collect();
            format!("{form} {name} of {} bytes, by worker", sizes.join(", "))
        }
    }
}

fn settings(text: &mut String, record: &PlanRecord) -> std::fmt::Result {
    if !record.given.is_empty() {
        writeln!(text, "\nsettings")?;
    }
    for (name, value) in &record.given {
        writeln!(text, "  {name:<20}{value}")?;
    }
    Ok(())
}

fn ports(text: &mut String, record: &PlanRecord) -> std::fmt::Result {
    writeln!(text, "\nports")?;
    for (index, port) in record.ports.iter().enumerate() {
        writeln!(
            text,
            "  {index}  {}  {} ({}), gateway {}{}, {}",
            port.name,
            port.address,
            port.mac,
            port.gateway,
            port.gateway_mac.as_ref().map_or(String::new(), |mac| format!(" ({mac})")),
            port.split
        )?;
        if let (Some(load), true) = (&port.load, record.ports.len() > 1) {
            writeln!(text, "     {}", on_the_wire(load))?;
        }
        if let Some(encap) = &port.encap {
            writeln!(text, "     in {encap}")?;
        }
    }
    Ok(())
}

fn workers(text: &mut String, record: &PlanRecord) -> std::fmt::Result {
    writeln!(text, "\nworkers")?;
    for worker in &record.workers {
        writeln!(text, "  {}  core {}, mss {}", worker.name, worker.cpu, worker.mss)?;
        let (first, last) = worker.client_ports;
        writeln!(text, "    clients  {}  ports {first} - {last}", worker.clients)?;
        let (first, last) = worker.listen;
        writeln!(text, "    servers  {}  ports {first} - {last}", worker.servers)?;
        if !worker.destinations.is_empty() {
            writeln!(text, "    packets  in turn to {}", worker.destinations)?;
        }
        let memory = binary(worker.memory_bytes);
        writeln!(text, "    tuples   {}, {memory} for their connections", grouped(worker.tuples))?;
        if record.role == "client" {
            let open = match worker.cc {
                0 => "any number open".to_owned(),
                cc => format!("{} open at most", grouped(cc)),
            };
            let (cps, launch) = (grouped(worker.cps), worker.launch);
            writeln!(text, "    opens    {cps} a second, {launch} at an instant, {open}")?;
        }
        if let (Some(load), true) = (&worker.load, record.workers.len() > 1) {
            writeln!(text, "    load     {}", on_the_wire(load))?;
        }
    }
    Ok(())
}

fn totals(text: &mut String, record: &PlanRecord) -> std::fmt::Result {
    writeln!(text, "\ntotal")?;
    writeln!(text, "  tuples   {}", grouped(record.tuples))?;
    writeln!(
        text,
        "  memory   {} for connections, touched as they open but for the first 32 MiB of each \
         worker",
        binary(record.memory_bytes)
    )?;
    writeln!(text, "           {} for frames", binary(record.buffer_bytes))?;
    writeln!(text, "  frames   {} bytes", frames(record))?;
    let time = &record.time;
    match record.role {
        "client" => writeln!(
            text,
            "  time     first traffic at {} s, full rate at {} s, end at {} s",
            time.first_traffic_s, time.full_rate_s, time.end_s
        )?,
        _ => writeln!(text, "  time     end at {} s", time.end_s)?,
    }
    if let Some(all_open_s) = time.all_open_s {
        let late = if all_open_s > time.end_s { ", which is after the end" } else { "" };
        writeln!(text, "           all connections open at {all_open_s} s{late}")?;
    }
    match (&record.load, record.role) {
        (Some(load), _) => write_load(text, load),
        (None, "client") => writeln!(text, "  load     depends on how fast answers come"),
        (None, _) => Ok(()),
    }
}

fn write_load(text: &mut String, load: &LoadRecord) -> std::fmt::Result {
    writeln!(
        text,
        "  load     {} connections/s, {} requests/s",
        scaled(load.connections_per_s),
        scaled(load.requests_per_s)
    )?;
    writeln!(text, "           {}", on_the_wire(load))
}

fn on_the_wire(load: &LoadRecord) -> String {
    format!(
        "{} packets/s out, {} packets/s in, {}bit/s out on the wire",
        scaled(load.tx_packets_per_s),
        scaled(load.rx_packets_per_s),
        scaled(load.tx_wire_bits_per_s)
    )
}

/// `SYN 62, SYN-ACK 62, request 139, response ?, FIN 54, ACK 54`.
fn frames(record: &PlanRecord) -> String {
    let frame = |frame: &FrameRecord| {
        let bytes = frame.bytes.map_or("?".to_owned(), |bytes| bytes.to_string());
        match frame.count {
            1 => format!("{} {bytes}", frame.name),
            count => format!("{} {} x {bytes}", frame.name, grouped(count)),
        }
    };
    record.exchange.iter().map(frame).collect::<Vec<_>>().join(", ")
}

fn plural(count: usize, what: &str) -> String {
    format!("{} {what}{}", grouped(count as u64), if count == 1 { "" } else { "s" })
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `2400000.0` as `2.4 M`: three digits.
fn scaled(number: f64) -> String {
    let (value, unit) = match number {
        n if n >= 1e9 => (n / 1e9, " G"),
        n if n >= 1e6 => (n / 1e6, " M"),
        n if n >= 1e3 => (n / 1e3, " k"),
        n => (n, " "),
    };
    let places = match value {
        v if v >= 100.0 || v == v.round() => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.places$}{unit}").trim_end().to_owned()
}

/// Bytes in the largest binary unit that is not above them.
fn binary(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} bytes"),
        _ => format!("{value:.1} {}", UNITS[unit]),
    }
}
