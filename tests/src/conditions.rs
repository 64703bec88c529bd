//! What a simulated network is like.

/// What the network does to frames; probabilities in parts per million, times in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Conditions {
    /// A frame vanishes.
    pub loss: u32,
    /// A frame arrives twice.
    pub duplicate: u32,
    /// A frame is overtaken by later ones.
    pub reorder: u32,
    /// A bit is flipped, or the frame is cut short.
    pub damage: u32,
    /// Every frame travels at least this long.
    pub delay: u64,
    /// And up to this much longer, in order.
    pub jitter: u64,
    /// Longer frames vanish, in bytes: somebody on the path has a smaller MTU and tells nobody.
    pub longest: usize,
    /// The link is up for the first time and down for the second, by turns; `[0, 0]`: always up.
    pub flap: [u64; 2],
    /// Frames that a receive ring holds.
    pub ring: usize,
    /// Short frames arrive padded to 60 bytes, as on Ethernet.
    pub pad: bool,
}

impl Conditions {
    /// A good cable, 5 microseconds long.
    pub const CABLE: Conditions = Conditions {
        loss: 0,
        duplicate: 0,
        reorder: 0,
        damage: 0,
        delay: 5_000,
        jitter: 0,
        longest: usize::MAX,
        flap: [0, 0],
        ring: usize::MAX,
        pad: true,
    };

    /// Nothing is lost, doubled, reordered or damaged.
    #[must_use]
    pub fn is_faithful(&self) -> bool {
        let limited = self.longest.min(self.ring) < usize::MAX;
        self.loss | self.duplicate | self.reorder | self.damage == 0
            && self.flap[1] == 0
            && !limited
    }

    /// The link is down.
    #[must_use]
    pub fn is_down(&self, now: u64) -> bool {
        let [up, down] = self.flap;
        down > 0 && now % (up + down) >= up
    }
}
