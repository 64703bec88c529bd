//! Which frames shall come to which queue of a DPDK port by rules.

use dperf_core::plan::Role;

use crate::config::{Config, Protocol};
use crate::port::dpdk::SteerWish;

/// Rules by server address where each worker has one to itself, or for the only worker if nothing
/// else shall come; in a tunnel by its end here.
pub(super) fn steer(config: &Config, port: usize) -> SteerWish {
    let servers = &config.servers[port].list;
    let tunnel = config.vxlans.get(port);
    let ends = tunnel.map_or(servers, |tunnel| &tunnel.local);
    let rules = match config.queues() {
        1 if config.flow_isolate => vec![ends.clone()],
        queues if queues > 1 && config.has_server_each(port) => {
            ends.iter().map(|address| vec![*address]).collect()
        }
        _ => Vec::new(),
    };
    SteerWish {
        rules,
        by_source: config.role == Role::Client && tunnel.is_none(),
        isolate: config.flow_isolate,
        ipv6: config.is_ipv6(),
        udp: config.protocol == Protocol::Udp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, read};

    /// The rules' addresses per queue, and whether they are sources.
    fn rules(mode: &str, lines: &str) -> (Vec<Vec<String>>, bool) {
        let text = format!(
            "mode {mode}\nport 0000:03:00.0 10.0.{0}.1 10.0.{1}.1 02:00:00:00:00:01\n\
             client 10.0.1.1 10\n{lines}\n",
            if mode == "client" { 1 } else { 2 },
            if mode == "client" { 2 } else { 1 },
        );
        let source = Source { name: "r.conf".to_owned(), bytes: text.into() };
        let config = read(&[source]).unwrap_or_else(|why| panic!("{why}")).config;
        let wish = steer(&config, 0);
        let names = |queue: &Vec<std::net::IpAddr>| queue.iter().map(ToString::to_string).collect();
        (wish.rules.iter().map(names).collect(), wish.by_source)
    }

    #[test]
    fn rules_are_what_dperf_asks_for_and_one_worker_has_them_too_if_isolated() {
        let each = vec![vec!["10.0.2.1".to_owned()], vec!["10.0.2.2".to_owned()]];
        let two = "cpu 0 1\nserver 10.0.2.1 2\n";
        assert_eq!(rules("client", &format!("{two}cps 1")), (each.clone(), true));
        assert_eq!(rules("server", two), (each.clone(), false));
        assert_eq!(rules("server", &format!("{two}flow_isolate")), (each, false));
        assert_eq!(rules("server", &format!("{two}rss")).0, Vec::<Vec<String>>::new());
        let one = "cpu 0\nserver 10.0.2.1 2\n";
        assert_eq!(rules("server", one).0, Vec::<Vec<String>>::new());
        let all = vec![vec!["10.0.2.1".to_owned(), "10.0.2.2".to_owned()]];
        assert_eq!(rules("server", &format!("{one}flow_isolate")), (all, false));
        let tunnel = "vxlan 7 02:00:00:00:00:02 02:00:00:00:00:03 192.0.2.1 2 192.0.2.9 1\n";
        let ends = vec![vec!["192.0.2.1".to_owned()], vec!["192.0.2.2".to_owned()]];
        assert_eq!(rules("client", &format!("{two}{tunnel}cps 1")), (ends, false));
    }
}
