//! What every keyword comes to, in plain words: nothing that the plan depends on is left unsaid.
//!
//! Cores, ports and addresses are told with the workers; all else is told here, as it was
//! understood and not as it was written.

use crate::config::{Config, Exception, ExceptionKind, Keepalive, Protocol};

/// One keyword and what it comes to.
pub(super) type Setting = (&'static str, String);

/// Every keyword's value, given or not, in the order of the manual.
pub(super) fn all(config: &Config) -> Vec<Setting> {
    [role(config), addresses(config), load(config), messages(config), tcp(config), machine(config)]
        .concat()
}

/// Those that were given.
pub(super) fn given(config: &Config) -> Vec<Setting> {
    let is_given = |name: &str| {
        let other = match name {
            "exception" => "kni",
            "client_port_range" => "lport_range",
            _ => name,
        };
        config.given(name).or_else(|| config.given(other)).is_some()
    };
    all(config).into_iter().filter(|(name, _)| is_given(name)).collect()
}

fn role(config: &Config) -> Vec<Setting> {
    vec![("seed", config.seed.to_string())]
}

fn addresses(config: &Config) -> Vec<Setting> {
    let ports = |range: dperf_core::plan::PortRange| {
        format!("{} - {}", range.first, range.at(range.count.saturating_sub(1)))
    };
    vec![
        ("listen", ports(config.listen)),
        ("client_port_range", ports(config.client_ports)),
        ("tos", format!("{:#04x}", config.tos)),
        ("jumbo", format!("{} bytes", config.mtu)),
        ("neigh_ignore", switch(config.neigh_ignore)),
        ("rss", switch(config.rss)),
        ("flow_isolate", switch(config.flow_isolate)),
        ("exception", config.exception.as_ref().map_or_else(|| "none".to_owned(), exception)),
    ]
}

fn exception(exception: &Exception) -> String {
    let kind = match exception.kind {
        ExceptionKind::Tap => "tap",
        ExceptionKind::TapPerCore => "tap-per-core",
        ExceptionKind::VhostNet => "vhost-net",
    };
    format!("{kind} {}", exception.name)
}

fn load(config: &Config) -> Vec<Setting> {
    vec![
        ("duration", seconds(config.duration_s)),
        ("cps", config.cps.to_string()),
        ("cc", or_none(config.cc, "no limit")),
        ("keepalive", config.keepalive.map_or_else(|| switch(false), keepalive)),
        ("flood", switch(config.flood)),
        ("pipeline", or_none(config.pipeline.into(), "1")),
        ("client_hop", switch(config.client_hop)),
        ("change_dip", destinations(config)),
        ("launch_num", or_none(config.launch_num.into(), "chosen per worker")),
        ("slow_start", seconds(config.slow_start_s)),
        ("wait", seconds(config.wait_s)),
    ]
}

fn destinations(config: &Config) -> String {
    let count: usize = config.change_dips.iter().map(|line| line.list.len()).sum();
    or_none(count as u64, "none")
}

fn keepalive(keepalive: Keepalive) -> String {
    let every = match keepalive.interval_us {
        0 => "a request as soon as the answer is there".to_owned(),
        us if us % 1_000_000 == 0 => format!("a request every {} s", us / 1_000_000),
        us if us % 1000 == 0 => format!("a request every {} ms", us / 1000),
        us => format!("a request every {us} us"),
    };
    match keepalive.requests {
        0 => every,
        requests => format!("{every}, {requests} in all"),
    }
}

fn messages(config: &Config) -> Vec<Setting> {
    let protocol = match config.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Http => "http",
    };
    let sizes: Vec<String> = config.payload_sizes.iter().map(u32::to_string).collect();
    vec![
        ("protocol", protocol.to_owned()),
        ("payload_size", sizes.join(" ")),
        ("payload_file", file(&config.payload_file)),
        ("payload_random", switch(config.payload_random)),
        ("http_host", config.http_host.clone()),
        ("http_path", config.http_path.clone()),
        ("http_method", if config.http_post { "POST" } else { "GET" }.to_owned()),
    ]
}

fn tcp(config: &Config) -> Vec<Setting> {
    vec![
        ("mss", config.mss.to_string()),
        ("send_window", config.send_window.to_string()),
        ("retransmit_timeout", seconds(config.retransmit_timeout_s)),
        ("tcp_rst", switch(config.tcp_rst)),
        ("fast_close", switch(config.fast_close)),
        ("disable_ack", switch(config.disable_ack)),
    ]
}

fn machine(config: &Config) -> Vec<Setting> {
    const LEVELS: [(u8, &str); 4] = [(4, "error"), (5, "warn"), (7, "info"), (8, "debug")];
    let level = LEVELS.iter().find(|(number, _)| *number == config.dpdk_log_level);
    vec![
        ("tx_burst", format!("{} frames", config.tx_burst)),
        ("socket_mem", text_or(&config.socket_mem, "DPDK's")),
        ("simd512", switch(config.simd512)),
        ("eal", text_or(&config.eal.join(" "), "none")),
        ("log_level", level.map_or("error", |(_, name)| name).to_owned()),
        ("quiet", switch(config.quiet)),
        ("clear_screen", switch(config.clear_screen)),
        ("per_worker", switch(config.per_worker)),
        ("daemon", switch(config.daemon)),
    ]
}

fn file(bytes: &[u8]) -> String {
    if bytes.is_empty() { "none".to_owned() } else { format!("{} bytes", bytes.len()) }
}

fn switch(on: bool) -> String {
    if on { "on" } else { "off" }.to_owned()
}

fn seconds(seconds: u32) -> String {
    format!("{seconds} s")
}

fn or_none(number: u64, none: &str) -> String {
    if number == 0 { none.to_owned() } else { number.to_string() }
}

fn text_or(text: &str, none: &str) -> String {
    if text.is_empty() { none.to_owned() } else { text.to_owned() }
}
