//! The frames of one exchange: what crosses the wire for each connection, and how long it is.

use dperf_core::plan::Role;
use serde::Serialize;

use super::Plan;
use super::load::{SYN_OPTION_BYTES, TCP_BYTES, UDP_BYTES, ip_head};
use crate::config::Config;

/// One kind of frame.
#[derive(Clone, Debug, Serialize)]
pub struct FrameRecord {
    /// `SYN`, `SYN-ACK`, `request`, `response`, `FIN`, `ACK` or `RST`.
    pub name: &'static str,
    /// Who sends it: `client` or `server`.
    pub from: &'static str,
    /// Its length without FCS and padding; `None` where it is the other side's message.
    pub bytes: Option<u64>,
    /// How many there are of it in a row.
    pub count: u64,
}

/// The frames of one connection with one request, if nothing is lost, in their order. (Kept
/// connections repeat request and response; a long response is acknowledged on its way; of several
/// sizes the first is told.)
pub(super) fn exchange(config: &Config, plan: &Plan) -> Vec<FrameRecord> {
    let head = ip_head(config);
    if config.is_udp() {
        let frames = |role, name| messages(config, plan, role, name, head + UDP_BYTES, u64::MAX);
        let mut all = frames(Role::Client, "request");
        if !config.flood {
            all.extend(frames(Role::Server, "response"));
        }
        return all;
    }
    let bare = |name, from: Role| frame(name, from, Some(head + TCP_BYTES));
    let syn = |name, from: Role| frame(name, from, Some(head + TCP_BYTES + SYN_OPTION_BYTES));
    let mut frames = vec![syn("SYN", Role::Client)];
    if config.flood {
        return frames;
    }
    let mss = plan.workers.first().map_or(1, |worker| u64::from(worker.core.mss.max(1)));
    frames.push(syn("SYN-ACK", Role::Server));
    for (role, name) in [(Role::Client, "request"), (Role::Server, "response")] {
        frames.extend(messages(config, plan, role, name, head + TCP_BYTES, mss));
    }
    if config.fast_close {
        frames.push(bare("RST", Role::Client));
        return frames;
    }
    // Without keepalive the response carries the server's FIN.
    frames.push(bare("FIN", Role::Client));
    if config.keepalive.is_some() {
        frames.push(bare("FIN", Role::Server));
        frames.push(bare("ACK", Role::Client));
    } else {
        frames.push(bare("ACK", Role::Server));
    }
    frames
}

fn frame(name: &'static str, from: Role, bytes: Option<u64>) -> FrameRecord {
    FrameRecord { name, from: from.name(), bytes, count: 1 }
}

/// The frames of one message: known if it is ours.
fn messages(
    config: &Config,
    plan: &Plan,
    role: Role,
    name: &'static str,
    head_bytes: u64,
    mss: u64,
) -> Vec<FrameRecord> {
    if role != config.role {
        return vec![frame(name, role, None)];
    }
    let bytes = plan.messages.first().map_or(0, |message| u64::from(message.total_bytes));
    let (full, rest) = (bytes / mss, bytes % mss);
    let mut frames = Vec::new();
    if full > 0 {
        frames.push(FrameRecord { count: full, ..frame(name, role, Some(head_bytes + mss)) });
    }
    if rest > 0 || full == 0 {
        frames.push(frame(name, role, Some(head_bytes + rest)));
    }
    frames
}
