//! What the kernel counted: on a clean wire it must have nothing to complain about.

use std::collections::BTreeMap;

use crate::namespace::Namespace;

/// Counters that stay where they are when both ends speak TCP as they should and nothing is lost.
/// A name that ends in `*` stands for all that begin so.
pub const COMPLAINTS: &[&str] = &[
    "IpInHdrErrors",
    "Ip6InHdrErrors",
    "Ip6InTruncatedPkts",
    "Icmp6InErrors",
    "Icmp6InCsumErrors",
    "TcpRetransSegs",
    "TcpInErrs",
    "TcpInCsumErrors",
    "TcpAttemptFails",
    "TcpExtTCPTimeouts",
    "TcpExtTCPSynRetrans",
    "TcpExtTCPOFO*",
    "TcpExtTCPDSACK*",
    "TcpExtTCPACKSkipped*",
    "TcpExtTCPChallengeACK",
    "TcpExtTCPSYNChallenge",
    "TcpExtTCPLossProbes",
    "TcpExtTCPSackRecovery",
    "TcpExtPAWS*",
    "TcpExtTCPAbortFailed",
    "TcpExtTCPAbortOnTimeout",
    "TcpExtTCPReqQFull*",
    "TcpExtTCPTimeWaitOverflow",
    "TcpExtListenDrops",
    "TcpExtListenOverflows",
    "TcpExtTCPBacklogDrop",
    "TcpExtTCPRcvQDrop",
    "TcpExtTCPZeroWindowDrop",
    "TcpExtRcvPruned",
    "TcpExtEmbryonicRsts",
];

/// Counters of resets, where neither side has a reason for one.
pub const RESETS: &[&str] = &["TcpOutRsts", "TcpEstabResets", "TcpExtTCPAbortOn*"];

/// Named counters at one moment, or between two.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counters(BTreeMap<String, i64>);

impl Counters {
    /// A namespace's counters of IP and TCP, now.
    ///
    /// # Panics
    /// The kernel does not tell.
    pub fn of(namespace: &Namespace) -> Counters {
        let text = namespace.run("cat /proc/net/snmp /proc/net/netstat");
        let mut counters = BTreeMap::new();
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.chunks_exact(2) {
            let (Some((group, names)), Some((_, values))) =
                (pair[0].split_once(':'), pair[1].split_once(':'))
            else {
                panic!("not a table of counters: {pair:?}");
            };
            for (name, value) in names.split_whitespace().zip(values.split_whitespace()) {
                counters.insert(format!("{group}{name}"), value.parse().unwrap_or(0));
            }
        }
        assert!(counters.contains_key("TcpRetransSegs"), "no counters in {text}");
        // IPv6 has one name and one value in each line.
        let text = namespace.run("cat /proc/net/snmp6");
        let named = text.lines().filter_map(|line| line.split_once(char::is_whitespace));
        let counted = named.map(|(name, value)| (name.into(), value.trim().parse().unwrap_or(0)));
        counters.extend(counted);
        Counters(counters)
    }

    /// A router's counters of connection tracking, all processors together.
    ///
    /// # Panics
    /// The kernel does not tell.
    pub fn of_tracking(namespace: &Namespace) -> Counters {
        let text = namespace.run("conntrack -S");
        let mut counters = BTreeMap::new();
        for (name, value) in text.split_whitespace().filter_map(|word| word.split_once('=')) {
            if name != "cpu" {
                *counters.entry(name.to_string()).or_insert(0) += value.parse().unwrap_or(0);
            }
        }
        assert!(counters.contains_key("invalid"), "no counters in {text}");
        Counters(counters)
    }

    /// What was added since `before`.
    pub fn since(&self, before: &Counters) -> Counters {
        let added = |(name, now): (&String, &i64)| (name.clone(), now - before.get(name));
        Counters(self.0.iter().map(added).collect())
    }

    /// One of them; 0 if there is none of this name.
    pub fn get(&self, name: &str) -> i64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Those of `names` that are not 0.
    pub fn nonzero(&self, names: &[&str]) -> Vec<String> {
        let named = |name: &str| {
            names.iter().any(|wanted| match wanted.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => name == *wanted,
            })
        };
        let counted = self.0.iter().filter(|(name, value)| **value != 0 && named(name));
        counted.map(|(name, value)| format!("{name} {value}")).collect()
    }
}

/// What the kernel counted on an interface, or on several.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    /// Packets that came in: for a TAP, what was written into its file.
    pub received: u64,
    /// Packets that went out: for a TAP, what was read from its file.
    pub sent: u64,
    /// Packets that came in and were dropped.
    pub receive_drops: u64,
    /// Packets that should have gone out and were dropped.
    pub send_drops: u64,
}

impl Traffic {
    /// What `interfaces` of `namespace` count now, all together.
    ///
    /// # Panics
    /// The kernel does not tell.
    pub fn of(namespace: &Namespace, interfaces: &[String]) -> Traffic {
        let total = |name: &str| -> u64 {
            let files =
                interfaces.iter().map(|it| format!("/sys/class/net/{it}/statistics/{name}"));
            let text = namespace.run(&format!("cat {}", files.collect::<Vec<_>>().join(" ")));
            text.lines().map(|line| line.parse::<u64>().expect("a number")).sum()
        };
        Traffic {
            received: total("rx_packets"),
            sent: total("tx_packets"),
            receive_drops: total("rx_dropped"),
            send_drops: total("tx_dropped"),
        }
    }
}
