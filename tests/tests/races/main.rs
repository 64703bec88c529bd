//! The kernel's packets cross the program while it has more workers than there are processors, and
//! every one of them is accounted for: by the kernel, by the workers, and by its number.

mod crowd;
mod program;

use std::process::Command;

use dperf_tests::flood::Tally;
use dperf_tests::kernel::Counters;
use dperf_tests::namespace::Namespace;

/// Namespaces whose kernels say nothing unless they are told to.
fn quiet<const COUNT: usize>() -> [Namespace; COUNT] {
    core::array::from_fn(|_| {
        let namespace = Namespace::new();
        namespace.sysctl("net.ipv6.conf.all.disable_ipv6", 1);
        namespace.sysctl("net.ipv6.conf.default.disable_ipv6", 1);
        namespace
    })
}

/// Brings up interface `name` of `host` (1 or 2) on network `n`: its own address is
/// 192.168.n.`host`, and the other host is at `mac` without being asked for it.
fn set_up(name: &str, n: usize, host: usize, mac: impl std::fmt::Display) -> String {
    let peer = 3 - host;
    format!(
        "ip link set {name} txqueuelen 4000 up\n\
         ip address add 192.168.{n}.{host}/24 dev {name}\n\
         ip neighbour replace 192.168.{n}.{peer} lladdr {mac} dev {name} nud permanent\n"
    )
}

/// Datagrams that the kernel had no room for at the receiver's socket.
fn overflowed(namespace: &Namespace) -> u64 {
    Counters::of(namespace).get("UdpRcvbufErrors") as u64
}

/// Nothing came twice, changed or without being sent.
fn nothing_wrong(tallies: &[Tally; 2]) {
    for tally in tallies {
        let wrong = &tally.wrong;
        assert!(wrong.is_empty(), "{}: {:?}", wrong.len(), &wrong[..wrong.len().min(10)]);
    }
}

/// Runs the shell's `lines` inside `namespace`.
fn shell(namespace: &Namespace, lines: &str) {
    let mut command: Command = namespace.command("sh");
    let output = command.args(["-ec", lines]).output().expect("a shell");
    assert!(output.status.success(), "{lines}{}", String::from_utf8_lossy(&output.stderr));
}
