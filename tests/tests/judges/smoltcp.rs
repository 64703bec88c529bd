//! smoltcp as a peer, in the same process.

use dperf_core::plan::Role;
use dperf_tests::cable::{End, Pipe};
use dperf_tests::judge::Judge;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr};

use crate::matrix::{FIRST_PORT, Job, PARALLEL, Peer, Tally, try_all};

/// Sockets that wait for a connection at any time.
const LISTENING: usize = 16;
/// Bytes of each buffer of a socket.
const BUFFER: usize = 30_000;

#[test]
fn smoltcp_finds_no_fault() {
    let mut judge = Judge::new("smoltcp, as a peer", "");
    try_all(&mut judge, Smoltcp::new);
    judge.finish();
}

/// One socket and what its program did on it.
struct Talk {
    handle: SocketHandle,
    sent: usize,
    got: usize,
}

struct Smoltcp {
    interface: Interface,
    cable: End,
    sockets: SocketSet<'static>,
    talks: Vec<Talk>,
    job: Job,
    opened: u64,
    tally: Tally,
    next: u64,
}

impl Smoltcp {
    fn new(job: &Job, mac: [u8; 6]) -> Smoltcp {
        let mut cable = End { incoming: Pipe::default(), outgoing: Pipe::default() };
        let config = Config::new(HardwareAddress::Ethernet(EthernetAddress(mac)));
        let mut interface = Interface::new(config, &mut cable, Instant::ZERO);
        let net = if job.role == Role::Client { 1 } else { 2 };
        interface.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::new(IpAddress::v4(10, net, 0, 2), 8)).expect("room for one");
        });
        Smoltcp {
            interface,
            cable,
            sockets: SocketSet::new(Vec::new()),
            talks: Vec::new(),
            job: job.clone(),
            opened: 0,
            tally: Tally::default(),
            next: 0,
        }
    }

    /// Sockets for the connections to come.
    fn open(&mut self) {
        loop {
            let mut socket =
                Socket::new(SocketBuffer::new(vec![0; BUFFER]), SocketBuffer::new(vec![0; BUFFER]));
            if self.job.role == Role::Server {
                let states = self.talks.iter().map(|talk| self.state(talk));
                if states.filter(|state| *state == State::Listen).count() >= LISTENING {
                    return;
                }
                socket.listen(80).expect("a port");
            } else {
                if self.opened == self.job.connections || self.talks.len() as u64 >= PARALLEL {
                    return;
                }
                let server = (IpAddress::v4(10, 2, 0, 2), 80);
                let port = FIRST_PORT + self.opened as u16;
                socket.connect(self.interface.context(), server, port).expect("a way there");
                self.opened += 1;
            }
            self.talks.push(Talk { handle: self.sockets.add(socket), sent: 0, got: 0 });
        }
    }

    fn state(&self, talk: &Talk) -> State {
        self.sockets.get::<Socket<'_>>(talk.handle).state()
    }

    /// Lets the program look at each connection.
    fn talk(&mut self) {
        for talk in &mut self.talks {
            let socket = self.sockets.get_mut::<Socket<'_>>(talk.handle);
            self.tally.wrong += talk.step(&self.job, socket);
        }
        let job = &self.job;
        let (tally, sockets) = (&mut self.tally, &mut self.sockets);
        self.talks.retain(|talk| {
            let state = sockets.get::<Socket<'_>>(talk.handle).state();
            // A server's side may go through TIME-WAIT; a client's is over with it.
            let over = matches!(state, State::Closed | State::TimeWait);
            if over {
                let done = talk.is_done(job);
                tally.done += u64::from(done);
                tally.failed += u64::from(!done);
                // A socket that listens must stand behind those that are connected: smoltcp gives
                // a SYN that comes twice to the first that would have it.
                if job.role == Role::Client {
                    sockets.remove(talk.handle);
                }
            }
            !over
        });
    }
}

impl Talk {
    /// Nothing more is to be said.
    fn is_said(&self, job: &Job) -> bool {
        let whole = job.messages().map(|message| message.len() * job.requests as usize);
        [self.sent, self.got] == whole
    }

    /// It may end here.
    fn is_done(&self, job: &Job) -> bool {
        let [mine, theirs] = job.messages();
        let answered = self.sent * theirs.len() == self.got * mine.len();
        let between = self.got > 0 && self.got.is_multiple_of(theirs.len()) && answered;
        self.is_said(job) || (job.role == Role::Server && between)
    }

    /// Takes what came, sends what is due, closes when all is said. How many bytes were wrong.
    fn step(&mut self, job: &Job, socket: &mut Socket<'_>) -> u64 {
        let [mine, theirs] = job.messages();
        let requests = job.requests as usize;
        let mut wrong = 0;
        while socket.can_recv() {
            let take = |bytes: &mut [u8]| {
                let expected = theirs.iter().cycle().skip(self.got % theirs.len());
                wrong += bytes.iter().zip(expected).filter(|(one, other)| one != other).count();
                (bytes.len(), bytes.len())
            };
            self.got += socket.recv(take).expect("it can");
        }
        let heard = self.got / theirs.len();
        let turns = if job.role == Role::Client { (heard + 1).min(requests) } else { heard };
        while self.sent < turns * mine.len() && socket.can_send() {
            let rest = &mine[self.sent % mine.len()..];
            self.sent += socket.send_slice(rest).expect("it can");
        }
        let is_open = matches!(socket.state(), State::Established | State::CloseWait);
        if is_open && (self.is_said(job) || !socket.may_recv()) {
            socket.close();
        }
        wrong as u64
    }
}

impl Peer for Smoltcp {
    fn turn(&mut self, now: u64, came: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let at = Instant::from_micros((now / 1000) as i64);
        self.cable.incoming.lock().expect("no panic").extend(came.iter().cloned());
        let mut said = Vec::new();
        loop {
            self.open();
            self.interface.poll(at, &mut self.cable, &mut self.sockets);
            self.talk();
            self.interface.poll(at, &mut self.cable, &mut self.sockets);
            let before = said.len();
            said.extend(self.cable.outgoing.lock().expect("no panic").drain(..));
            if said.len() == before {
                break;
            }
        }
        let delay = self.interface.poll_delay(at, &self.sockets);
        self.next = delay.map_or(u64::MAX, |delay| now + delay.total_micros().max(1) * 1000);
        said
    }

    fn next(&mut self) -> u64 {
        self.next
    }

    fn tally(&mut self) -> Tally {
        let states = self.talks.iter().map(|talk| self.state(talk));
        let open = states.filter(|state| *state != State::Listen).count() as u64;
        let client = self.job.role == Role::Client;
        let to_come = if client { self.job.connections - self.opened } else { 0 };
        Tally { open: open + to_come, ..self.tally }
    }
}
