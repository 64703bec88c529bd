//! Client and server, two processes in two namespaces, the kernel at both ends: by a way of ours
//! where they are joined by shared memory with two queues, in charge of the interface where they
//! are joined by XDP sockets.

use std::time::Duration;

use dperf_tests::namespace::{Namespace, join};
use dperf_tests::process::{Folder, Process};
use dperf_tests::program::{self, Program};

/// The server's own address and the client's.
pub(crate) const SERVER: &str = "10.77.0.1";
pub(crate) const CLIENT: &str = "10.77.0.2";

/// The interface of both, over XDP sockets.
const PORT: &str = "port0";

/// The longest that DPDK may take to open a port.
const OPEN: Duration = Duration::from_secs(20);

/// What the interfaces get when they come up: the port's own address, in its net.
const UP: &str = "ip address add $ADDRESS/24 dev $INTERFACE";

/// Two namespaces and the files of both processes in them.
pub(crate) struct Pair {
    pub(crate) server: Namespace,
    pub(crate) client: Namespace,
    pub(crate) folder: Folder,
}

/// Two processes under load.
pub(crate) struct Running {
    pub(crate) server: Program,
    pub(crate) client: Program,
}

impl Pair {
    pub(crate) fn new() -> Pair {
        let pair =
            Pair { server: Namespace::new(), client: Namespace::new(), folder: Folder::new() };
        for namespace in [&pair.server, &pair.client] {
            // What the kernel says of itself over IPv6 is not what is tested.
            namespace.sysctl("net.ipv6.conf.default.disable_ipv6", 1);
        }
        pair
    }

    /// Starts both over XDP sockets, the kernels having the ports' own addresses.
    pub(crate) fn start_xdp(&self, cps: u64) -> Running {
        join((&self.server, PORT), (&self.client, PORT));
        for (namespace, address) in [(&self.server, SERVER), (&self.client, CLIENT)] {
            namespace.address(PORT, &format!("{address}/24"));
        }
        let text = |role: &str, cpu: usize, own: &str, peer: &str| {
            format!(
                "mode {role}\ncpu {cpu}\nduration 600s\nport af_xdp:{PORT} {own} {peer}\n\
                 protocol http\nclient 10.77.0.100 4\nserver 10.77.0.200 4\n"
            )
        };
        let mut server = self.launch("server", text("server", 0, SERVER, CLIENT), &[]);
        server.wait_for_load();
        let client = text("client", program::cpu(), CLIENT, SERVER);
        let mut client = self.launch("client", format!("{client}slow_start 0\ncps {cps}\n"), &[]);
        client.wait_for_load();
        Running { server, client }
    }

    fn launch(&self, role: &str, text: String, words: &[&str]) -> Program {
        let namespace = if role == "server" { &self.server } else { &self.client };
        let file = self.folder.write(&format!("{role}.conf"), text);
        Program::start_beside(namespace, &self.folder, role, &[file], words)
    }

    /// Starts both with `exception`, the client at `cps`; returns when load flows. They share the
    /// processors with whoever else is served.
    pub(crate) fn start(&self, exception: &str, cps: u64) -> Running {
        let socket = self.folder.file("memif.sock");
        let device = |role: &str| {
            let socket = socket.display();
            format!("net_memif0,role={role},socket={socket},socket-abstract=no")
        };
        let common = format!(
            "protocol http\nrss\nclient 10.77.0.100 4\nserver 10.77.0.200 4\neal --no-huge\n\
             exception {exception}"
        );
        let server = format!(
            "mode server\ncpu 0 0\nduration 600s\nport {} {SERVER} {CLIENT}\n{common}\n",
            device("server")
        );
        let cpu = program::cpu();
        let client = format!(
            "mode client\ncpu {cpu} {cpu}\nduration 600s\nslow_start 0\n\
             port {} {CLIENT} {SERVER}\ncps {cps}\n{common}\n",
            device("client")
        );
        let words = ["--exception-up", UP];
        let mut server = self.launch("server", server, &words);
        let open = |_: &Process| socket.exists();
        server.process().wait_until("an open port", OPEN, open);
        let mut client = self.launch("client", client, &words);
        client.wait_for_load();
        Running { server, client }
    }
}
