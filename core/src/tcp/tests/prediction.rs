//! What is predicted: nearly every segment of an exchange, and nothing that is out of the ordinary.

use super::*;

/// A connection in the middle of its exchange, whose next message comes as the last one did.
struct Usual {
    rig: Rig,
    message: &'static [u8],
}

impl Usual {
    fn new(role: Role, messages: Messages) -> Usual {
        let mut rig = Rig::new(role, |plan| {
            plan.messages = messages;
            plan.keepalive = Some(Keepalive { interval_us: 0, requests: 0 });
        })
        .connected();
        let message = if role == Role::Client { RESPONSE } else { REQUEST };
        rig.take_all();
        assert!(rig.hear(DATA, message).is_some(), "another request, or the answer");
        rig.take_all();
        Usual { rig, message }
    }

    fn all() -> impl Iterator<Item = Usual> {
        let roles = [Role::Client, Role::Server].into_iter();
        roles.flat_map(|role| {
            [Messages::HttpGet, Messages::Raw].map(|messages| Usual::new(role, messages))
        })
    }

    /// The peer's next segment.
    fn segment(&self, flags: TcpFlags, payload_bytes: u16) -> Segment {
        Segment {
            seq: self.rig.seq,
            ack: self.rig.ack,
            window: self.rig.window,
            flags,
            payload_at: 0,
            payload_bytes,
            mss: 0,
            wscale: None,
            known: 0,
        }
    }

    /// The bare ACK of all that is in flight, changed by `change`, is told from other segments.
    fn completes(&self, flags: TcpFlags, change: impl FnOnce(&mut Segment)) -> bool {
        let mut segment = self.segment(flags, 0);
        change(&mut segment);
        self.rig.tcp.completes(&self.rig.slot, &segment)
    }

    /// The segment with the next message, changed by `change`, is predicted.
    fn is_predicted(&self, flags: TcpFlags, change: impl FnOnce(&mut Segment)) -> bool {
        let mut segment = self.segment(flags, self.message.len() as u16);
        change(&mut segment);
        let known = self.rig.tcp.recall(segment.payload(self.message));
        segment.known = known.map_or(0, |known| known.number);
        self.rig.tcp.predicted(&self.rig.slot, &segment).is_some()
    }
}

#[test]
fn the_next_message_is_predicted_and_answered() {
    for mut usual in Usual::all() {
        for flags in [DATA, ACK] {
            assert!(usual.is_predicted(flags, |_| {}), "{flags:?}");
            assert_eq!(told(usual.rig.hear(flags, usual.message)), Some((DATA, 100)));
            usual.rig.take_all();
        }
        let counts = [Count::HttpGet, Count::Http2xx, Count::TcpReq, Count::TcpRsp];
        let counts = counts.map(|count| usual.rig.count(count));
        let settings = &usual.rig.tcp.settings;
        let requests = if settings.role == Role::Client { 4 } else { 3 };
        let want = match settings.messages {
            Messages::Raw => [0, 0, requests, 3],
            _ => [requests, 3, 0, 0],
        };
        assert_eq!(counts, want);
    }
}

#[test]
fn the_first_request_is_predicted_with_the_handshakes_end() {
    let mut usual = Usual::new(Role::Server, Messages::HttpGet);
    usual.rig.hear(RST_ACK, b"");
    let syn_ack = usual.rig.hear(SYN, b"").expect("a SYN-ACK");
    usual.rig.ack = syn_ack.seq.wrapping_add(1);
    assert!(usual.is_predicted(DATA, |_| {}));
}

#[test]
fn a_segment_that_is_not_the_next_is_not_predicted() {
    for usual in Usual::all() {
        for off in [1, u32::MAX, 1 << 31] {
            assert!(!usual.is_predicted(DATA, |it| it.seq = it.seq.wrapping_add(off)));
            assert!(!usual.is_predicted(DATA, |it| it.ack = it.ack.wrapping_add(off)));
        }
        assert!(!usual.is_predicted(ACK, |it| it.payload_bytes = 0));
        for flags in [TcpFlags::empty(), PSH, DATA | FIN, DATA | SYN, DATA | RST, RST, SYN] {
            assert!(!usual.is_predicted(flags, |_| {}), "{flags:?}");
        }
        assert!(!usual.is_predicted(DATA | TcpFlags::URG, |_| {}));
    }
}

#[test]
fn a_message_unlike_the_last_is_not_predicted() {
    for role in [Role::Client, Role::Server] {
        let usual = Usual::new(role, Messages::HttpGet);
        assert!(!usual.is_predicted(DATA, |it| it.payload_bytes -= 1));
        let mut usual = Usual::new(role, Messages::HttpGet);
        usual.rig.hear(DATA, &usual.message[..10]);
        usual.rig.drain_ready();
        assert!(!usual.is_predicted(DATA, |_| {}), "it goes on");
    }
}

#[test]
fn a_connection_that_owes_closes_or_asked_for_nothing_is_not_predicted() {
    for mut usual in Usual::all() {
        for flag in [SlotFlags::FIN_QUEUED, SlotFlags::ACK_OWED] {
            usual.rig.slot.flags.insert(flag);
            assert!(!usual.is_predicted(DATA, |_| {}), "{flag:?}");
            usual.rig.slot.flags.remove(flag);
        }
        let established = core::mem::replace(&mut usual.rig.slot.state, State::CloseWait);
        assert!(!usual.is_predicted(DATA, |_| {}));
        usual.rig.slot.state = established;
        assert!(usual.is_predicted(DATA, |_| {}));
        usual.rig.slot.flags.remove(SlotFlags::AWAITING);
        let server = usual.rig.tcp.settings.role == Role::Server;
        assert_eq!(usual.is_predicted(DATA, |_| {}), server);
    }
}

/// The bare ACK of everything does what it would do on the long way.
#[test]
fn the_last_ack_is_taken_as_any_segment_is() {
    for mut usual in Usual::all() {
        let (mut any, segment) = (usual.rig.slot.clone(), usual.segment(ACK, 0));
        let now = Stamp(usual.rig.now.0 + 3);
        // As after a time-out: all that an ACK may change is something else.
        (any.retries, any.dup_acks, any.cwnd) = (2, 2, 1);
        (any.snd_nxt, any.snd_wnd) = (any.snd_una, 1);
        any.flags.insert(SlotFlags::RETRANSMITTED);
        let (before, mut short) = (any.clone(), any.clone());
        assert!(usual.rig.tcp.completes(&short, &segment));
        let counts = usual.rig.counts.snapshot();
        assert_eq!(usual.rig.tcp.on_any(&mut any, &segment, b"", now), None);
        let counted = usual.rig.counts.snapshot();
        assert_eq!(usual.rig.tcp.on_segment(&mut short, &segment, b"", now), None);
        assert_eq!(usual.rig.counts.snapshot().since(&counted), counted.since(&counts));
        assert_eq!(std::format!("{short:?}"), std::format!("{any:?}"));
        assert_eq!((any.timer, any.retries, any.in_flight()), (Timer::Idle, 0, 0));
        assert!(any.cwnd > before.cwnd && any.snd_nxt != before.snd_nxt && any.snd_wnd > 1);
    }
}

#[test]
fn a_segment_that_leaves_something_to_do_completes_nothing() {
    for mut usual in Usual::all() {
        for off in [1, u32::MAX, 1 << 31] {
            assert!(!usual.completes(ACK, |it| it.seq = it.seq.wrapping_add(off)));
            assert!(!usual.completes(ACK, |it| it.ack = it.ack.wrapping_add(off)));
        }
        assert!(!usual.completes(ACK, |it| it.payload_bytes = 1));
        for flags in [TcpFlags::empty(), DATA, FIN_ACK, SYN_ACK, RST_ACK, ACK | TcpFlags::URG] {
            assert!(!usual.completes(flags, |_| {}), "{flags:?}");
        }
        for flag in [SlotFlags::FIN_QUEUED, SlotFlags::ACK_OWED] {
            usual.rig.slot.flags.insert(flag);
            assert!(!usual.completes(ACK, |_| {}), "{flag:?}");
            usual.rig.slot.flags.remove(flag);
        }
        for timer in [Timer::Pace, Timer::Persist, Timer::Idle] {
            let before = core::mem::replace(&mut usual.rig.slot.timer, timer);
            assert!(!usual.completes(ACK, |_| {}), "{timer:?}");
            usual.rig.slot.timer = before;
        }
        usual.rig.slot.snd_end = usual.rig.slot.snd_end.wrapping_add(1);
        assert!(!usual.completes(ACK, |_| {}), "there is more to be sent");
    }
}
