//! TAP interfaces as the program makes them: what they are, who may have them, what becomes of
//! them. Client and server are one process over a link, in a namespace of its own.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use dperf_tests::namespace::{Namespace, alone};
use dperf_tests::process::{Ended, Folder, Process, Signal};
use dperf_tests::program::{self, Outcome, Program};

/// The longest a refusal may take.
const REFUSAL: Duration = Duration::from_secs(10);

/// A namespace and two files.
struct Both {
    space: Namespace,
    folder: Folder,
    files: Vec<PathBuf>,
}

impl Both {
    /// A server and a client over a link with two queues, each told `words`, until it is stopped.
    fn new(words: &str) -> Both {
        Both::with(words, str::to_owned)
    }

    /// The same over IPv6.
    fn over_ipv6(words: &str) -> Both {
        Both::with(words, |text| text.replace("10.77.0.", "fd77::"))
    }

    fn with(words: &str, family: fn(&str) -> String) -> Both {
        let (space, folder) = (Namespace::new(), Folder::new());
        let common = format!(
            "protocol http\nduration 600s\nclient 10.77.0.100 2\n\
             server 10.77.0.200 2\n{words}"
        );
        let cpu = program::cpu();
        let server = format!("mode server\ncpu 0 0\nport link:a 10.77.0.1 10.77.0.2\n{common}\n");
        let client = format!(
            "mode client\ncpu {cpu} {cpu}\nslow_start 0\ncps 2k\nport link:a 10.77.0.2 10.77.0.1\n\
             {common}\n"
        );
        let files = [("server.conf", server), ("client.conf", client)];
        let files = files.map(|(name, text)| folder.write(name, family(&text))).to_vec();
        Both { space, folder, files }
    }

    /// Starts the program and waits until load flows.
    fn start(&self, words: &[&str]) -> Program {
        let (space, folder) = (&self.space, &self.folder);
        let mut program = Program::start_beside(space, folder, "both", &self.files, words);
        program.wait_for_load();
        program
    }

    /// Starts the program, behind `before` on its command line, and waits for its refusal.
    fn refusal(&self, before: &[&str], words: &[&str]) -> Ended {
        let mut command = self.space.command("env");
        command.args(before).arg(program::path()).arg("run").args(&self.files).args(words);
        let ended = Process::start(command, "refused", &self.folder).end(REFUSAL);
        assert_eq!(ended.status.code(), Some(2), "{}{}", ended.out, ended.err);
        self.assert_nothing_left();
        ended
    }

    /// The names of the interfaces, but the loopback's.
    fn interfaces(&self) -> Vec<String> {
        let text = self.space.run("ls /sys/class/net");
        text.split_whitespace().filter(|name| *name != "lo").map(str::to_owned).collect()
    }

    fn assert_nothing_left(&self) {
        assert_eq!(self.interfaces(), [""; 0], "an interface was left behind");
    }
}

/// The load did not notice.
fn assert_passed(outcome: &Outcome) {
    assert_eq!(outcome.code(), Some(0), "{}{}", outcome.0.out, outcome.0.err);
    for role in ["server", "client"] {
        let record = outcome.record_of(role);
        assert_eq!((&record["skErr"], &record["dropTx"]), (&0.into(), &0.into()), "{record}");
    }
}

#[test]
fn an_interface_is_the_ports_twin() {
    let Some(_alone) = alone("an_interface_is_the_ports_twin", &[]) else { return };
    let both = Both::new("exception tap net\njumbo 9000");
    let program = both.start(&[]);
    assert_eq!(both.interfaces(), ["netc0", "nets0"]);
    let link = both.space.run("ip -oneline link show dev nets0");
    assert!(link.contains("mtu 9000") && link.contains(",UP"), "{link}");
    assert!(link.contains("MULTICAST"), "OSPF and neighbour discovery need it: {link}");
    let plan = std::fs::read_to_string(both.folder.file("both.out")).expect("records");
    let plan = plan.lines().next().expect("a plan").to_owned();
    let plan: serde_json::Value = serde_json::from_str(&plan).expect("a record");
    let mac = plan["ports"][0]["mac"].as_str().expect("a MAC address");
    assert!(link.contains(&format!("link/ether {mac}")), "{link} {plan}");
    let queues = both.space.run("ls /sys/class/net/nets0/queues");
    assert_eq!(queues.matches("rx-").count(), 2, "one queue per worker: {queues}");
    assert_passed(&program.stop());
    both.assert_nothing_left();
}

/// The kernel would send what the port cannot, and nobody would miss the end of it.
#[test]
fn a_packet_that_is_longer_than_the_ports_is_an_error() {
    let Some(_alone) = alone("a_packet_that_is_longer_than_the_ports_is_an_error", &["ping"])
    else {
        return;
    };
    for kind in ["tap", "tap-per-core"] {
        let both = Both::new(&format!("exception {kind} net"));
        let program = both.start(&[]);
        let name = if kind == "tap" { "nets0" } else { "nets0.0" };
        both.space.address(name, "10.77.0.1/24");
        let ping =
            |bytes: u32| both.space.line(&format!("ping -q -c 1 -W 0.3 -s {bytes} 10.77.0.2"));
        assert!(ping(1472).output().is_ok_and(|ended| ended.status.success()), "the longest");
        both.space.run(&format!("ip link set {name} mtu 9000"));
        for bytes in [1473 + 4, 4000, 8972] {
            assert!(ping(bytes).output().is_ok_and(|ended| !ended.status.success()), "{bytes}");
        }
        let outcome = program.stop();
        assert_passed(&outcome);
        assert_eq!(outcome.record_of("server")["kniErrors"], 3);
        assert_eq!(outcome.record_of("client")["badRx"], 0);
    }
}

/// The kernels at both ends find each other by neighbour discovery and ping each other, through the
/// workers that do the same for the load.
#[test]
fn kernels_meet_over_ipv6_beside_the_load() {
    let Some(_alone) = alone("kernels_meet_over_ipv6_beside_the_load", &["ping"]) else { return };
    let both = Both::over_ipv6("exception tap net");
    let program = both.start(&[]);
    let text = both.space.run("ip -6 -oneline address show dev nets0 scope link");
    let address = text.split_whitespace().find_map(|word| word.strip_suffix("/64"));
    let address = address.unwrap_or_else(|| panic!("no link-local address: {text}"));
    let pings = format!("ping -6 -q -i 0.05 -c 20 -W 2 -I netc0 {address}");
    // An address of the kernel's own is usable a second or two after it was made.
    let begun = std::time::Instant::now();
    while !both.space.succeeds(&format!("ping -6 -q -c 1 -W 1 -I netc0 {address}")) {
        assert!(begun.elapsed() < Duration::from_secs(10), "the kernels do not meet");
    }
    let text = both.space.run(&pings);
    assert!(text.contains("20 received, 0% packet loss"), "{text}");
    assert_passed(&program.stop());
    both.assert_nothing_left();
}

#[test]
fn each_core_may_have_its_own_interface() {
    let Some(_alone) = alone("each_core_may_have_its_own_interface", &[]) else { return };
    let both = Both::new("exception tap-per-core");
    let program = both.start(&[]);
    assert_eq!(both.interfaces(), ["dperfc0.0", "dperfc0.1", "dperfs0.0", "dperfs0.1"]);
    let queues = both.space.run("ls /sys/class/net/dperfs0.1/queues");
    assert_eq!(queues.matches("rx-").count(), 1, "{queues}");
    assert_passed(&program.stop());
    both.assert_nothing_left();
}

#[test]
fn kni_is_a_tap_and_the_program_says_so() {
    let Some(_alone) = alone("kni_is_a_tap_and_the_program_says_so", &[]) else { return };
    let both = Both::new("kni old");
    let program = both.start(&[]);
    assert_eq!(both.interfaces(), ["oldc0", "olds0"]);
    let outcome = program.stop();
    assert_passed(&outcome);
    let said = format!("{}{}", outcome.0.out, outcome.0.err);
    assert!(said.contains("kni is `exception tap` here"), "{said}");
}

/// Two kernels meet over IPv6, which the load has no part in: neighbours are found and answers
/// come, each once.
#[test]
fn kernels_speak_ipv6_through_an_ipv4_port() {
    let tools = ["ping"];
    let Some(_alone) = alone("kernels_speak_ipv6_through_an_ipv4_port", &tools) else { return };
    let both = Both::new("exception tap");
    let there = Namespace::new();
    let program = both.start(&[]);
    both.space.run(&format!("ip link set dperfc0 netns {}", there.name()));
    there.run("ip link set dperfc0 up");
    there.run("ip address add fd00::2/64 dev dperfc0 nodad");
    both.space.run("ip address add fd00::1/64 dev dperfs0 nodad");
    let text = there.run("ping -q -c 20 -i 0.05 -W 2 fd00::1");
    assert!(text.contains("20 packets transmitted, 20 received, 0% packet loss"), "{text}");
    assert_passed(&program.stop());
}

#[test]
fn a_name_that_is_taken_is_refused() {
    let Some(_alone) = alone("a_name_that_is_taken_is_refused", &[]) else { return };
    let both = Both::new("exception tap");
    both.space.run("ip tuntap add dperfc0 mode tap multi_queue");
    let mut command = both.space.command(&program::path().display().to_string());
    command.arg("run").args(&both.files);
    let ended = Process::start(command, "refused", &both.folder).end(REFUSAL);
    assert_eq!(ended.status.code(), Some(2));
    assert!(ended.err.contains("client.conf:"), "{}", ended.err);
    assert!(ended.err.contains("there is one of that name already"), "{}", ended.err);
    assert!(ended.err.contains("'ip link delete dperfc0'"), "{}", ended.err);
    assert_eq!(both.interfaces(), ["dperfc0"], "the server's interface went, the stranger's stays");
}

#[test]
fn without_the_right_to_make_one_it_is_refused() {
    let Some(_alone) = alone("without_the_right_to_make_one_it_is_refused", &[]) else { return };
    let both = Both::new("exception tap");
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];
    // Nobody may read the files and the program where they lie.
    let open = ["chmod", "-R", "a+rX"].map(str::to_owned);
    let folder = both.folder.path().display().to_string();
    let opened = Command::new(&open[0]).args(&open[1..]).arg(folder).status().expect("chmod runs");
    assert!(opened.success());
    let copy = both.folder.file("dperf-shell");
    std::fs::copy(program::path(), &copy).expect("a copy of the program");
    let mut command = both.space.command(nobody[0]);
    command.args(&nobody[1..]).arg(&copy).arg("run").args(&both.files);
    let ended = Process::start(command, "refused", &both.folder).end(REFUSAL);
    assert_eq!(ended.status.code(), Some(2), "{}", ended.err);
    assert!(ended.err.contains("the right to administer networks"), "{}", ended.err);
    assert!(ended.err.contains("setcap"), "{}", ended.err);
}

#[test]
fn without_tap_in_the_kernel_it_is_refused() {
    let tools = ["unshare", "mount"];
    let Some(_alone) = alone("without_tap_in_the_kernel_it_is_refused", &tools) else { return };
    let both = Both::new("exception tap");
    let hide = "mount -t tmpfs none /dev/net && exec \"$@\"";
    let ended = both.refusal(&["unshare", "-m", "sh", "-c", hide, "sh"], &[]);
    assert!(ended.err.contains("the kernel has no TAP here: 'modprobe tun'"), "{}", ended.err);
}

#[test]
fn the_hook_knows_the_interface_and_its_failure_is_a_refusal() {
    let test = "the_hook_knows_the_interface_and_its_failure_is_a_refusal";
    let Some(_alone) = alone(test, &[]) else { return };
    let both = Both::new("exception tap");
    let seen = both.folder.file("seen");
    let hook = format!("echo $ROLE $INTERFACE $ADDRESS $GATEWAY >> {}", seen.display());
    let program = both.start(&["--exception-up", &hook]);
    let seen = String::from_utf8(both.folder.read("seen")).expect("text");
    let expected = "server dperfs0 10.77.0.1 10.77.0.2\nclient dperfc0 10.77.0.2 10.77.0.1\n";
    assert_eq!(seen, expected);
    assert_passed(&program.stop());
    let ended = both.refusal(&[], &["--exception-up", "exit 7"]);
    assert!(ended.err.contains("--exception-up 'exit 7' failed for dperfs0"), "{}", ended.err);
}

#[test]
fn the_hook_speaks_on_stderr_and_stops_with_us() {
    let Some(_alone) = alone("the_hook_speaks_on_stderr_and_stops_with_us", &[]) else { return };
    let both = Both::new("exception tap");
    let mut command = both.space.command(&program::path().display().to_string());
    command.arg("run").args(&both.files).args(["--exception-up", "echo here; exec sleep 60"]);
    let mut process = Process::start(command, "hook", &both.folder);
    let speaks = |process: &Process| process.err().contains("here");
    process.wait_until("the hook", REFUSAL, speaks);
    let ended = process.end_by(Signal::TERM, REFUSAL);
    assert_eq!((ended.status.code(), ended.out.as_str()), (Some(2), ""), "{}", ended.err);
    assert!(ended.err.contains("stopped while --exception-up"), "{}", ended.err);
    both.assert_nothing_left();
    let both = Both::new("");
    let outcome = both.start(&["--exception-up", "true"]).stop();
    assert!(outcome.0.err.contains("--exception-up is not run"), "{}", outcome.0.err);
}

#[test]
fn load_goes_on_without_a_deleted_interface() {
    let Some(_alone) = alone("load_goes_on_without_a_deleted_interface", &["ping"]) else { return };
    let both = Both::new("exception tap");
    let mut program = both.start(&[]);
    both.space.run("ip link delete dperfs0");
    let tells =
        |process: &Process| process.err().contains("server: the kernel's interface was deleted");
    program.process().wait_until("the news of it", Duration::from_secs(10), tells);
    std::thread::sleep(Duration::from_secs(1));
    let outcome = program.stop();
    assert_passed(&outcome);
    assert!(!outcome.0.err.contains("client: the kernel's"), "{}", outcome.0.err);
    both.assert_nothing_left();
}

#[test]
fn a_kill_leaves_no_interface() {
    let Some(_alone) = alone("a_kill_leaves_no_interface", &[]) else { return };
    let both = Both::new("exception tap");
    let mut program = both.start(&[]);
    assert_eq!(both.interfaces().len(), 2);
    program.process().signal(Signal::KILL);
    drop(program);
    both.assert_nothing_left();
}
