//! Whole-system test tools: what they promise is that a failure is found again by its number.
//!
//! [`sim`] runs real workers over a network made of one seed: [`scenario`] says what they do,
//! [`swarm`] draws it, [`wire`] is the network, under [`conditions`], between [`station`]s, and
//! [`slow_kernel`] is behind them; [`stock`] keeps their memory for the next run. [`laws`] says
//! what must hold whatever the network did, [`pcap`] writes down what crossed it, [`referee`] reads
//! that again, [`storm`] throws in what no peer should send, and [`replay`] finds a failure again.
//! [`alone`] is one worker and a cable, for which [`ipv6`] makes and reads frames.
//!
//! [`judge`] keeps what others' test suites and peers say of us. [`ipv4`] makes honest frames and
//! [`hostile`] those that no honest station sends; [`raw`] sends either, and [`relay`] is the
//! simulated network between real interfaces.
//!
//! [`program`] is the real program among real peers: [`namespace`] is where they meet, [`process`]
//! what they are, [`cgroup`] what memory they may have, and [`kernel`] what the kernel counted
//! meanwhile. [`flood`] sends numbered packets from one kernel to another, [`threads`] runs more
//! workers than there are processors, and [`steady`] tells what failed from what a machine that
//! stood still made fail.
//! [`blocks`] reads what testers print, [`callgrind`] counts a program's instructions, [`record`]
//! knows how many there were before.

pub mod alone;
pub mod arena;
pub mod blocks;
pub mod cable;
pub mod callgrind;
pub mod cgroup;
pub mod conditions;
pub mod flood;
pub mod hostile;
pub mod ipv4;
pub mod ipv6;
pub mod judge;
pub mod kernel;
pub mod laws;
pub mod namespace;
pub mod pcap;
pub mod phy;
pub mod process;
pub mod program;
pub mod queue;
pub mod random;
pub mod raw;
pub mod record;
pub mod referee;
pub mod reference;
pub mod relay;
pub mod replay;
pub mod scenario;
pub mod sim;
pub mod slow_kernel;
pub mod station;
pub mod steady;
pub mod stock;
pub mod storm;
pub mod swarm;
pub mod threads;
pub mod wire;

#[cfg(doctest)]
#[doc = include_str!("../../docs/PORTING.md")]
mod porting {}
