//! What a plan tells of a port's memory is what this process then has, page for page: as the kernel
//! counts it, in a process of its own, since another thread's memory would be counted too.

use std::io::Read;

use super::*;
use crate::config::{Source, read};
use crate::plan::{Plan, PlanRecord};
use crate::port::packet_socket::tests::namespace::{alone, sh};
use crate::testing::run_alone;

#[test]
fn ports_take_the_memory_that_is_told() {
    run_alone(concat!(module_path!(), "::ports_alone"));
}

/// Not a test: what the other one starts.
#[test]
#[ignore = "started by another test"]
fn ports_alone() {
    alone("ports_take_the_memory_that_is_told", || {
        // They stay open: memory that was given back would be taken again uncounted.
        let mut open = Vec::new();
        for (device, mtu, lines) in [
            ("af_packet", 1500, ""),
            ("af_xdp", 1500, ""),
            ("af_packet", 9000, "jumbo 9000"),
            ("af_packet", 3000, ""),
            ("af_xdp", 3000, ""),
        ] {
            for workers in [1, 2] {
                let name = format!("v{}", open.len());
                cable(&name, workers, mtu);
                let config = config("server", workers, &format!("{device}:{name}"), lines);
                let (checked, ports) = opened(&[&config]);
                assert_eq!(checked, mtu == config.mtu, "{device} with an MTU of {mtu}");
                open.push(ports);
            }
        }
        for lines in ["", "rss"] {
            let [one, other] = ["server", "client"].map(|role| config(role, 2, "link:wire", lines));
            let (checked, ports) = opened(&[&one, &other]);
            assert!(checked);
            open.push(ports);
        }
    });
}

/// Opens the ports of these roles: they took what their plan tells. True if `check` told the same.
fn opened(roles: &[&Config]) -> (bool, Ports) {
    let told = |plan: &dyn Fn(usize, &Config) -> Plan| -> u64 {
        let plans = roles.iter().enumerate().map(|(role, config)| (config, plan(role, config)));
        plans.map(|(config, plan)| PlanRecord::new(config, &plan, &[]).buffer_bytes).sum()
    };
    let checked = told(&|_, config| Plan::assumed(config).unwrap());
    let before = mapped();
    let ports = Ports::open(roles, &|| false).unwrap();
    let after = mapped();
    let rate = dperf_core::time::TickRate::NANOSECONDS;
    let ran = told(&|role, config| Plan::new(config, &ports.facts(role), rate).unwrap());
    let name = &roles[0].ports[0].name;
    let taken = after - before;
    println!("{name}: told {ran}, by check {checked}, taken {taken}");
    // What an allocator keeps with each piece: a page before it and one to align it.
    let besides = 2 * 4096 * roles[0].queues() as u64;
    assert!((ran..=ran + besides).contains(&taken), "{name}: {ran} told, {taken} taken");
    (checked == ran, ports)
}

/// Bytes of address space of this process.
fn mapped() -> u64 {
    // The kernel tells it a page at a time: a piece that grew meanwhile would be told twice.
    let mut maps = String::with_capacity(64 << 10);
    std::fs::File::open("/proc/self/maps").unwrap().read_to_string(&mut maps).unwrap();
    assert!(maps.len() < 64 << 10, "it had to grow");
    let bytes = |line: &str| {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let at = |text| u64::from_str_radix(text, 16).unwrap();
        at(to) - at(from)
    };
    maps.lines().map(bytes).sum()
}

fn cable(name: &str, queues: usize, mtu: u16) {
    let several = format!("numtxqueues {queues} numrxqueues {queues}");
    sh(&format!(
        "ip link add {name} mtu {mtu} {several} type veth peer name {name}p mtu {mtu} {several} &&
         ip link set {name} up && ip link set {name}p up"
    ));
}

fn config(role: &str, workers: usize, device: &str, lines: &str) -> Config {
    let cpus: Vec<String> = (0..workers).map(|cpu| cpu.to_string()).collect();
    let load = if role == "client" { "cps 1" } else { "" };
    let text = format!(
        "mode {role}\ncpu {}\nclient 192.0.2.100 1\nserver 192.0.2.10 {workers}\nprotocol http\n\
         port {device} 192.0.2.1 192.0.2.254\n{lines}\n{load}\n",
        cpus.join(" ")
    );
    let source = Source { name: "t.conf".to_owned(), bytes: text.into_bytes() };
    read(&[source]).unwrap().config
}
