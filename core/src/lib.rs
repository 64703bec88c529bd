//! The data plane of dperf-shell, for any packet I/O: TCP and UDP, client and server, on packet
//! views, `no_std`, no allocation, no clock, no globals.
//!
//! Three sentences describe the house. *The shell brings frames and time; the core gives frames
//! back.* *Every packet crosses five rooms in one direction: [`port`] → [`parse`] → [`conn`] →
//! [`tcp`] → [`template`] → [`port`].* *Everything one core touches is owned by that core.*
//!
//! The rooms, in the order a packet meets them:
//!
//! | room | what it holds |
//! |---|---|
//! | [`port`], [`frame`] | where frames come from and go to; the frames themselves |
//! | [`worker`] | one core's turn: receive, look, step, ring, open, transmit |
//! | [`encap`] | what frames travel in: VLAN tags, a VXLAN tunnel |
//! | [`parse`], [`wire`] | what a frame is; views of headers |
//! | [`conn`] | connections: slots, the table that finds them, the wheels that wake them |
//! | [`tcp`], [`http`] | what a segment does to a connection; what its bytes say |
//! | [`udp`] | when the next datagram goes, and which were lost |
//! | [`template`] | headers built once, stamped per packet |
//! | [`host`] | ARP, ping, the gateway |
//! | [`exception`] | the way to the kernel, for what is not load |
//! | [`pace`] | how many connections open now |
//! | [`steer`] | which receive queue a packet comes to |
//! | [`plan`], [`stats`], [`sync`], [`time`] | what to do, what happened, what is shared, when |
#![no_std]

#[cfg(test)]
extern crate std;

pub mod conn;
pub mod encap;
mod engine;
pub mod exception;
pub mod frame;
pub mod host;
pub mod http;
pub mod pace;
pub mod parse;
pub mod plan;
pub mod port;
pub mod prefetch;
pub mod stats;
pub mod steer;
pub mod sync;
pub mod tcp;
pub mod template;
pub mod time;
pub mod udp;
pub mod wire;
pub mod worker;
