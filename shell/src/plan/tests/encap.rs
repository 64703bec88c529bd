//! Each worker has its own end of the tunnel, and what frames travel in is taken from the MTU.

use std::net::IpAddr;

use dperf_core::plan::{Encap, Vlan, Vxlan};

use super::{client, plan, server};
use crate::plan::Split;

const INSIDE: &str = "cps 10\nvxlan 77 02:00:00:00:01:01 02:00:00:00:01:02";

fn tunnels(text: &str) -> Vec<Vxlan<'static>> {
    let workers = plan(text).unwrap().lend().into_iter();
    let tunnel = |encap| match encap {
        Encap::Vxlan(tunnel) => tunnel,
        other => panic!("{other:?}"),
    };
    workers.map(|worker| tunnel(worker.core.encap)).collect()
}

#[test]
fn each_worker_has_its_own_end() {
    for (remotes, expected) in [(3, ["10.9.0.5", "10.9.0.6", "10.9.0.7"]), (1, ["10.9.0.5"; 3])] {
        let lines = format!("{INSIDE} 10.8.0.5 3 10.9.0.5 {remotes}");
        let clients = tunnels(&client("0-2", 3, &lines));
        let servers = tunnels(&server("0-2", 3, &lines.replace("cps 10\n", "")));
        for (queue, (client, server)) in clients.iter().zip(&servers).enumerate() {
            assert_eq!(client.local.to_string(), format!("10.8.0.{}", 5 + queue));
            assert_eq!(client.remote.to_string(), expected[queue]);
            assert_eq!((client.vni, client.source.0[5], client.destination.0[5]), (77, 1, 2));
            // All workers know all ends of the port.
            assert_eq!(client.ends.count(), 3);
            // Inside each is known by an address that it has load for.
            assert_eq!(client.host, "10.0.1.1".parse::<IpAddr>().unwrap());
            assert_eq!(server.host, format!("10.0.2.{}", 1 + queue).parse::<IpAddr>().unwrap());
        }
    }
}

#[test]
fn segments_leave_room_for_what_they_travel_in() {
    let mss = |lines: &str| plan(&client("0", 1, lines)).unwrap().workers[0].core.mss;
    assert_eq!(mss("cps 1"), 1460);
    assert_eq!(mss("cps 1\nvlan 100"), 1460);
    assert_eq!(mss("cps 1\nvlan 200 100"), 1452);
    assert_eq!(mss(&format!("{INSIDE} 10.8.0.5 1 10.9.0.5 1")), 1410);
    let jumbo = format!("jumbo 9000\n{INSIDE} 10.8.0.5 1 10.9.0.5 1");
    assert_eq!(mss(&jumbo), 8910);
    let ipv6 = format!(
        "cpu 0\nport link:a 10.0.1.1 10.0.2.1\nclient fd00:1::1 3\nserver fd00:2::1 1\n\
         {INSIDE} 10.8.0.5 1 10.9.0.5 1\n"
    );
    assert_eq!(plan(&ipv6).unwrap().workers[0].core.mss, 1390);
}

#[test]
fn several_workers_need_a_port_that_looks_where_the_load_is() {
    let with = |port: &str, lines: &str| {
        let text = client("0 1", 3, lines).replace("link:a", port);
        let said = plan(&text).map(|plan| plan.workers[0].split);
        said.map_err(|why| why.lines().next().unwrap_or_default().to_owned())
    };
    let tunnel = format!("{INSIDE} 10.8.0.5 2 10.9.0.5 2");
    let tags = "cps 10\nvlan 200 100";
    for lines in [tags, &tunnel] {
        assert_eq!(with("af_packet:eth0", lines), Ok(Split::ByHash), "{lines}");
        assert_eq!(with("link:a", lines), Ok(Split::ByClientPort), "{lines}");
    }
    let card_tags = format!("rss\n{tags}");
    for (port, lines) in
        [("0000:03:00.0", &*card_tags), ("af_xdp:eth0", tags), ("af_xdp:eth0", &tunnel)]
    {
        let outer = format!(
            "p.conf:3:1: port: {port} chooses queues by the outer headers, which do not tell flows \
             apart"
        );
        assert_eq!(with(port, lines), Err(outer), "{lines}");
    }
    assert_eq!(with("0000:03:00.0", "cps 10\nvlan 100\nrss"), Ok(Split::ByHash));
}

#[test]
fn tags_are_named_from_the_outside_in() {
    let tags = |lines: &str| match plan(&client("0", 1, lines)).unwrap().workers[0].core.encap {
        Encap::Vlan(vlan) => vlan,
        other => panic!("{other:?}"),
    };
    assert_eq!(tags("cps 1\nvlan 100"), Vlan { service: None, customer: 100 });
    assert_eq!(tags("cps 1\nvlan 200 100"), Vlan { service: Some(200), customer: 100 });
}
