//! What DPDK's EAL is told.

use super::{Memory, eal_words, to_kernel_mb, wish};
use crate::config::{Source, read};
use crate::plan::{Plan, PlanRecord};

#[test]
fn dpdk_is_told_what_the_configuration_says() {
    let words = |lines: &str| {
        let bytes = format!(
            "cpu 0\nport net_null0 10.0.1.1 10.0.2.1\nclient 10.0.1.1 1\nserver 10.0.2.1 1\n\
             cps 1\n{lines}"
        );
        let source = Source { name: "t.conf".to_owned(), bytes: bytes.into_bytes() };
        eal_words(&read(&[source]).unwrap().config).join(" ")
    };
    assert_eq!(words(""), "--log-level=4");
    let levels = [("error", 4), ("warn", 5), ("info", 7), ("debug", 8)];
    for (name, level) in levels {
        assert_eq!(words(&format!("log_level {name}")), format!("--log-level={level}"));
    }
    assert_eq!(words("simd512"), "--log-level=4 --force-max-simd-bitwidth=512");
    assert_eq!(words("eal --no-huge -m 512"), "--log-level=4 --no-huge -m 512");
}

#[test]
fn a_plan_tells_the_memory_that_is_set_aside() {
    let bond = "bond4:2(net_null0,net_null1)";
    for (port, lines) in [
        ("net_null0", ""),
        ("net_null0", "eal --no-huge"),
        ("net_af_xdp0,iface=a", "jumbo"),
        ("0000:03:00.0", "rss"),
        (bond, "rss\nkni"),
        (bond, "exception vhost-net gw"),
    ] {
        let cpus = if lines.contains("rss") { "0 1" } else { "0" };
        let text = format!(
            "mode server\ncpu {cpus}\nport {port} 10.0.2.1 10.0.2.254\nclient 10.0.1.1 1\n\
             server 10.0.2.1 1\nprotocol http\n{lines}\n"
        );
        let source = Source { name: "t.conf".to_owned(), bytes: text.into_bytes() };
        let config = read(&[source]).unwrap().config;
        let record = PlanRecord::new(&config, &Plan::assumed(&config).unwrap(), &[]);
        let memory = if lines.contains("--no-huge") { Memory::Ordinary } else { Memory::Huge };
        let set_aside =
            wish(&config, &config.ports[0].name).memory_mb(memory) + to_kernel_mb(&config, memory);
        assert_eq!(record.buffer_bytes, u64::from(set_aside) << 20, "{port}");
    }
}
