//! Over XDP sockets the kernel stays in charge: the load is ours, and everything else on the same
//! interface (pings, connections, neighbours) is the kernel's, undisturbed.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use dperf_tests::kernel::{Counters, RESETS};
use dperf_tests::namespace::alone;
use dperf_tests::process::{Process, Signal};
use dperf_tests::program::{self, Program};

use crate::net::{
    self, CABLE, Checksums, LOAD, Net, Nginx, OURS, PEER, PORT, Way, few_seconds, under_wrk, wrk,
};

/// A net whose kernel has the port's own address, as a kernel in charge has.
fn shared() -> Net {
    let net = Net::new(Checksums::Made);
    net.here.address(PORT, &format!("{OURS}/24"));
    net
}

/// The port, its interrupts put off.
const DEFERRED: &str = "af_xdp:port0,defer=200us";

fn start(net: &Net, name: &str, text: &str) -> Program {
    let text = text.replace("af_packet:", "af_xdp:");
    Program::start(&net.here, &net.folder, name, &text)
}

fn server(net: &Net, more: &str) -> Program {
    let mut server = start(net, "server", &net::server(OURS, more));
    server.wait_for_load();
    server
}

fn assert_detached(net: &Net) {
    let link = net.here.run(&format!("ip -details link show dev {PORT}"));
    assert!(!link.contains("xdp"), "{link}");
}

#[test]
fn nginx_answers_a_client_over_xdp() {
    let Some(_alone) = alone("nginx_answers_a_client_over_xdp", &["nginx", "ss", "ping"]) else {
        return;
    };
    let net = shared();
    let nginx = Nginx::start(&net.there, &net.folder);
    let before = Counters::of(&net.there);
    let way = Way { gateway: PEER, server: PEER };
    let text = net::client(&way, few_seconds(), "cps 2k\nhttp_path /1k");
    let mut client = start(&net, "client", &text);
    client.wait_for_load();
    let count = 10 * few_seconds();
    let pings = net.there.run(&format!("ping -q -i 0.05 -c {count} -W 2 {OURS}"));
    assert!(pings.contains(" 0% packet loss") && !pings.contains("duplicates"), "{pings}");
    let outcome = client.end(few_seconds());
    net.assert_clean(&outcome, &[], &before, RESETS);
    assert!(outcome.count("http2XX") >= 1980 * few_seconds(), "{}", outcome.record());
    assert_eq!(outcome.count("icmpRx"), 0, "pings of the kernel's address are the kernel's");
    assert_detached(&net);
    nginx.stop(&net.folder);
}

#[test]
fn the_kernel_lives_beside_a_server_over_xdp() {
    let tools = ["wrk", "curl", "ping", "socat", "ss", "cmp"];
    let Some(_alone) = alone("the_kernel_lives_beside_a_server_over_xdp", &tools) else { return };
    let net = shared();
    let server = server(&net, "");
    assert_eq!(net.there.run(&format!("curl -s -m 5 http://{LOAD}/")), "hello dperf!\r\n");
    let sent = net.folder.write("sent", vec![b'k'; 20_000_000]);
    let received = net.folder.file("received");
    let listen = format!("socat -u TCP-LISTEN:80,bind={OURS} CREATE:{}", received.display());
    let mut listener = Process::start(net.here.line(&listen), "listener", &net.folder);
    let listens = |_: &Process| net.here.run("ss -Hltn").contains(":80");
    listener.wait_until("a listening socket", Duration::from_secs(10), listens);
    under_wrk(&net, &["-H", "Connection: close"], || {
        // The load's port at the kernel's own address: a connection of the kernel.
        net.there.run(&format!("socat -u OPEN:{} TCP:{OURS}:80", sent.display()));
        let pings = net.there.run(&format!("ping -q -i 0.05 -c 60 -W 2 {OURS}"));
        assert!(pings.contains("60 received, 0% packet loss"), "{pings}");
        let pings = net.there.run(&format!("ping -q -i 0.05 -c 20 -W 2 {LOAD}"));
        assert!(pings.contains("20 received, 0% packet loss"), "{pings}");
    });
    assert!(listener.end(Duration::from_secs(5)).status.success());
    net.here.run(&format!("cmp {} {}", sent.display(), received.display()));
    let outcome = server.stop();
    // wrk leaves in the middle of its last answers.
    assert_eq!(outcome.count("skErr") - outcome.count("skErrReset"), 0, "{}", outcome.record());
    assert!(outcome.count("skErrReset") <= 32, "{}", outcome.record());
    assert_eq!(outcome.count("icmpTx"), 20, "pings of the load's address are ours");
    assert_detached(&net);
}

#[test]
fn interrupts_are_put_off_as_long_as_a_port_is_open() {
    let name = "interrupts_are_put_off_as_long_as_a_port_is_open";
    let Some(_alone) = alone(name, &["wrk"]) else { return };
    let net = shared();
    let file = |setting| format!("/sys/class/net/{PORT}/{setting}");
    let settings = || {
        ["napi_defer_hard_irqs", "gro_flush_timeout"].map(|setting| {
            let text = net.here.run(&format!("cat {}", file(setting)));
            text.trim().parse::<u32>().expect("a number")
        })
    };
    let before = net.folder.write("before", "7000");
    net.here.run(&format!(
        "cp --no-preserve=all {} {}",
        before.display(),
        file("gro_flush_timeout")
    ));
    assert_eq!(settings(), [0, 7000]);
    let text = net::server(OURS, "").replace(&format!("af_packet:{PORT}"), DEFERRED);
    let mut server = Program::start(&net.here, &net.folder, "server", &text);
    server.wait_for_load();
    assert_eq!(settings(), [2, 200_000]);
    wrk(&net.there, LOAD, few_seconds(), &[]);
    let outcome = server.stop();
    let lost = outcome.count("imissed") + outcome.count("rxNombuf");
    assert!(outcome.count("http2XX") > 1000 && lost == 0, "{}", outcome.record());
    assert_eq!(settings(), [0, 7000]);
    assert_detached(&net);
}

/// What is on its way already when the program comes up is the kernel's, and nothing is lost.
#[test]
fn a_server_that_comes_up_among_frames_loses_none() {
    let Some(_alone) = alone("a_server_that_comes_up_among_frames_loses_none", &[]) else { return };
    let net = shared();
    let mac = net.here.run(&format!("cat /sys/class/net/{PORT}/address"));
    net.there.run(&format!("ip neighbour replace {LOAD} lladdr {} dev {CABLE}", mac.trim()));
    let over = AtomicBool::new(false);
    let outcome = std::thread::scope(|scope| {
        scope.spawn(|| {
            net.there.inside(|| {
                let socket = UdpSocket::bind((PEER, 0)).expect("a free port");
                while !over.load(Relaxed) {
                    // A kernel that is asked in vain says so by the next error.
                    let _ = socket.send_to(b"?", (LOAD, 80));
                    std::thread::sleep(Duration::from_micros(50));
                }
            });
        });
        let mut server = server(&net, "");
        server.wait_for_load();
        over.store(true, Relaxed);
        server.stop()
    });
    assert!(outcome.count("udpRx") > 100, "{}", outcome.record());
    assert_eq!(outcome.count("imissed") + outcome.count("rxNombuf"), 0, "{}", outcome.record());
}

/// What comes while nobody looks is lost once, and counted once.
#[test]
fn a_stopped_server_loses_each_frame_once() {
    let Some(_alone) = alone("a_stopped_server_loses_each_frame_once", &[]) else { return };
    let net = shared();
    let mut server = server(&net, "");
    server.wait_for_load();
    net.there.run(&format!("ping -q -c 1 -W 2 {LOAD}"));
    server.process().signal(Signal::STOP);
    let sent = 10_000;
    net.there.inside(|| {
        let socket = UdpSocket::bind((PEER, 0)).expect("a free port");
        for _ in 0..sent {
            socket.send_to(b"?", (LOAD, 80)).expect("the cable takes it");
        }
    });
    server.process().signal(Signal::CONT);
    let outcome = server.stop();
    let lost = outcome.count("imissed") + outcome.count("rxNombuf");
    assert!(lost > 0, "its rings hold less");
    assert_eq!(outcome.count("udpRx") + lost, sent, "{}", outcome.record());
}

#[test]
fn a_kill_detaches_the_program() {
    let Some(_alone) = alone("a_kill_detaches_the_program", &["ping"]) else { return };
    let net = shared();
    let server = server(&net, "");
    let link = net.here.run(&format!("ip -details link show dev {PORT}"));
    assert!(link.contains("prog/xdp"), "{link}");
    assert_eq!(server.stop_by(Signal::KILL).code(), None);
    assert_detached(&net);
    net.there.run(&format!("ping -q -c 1 -W 2 {OURS}"));
}

#[test]
fn an_xdp_port_that_cannot_be_opened_says_why() {
    let Some(_alone) = alone("an_xdp_port_that_cannot_be_opened_says_why", &[]) else { return };
    let net = shared();
    let refusal = |name: &str, before: &[&str], text: &str| {
        let file = net.folder.write(&format!("{name}.conf"), text.replace("af_packet:", "af_xdp:"));
        let mut command = net.here.command("env");
        command.args(before).arg(program::path()).arg("run").arg(file);
        let ended = Process::start(command, name, &net.folder).end(Duration::from_secs(10));
        assert_eq!(ended.status.code(), Some(2), "{}", ended.err);
        ended.err
    };
    let text = net::server(OURS, "");
    let bare = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
    let rights = refusal("rights", &bare, &text);
    assert!(
        rights.contains("'setcap cap_net_raw,cap_net_admin,cap_bpf,cap_ipc_lock+ep'"),
        "{rights}"
    );
    let small = ["prlimit", "--memlock=8388608", "setpriv", "--bounding-set=-ipc_lock"];
    let memory = refusal("memory", &small, &text);
    assert!(memory.contains("memory that may be locked is short: 'ulimit -l"), "{memory}");
    let all_kernels = text.replace(&format!("server {LOAD} 4"), &format!("server {OURS} 1"));
    assert_ne!(all_kernels, text);
    let unheard = refusal("unheard", &[], &all_kernels);
    assert!(unheard.contains("is an address of the kernel on 'port0'"), "{unheard}");
    let put_off = text.replace(&format!("af_packet:{PORT}"), DEFERRED);
    let sys = |mount: &str| {
        let before = format!("mount {mount} /sys && exec \"$@\"");
        refusal("sys", &["unshare", "--mount", "sh", "-c", &before, "sh"], &put_off)
    };
    let elsewhere = sys("-t tmpfs none");
    assert!(elsewhere.contains("/sys does not show this network namespace"), "{elsewhere}");
    let fixed = sys("-o remount,ro,bind");
    assert!(fixed.contains("'port0': its interrupts cannot be put off: leave"), "{fixed}");
    assert!(fixed.contains("echo 200000 > /sys/class/net/port0/gro_flush_timeout"), "{fixed}");
    let _first = server(&net, "");
    let second = refusal("second", &[], &text);
    assert!(second.contains("another XDP program or socket has it"), "{second}");
}
