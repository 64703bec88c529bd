//! The thread beside the queues of a port: it finds the other end, agrees with it and hands the
//! rings on, and notices when it goes. It ends with the last queue.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, bail, ensure};
use rustix::event::Timespec;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen,
    socket_with,
};

use super::Interface;
use super::conversation::{Conversation, NotNow, Rings, wait};
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

/// What a port has of its thread.
pub(super) struct Started {
    pub(super) held: Held,
    /// One for each queue.
    pub(super) changes: Vec<Receiver<Change>>,
    /// Why one was refused.
    pub(super) refusals: Receiver<String>,
}

/// Whom the thread tells what.
struct Told {
    queues: Vec<Sender<Change>>,
    refusals: SyncSender<String>,
}

// Who is gone needs to know nothing.
impl Told {
    fn up(&self, rings: Vec<Rings>) {
        for (queue, rings) in self.queues.iter().zip(rings) {
            let _ = queue.send(Change::Up(Box::new(rings)));
        }
    }

    fn down(&self) {
        for queue in &self.queues {
            let _ = queue.send(Change::Down);
        }
    }

    fn refused(&self, why: &Error) {
        // One reason is enough for whoever waits, and more would pile up.
        let _ = self.refusals.try_send(format!("{why:#}"));
    }
}

/// Listens, for as long as the port is held.
pub(super) fn listen_at(interface: Interface, layout: Layout) -> Result<Started> {
    let place = format!("cannot listen at {}", interface.socket.display());
    let end = Seeker { address: address(&interface)?, interface, layout };
    let listener = end.listener().context(place)?;
    let made = file(&end.interface).and_then(identity);
    start(layout.queues, move |bye, told| {
        // It ends when the queues do, with an error that says so.
        let _ = end.serve(&listener, &bye, &told);
        if let Some(path) = file(&end.interface).filter(|path| made == identity(path)) {
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
    // Nobody hangs up yet.
    let (_hold, bye) = UnixStream::pair().context("no more sockets: see ulimit -n")?;
    let begun = Instant::now();
    let mut refused_since = None;
    let first = loop {
        let refused = match end.call(&bye) {
            Ok(called) => break called,
            Err(why) => why,
        };
        if stopped() {
            bail!("{place}: stopped before anybody answered");
        }
        if nobody_listens(&refused) {
            refused_since = None;
            let hint = ": start the end that listens first";
            ensure!(begun.elapsed() < limit, refused.context(format!("{place}{hint}")));
        } else {
            let since: &mut Instant = refused_since.get_or_insert_with(Instant::now);
            let patience = if refused.is::<NotNow>() { GRACE.min(limit) } else { Duration::ZERO };
            ensure!(since.elapsed() < patience, refused.context(place));
        }
        wait(&[], &bye, Some(&AGAIN))?;
    };
    start(layout.queues, move |bye, told| {
        let _ = end.keep(first, &bye, &told);
    })
}

/// Starts the thread.
fn start(queues: u16, run: impl FnOnce(UnixStream, Told) + Send + 'static) -> Result<Started> {
    let (queues, changes) = (0..queues).map(|_| channel()).unzip();
    let (sender, refusals) = sync_channel(1);
    let (held, bye) = UnixStream::pair().context("no more sockets: see ulimit -n")?;
    let thread = std::thread::Builder::new()
        .name("memif".to_owned())
        .spawn(move || run(bye, Told { queues, refusals: sender }))
        .context("the system refuses another thread: see ulimit -u")?;
    Ok(Started { held: Held { bye: Some(held), thread: Some(thread) }, changes, refusals })
}

/// The file of a socket that has one.
fn file(interface: &Interface) -> Option<&Path> {
    let is_file = !interface.socket.as_os_str().as_bytes().starts_with(b"@");
    is_file.then_some(&interface.socket)
}

/// What tells a file from another that takes its place.
fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

fn address(interface: &Interface) -> Result<SocketAddrUnix> {
    let name = interface.socket.as_os_str().as_bytes();
    let address = match name.strip_prefix(b"@") {
        Some(name) => SocketAddrUnix::new_abstract_name(name),
        None => SocketAddrUnix::new(name),
    };
    address.with_context(|| format!("{} is no name of a socket", interface.socket.display()))
}

/// A socket on which nothing blocks: an end that was stopped answers nobody.
fn socket() -> Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).context("no socket")
}

/// Nobody is there, or one who is busy, or only a socket whose device is not started yet: that one
/// hangs up.
fn nobody_listens(why: &Error) -> bool {
    let reasons = [Errno::CONNREFUSED, Errno::NOENT, Errno::CONNRESET, Errno::AGAIN];
    why.downcast_ref().is_some_and(|error| reasons.contains(error))
}

/// One end that looks for the other.
struct Seeker {
    interface: Interface,
    address: SocketAddrUnix,
    layout: Layout,
}

impl Seeker {
    fn listener(&self) -> Result<OwnedFd> {
        if let Some(path) = file(&self.interface)
            && let Ok(found) = fs::symlink_metadata(path)
        {
            ensure!(found.file_type().is_socket(), "there is a file that is no socket");
            match connect(socket()?, &self.address) {
                // A program that was killed left it behind.
                Err(Errno::CONNREFUSED) => fs::remove_file(path)?,
                _ => bail!("somebody does already, and each port needs a socket of its own"),
            }
        }
        let socket = socket()?;
        bind(&socket, &self.address)?;
        listen(&socket, 8)?;
        Ok(socket)
    }

    /// One after the other, each until it hangs up.
    fn serve(&self, listener: &OwnedFd, bye: &UnixStream, told: &Told) -> Result<()> {
        loop {
            wait(&[listener.as_fd()], bye, None)?;
            let Some(talk) = accepted(listener, bye)? else { continue };
            let rings = match talk.answer(self.interface.id, self.layout.queues) {
                Ok(rings) => rings,
                Err(why) => {
                    told.refused(&why);
                    continue;
                }
            };
            told.up(rings);
            while talk.outlast(Some(listener.as_fd()))? {
                if let Some(other) = accepted(listener, bye)? {
                    other.refuse("somebody is connected already");
                }
            }
            told.down();
        }
    }

    /// Connects once.
    fn call(&self, bye: &UnixStream) -> Result<(OwnedFd, Vec<Rings>)> {
        let talk = Conversation::new(socket()?, bye);
        connect(&talk.socket, &self.address)?;
        let rings = talk.ask(self.interface.id, &self.layout)?;
        Ok((talk.socket, rings))
    }

    fn keep(&self, mut called: (OwnedFd, Vec<Rings>), bye: &UnixStream, told: &Told) -> Result<()> {
        loop {
            let (socket, rings) = called;
            told.up(rings);
            let talk = Conversation::new(socket, bye);
            talk.outlast(None)?;
            drop(talk);
            told.down();
            called = loop {
                wait(&[], bye, Some(&AGAIN))?;
                match self.call(bye) {
                    Ok(called) => break called,
                    Err(why) => told.refused(&why),
                }
            };
        }
    }
}

/// Who calls, if it has not gone again.
fn accepted<'a>(listener: &OwnedFd, bye: &'a UnixStream) -> Result<Option<Conversation<'a>>> {
    match accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
        Ok(socket) => Ok(Some(Conversation::new(socket, bye))),
        Err(_) => {
            // It may be that there are no more files: it still calls then.
            wait(&[], bye, Some(&AGAIN))?;
            Ok(None)
        }
    }
}
