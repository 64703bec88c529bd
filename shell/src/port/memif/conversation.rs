//! What the two ends of a memif say to each other over their socket, and the rings they come to.
//!
//! ```text
//! listening end        HELLO        connecting end
//!                  <-- INIT, ADD REGION, ADD RING.., CONNECT
//!                      ACK.., CONNECTED -->
//! ```
//! Whoever is not content says DISCONNECT with the reason, and hangs up.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use anyhow::{Context, Error, Result, bail, ensure};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::layout::Layout;
use super::message::{AddRegion, Disconnect, Hello, Init, MESSAGE_BYTES, Message, Text, VERSION};
use super::region::Region;
use super::ring::{Direction, MAX_LOG2_SIZE, Ring, RxRing, TxRing};

/// How long the other end may take for its next word.
const PATIENCE: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// More regions are refused.
const MAX_REGIONS: usize = 64;

/// Both rings of one queue.
pub(super) struct Rings {
    pub(super) rx: RxRing,
    pub(super) tx: TxRing,
}

/// Which of `watched` has something to say; `None` if nobody had within `limit`. The queues are
/// gone if `bye` has.
pub(super) fn wait(
    watched: &[BorrowedFd<'_>],
    bye: &UnixStream,
    limit: Option<&Timespec>,
) -> Result<Option<usize>> {
    let all = std::iter::once(bye.as_fd()).chain(watched.iter().copied());
    let mut polled: Vec<PollFd<'_>> =
        all.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
    loop {
        match poll(&mut polled, limit) {
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(why) => return Err(why).context("cannot wait"),
        }
    }
    match polled.iter().position(|fd| !fd.revents().is_empty()) {
        Some(0) => bail!("the queues are gone"),
        found => Ok(found.map(|index| index - 1)),
    }
}

/// The other end said no, and why.
#[derive(Debug)]
pub(super) struct Refused(String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the other end refuses: {}", self.0)
    }
}

impl std::error::Error for Refused {}

/// A connected socket.
pub(super) struct Conversation<'a> {
    pub(super) socket: OwnedFd,
    pub(super) bye: &'a UnixStream,
}

impl Conversation<'_> {
    fn send(&self, message: &Message, file: Option<BorrowedFd<'_>>) -> Result<()> {
        let bytes = message.encode();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let files = file.as_slice();
        if !files.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(files));
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match sendmsg(&self.socket, &[IoSlice::new(&bytes)], &mut control, flags) {
            Ok(_) => Ok(()),
            Err(_) => Err(self.last_word()),
        }
    }

    /// Why the other end does not listen any more, if it said so.
    fn last_word(&self) -> Error {
        loop {
            if let Err(why) = self.receive() {
                return why;
            }
        }
    }

    /// The other end's next word, and the file that came with it.
    fn receive(&self) -> Result<(Message, Option<OwnedFd>)> {
        let said = wait(&[self.socket.as_fd()], self.bye, Some(&PATIENCE))?;
        said.context("the other end says nothing")?;
        let mut bytes = [0; MESSAGE_BYTES];
        let mut space =
            [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1), ScmCredentials(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut next = || {
            let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
            recvmsg(&self.socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags)
        };
        // One that hangs up unheard is an error once; what it said last comes after that.
        let got = match next() {
            Err(Errno::CONNRESET) => next(),
            got => got,
        };
        let got = got.context("the other end hung up")?.bytes;
        let files = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(files) => Some(files),
            _ => None,
        });
        let file = files.flatten().next();
        if got == 0 {
            return Err(Errno::CONNRESET).context("the other end hung up");
        }
        ensure!(got == MESSAGE_BYTES, "a message of {got} bytes");
        let message = Message::decode(&bytes).context("a message of an unknown kind")?;
        if let Message::Disconnect(Disconnect { reason, .. }) = message {
            return Err(Refused(reason.printable()).into());
        }
        Ok((message, file))
    }

    /// Waits until the other end hangs up, or `other` has something to say (then true).
    pub(super) fn outlast(&self, other: Option<BorrowedFd<'_>>) -> Result<bool> {
        let watched: Vec<_> = std::iter::once(self.socket.as_fd()).chain(other).collect();
        loop {
            match wait(&watched, self.bye, None)? {
                Some(1) => return Ok(true),
                _ if self.receive().is_err() => return Ok(false),
                _ => {}
            }
        }
    }

    /// Says why this ends.
    pub(super) fn refuse(&self, why: &str) {
        let reason = Disconnect { code: 1.into(), reason: Text::new(why) };
        let _ = self.send(&Message::Disconnect(reason), None);
    }

    /// The listening end's part.
    pub(super) fn answer(&self, id: u32, queues: u16) -> Result<Vec<Rings>> {
        let agreed = self.hear(id, queues);
        if let Err(why) = &agreed {
            self.refuse(&format!("{why:#}"));
        }
        agreed
    }

    fn hear(&self, id: u32, queues: u16) -> Result<Vec<Rings>> {
        self.send(&hello(queues), None)?;
        let (Message::Init(init), _) = self.receive()? else { bail!("an INIT comes first") };
        let Init { version, id: wanted, mode, .. } = init;
        ensure!(version.get() == VERSION, "version {:#x}, not {VERSION:#x}", version.get());
        ensure!(mode == 0, "only Ethernet frames are carried here");
        ensure!(wanted.get() == id, "the interface here has id {id}, not {}", wanted.get());
        self.send(&Message::Ack, None)?;
        let mut offer = Offer { queues, ..Offer::default() };
        loop {
            match self.receive()? {
                (Message::AddRegion(region), Some(file)) => offer.add_region(&region, &file)?,
                (Message::AddRing(ring), Some(wake)) => offer.rings.push((ring, wake)),
                (Message::Connect(_), _) => break,
                _ => bail!("a region, a ring or CONNECT is expected, each with its file"),
            }
            self.send(&Message::Ack, None)?;
        }
        let rings = offer.accept()?;
        self.send(&Message::Connected(Text::new(NAME)), None)?;
        Ok(rings)
    }

    /// The connecting end's part.
    pub(super) fn ask(&self, id: u32, layout: &Layout) -> Result<Vec<Rings>> {
        let agreed = self.propose(id, layout);
        if let Err(why) = &agreed {
            self.refuse(&format!("{why:#}"));
        }
        agreed
    }

    fn propose(&self, id: u32, layout: &Layout) -> Result<Vec<Rings>> {
        let (Message::Hello(hello), _) = self.receive()? else { bail!("a HELLO comes first") };
        let versions = hello.min_version.get()..=hello.max_version.get();
        ensure!(versions.contains(&VERSION), "versions {versions:#x?}, not {VERSION:#x}");
        let most = hello.max_to_listener.get().min(hello.max_from_listener.get());
        ensure!(
            layout.queues - 1 <= most,
            "{} queues for {} workers: all workers of a port need their own",
            u32::from(most) + 1,
            layout.queues
        );
        let log2_size = layout.log2_size.min(hello.max_log2_ring_size);
        let layout = Layout { log2_size, ..*layout };
        let (file, rings) = layout.create()?;
        let init = Init {
            version: VERSION.into(),
            id: id.into(),
            mode: 0,
            secret: Text::new(""),
            name: Text::new(NAME),
        };
        self.send(&Message::Init(init), None)?;
        let region = AddRegion { index: 0.into(), bytes: (layout.bytes() as u64).into() };
        self.send(&Message::AddRegion(region), Some(file.as_fd()))?;
        let mut wakes = Vec::new();
        for told in layout.rings() {
            let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
            self.send(&Message::AddRing(told), Some(wake.as_fd()))?;
            wakes.push(wake);
        }
        self.send(&Message::Connect(Text::new(NAME)), None)?;
        loop {
            match self.receive()?.0 {
                Message::Ack => {}
                Message::Connected(_) => break,
                _ => bail!("ACK or CONNECTED is expected"),
            }
        }
        Ok(own_rings(&layout, rings, wakes))
    }
}

/// As we call ourselves.
const NAME: &str = concat!("dperf-shell ", env!("CARGO_PKG_VERSION"));

fn hello(queues: u16) -> Message {
    Message::Hello(Hello {
        name: Text::new(NAME),
        min_version: VERSION.into(),
        max_version: VERSION.into(),
        max_region: (MAX_REGIONS as u16 - 1).into(),
        max_from_listener: (queues - 1).into(),
        max_to_listener: (queues - 1).into(),
        max_log2_ring_size: MAX_LOG2_SIZE,
    })
}

/// The queues of the end that made the memory: it sends to the listener.
fn own_rings(layout: &Layout, rings: Vec<Ring>, wakes: Vec<OwnedFd>) -> Vec<Rings> {
    let bytes = Some(layout.buffer_bytes());
    let mut both: Vec<(Ring, OwnedFd)> = rings.into_iter().zip(wakes).collect();
    let from_listener = both.split_off(both.len() / 2);
    let pairs = both.into_iter().zip(from_listener);
    pairs
        .map(|((to, wake), (from, _))| Rings {
            rx: RxRing::new(from, bytes),
            tx: TxRing::new(to, bytes, wake),
        })
        .collect()
}

/// What the connecting end offers.
#[derive(Default)]
struct Offer {
    queues: u16,
    regions: Vec<Region>,
    rings: Vec<(super::message::AddRing, OwnedFd)>,
}

impl Offer {
    fn add_region(&mut self, told: &AddRegion, file: &OwnedFd) -> Result<()> {
        let expected = self.regions.len();
        ensure!(expected < MAX_REGIONS, "more than {MAX_REGIONS} regions");
        ensure!(usize::from(told.index.get()) == expected, "region {expected} comes next");
        let bytes = usize::try_from(told.bytes.get()).context("a region is too large")?;
        let region = Region::map(file.as_fd(), bytes);
        self.regions.push(region.with_context(|| format!("region {expected}"))?);
        Ok(())
    }

    /// The queues, if every one has its two rings.
    fn accept(self) -> Result<Vec<Rings>> {
        let regions: Arc<[Region]> = self.regions.into();
        let (mut to, mut from) = (Vec::new(), Vec::new());
        for (told, wake) in self.rings {
            let direction = Direction::of(told.flags.get());
            let list = if direction == Direction::ToListener { &mut to } else { &mut from };
            let index = told.index.get();
            let place = (told.region.get(), told.offset_bytes.get());
            let ring = Ring::new(&regions, place, told.log2_size, direction);
            let ring = ring.with_context(|| format!("ring {index} has no room in its region"))?;
            ensure!(ring.is_marked(), "ring {index} has not the mark of one");
            ensure!(usize::from(index) == list.len(), "rings come in order");
            list.push((ring, wake));
        }
        let queues = usize::from(self.queues);
        ensure!(
            to.len() == queues && from.len() == queues,
            "{} and {} rings for {queues} workers: set as many queues as the other end has workers",
            to.len(),
            from.len()
        );
        let pairs = to.into_iter().zip(from);
        Ok(pairs
            .map(|((to, _), (from, wake))| Rings {
                rx: RxRing::new(to, None),
                tx: TxRing::new(from, None, wake),
            })
            .collect())
    }
}
