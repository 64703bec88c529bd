//! Sockets on a clock of their own: what a script calls, done to one side of the load.
//!
//! Time passes only when the script waits. What comes until then has come at once, as one burst:
//! ACKs that may wait for its end do.

use std::collections::VecDeque;
use std::net::IpAddr;

use dperf_core::conn::{SlotId, State};
use dperf_core::plan::Role;

use crate::side::{CLIENT_PORT, Connection, End, Side};

/// A packet that takes longer never comes.
const PATIENCE_US: u64 = 600_000_000;

/// What a descriptor stands for.
#[derive(Clone, Copy)]
enum Socket {
    Fresh,
    Bound,
    Connected(SlotId),
    Closed,
}

/// Result of a call: a number, or an error's.
pub(crate) type Outcome = Result<i32, i32>;

/// Everything behind the interface.
pub(crate) struct Stack {
    now_us: u64,
    /// Our address and packetdrill's.
    addresses: (IpAddr, IpAddr),
    /// The first descriptor is 0.
    sockets: Vec<Socket>,
    /// The flags that fcntl set.
    flags: i32,
    side: Option<Side>,
    out: VecDeque<(u64, Vec<u8>)>,
}

impl Stack {
    /// Between two addresses, which `--so_flags` tells: ours, a comma, packetdrill's.
    pub(crate) fn new(flags: &str) -> Option<Stack> {
        let (local, remote) = flags.split_once(',')?;
        Some(Stack {
            now_us: 1_000_000,
            addresses: (local.parse().ok()?, remote.parse().ok()?),
            sockets: Vec::new(),
            flags: libc::O_RDWR,
            side: None,
            out: VecDeque::new(),
        })
    }

    pub(crate) fn socket(&mut self) -> Outcome {
        self.sockets.push(Socket::Fresh);
        Ok(self.sockets.len() as i32 - 1)
    }

    fn get(&mut self, fd: i32) -> Result<&mut Socket, i32> {
        self.sockets.get_mut(usize::try_from(fd).unwrap_or(usize::MAX)).ok_or(libc::EBADF)
    }

    fn side(&mut self) -> Result<&mut Side, i32> {
        self.side.as_mut().ok_or(libc::ENOTCONN)
    }

    fn connection(&mut self, fd: i32) -> Result<&mut Connection, i32> {
        let Socket::Connected(id) = *self.get(fd)? else { return Err(libc::ENOTCONN) };
        let side = self.side()?;
        let at = side.at(id);
        Ok(&mut side.connections[at])
    }

    pub(crate) fn bind(&mut self, fd: i32, (_, port): End) -> Outcome {
        *self.get(fd)? = Socket::Bound;
        let (local, remote) = self.addresses;
        self.side = Some(Side::new(Role::Server, (local, port), (remote, 0)));
        Ok(0)
    }

    pub(crate) fn listen(&mut self, fd: i32) -> Outcome {
        self.get(fd)?;
        self.side()?.listens = true;
        Ok(0)
    }

    pub(crate) fn connect(&mut self, fd: i32, remote: End) -> Outcome {
        match *self.get(fd)? {
            Socket::Fresh => {}
            _ => return Err(libc::EISCONN),
        }
        let local = (self.addresses.0, CLIENT_PORT);
        let mut side = Side::new(Role::Client, local, remote);
        let id = side.connect(local, remote, self.now_us);
        self.side = Some(side);
        *self.get(fd)? = Socket::Connected(id);
        self.collect();
        Err(libc::EINPROGRESS)
    }

    pub(crate) fn accept(&mut self, fd: i32) -> Result<(i32, End), i32> {
        self.get(fd)?;
        let mut waiting = self.side()?.connections.iter_mut();
        let open = |one: &&mut Connection| !one.accepted && one.slot.state > State::SynReceived;
        let one = waiting.find(open).ok_or(libc::EAGAIN)?;
        one.accepted = true;
        let (id, peer) = (one.id, one.peer);
        self.sockets.push(Socket::Connected(id));
        Ok((self.sockets.len() as i32 - 1, peer))
    }

    pub(crate) fn read(&mut self, fd: i32, room: usize, peek: bool) -> Outcome {
        let connection = self.connection(fd)?;
        if connection.unread == 0 {
            return match (connection.error.take(), connection.finished) {
                (Some(error), _) => Err(error),
                (None, true) => Ok(0),
                (None, false) => Err(libc::EAGAIN),
            };
        }
        let bytes = connection.unread.min(room);
        connection.unread -= if peek { 0 } else { bytes };
        Ok(bytes as i32)
    }

    pub(crate) fn write(&mut self, fd: i32, bytes: usize) -> Outcome {
        let connection = self.connection(fd)?;
        if let Some(error) = connection.error.take() {
            return Err(error);
        }
        if !matches!(connection.slot.state, State::Established | State::CloseWait) {
            return Err(libc::EPIPE);
        }
        let (id, now_us) = (connection.id, self.now_us);
        self.side()?.write(id, bytes as u32, now_us);
        self.collect();
        Ok(bytes as i32)
    }

    /// The script reads no more, writes no more, or both.
    pub(crate) fn shutdown(&mut self, fd: i32, how: i32) -> Outcome {
        let now_us = self.now_us;
        let connection = self.connection(fd)?;
        connection.finished |= how != libc::SHUT_WR;
        let id = connection.id;
        if how != libc::SHUT_RD {
            self.side()?.finish(id, now_us);
        }
        self.collect();
        Ok(0)
    }

    /// Bytes that could be read.
    pub(crate) fn unread(&mut self, fd: i32) -> Outcome {
        Ok(self.connection(fd)?.unread as i32)
    }

    pub(crate) fn close(&mut self, fd: i32) -> Outcome {
        let socket = std::mem::replace(self.get(fd)?, Socket::Closed);
        let now_us = self.now_us;
        match (socket, &mut self.side) {
            (Socket::Connected(id), Some(side)) => side.finish(id, now_us),
            (Socket::Bound, Some(side)) => side.listens = false,
            _ => {}
        }
        self.collect();
        Ok(0)
    }

    /// The error that is pending, if any; it is so once.
    pub(crate) fn error(&mut self, fd: i32) -> Outcome {
        match *self.get(fd)? {
            Socket::Connected(_) => Ok(self.connection(fd)?.error.take().unwrap_or_default()),
            _ => Ok(0),
        }
    }

    pub(crate) fn control(&mut self, fd: i32, command: i32, flags: i32) -> Outcome {
        self.get(fd)?;
        match command {
            libc::F_GETFL => Ok(self.flags),
            libc::F_SETFL => {
                self.flags = flags;
                Ok(0)
            }
            _ => Err(libc::EINVAL),
        }
    }

    /// A packet comes from the script.
    pub(crate) fn receive(&mut self, packet: &[u8]) {
        let now_us = self.now_us;
        if let Some(side) = &mut self.side {
            side.receive(packet, now_us);
        }
        self.collect();
    }

    /// The next packet for the script, and when it left. Time passes until there is one; none if
    /// there never is.
    pub(crate) fn send(&mut self) -> Option<(u64, Vec<u8>)> {
        self.serve();
        let last_us = self.now_us + PATIENCE_US;
        while self.out.is_empty() {
            let next_us = self.side.as_ref()?.next_us(self.now_us)?;
            if next_us > last_us {
                return None;
            }
            self.ring(next_us);
        }
        self.out.pop_front()
    }

    /// Time passes.
    pub(crate) fn wait(&mut self, micros: u64) {
        self.serve();
        let until_us = self.now_us + micros;
        let next_us = |stack: &Stack| stack.side.as_ref()?.next_us(stack.now_us);
        while let Some(at) = next_us(self).filter(|at| *at <= until_us) {
            self.ring(at);
        }
        self.now_us = until_us;
    }

    /// The time; who asks for it has waited a moment.
    pub(crate) fn time_us(&mut self) -> u64 {
        self.now_us += 1;
        self.now_us
    }

    fn ring(&mut self, at_us: u64) {
        self.now_us = self.now_us.max(at_us);
        let now_us = self.now_us;
        if let Some(side) = &mut self.side {
            side.ring(now_us);
        }
        self.collect();
    }

    fn serve(&mut self) {
        let now_us = self.now_us;
        if let Some(side) = &mut self.side {
            side.serve(now_us);
        }
        self.collect();
    }

    fn collect(&mut self) {
        if let Some(side) = &mut self.side {
            self.out.extend(side.sent.drain(..));
        }
    }
}
