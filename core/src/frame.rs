//! Frames and trays: the only currency between the rooms and the ports.
//!
//! A [`Frame`] is one packet buffer lent by a back end and owned by exactly one holder: it is
//! neither `Clone` nor `Copy`, and its pointer keeps it on the core that received it. Frames only
//! ever lie in a [`Tray`]; whoever holds a tray owes its frames back to the queue they came from.
//!
//! ```
//! fn sent_to_another_core(frame: dperf_core::frame::Frame) {
//!     fn needs_send<T: Send>(_: T) {}
//!     needs_send(frame.len());
//! }
//! ```
//! ```compile_fail,E0277
//! fn sent_to_another_core(frame: dperf_core::frame::Frame) {
//!     fn needs_send<T: Send>(_: T) {}
//!     needs_send(frame);
//! }
//! ```
//! and not copied:
//! ```compile_fail,E0599
//! fn sent_to_another_core(frame: dperf_core::frame::Frame) {
//!     fn needs_send<T: Send>(_: T) {}
//!     needs_send(frame.clone().len());
//! }
//! ```
#![allow(unsafe_code)]

use core::mem::MaybeUninit;
use core::ptr::NonNull;

/// What the device found out about the checksums of a received frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum RxChecksum {
    /// Nothing: the core verifies in software.
    #[default]
    Unknown,
    /// The IPv4 header's and the layer-4 checksum are right.
    Good,
    /// One of them is wrong.
    Bad,
    /// Some sum was left to a device that never came: the frame is from this machine and was on no
    /// wire.
    Left,
}

/// What the device shall still do to a frame before it leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum TxShape {
    /// Nothing: send the bytes as they are.
    #[default]
    Complete,
    /// Fill in the IPv4 header's and the TCP checksum (the pseudo-header sum is in place).
    Ipv4Tcp,
    /// Fill in the TCP checksum behind an IPv6 header (the pseudo-header sum is in place).
    Ipv6Tcp,
}

/// One packet buffer: 24 bytes, owned by exactly one holder.
#[repr(C)]
pub struct Frame {
    data: NonNull<u8>,
    cookie: usize,
    len: u16,
    capacity: u16,
    rx_checksum: RxChecksum,
    tx_shape: TxShape,
    /// Bytes that [`Frame::advance`] took off the front.
    advanced: u16,
}

// A back end in C may write frames itself: its layout is part of the contract.
const _: () = assert!(
    size_of::<Frame>() == 24
        && core::mem::offset_of!(Frame, cookie) == 8
        && core::mem::offset_of!(Frame, len) == 16
        && core::mem::offset_of!(Frame, capacity) == 18
        && core::mem::offset_of!(Frame, rx_checksum) == 20
        && core::mem::offset_of!(Frame, tx_shape) == 21
        && core::mem::offset_of!(Frame, advanced) == 22
);

impl Frame {
    /// A frame over `capacity` bytes at `data`, the first `len` of which are a packet. `cookie` is
    /// the back end's own mark, by which it knows the buffer when the frame comes back.
    ///
    /// # Safety
    /// `data..data + capacity` is initialised, writable and reached by nobody else until the frame
    /// is handed back to the queue that made it; `len <= capacity`.
    #[inline]
    pub unsafe fn new(data: NonNull<u8>, len: u16, capacity: u16, cookie: usize) -> Frame {
        debug_assert!(len <= capacity);
        Frame {
            data,
            cookie,
            len,
            capacity,
            rx_checksum: RxChecksum::Unknown,
            tx_shape: TxShape::Complete,
            advanced: 0,
        }
    }

    /// The packet.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the constructor's contract; `len <= capacity` always; `&self` forbids writers.
        unsafe { core::slice::from_raw_parts(self.data.as_ptr(), usize::from(self.len)) }
    }

    /// The packet, writable.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the constructor's contract; `len <= capacity` always; `&mut self` is unique.
        unsafe { core::slice::from_raw_parts_mut(self.data.as_ptr(), usize::from(self.len)) }
    }

    /// The whole buffer, writable, whatever the packet's length is now.
    #[inline]
    pub fn buffer_mut(&mut self) -> &mut [u8] {
        // SAFETY: the constructor's contract: all of `capacity` is initialised; `&mut` is unique.
        unsafe { core::slice::from_raw_parts_mut(self.data.as_ptr(), usize::from(self.capacity)) }
    }

    /// The packet's length in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// The packet has no bytes.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The buffer's size in bytes.
    #[inline]
    pub fn capacity(&self) -> usize {
        usize::from(self.capacity)
    }

    /// Sets the packet's length; false, and nothing changed, if the buffer is smaller.
    #[inline]
    #[must_use]
    pub fn set_len(&mut self, len: usize) -> bool {
        let fits = len <= usize::from(self.capacity);
        if fits {
            self.len = len as u16;
        }
        fits
    }

    /// The frame is to hold a packet of `len` bytes that leaves in this shape; false, and nothing
    /// changed, if the buffer is smaller.
    #[inline(always)]
    #[must_use]
    pub fn set_packet(&mut self, len: usize, shape: TxShape) -> bool {
        let fits = self.set_len(len);
        if fits {
            self.tx_shape = shape;
        }
        fits
    }

    /// Takes `bytes` bytes off the front of the packet; they stay before it until
    /// [`Frame::retreat`]. A shorter packet is empty afterwards. False, and nothing changed, if the
    /// buffer is shorter.
    #[inline]
    #[must_use]
    pub fn advance(&mut self, bytes: u16) -> bool {
        let fits = bytes <= self.capacity;
        if fits {
            // SAFETY: at most one past the end of the buffer, which has `capacity` bytes.
            self.data = unsafe { self.data.add(usize::from(bytes)) };
            self.capacity -= bytes;
            self.len = self.len.saturating_sub(bytes);
            // What was taken off and the capacity together are the buffer's size, a `u16`.
            self.advanced += bytes;
        }
        fits
    }

    /// Puts everything that was taken off back before the packet, whatever it holds now. A frame
    /// begins where its back end let it begin when it goes back there.
    #[inline]
    pub fn retreat(&mut self) {
        let bytes = core::mem::take(&mut self.advanced);
        // SAFETY: `advance` moved the start up by so many bytes, within the buffer.
        self.data = unsafe { self.data.sub(usize::from(bytes)) };
        self.capacity += bytes;
        self.len += bytes;
    }

    /// Bytes that were taken off the front.
    #[inline]
    pub fn advanced(&self) -> u16 {
        self.advanced
    }

    /// What the back end wrote on the frame to know it again.
    #[inline]
    pub fn cookie(&self) -> usize {
        self.cookie
    }

    /// The device's word on the checksums of this received frame.
    #[inline]
    pub fn rx_checksum(&self) -> RxChecksum {
        self.rx_checksum
    }

    /// A back end reports what its device found.
    #[inline]
    pub fn set_rx_checksum(&mut self, verdict: RxChecksum) {
        self.rx_checksum = verdict;
    }

    /// What the device shall still do to this frame.
    #[inline]
    pub fn tx_shape(&self) -> TxShape {
        self.tx_shape
    }

    /// Says what the device shall still do to this frame.
    #[inline]
    pub fn set_tx_shape(&mut self, shape: TxShape) {
        self.tx_shape = shape;
    }
}

/// Places on a tray: one burst of answers on top of one burst of leftovers.
pub const TRAY_PLACES: usize = 64;

/// A bounded row of frames, oldest first. There is one type of tray, so anything can be given back.
pub struct Tray {
    len: usize,
    places: [MaybeUninit<Frame>; TRAY_PLACES],
}

impl Default for Tray {
    fn default() -> Self {
        Tray::new()
    }
}

impl Tray {
    /// An empty tray.
    pub const fn new() -> Tray {
        Tray { len: 0, places: [const { MaybeUninit::uninit() }; TRAY_PLACES] }
    }

    /// Frames lying here.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Nothing lies here.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Free places.
    #[inline]
    pub fn room(&self) -> usize {
        TRAY_PLACES - self.len
    }

    /// Puts one frame down behind the others.
    ///
    /// # Errors
    /// Gives the frame back if the tray is full.
    #[inline]
    pub fn push(&mut self, frame: Frame) -> Result<(), Frame> {
        match self.places.get_mut(self.len) {
            Some(place) => {
                place.write(frame);
                self.len += 1;
                Ok(())
            }
            None => Err(frame),
        }
    }

    /// Lets `write` put up to `most` frames down behind the others: it is given the first free
    /// place and how many there are, and returns how many frames it wrote there. Returns that
    /// number.
    ///
    /// # Safety
    /// `write` initialises as many places as it says, and no more than it was given, each with a
    /// frame as [`Frame::new`] demands.
    #[inline]
    pub unsafe fn fill(
        &mut self,
        most: usize,
        write: impl FnOnce(*mut Frame, usize) -> usize,
    ) -> usize {
        let room = self.room().min(most);
        let written = write(self.places[self.len..].as_mut_ptr().cast(), room);
        debug_assert!(written <= room);
        self.len += written.min(room);
        written
    }

    /// Takes the newest frame.
    #[inline]
    pub fn pop(&mut self) -> Option<Frame> {
        self.len = self.len.checked_sub(1)?;
        // SAFETY: every place below the old `len` holds a frame, and this one is out of reach now.
        Some(unsafe { self.places[self.len].assume_init_read() })
    }

    /// Hands on every frame, oldest first: a burst must leave in the order it came.
    #[inline]
    pub fn drain(&mut self, mut to: impl FnMut(usize, Frame)) {
        let len = core::mem::take(&mut self.len);
        for (index, place) in self.places[..len].iter().enumerate() {
            // SAFETY: every place below the old `len` holds a frame; it is read once, since `len`
            // is zero already.
            to(index, unsafe { place.assume_init_read() });
        }
    }

    /// Lets `judge` see every frame, oldest first, and moves it behind the others of the tray that
    /// the judgement names by its place in `trays`. What finds no room there stays, in order.
    #[inline(always)]
    pub fn sort<const N: usize>(
        &mut self,
        mut trays: [&mut Tray; N],
        mut judge: impl FnMut(usize, &mut Frame) -> usize,
    ) {
        let len = core::mem::take(&mut self.len);
        for index in 0..len {
            // SAFETY: every place below the old `len` holds a frame; places are emptied in order
            // and filled again only before this one.
            let frame = unsafe { self.places[index].assume_init_mut() };
            let named = judge(index, frame);
            // SAFETY: as above; the place is not read again.
            let frame = unsafe { self.places[index].assume_init_read() };
            let tray = match trays.get_mut(named) {
                Some(tray) if tray.room() > 0 => tray,
                _ => &mut *self,
            };
            if let Some(place) = tray.places.get_mut(tray.len) {
                place.write(frame);
                tray.len += 1;
            }
        }
    }

    /// Lets `write` fill the newest frame and moves it behind the others of `to` if that says
    /// true. `None` without a frame here or a place there.
    #[inline(always)]
    pub fn offer(&mut self, to: &mut Tray, write: impl FnOnce(&mut Frame) -> bool) -> Option<bool> {
        let newest = self.len.checked_sub(1)?;
        let blank = self.places.get_mut(newest)?;
        let place = to.places.get_mut(to.len)?;
        // SAFETY: every place below `len` holds a frame.
        let written = write(unsafe { blank.assume_init_mut() });
        if written {
            // SAFETY: as above, and the place is out of reach now.
            place.write(unsafe { blank.assume_init_read() });
            self.len = newest;
            to.len += 1;
        }
        Some(written)
    }

    /// As [`Tray::offer`], up to `most` times, until that is not true. Returns how often it was.
    #[inline(always)]
    pub fn offer_each(
        &mut self,
        to: &mut Tray,
        most: usize,
        mut write: impl FnMut(&mut Frame) -> bool,
    ) -> usize {
        (0..most).take_while(|_| self.offer(to, &mut write) == Some(true)).count()
    }

    /// Hands on the `count` oldest frames (all, if there are fewer); the rest moves up.
    #[inline]
    pub fn drain_front(&mut self, count: usize, mut to: impl FnMut(Frame)) {
        let len = core::mem::take(&mut self.len);
        let count = count.min(len);
        for place in &self.places[..count] {
            // SAFETY: as in `drain`; the tail is moved down before it is counted again.
            to(unsafe { place.assume_init_read() });
        }
        if count > 0 {
            let places = self.places.as_mut_ptr();
            // SAFETY: `count..len` lies within the row; the frames move, bit by bit, to places that
            // were just emptied or are moved from themselves.
            unsafe { core::ptr::copy(places.add(count), places, len - count) };
        }
        self.len = len - count;
    }

    /// The frames, in place.
    #[inline]
    pub fn frames(&self) -> &[Frame] {
        // SAFETY: the first `len` places hold frames; `MaybeUninit<Frame>` has `Frame`'s layout.
        unsafe { core::slice::from_raw_parts(self.places.as_ptr().cast(), self.len) }
    }

    /// The frames, in place and writable.
    #[inline]
    pub fn frames_mut(&mut self) -> &mut [Frame] {
        // SAFETY: as in `frames`; `&mut self` is unique.
        unsafe { core::slice::from_raw_parts_mut(self.places.as_mut_ptr().cast(), self.len) }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use std::vec::Vec;

    use super::*;

    /// A frame that holds `packet` and has room for `spare` bytes more, in memory of its own.
    pub(crate) fn frame_of(packet: &[u8], spare: usize) -> Frame {
        let mut buffer = Vec::from(packet);
        buffer.resize(packet.len() + spare, 0xa5);
        let buffer = buffer.leak();
        let (len, capacity) = (packet.len() as u16, buffer.len() as u16);
        // SAFETY: leaked memory lives on, and is used through the frame alone.
        unsafe { Frame::new(NonNull::from(buffer).cast(), len, capacity, 0) }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn frame(buffer: &mut [u8], cookie: usize) -> Frame {
        let capacity = buffer.len() as u16;
        // SAFETY: the test's buffer outlives the frame and is used through it alone.
        unsafe { Frame::new(NonNull::new(buffer.as_mut_ptr()).unwrap(), 0, capacity, cookie) }
    }

    #[test]
    fn a_tray_keeps_the_order() {
        let mut buffer = [0u8; 4];
        let mut tray = Tray::new();
        for cookie in 0..TRAY_PLACES {
            assert!(tray.push(frame(&mut buffer, cookie)).is_ok());
        }
        assert!(tray.push(frame(&mut buffer, 99)).is_err());
        let mut seen = 0;
        tray.drain_front(10, |f| {
            assert_eq!(f.cookie(), seen);
            seen += 1;
        });
        assert_eq!((tray.len(), tray.room()), (54, 10));
        assert_eq!(tray.frames()[0].cookie(), 10);
        assert_eq!(tray.pop().map(|f| f.cookie()), Some(63));
        tray.drain(|index, f| assert_eq!(f.cookie(), index + 10));
        assert!(tray.is_empty() && tray.pop().is_none());
    }

    #[test]
    fn frames_are_sorted_in_order_and_none_is_lost() {
        let mut buffer = [0u8; 4];
        let [mut burst, mut even, mut odd] = [const { Tray::new() }; 3];
        for cookie in 0..TRAY_PLACES - 1 {
            assert!(odd.push(frame(&mut buffer, 1000 + cookie)).is_ok());
        }
        for cookie in 0..8 {
            assert!(burst.push(frame(&mut buffer, cookie)).is_ok());
        }
        // One place is free among the odd ones, and there is no third tray.
        burst.sort([&mut even, &mut odd], |index, frame| {
            assert_eq!(frame.cookie(), index);
            if index == 4 { 2 } else { index % 2 }
        });
        let cookies = |tray: &Tray| tray.frames().iter().map(Frame::cookie).collect::<Vec<_>>();
        assert_eq!(cookies(&even), [0, 2, 6]);
        assert_eq!(odd.frames()[TRAY_PLACES - 1].cookie(), 1);
        assert_eq!(cookies(&burst), [3, 4, 5, 7], "what finds no room stays");
    }

    #[test]
    fn the_newest_frame_is_offered_and_goes_if_it_was_written() {
        let mut buffer = [0u8; 4];
        let [mut stock, mut tx] = [const { Tray::new() }; 2];
        assert_eq!(stock.offer(&mut tx, |_| true), None, "there is no frame");
        for cookie in 0..2 {
            assert!(stock.push(frame(&mut buffer, cookie)).is_ok());
        }
        assert_eq!(stock.offer(&mut tx, |_| false), Some(false));
        assert_eq!((stock.len(), tx.len()), (2, 0));
        assert_eq!(stock.offer(&mut tx, |frame| frame.set_len(3)), Some(true));
        assert_eq!((stock.len(), tx.frames()[0].cookie(), tx.frames()[0].len()), (1, 1, 3));
        while tx.room() > 0 {
            assert!(tx.push(frame(&mut buffer, 9)).is_ok());
        }
        assert_eq!(stock.offer(&mut tx, |_| true), None, "there is no place");
        assert_eq!(stock.len(), 1);
    }

    #[test]
    fn a_frame_never_grows_past_its_buffer() {
        let mut buffer = [7u8; 8];
        let mut f = frame(&mut buffer, 0);
        assert!(f.is_empty() && f.set_len(8) && !f.set_len(9));
        assert_eq!(f.bytes(), [7; 8]);
        f.bytes_mut()[0] = 1;
        assert_eq!(f.buffer_mut()[0], 1);
    }

    #[test]
    fn what_is_taken_off_the_front_comes_back() {
        let mut buffer = [1u8, 2, 3, 4, 5, 6, 7, 8];
        let mut f = frame(&mut buffer, 5);
        assert!(f.set_len(6) && f.advance(2) && f.advance(1) && !f.advance(6));
        assert_eq!((f.bytes(), f.capacity(), f.advanced()), (&[4, 5, 6][..], 5, 3));
        assert!(f.set_len(5) && !f.set_len(6));
        f.bytes_mut()[4] = 9;
        f.retreat();
        assert_eq!((f.bytes(), f.capacity()), (&[1, 2, 3, 4, 5, 6, 7, 9][..], 8));
        f.retreat();
        assert_eq!((f.len(), f.advanced(), f.cookie()), (8, 0, 5));
        assert!(f.set_len(3) && f.advance(8) && f.is_empty() && f.capacity() == 0);
        f.retreat();
        assert_eq!((f.len(), f.capacity()), (8, 8));
    }
}
