//! One role of a run: what it was told, where it is, what was measured of it.

use std::sync::Arc;

use dperf_core::plan::{Messages, Role};
use dperf_core::port::PortState;
use dperf_core::stats::{Count, Reader, Snapshot};
use dperf_core::sync::{Control, Gateway};
use dperf_core::time::Instant;

use crate::config::{Config, Port, Read};
use crate::crew::Watch;

/// How far a role is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// The rate rises.
    Ramp,
    /// Full rate: what is measured here counts.
    Full,
    /// Nothing new; what is open ends.
    Drain {
        /// When something ended last.
        since: Instant,
        /// Connections that had ended well by then.
        ended: u64,
        /// The fewest that were open.
        fewest: u64,
    },
    /// Every worker has stopped.
    Over,
}

/// How many connections a client held open, of those that it was asked to hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gauge {
    /// They were all open once, or should have been by now: what is read counts.
    pub counts: bool,
    sum: u64,
    readings: u64,
    latest: u64,
}

impl Gauge {
    /// So many are open at the end of a second.
    pub fn read(&mut self, open: u64) {
        self.latest = open;
        if self.counts {
            self.sum += open;
            self.readings += 1;
        }
    }

    /// The mean of what counts; the latest reading where nothing does.
    pub fn mean(&self) -> f64 {
        match self.readings {
            0 => self.latest as f64,
            readings => self.sum as f64 / readings as f64,
        }
    }
}

/// Counters at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// When.
    pub at: Instant,
    /// The totals then.
    pub total: Snapshot,
}

/// One worker of a role.
#[derive(Clone, Debug)]
pub struct Who {
    /// Its name.
    pub name: String,
    /// Its core.
    pub cpu: u16,
    /// The index of its port.
    pub port: usize,
}

/// One role while it runs.
pub struct RoleRun {
    /// Its configuration and what is to be said about it.
    pub read: Read,
    /// The workers.
    pub workers: Vec<Who>,
    /// The statistics page of each worker.
    pub readers: Vec<Reader<'static>>,
    /// What each worker shows.
    pub watches: Vec<Arc<Watch>>,
    /// The gateway of each port.
    pub gateways: Vec<&'static Gateway>,
    /// Its phase.
    pub control: &'static Control,
    /// How far it is.
    pub stage: Stage,
    /// When full rate began.
    pub full: Option<Mark>,
    /// When the load ended.
    pub end: Option<Mark>,
    /// Open connections at full rate.
    pub gauge: Gauge,
    /// What its connections carry.
    pub messages: Messages,
    /// Connections that all its workers open at one instant.
    pub launch: u32,
    /// It was said that the kernel's interface has disappeared.
    pub exception_missed: bool,
    /// It was said that answers come to queues other than expected.
    pub answers_missed: bool,
    /// Each worker's counters when they were last reported.
    pub reported: Vec<Snapshot>,
}

impl RoleRun {
    pub(crate) fn new(
        read: Read,
        gateways: Vec<&'static Gateway>,
        control: &'static Control,
    ) -> RoleRun {
        RoleRun {
            read,
            workers: Vec::new(),
            readers: Vec::new(),
            watches: Vec::new(),
            gateways,
            control,
            stage: Stage::Ramp,
            full: None,
            end: None,
            gauge: Gauge::default(),
            messages: Messages::HttpGet,
            launch: 0,
            exception_missed: false,
            answers_missed: false,
            reported: Vec::new(),
        }
    }

    /// Its configuration.
    pub fn config(&self) -> &Config {
        &self.read.config
    }

    /// Client or server.
    pub fn role(&self) -> Role {
        self.read.config.role
    }

    /// Its name in reports.
    pub fn name(&self) -> &'static str {
        self.role().name()
    }

    /// Each worker's counters.
    pub fn pages(&self) -> Vec<Snapshot> {
        self.readers.iter().map(Reader::snapshot).collect()
    }

    /// All workers' counters together.
    pub fn total(&self) -> Snapshot {
        let pages = self.readers.iter().map(Reader::snapshot);
        pages.fold(Snapshot::default(), |sum, page| sum.plus(&page))
    }

    /// A port whose device has disappeared.
    pub fn gone_port(&self) -> Option<&Port> {
        let queues = self.config().queues().max(1);
        let gone = self.watches.iter().position(|watch| watch.port_state() == PortState::Gone)?;
        self.config().ports.get(gone / queues)
    }

    /// The kernel's interface of some worker has disappeared.
    pub fn exception_gone(&self) -> bool {
        self.watches.iter().any(|watch| watch.exception_state() == PortState::Gone)
    }

    /// A port whose gateway is not known yet.
    pub fn lost_port(&self) -> Option<&Port> {
        let lost = self.gateways.iter().position(|gateway| gateway.load().is_none())?;
        self.config().ports.get(lost)
    }

    /// Every worker has turned.
    pub fn turns(&self) -> bool {
        self.readers.iter().all(|reader| reader.get(Count::Turns) > 0)
    }
}
