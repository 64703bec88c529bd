//! What the two ends of a memif say to each other over their socket, and the rings they come to.
//!
//! ```text
//! listening end        HELLO        connecting end
//!                  <-- INIT, ADD REGION, ADD RING.., CONNECT
//!                      ACK.., CONNECTED -->
//! ```
//! Every word of the connecting end is answered before the next one: some listeners send no more
//! than one word at a time. Whoever is not content says DISCONNECT with the reason, and hangs up.

use std::fmt;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, bail, ensure};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::layout::Layout;
use super::message::{
    AddRegion, AddRing, Disconnect, Hello, Init, MESSAGE_BYTES, Message, Text, VERSION,
};
use super::region::Region;
use super::ring::{Direction, MAX_LOG2_SIZE, Ring, RxRing, TxRing};

/// How long the two ends may take to agree.
const PATIENCE: Duration = Duration::from_secs(2);

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

/// The other end says no, or nothing, and may say something else if it is asked again.
#[derive(Debug)]
pub(super) struct NotNow(String);

impl fmt::Display for NotNow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotNow {}

/// A connected socket.
pub(super) struct Conversation<'a> {
    pub(super) socket: OwnedFd,
    bye: &'a UnixStream,
    until: Instant,
}

impl<'a> Conversation<'a> {
    /// It has to come to an agreement soon.
    pub(super) fn new(socket: OwnedFd, bye: &'a UnixStream) -> Conversation<'a> {
        Conversation { socket, bye, until: Instant::now() + PATIENCE }
    }

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
        let left = self.until.saturating_duration_since(Instant::now());
        let limit = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        if left.is_zero() || wait(&[self.socket.as_fd()], self.bye, Some(&limit))?.is_none() {
            return Err(NotNow("the other end says nothing".to_owned()).into());
        }
        self.take()
    }

    /// The word that waits.
    fn take(&self) -> Result<(Message, Option<OwnedFd>)> {
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
            return Err(NotNow(format!("the other end refuses: {}", reason.printable())).into());
        }
        Ok((message, file))
    }

    /// Waits until the other end hangs up, or `other` has something to say (then true).
    pub(super) fn outlast(&self, other: Option<BorrowedFd<'_>>) -> Result<bool> {
        let watched: Vec<_> = std::iter::once(self.socket.as_fd()).chain(other).collect();
        loop {
            match wait(&watched, self.bye, None)? {
                Some(1) => return Ok(true),
                _ if self.take().is_err() => return Ok(false),
                _ => {}
            }
        }
    }

    /// Says why this ends.
    pub(super) fn refuse(&self, why: &str) {
        let reason = Disconnect { code: 1.into(), reason: Text::new(why) };
        let _ = self.send(&Message::Disconnect(reason), None);
    }

    /// Says why nothing was agreed, if so.
    fn or_refuse(&self, agreed: Result<Vec<Rings>>) -> Result<Vec<Rings>> {
        agreed.inspect_err(|why| self.refuse(&format!("{why:#}")))
    }

    /// The listening end's part.
    pub(super) fn answer(&self, id: u32, queues: u16) -> Result<Vec<Rings>> {
        self.or_refuse(self.hear(id, queues))
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
                (Message::AddRing(ring), Some(wake)) => offer.add_ring(ring, wake)?,
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
        self.or_refuse(self.propose(id, layout))
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
        self.tell(&Message::Init(init), None)?;
        let region = AddRegion { index: 0.into(), bytes: (layout.bytes() as u64).into() };
        self.tell(&Message::AddRegion(region), Some(file.as_fd()))?;
        let mut wakes = Vec::new();
        for told in layout.rings() {
            let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
            self.tell(&Message::AddRing(told), Some(wake.as_fd()))?;
            wakes.push(wake);
        }
        self.send(&Message::Connect(Text::new(NAME)), None)?;
        let Message::Connected(_) = self.receive()?.0 else { bail!("CONNECTED is expected") };
        Ok(own_rings(&layout, rings, wakes))
    }

    /// Says something that is acknowledged.
    fn tell(&self, message: &Message, file: Option<BorrowedFd<'_>>) -> Result<()> {
        self.send(message, file)?;
        let Message::Ack = self.receive()?.0 else { bail!("an ACK is expected") };
        Ok(())
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
    rings: Vec<(AddRing, OwnedFd)>,
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

    fn add_ring(&mut self, told: AddRing, wake: OwnedFd) -> Result<()> {
        ensure!(self.rings.len() < 2 * usize::from(self.queues), "{}", self.too_many());
        // Who wakes the other end must not wait for it.
        let is = std::fs::read_link(format!("/proc/self/fd/{}", wake.as_raw_fd()));
        let is = is.context("a ring's counter of unknown kind")?;
        ensure!(is.as_os_str() == "anon_inode:[eventfd]", "a ring's counter is no eventfd");
        rustix::io::ioctl_fionbio(&wake, true).context("a ring's counter blocks")?;
        self.rings.push((told, wake));
        Ok(())
    }

    fn too_many(&self) -> String {
        let queues = self.queues;
        format!(
            "the other end has more than {queues} queues: give it {queues}, one per worker here"
        )
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
            "{} and {} rings for {queues} workers: give the other end as many queues",
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
