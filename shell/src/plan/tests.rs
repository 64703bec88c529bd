//! Plans are exact: every connection has one owner, every share of the load adds up.

mod dperf_files;
mod encap;
mod golden;

use std::collections::HashSet;
use std::net::IpAddr;

use dperf_core::plan::{Messages, number};
use dperf_core::steer::Steering;
use dperf_core::time::TickRate;

use super::share::{Shares, scramble};
use super::{OwnedList, Plan, PlanRecord, Split, WorkerPlan};
use crate::config::{Config, Read, Source, read};
use crate::port::{Delivery, Facts};

fn config(text: &str) -> Read {
    read(&[Source { name: "p.conf".to_owned(), bytes: text.into() }]).unwrap()
}

fn plan(text: &str) -> Result<Plan, String> {
    Plan::assumed(&config(text).config).map_err(|error| error.to_string())
}

fn client(cpus: &str, servers: u32, lines: &str) -> String {
    format!(
        "mode client\ncpu {cpus}\nport link:a 10.0.1.1 10.0.2.1\nclient 10.0.1.1 3 10.0.1.9\n\
         server 10.0.2.1 {servers}\n{lines}\n"
    )
}

fn server(cpus: &str, servers: u32, lines: &str) -> String {
    client(cpus, servers, lines)
        .replace("mode client", "mode server")
        .replace("port link:a 10.0.1.1 10.0.2.1", "port link:a 10.0.2.1 10.0.1.1")
}

/// The tuples of a worker, written out.
fn tuples(worker: &WorkerPlan) -> Vec<(IpAddr, u16, IpAddr, u16)> {
    let core = &worker.core;
    let mut all = Vec::new();
    for client in (0..core.clients.count()).map(|index| core.clients.at(index)) {
        for client_port in (0..core.client_ports.count).map(|place| core.client_ports.at(place)) {
            for port in (0..core.listen.count).map(|place| core.listen.at(place)) {
                for server in (0..core.servers.count()).map(|index| core.servers.at(index)) {
                    if is_own(&core.steering, (client, client_port), (server, port)) {
                        all.push((client, client_port, server, port));
                    }
                }
            }
        }
    }
    all
}

fn is_own(steering: &Steering<'_>, client: (IpAddr, u16), server: (IpAddr, u16)) -> bool {
    let Steering::Hashed { rss, queue } = steering else { return true };
    let octets = |address: IpAddr| match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let (client, server) = ((octets(client.0), client.1), (octets(server.0), server.1));
    rss.queue_of((&server.0, server.1), (&client.0, client.1)) == *queue
}

#[test]
fn every_tuple_has_one_client_and_the_server_of_the_same_queue_knows_it() {
    let ports = "client_port_range 65000 65100\nlisten 80 2\nrss";
    for (cpus, servers) in [("0", 1), ("0", 3), ("0-2", 1), ("0-2", 2), ("0-2", 3), ("0-6", 2)] {
        for extra in [ports, &ports.replace("\nrss", "")] {
            let clients = plan(&client(cpus, servers, &format!("cps 100\n{extra}"))).unwrap();
            let counted: Vec<u64> = clients.workers.iter().map(|worker| worker.tuples).collect();
            let clients = clients.lend();
            let exactly = |client: &WorkerPlan| tuples(client).len() as u64;
            assert_eq!(counted, clients.iter().map(exactly).collect::<Vec<_>>());
            let serving = plan(&server(cpus, servers, extra)).unwrap().lend();
            let mut seen = HashSet::new();
            for (client, server) in clients.iter().zip(&serving) {
                assert_eq!(client.slots, client.core.tuples());
                assert_eq!(server.slots, server.core.tuples());
                assert_eq!((client.port, client.queue), (server.port, server.queue));
                let known: HashSet<_> = tuples(server).into_iter().collect();
                for tuple in tuples(client) {
                    assert!(known.contains(&tuple), "{cpus} {servers}: {tuple:?}");
                    assert!(seen.insert(tuple), "{cpus} {servers}: {tuple:?} has two owners");
                }
            }
            assert_eq!(seen.len(), 4 * 101 * 2 * servers as usize);
        }
    }
}

#[test]
fn as_many_servers_as_workers_are_divided_by_server() {
    let by_server = plan(&client("0 1", 2, "cps 1k")).unwrap();
    let servers: Vec<String> = by_server.workers.iter().map(|w| w.servers.ranges()).collect();
    assert_eq!(servers, ["10.0.2.1", "10.0.2.2"]);
    let by_port = client("0 1", 2, "cps 1k\nrss").replace("link:a", "net_memif0");
    let by_port = plan(&by_port).unwrap();
    let ports: Vec<_> = by_port.workers.iter().map(|w| w.core.client_ports).collect();
    assert_eq!((ports[0].first, ports[0].count), (1, 32767));
    assert_eq!((ports[1].first, ports[1].count), (32768, 32768));
}

#[test]
fn any_number_of_workers_shares_what_a_card_hashes() {
    let on = |port: &str, cpus: &str, servers, lines: &str| {
        plan(&client(cpus, servers, lines).replace("link:a", port))
    };
    for (port, lines) in [
        ("0000:03:00.0", "cps 100\nrss"),
        ("af_packet:eth0", "cps 100"),
        ("af_xdp:eth0", "cps 100"),
        ("net_tap0", "cps 100\nrss"),
    ] {
        for (cpus, servers) in [("0 1", 1), ("0 1", 2), ("0-3", 3), ("0-15", 5)] {
            let plan = on(port, cpus, servers, lines).unwrap();
            let record = serde_json::to_value(PlanRecord::new(
                &config(&client(cpus, servers, lines)).config,
                &plan,
                &[],
            ));
            let all = 4 * 65535 * u64::from(servers);
            assert_eq!(record.unwrap()["tuples"], all, "{port} {cpus} {servers}");
            for worker in &plan.workers {
                let fair = all / plan.workers.len() as u64;
                assert!(worker.tuples.abs_diff(fair) < fair / 8, "{}: {fair}", worker.tuples);
                assert_eq!(worker.split, Split::ByHash);
            }
        }
    }
    let rules = on("0000:03:00.0", "0 1", 2, "cps 100").unwrap();
    assert!(rules.workers.iter().all(|worker| worker.split == Split::ByServer));
    assert!(rules.workers.iter().all(|worker| worker.port_addresses.count() == 0));
    let few = on("af_packet:eth0", "0-3", 1, "cps 100\nclient_port_range 7 7").unwrap_err();
    assert!(few.starts_with("p.conf:6:1: cps: client-0."), "{few}");
    let alone = on("0000:03:00.0", "0", 3, "cps 100").unwrap();
    assert_eq!((alone.workers[0].split, alone.workers[0].tuples), (Split::Whole, 786_420));
}

/// Nothing is kept of its connections, so that a tuple may come again at any time.
#[test]
fn a_flood_without_an_interval_needs_few_tuples() {
    let one = "cps 80m\nclient_port_range 7 7\nflood\n";
    assert!(plan(&client("0", 1, one)).is_ok());
    let kept = plan(&client("0", 1, &format!("{one}keepalive 1s\n"))).unwrap_err();
    assert!(kept.contains("connections a second may take 160000000"), "{kept}");
}

/// A kept connection with a number of requests ends with its last answer.
#[test]
fn the_rate_of_kept_connections_follows_from_how_long_they_live() {
    for (lines, per_second) in [
        ("cc 30\nkeepalive 100ms 3\ncps 200", 150.0),
        ("cc 20\nkeepalive 100ms 2\ncps 500", 200.0),
        ("cc 10\nkeepalive 1s 1\ncps 500", 500.0),
        ("cc 300\nkeepalive 100ms 3\ncps 200", 200.0),
    ] {
        let text = client("0", 1, lines);
        let record = PlanRecord::new(&config(&text).config, &plan(&text).unwrap(), &[]);
        let load = serde_json::to_value(record).unwrap()["load"].clone();
        assert_eq!(load["connections_per_s"], per_second, "{lines}");
    }
}

/// Whoever of them is asked for a server's address answers.
#[test]
fn workers_that_have_a_server_address_each_answer_for_all() {
    let text = "mode server\ncpu 0 1\nport 0000:03:00.0 10.0.2.250 10.0.1.1\n\
                client 10.0.1.2 4\nserver 10.0.2.1 2\n";
    let plan = plan(text).unwrap();
    for worker in &plan.workers {
        assert_eq!((worker.split, worker.servers.count()), (Split::ByServer, 1));
        assert_eq!(worker.port_addresses.ranges(), "10.0.2.1 - 10.0.2.2");
    }
    for worker in plan.lend() {
        assert_eq!((worker.core.own().count(), worker.core.answered().count()), (1, 2));
    }
}

#[test]
fn shares_add_up_and_nobody_has_half_a_share() {
    for workers in 1..=9 {
        for cps in [1, 2, 3, 7, 11, 1000, u64::MAX] {
            for cc in [0, 1, 2, 5, 9, 1000, 999_999_999_999] {
                let text = client(&format!("0-{}", workers - 1), 1, "cps 1\nrss");
                let mut config = config(&text).config;
                (config.cps, config.cc) = (cps, cc);
                let shares = Shares::new(&config);
                let paces: Vec<_> = (0..workers).map(|i| shares.pace(&config, i)).collect();
                let case = format!("{workers} workers, cps {cps}, cc {cc}: {paces:?}");
                let sum = |of: fn(&dperf_core::plan::PacePlan) -> u64| {
                    paces.iter().map(of).map(u128::from).sum::<u128>()
                };
                assert_eq!(sum(|pace| pace.cps), u128::from(cps), "{case}");
                assert_eq!(sum(|pace| pace.cc), u128::from(cc), "{case}");
                for pace in &paces {
                    assert!(cc == 0 || (pace.cc == 0) == (pace.cps == 0), "{case}");
                    assert!(u64::from(pace.launch) <= pace.cps.max(1), "{case}");
                }
                let rates = paces.iter().map(|pace| pace.cps).filter(|rate| *rate > 0);
                let (low, high) = (rates.clone().min().unwrap(), rates.max().unwrap());
                assert!(high - low <= 1, "{case}");
            }
        }
    }
}

#[test]
fn fewer_connections_than_workers_leave_some_idle_and_say_so() {
    let plan = plan(&client("0-3", 1, "cps 1000\ncc 2\nkeepalive 1s")).unwrap();
    let paces: Vec<_> = plan.workers.iter().map(|w| (w.core.pace.cps, w.core.pace.cc)).collect();
    assert_eq!(paces, [(0, 0), (500, 1), (0, 0), (500, 1)]);
    assert_eq!(plan.notes[0].text, "cc is less than the number of workers: 2 stay idle");
}

#[test]
fn launches_are_dperfs() {
    let launch = |lines: &str| plan(&client("0", 1, lines)).unwrap().workers[0].core.pace.launch;
    assert_eq!([launch("cps 1000"), launch("cps 35"), launch("cps 11")], [4, 5, 4]);
    assert_eq!([launch("cps 2"), launch("cps 7"), launch("cps 9")], [2, 7, 9]);
    assert_eq!([launch("cps 5\nlaunch_num 8"), launch("cps 50\nlaunch_num 8")], [5, 8]);
}

#[test]
fn a_worker_needs_tuples_for_its_share() {
    let few = "client_port_range 1 10\n";
    let refused = |lines: &str| plan(&client("0", 1, &format!("{few}{lines}"))).unwrap_err();
    let cc = refused("keepalive 1s\ncc 41");
    assert!(cc.starts_with("p.conf:8:1: cc: client-0.0 has 40 tuples for 41 open"), "{cc}");
    let cps = refused("cps 21");
    assert!(cps.starts_with("p.conf:7:1: cps: client-0.0 has 40 tuples, but 21 con"), "{cps}");
    assert!(plan(&client("0", 1, &format!("{few}cps 20"))).is_ok());
    let ports = plan(&client("0-2", 1, "cps 1\nclient_port_range 1 2")).unwrap_err();
    assert!(ports.starts_with("p.conf:7:1: client_port_range: 2 ports are too few for 3 workers"));
    let huge = client("0", 254, "cps 1\nlisten 1 65535");
    assert!(plan(&huge).unwrap_err().contains("p.conf:7:1: listen: client-0.0 has 436"));
}

#[test]
fn ports_decide_what_fits() {
    let lines = "cps 1\njumbo 9000\npayload_size 8960";
    let config: Config = config(&client("0", 1, lines)).config;
    let with = |frame_bytes: u16, delivery: Delivery| {
        let facts = Facts { frame_bytes, delivery, ..Facts::assumed(&config, 0) };
        Plan::new(&config, &[facts], TickRate::NANOSECONDS).map_err(|error| error.to_string())
    };
    assert_eq!(with(9014, Delivery::Paired).unwrap().workers[0].core.mss, 8960);
    let small = with(1514, Delivery::Paired).unwrap_err();
    assert!(small.starts_with("p.conf:7:1: jumbo: link:a sends packets of 1500 bytes"), "{small}");
    assert!(Plan::new(&config, &[], TickRate::NANOSECONDS).is_err());

    let config: Config = super::tests::config(&client("0 1", 1, "cps 2\npayload_size 1400")).config;
    let with = |frame_bytes: u16, delivery: Delivery| {
        let facts = Facts { frame_bytes, delivery, ..Facts::assumed(&config, 0) };
        Plan::new(&config, &[facts], TickRate::NANOSECONDS).map_err(|error| error.to_string())
    };
    assert_eq!(with(1464, Delivery::Paired).unwrap().workers[0].core.mss, 1410);
    let size = with(1414, Delivery::Paired).unwrap_err();
    assert!(size.starts_with("p.conf:7:1: payload_size: a request of 1400 bytes"), "{size}");
    let queues = with(1514, Delivery::Unknown).unwrap_err();
    assert!(
        queues.starts_with("p.conf:3:1: port: link:a does not say which of its queues"),
        "{queues}"
    );
    assert!(with(54, Delivery::Paired).unwrap_err().contains("no room for a segment"));
}

#[test]
fn a_segment_has_room_for_every_header() {
    for (text, mtu, mss) in [
        (client("0", 1, "cps 1"), 1500, 1460),
        (over_ipv6(&client("0", 1, "cps 1")), 1500, 1440),
        (client("0", 1, "cps 1\njumbo 9000"), 9000, 8960),
        (over_ipv6(&client("0", 1, "cps 1\njumbo 9000")), 9000, 8940),
        (over_ipv6(&client("0", 1, "cps 1\njumbo")), 9710, 9650),
    ] {
        let config: Config = config(&text).config;
        let plan = Plan::assumed(&config).unwrap();
        assert_eq!((config.mtu, plan.workers[0].core.mss), (mtu, mss), "{text}");
    }
    let longer = over_ipv6(&client("0", 1, "cps 1\nmss 1441"));
    let refused = read(&[Source { name: "p.conf".to_owned(), bytes: longer.into() }]).unwrap_err();
    assert!(refused.to_string().contains("1441 bytes are more than fit one packet, 1440"));
}

fn over_ipv6(text: &str) -> String {
    text.replace("10.0.", "fd00::").replace("fd00::1.", "fd00::1:").replace("fd00::2.", "fd00::2:")
}

fn message(text: &str) -> (Messages, usize, Vec<u8>) {
    let plan = plan(text).unwrap();
    let core = plan.workers[0].core;
    let message = plan.messages[0].clone();
    (core.messages, message.total_bytes as usize, message.head)
}

#[test]
fn messages_are_to_the_byte() {
    let ours = |lines: &str| message(&client("0", 1, &format!("cps 1\n{lines}")));
    let theirs = |lines: &str| message(&server("0", 1, lines));
    let (form, bytes, head) = ours("");
    assert_eq!((form, bytes, head.len()), (Messages::HttpGet, 85, 85));
    assert!(head.starts_with(b"GET / HTTP/1.1\r\n") && head.ends_with(b"\r\n\r\n"));
    assert_eq!(ours("payload_size 1"), (Messages::Raw, 1, b"a".to_vec()));
    assert_eq!(ours("protocol http\npayload_size 3"), (Messages::HttpGet, 3, b"aa\n".to_vec()));
    for size in [85, 86, 500, 1460] {
        assert_eq!(ours(&format!("payload_size {size}")).1, size);
        let (form, bytes, head) = ours(&format!("http_method POST\npayload_size {size}"));
        assert_eq!((form, bytes, head.len()), (Messages::HttpPost, size, size));
        let (form, bytes, head) = theirs(&format!("payload_size {size}\nprotocol http"));
        assert_eq!((form, bytes, head.len()), (Messages::HttpGet, size, size));
    }
    let (form, bytes, head) = theirs("");
    assert_eq!((form, bytes), (Messages::HttpGet, 99));
    assert_eq!(theirs("payload_size 9").0, Messages::Raw);
    assert!(head.ends_with(b"\r\n\r\nhello dperf!\r\n"));
    assert!(find(&head, b"Connection:close"));
    assert!(find(&theirs("keepalive 1s").2, b"Connection:keep-alive"));
    let (_, bytes, head) = theirs("payload_size 1g");
    assert!((bytes, head.len()) == (1_000_000_000, 85) && find(&head, b":  999999915\r\n"));
}

fn find(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[test]
fn datagrams_are_filler_or_the_file() {
    let ours = |lines: &str| message(&client("0", 1, &format!("cps 1\nprotocol udp\n{lines}")));
    let theirs = |lines: &str| message(&server("0", 1, &format!("protocol udp\n{lines}")));
    for of in [&ours as &dyn Fn(&str) -> _, &theirs] {
        assert_eq!(of(""), (Messages::Raw, 0, Vec::new()));
        assert_eq!(of("payload_size 1"), (Messages::Raw, 1, b"a".to_vec()));
        assert_eq!(of("payload_size 4"), (Messages::Raw, 4, b"aaa\n".to_vec()));
        for size in [85, 100, 1472] {
            let (form, bytes, head) = of(&format!("payload_size {size}"));
            assert_eq!((form, bytes, head.len()), (Messages::Raw, size, size));
            assert!(head[..size - 1].iter().all(|byte| *byte == b'a') && head[size - 1] == b'\n');
        }
        let random = of("payload_random\npayload_size 300").2;
        assert!(random[..299].iter().any(|byte| *byte != b'a') && random[299] == b'\n');
    }
    let file = std::env::temp_dir().join(format!("datagram-{}", std::process::id()));
    std::fs::write(&file, [0, 1, 0, 255]).unwrap();
    let (_, bytes, head) = ours(&format!("payload_file {}", file.display()));
    std::fs::remove_file(file).unwrap();
    assert_eq!((bytes, head), (4, vec![0, 1, 0, 255]));
}

#[test]
fn a_server_may_have_a_message_for_each_core() {
    let plan = plan(&server("0 1 2", 3, "payload_size 100 2000000 300")).unwrap();
    let sizes: Vec<u32> =
        plan.lend().iter().map(|worker| worker.core.payload.total_bytes).collect();
    assert_eq!(sizes, [100, 2_000_000, 300]);
    let read = config(&server("0 1", 2, "payload_size 100 300"));
    let planned = Plan::assumed(&read.config).unwrap();
    let text = super::explain(&read.config, &planned, &read.notes);
    assert!(text.contains("HTTP response of 100, 300 bytes, by worker"), "{text}");
    let record = PlanRecord::new(&read.config, &planned, &read.notes);
    let json = serde_json::to_value(&record).unwrap();
    assert_eq!(json["message"]["bytes_per_worker"], serde_json::json!([100, 300]));
}

#[test]
fn destinations_are_dealt_to_the_workers() {
    let lines = "cps 9\nflood\nchange_dip 10.9.0.1 2 4\nchange_dip 10.9.1.1 1 1";
    let plan = plan(&client("0 1", 2, lines)).unwrap().lend();
    let texts = |worker: &WorkerPlan| -> Vec<String> {
        worker.core.destinations.iter().map(IpAddr::to_string).collect()
    };
    assert_eq!(texts(&plan[0]), ["10.9.0.1", "10.9.0.5", "10.9.1.1"]);
    assert_eq!(texts(&plan[1]), ["10.9.0.3", "10.9.0.7"]);
}

/// The plan of a client with one worker and these lines, and its record.
fn of_client(lines: &str) -> (Plan, serde_json::Value) {
    let read = config(&client("0", 1, lines));
    let plan = Plan::assumed(&read.config).unwrap();
    let record = PlanRecord::new(&read.config, &plan, &read.notes);
    let json = serde_json::to_value(record).unwrap();
    (plan, json)
}

/// What a load that is no connection comes to, a second.
#[test]
fn datagrams_and_floods_have_their_own_load() {
    let load = |lines: &str| {
        let load = &of_client(lines).1["load"];
        let of = |name: &str| load[name].as_f64().unwrap();
        (of("tx_packets_per_s"), of("rx_packets_per_s"), of("tx_wire_bits_per_s"))
    };
    // 14 + 20 + 8 + 58 bytes, and 24 around them.
    let udp = "protocol udp\npayload_size 58\n";
    assert_eq!(load(&format!("{udp}cps 10")), (10.0, 10.0, 9_920.0));
    let kept = format!("{udp}cps 10\ncc 3\nkeepalive 1ms");
    assert_eq!(load(&kept), (3000.0, 3000.0, 2_976_000.0));
    assert_eq!(load(&format!("{kept}\nflood\npipeline 5")).0, 15_000.0);
    // 14 + 20 + 20 + 8 bytes.
    assert_eq!(load("cps 10\nflood"), (10.0, 0.0, 6_880.0));
    assert_eq!(load("cps 10\ncc 2\nkeepalive 100us\nflood").0, 20_000.0);
}

/// Nothing is kept of a flood's connection that is over with its first packet.
#[test]
fn only_what_is_kept_needs_memory() {
    let memory = |lines: &str| {
        let (plan, json) = of_client(lines);
        let worker = &json["workers"][0];
        let slots = plan.lend()[0].slots;
        (worker["tuples"].as_u64().unwrap(), slots, worker["memory_bytes"].as_u64().unwrap())
    };
    let (tuples, slots, bytes) = memory("cps 10");
    assert!(slots == tuples && bytes == 64 * tuples);
    for lines in ["cps 10\nflood", "cps 10\nflood\nprotocol udp"] {
        assert_eq!(memory(&format!("{lines}\ncc 2\nkeepalive 1ms")), (tuples, slots, bytes));
        let (same, none, rest) = memory(lines);
        assert_eq!((same, none, rest), (tuples, 0, 0), "{lines}");
    }
}

#[test]
fn random_filler_depends_on_the_seed_alone() {
    let filler = |lines: &str| message(&server("0", 1, &format!("payload_random\n{lines}"))).2;
    let one = filler("payload_size 100k");
    assert_eq!(one.len(), 100_000);
    assert_eq!(one, filler("payload_size 100k"));
    assert_ne!(one, filler("payload_size 100k\nseed 2"));
    assert!(one[85..99_999].iter().all(u8::is_ascii_lowercase));
    let letters: HashSet<u8> = one[85..].iter().copied().collect();
    assert!(letters.len() >= 26);
    let long = filler("payload_size 17m");
    assert!(long.len() == 17_000_000 && long[85..].iter().any(|byte| *byte != b'a'));
    let get = message(&client("0", 1, "cps 1\npayload_random\npayload_size 200")).2;
    let plain = message(&client("0", 1, "cps 1\npayload_size 200")).2;
    let pad = plain.windows(5).position(|window| window == b"Pad: ").unwrap() + 5;
    assert!(get[..pad] == plain[..pad] && get[pad..196] != plain[pad..196]);
    assert_eq!(get[196..], plain[196..]);
}

#[test]
fn a_request_that_cannot_be_so_short_is_refused() {
    let lines = "cps 1\nprotocol http\nhttp_path /a/long/way/to/go\npayload_size 85";
    let refused = plan(&client("0", 1, lines)).unwrap_err();
    let expected = "p.conf:9:1: payload_size: the request with this path and host has 86 bytes";
    assert!(refused.starts_with(expected), "{refused}");
    let mss = plan(&client("0", 1, "cps 1\nmss 84")).unwrap_err();
    assert!(mss.starts_with("p.conf:7:1: mss: a request of 85 bytes does not fit"), "{mss}");
}

#[test]
fn time_outs_and_seeds_are_as_agreed() {
    let plan = plan(&client("0 1", 1, "cps 5\nkeepalive 60s 7\nretransmit_timeout 3")).unwrap();
    let core = plan.workers[0].core;
    assert_eq!((core.retransmit_timeout_us, core.idle_timeout_us), (3_000_000, 72_000_000));
    assert_eq!(core.keepalive.map(|kept| (kept.interval_us, kept.requests)), Some((60_000_000, 7)));
    assert_eq!((core.seed, plan.workers[1].core.seed), (scramble(1, 0), scramble(1, 1)));
    assert!(core.announces && !plan.workers[1].core.announces);
    assert_eq!(plan.workers[1].name, "client-0.1");
}

#[test]
fn lists_find_what_they_hold() {
    let addresses: Vec<IpAddr> = ["10.0.1.5", "10.0.1.6", "10.0.1.1", "10.0.1.9", "10.0.1.2"]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    let list = OwnedList::new(addresses.clone());
    assert_eq!(list.ranges(), "10.0.1.5 - 10.0.1.6, 10.0.1.1, 10.0.1.9, 10.0.1.2");
    for (index, address) in addresses.iter().enumerate() {
        assert_eq!(list.as_list().find(number(*address)), Some(index as u32));
    }
    assert_eq!(list.as_list().find(number("10.0.1.3".parse().unwrap())), None);
}

#[test]
fn the_record_says_when_and_how_much() {
    let json = of_client("cps 100\ncc 1000\nkeepalive 10ms\nslow_start 10\nwait 3").1;
    assert_eq!(json["type"], "plan");
    assert_eq!(json["facts"], "assumed");
    // 30 + 40 + .. + 90 in the ramp, the other 580 at 100 a second.
    assert_eq!(json["time"]["all_open_s"], 16);
    assert_eq!(json["load"]["requests_per_s"], 100_000.0);
    assert_eq!(json["workers"][0]["cps"], 100);
}

#[test]
fn parts_of_the_load_add_up_to_it() {
    let loads = ["cps 1001", "cps 1001\ncc 999\nkeepalive 10ms", "cps 3\ncc 2\nkeepalive 1s 7"];
    for lines in loads {
        let read = config(&client("0-3", 1, &format!("{lines}\nrss")));
        let plan = Plan::assumed(&read.config).unwrap();
        let record = PlanRecord::new(&read.config, &plan, &[]);
        let whole = record.load.unwrap();
        let of_workers = record.workers.iter().filter_map(|worker| worker.load);
        let of_ports = record.ports.iter().filter_map(|port| port.load);
        for parts in [of_workers.collect::<Vec<_>>(), of_ports.collect()] {
            let sum = |of: fn(&super::load::LoadRecord) -> f64| parts.iter().map(of).sum::<f64>();
            let is = |sum: f64, whole: f64| assert!((sum - whole).abs() < 1e-6 * whole, "{lines}");
            is(sum(|load| load.tx_packets_per_s), whole.tx_packets_per_s);
            is(sum(|load| load.tx_wire_bits_per_s), whole.tx_wire_bits_per_s);
        }
        let memory: u64 = record.workers.iter().map(|worker| worker.memory_bytes).sum();
        assert_eq!(memory, record.memory_bytes);
        let buffers: u64 = record.ports.iter().map(|port| port.buffer_bytes).sum();
        assert!(buffers > 0 && buffers == record.buffer_bytes);
    }
    let read = config(&server("0 1", 1, "rss"));
    let record = PlanRecord::new(&read.config, &Plan::assumed(&read.config).unwrap(), &[]);
    assert!(record.load.is_none() && record.workers.iter().all(|worker| worker.load.is_none()));
}

#[test]
fn what_is_assumed_of_ports_is_said() {
    let said = |port: &str| {
        let text = client("0", 1, "cps 1").replace("link:a", port);
        let read = config(&text);
        let text = super::explain(&read.config, &Plan::assumed(&read.config).unwrap(), &[]);
        text.lines().last().unwrap_or_default().to_owned()
    };
    for (port, assumed) in [
        ("af_packet:eth0", "the MTU of eth0, 1500; MAC addresses"),
        ("af_xdp:eth0", "the MTU of eth0, 1500; MAC addresses"),
        ("link:a", "the other end of link:a, like this one; MAC addresses"),
        ("net_null0", "huge pages; MAC addresses"),
    ] {
        assert_eq!(said(port), format!("No port was opened: assumed are {assumed}."));
    }
}

#[test]
fn frames_are_told_with_every_header() {
    let frames = |text: String| {
        let read = config(&text);
        let plan = Plan::assumed(&read.config).unwrap();
        let record = PlanRecord::new(&read.config, &plan, &[]);
        let text = super::explain(&read.config, &plan, &[]);
        let line = text.lines().find_map(|line| line.strip_prefix("  frames   ")).unwrap();
        assert_eq!(line.split(", ").count(), record.exchange.len());
        line.to_owned()
    };
    let of_client = |lines: &str| frames(client("0", 1, &format!("cps 1\n{lines}")));
    let of_server = |lines: &str| frames(server("0", 1, lines));
    assert_eq!(of_client(""), "SYN 62, SYN-ACK 62, request 139, response ?, FIN 54, ACK 54 bytes");
    let kept = "SYN 62, SYN-ACK 62, request 55, response ?, FIN 54, FIN 54, ACK 54 bytes";
    assert_eq!(of_client("keepalive 1s\npayload_size 1"), kept);
    assert_eq!(
        of_client("fast_close"),
        "SYN 62, SYN-ACK 62, request 139, response ?, RST 54 bytes"
    );
    let large =
        "SYN 62, SYN-ACK 62, request ?, response 6 x 1514, response 1294, FIN 54, ACK 54 bytes";
    assert_eq!(of_server("payload_size 10000"), large);
    let tagged = "SYN 66, SYN-ACK 66, request ?, response 157, FIN 58, ACK 58 bytes";
    assert_eq!(of_server("vlan 5"), tagged);
}

/// Nothing that a keyword says is left out of what `check` tells.
#[test]
fn every_keyword_is_told() {
    // With ports and workers, or as a note.
    let elsewhere =
        "mode cpu port client server vlan vxlan kni lport_range packet_size tx_burst".split(' ');
    let elsewhere: Vec<&str> = elsewhere.collect();
    let read = config(&client("0", 1, "cps 1"));
    let told = super::settings::all(&read.config);
    let manual = crate::config::markdown();
    let keywords = manual.lines().filter_map(|line| line.strip_prefix("### "));
    let untold: Vec<&str> = keywords
        .filter(|name| !elsewhere.contains(name) && told.iter().all(|(known, _)| known != name))
        .collect();
    assert_eq!(untold, [""; 0]);
}
