//! A cable between two smoltcp devices; what lies on it can be read and written by a test.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};

/// Frames on their way in one direction.
pub type Pipe = Arc<Mutex<VecDeque<Vec<u8>>>>;

/// One end of a cable, as a smoltcp device; its transmit ring is short.
#[derive(Debug)]
pub struct End {
    /// What comes.
    pub incoming: Pipe,
    /// What goes.
    pub outgoing: Pipe,
}

/// A frame that came.
#[derive(Debug)]
pub struct Incoming(Vec<u8>);
/// Room for a frame to go.
#[derive(Debug)]
pub struct Outgoing(Pipe);

impl RxToken for Incoming {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Outgoing {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.lock().expect("no panic").push_back(frame);
        result
    }
}

impl Device for End {
    type RxToken<'a> = Incoming;
    type TxToken<'a> = Outgoing;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Incoming, Outgoing)> {
        let frame = self.incoming.lock().expect("no panic").pop_front()?;
        Some((Incoming(frame), Outgoing(self.outgoing.clone())))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Outgoing> {
        let room = self.outgoing.lock().expect("no panic").len() < 20;
        room.then(|| Outgoing(self.outgoing.clone()))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}
