//! The thread beside the queues of a port: it finds the other end, agrees with it and hands the
//! rings on, and notices when it goes. It ends with the last queue.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, bail};
use rustix::event::Timespec;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen,
    socket_with,
};

use super::Interface;
use super::conversation::{Conversation, Refused, Rings, wait};
use super::layout::Layout;

/// How often an end that nobody answers asks again.
const AGAIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// How long one is asked again that refuses: DPDK does until its device is started.
const GRACE: Duration = Duration::from_secs(5);

/// What a queue is told.
pub(super) enum Change {
    /// The other end is there, and these are the queue's rings with it.
    Up(Box<Rings>),
    /// It is gone.
    Down,
}

/// The thread runs for as long as this is held.
pub(super) struct Held {
    /// Its other end is heard closing.
    bye: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Held {
    /// What a queue without a thread holds.
    #[cfg(test)]
    pub(super) fn nothing() -> Held {
        Held { bye: None, thread: None }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.bye.take());
        let ended = self.thread.take().map(JoinHandle::join);
        debug_assert!(ended.is_none_or(|ended| ended.is_ok()), "it never panics");
    }
}

/// What a port's queues hear from its thread, and what keeps that.
pub(super) type Started = (Held, Vec<Receiver<Change>>);

/// Listens, for as long as the port is held.
pub(super) fn listen_at(interface: Interface, layout: Layout) -> Result<Started> {
    let place = format!("cannot listen at {}", interface.socket.display());
    let end = Seeker { address: address(&interface)?, interface, layout };
    let listener = end.listener().context(place)?;
    start(layout.queues, move |bye, queues| {
        // It ends when the queues do, with an error that says so.
        let _ = end.serve(&listener, &bye, &queues);
        if let Some(path) = file(&end.interface) {
            let _ = fs::remove_file(path);
        }
    })
}

/// Connects, and does so again whenever the other end goes.
pub(super) fn connect_to(
    interface: Interface,
    layout: Layout,
    limit: Duration,
    stopped: &dyn Fn() -> bool,
) -> Result<Started> {
    let place = format!("cannot connect to {}", interface.socket.display());
    let end = Seeker { address: address(&interface)?, interface, layout };
    let begun = Instant::now();
    // Nobody hangs up yet.
    let (_hold, bye) = UnixStream::pair().context("no more sockets: see ulimit -n")?;
    let first = loop {
        let refused = match end.call(&bye) {
            Ok(called) => break called,
            Err(why) => why,
        };
        if stopped() {
            bail!("{place}: stopped before anybody listened");
        }
        let (patience, hint) = if nobody_listens(&refused) {
            (limit, ": start the end that listens first")
        } else if refused.is::<Refused>() {
            (limit.min(GRACE), "")
        } else {
            (Duration::ZERO, "")
        };
        if begun.elapsed() >= patience {
            return Err(refused.context(format!("{place}{hint}")));
        }
        wait(&[], &bye, Some(&AGAIN))?;
    };
    start(layout.queues, move |bye, queues| {
        let _ = end.keep(first, &bye, &queues);
    })
}

/// Starts the thread.
fn start(
    queues: u16,
    run: impl FnOnce(UnixStream, Vec<Sender<Change>>) + Send + 'static,
) -> Result<Started> {
    let (senders, receivers) = (0..queues).map(|_| channel()).unzip();
    let (held, bye) = UnixStream::pair().context("no more sockets: see ulimit -n")?;
    let thread = std::thread::Builder::new()
        .name("memif".to_owned())
        .spawn(move || run(bye, senders))
        .context("the system refuses another thread: see ulimit -u")?;
    Ok((Held { bye: Some(held), thread: Some(thread) }, receivers))
}

/// The file of a socket that has one.
fn file(interface: &Interface) -> Option<&Path> {
    let is_file = !interface.socket.as_os_str().as_bytes().starts_with(b"@");
    is_file.then_some(&interface.socket)
}

fn address(interface: &Interface) -> Result<SocketAddrUnix> {
    let name = interface.socket.as_os_str().as_bytes();
    let address = match name.strip_prefix(b"@") {
        Some(name) => SocketAddrUnix::new_abstract_name(name),
        None => SocketAddrUnix::new(name),
    };
    address.with_context(|| format!("{} is no name of a socket", interface.socket.display()))
}

fn socket() -> Result<OwnedFd> {
    let (kind, flags) = (SocketType::SEQPACKET, SocketFlags::CLOEXEC);
    socket_with(AddressFamily::UNIX, kind, flags, None).context("no socket")
}

/// Nobody is there, or only a socket whose device is not started yet: it hangs up.
fn nobody_listens(why: &Error) -> bool {
    matches!(why.downcast_ref(), Some(&(Errno::CONNREFUSED | Errno::NOENT | Errno::CONNRESET)))
}

fn tell(queues: &[Sender<Change>], changes: impl Iterator<Item = Change>) {
    for (queue, change) in queues.iter().zip(changes) {
        // A queue that is gone needs to know nothing.
        let _ = queue.send(change);
    }
}

fn tell_up(queues: &[Sender<Change>], rings: Vec<Rings>) {
    tell(queues, rings.into_iter().map(|rings| Change::Up(Box::new(rings))));
}

fn tell_down(queues: &[Sender<Change>]) {
    tell(queues, std::iter::repeat_with(|| Change::Down));
}

/// One end that looks for the other.
struct Seeker {
    interface: Interface,
    address: SocketAddrUnix,
    layout: Layout,
}

impl Seeker {
    fn listener(&self) -> Result<OwnedFd> {
        if let Some(path) = file(&self.interface).filter(|path| path.exists()) {
            match connect(socket()?, &self.address) {
                // A program that was killed left it behind.
                Err(Errno::CONNREFUSED) => fs::remove_file(path)?,
                _ => bail!("somebody does already: end that program, or use another socket"),
            }
        }
        let socket = socket()?;
        bind(&socket, &self.address)?;
        listen(&socket, 8)?;
        Ok(socket)
    }

    /// One after the other, each until it hangs up.
    fn serve(&self, listener: &OwnedFd, bye: &UnixStream, queues: &[Sender<Change>]) -> Result<()> {
        loop {
            wait(&[listener.as_fd()], bye, None)?;
            let Some(talk) = accepted(listener, bye) else { continue };
            let Ok(rings) = talk.answer(self.interface.id, self.layout.queues) else { continue };
            tell_up(queues, rings);
            while talk.outlast(Some(listener.as_fd()))? {
                if let Some(other) = accepted(listener, bye) {
                    other.refuse("somebody is connected already");
                }
            }
            tell_down(queues);
        }
    }

    /// Connects once.
    fn call(&self, bye: &UnixStream) -> Result<(OwnedFd, Vec<Rings>)> {
        let talk = Conversation { socket: socket()?, bye };
        connect(&talk.socket, &self.address)?;
        let rings = talk.ask(self.interface.id, &self.layout)?;
        Ok((talk.socket, rings))
    }

    fn keep(
        &self,
        mut called: (OwnedFd, Vec<Rings>),
        bye: &UnixStream,
        queues: &[Sender<Change>],
    ) -> Result<()> {
        loop {
            let (socket, rings) = called;
            tell_up(queues, rings);
            let talk = Conversation { socket, bye };
            talk.outlast(None)?;
            drop(talk);
            tell_down(queues);
            called = loop {
                wait(&[], bye, Some(&AGAIN))?;
                if let Ok(called) = self.call(bye) {
                    break called;
                }
            };
        }
    }
}

/// Who calls, if it has not gone again.
fn accepted<'a>(listener: &OwnedFd, bye: &'a UnixStream) -> Option<Conversation<'a>> {
    let socket = accept_with(listener, SocketFlags::CLOEXEC).ok()?;
    Some(Conversation { socket, bye })
}
