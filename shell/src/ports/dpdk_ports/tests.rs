//! What DPDK's EAL is told.

use super::eal_words;
use crate::config::{Source, read};

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
