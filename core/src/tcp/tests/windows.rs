//! The peer's window and ours: what may be in flight, probes of a window that is closed.

use super::*;

#[test]
fn the_send_window_limits_segments_in_flight() {
    let mut rig = Rig::new(Role::Server, |plan| {
        plan.payload.total_bytes = 100_000;
        plan.send_window = 3;
    })
    .connected();
    assert!(rig.hear(DATA, REQUEST).is_some());
    assert_eq!(rig.drain_ready().len(), 2);
    rig.ack = rig.ack.wrapping_add(1460);
    assert!(rig.hear(ACK, b"").is_some());
    assert!(rig.drain_ready().is_empty());
}

#[test]
fn a_closed_window_is_probed_and_opens() {
    let mut rig = Rig::server_sending(5000);
    rig.window = 0;
    assert_eq!(rig.hear(DATA, REQUEST), None);
    assert_eq!(told(rig.drain_ready().pop()), Some((ACK, 0)), "the request is acknowledged");
    assert_eq!((rig.slot.timer, rig.wait_ms()), (Timer::Persist, RTO));
    // Probes that are answered go on for ever, further and further apart, and are no failure
    // (RFC 9293, 3.8.6.1).
    for round in 0..20 {
        assert_eq!(told(rig.ring()), Some((ACK, 1)), "{round}");
        assert_eq!(rig.hear(ACK, b""), None, "{round}");
        assert_eq!((rig.slot.timer, rig.wait_ms()), (Timer::Persist, RTO << round.min(3)));
    }
    assert_eq!(rig.count(Count::AckDup), 0, "an answered probe is no duplicate");
    rig.window = 60_000;
    assert_eq!(told(rig.hear(ACK, b"")), Some((ACK, 1460)));
    assert_eq!(rig.slot.timer, Timer::Retransmit);
    // Probes without an answer end the connection.
    let mut rig = Rig::server_sending(5000);
    rig.window = 0;
    rig.hear(DATA, REQUEST);
    for _ in 0..PROBES_MAX {
        assert_eq!(told(rig.ring()), Some((ACK, 1)));
    }
    assert_eq!(rig.ring(), None);
    assert!(rig.slot.is_closed());
    assert_eq!(rig.count(Count::SkErrTimeout), 1);
}

/// What a closed window took in patience, an open one gives back.
#[test]
fn data_behind_probes_is_sent_again_as_often_as_any() {
    let mut rig = Rig::server_sending(5000);
    rig.window = 0;
    rig.hear(DATA, REQUEST);
    for _ in 0..5 {
        rig.ring();
        rig.hear(ACK, b"");
    }
    rig.window = 60_000;
    assert_eq!(told(rig.hear(ACK, b"")), Some((ACK, 1460)));
    for _ in 0..RETRIES_MAX {
        assert_eq!(told(rig.ring()), Some((ACK, 1460)));
    }
    assert_eq!(rig.ring(), None);
    assert!(rig.slot.is_closed());
}

#[test]
fn a_probe_that_is_taken_moves_on() {
    let mut rig = Rig::server_sending(5000);
    rig.window = 0;
    rig.hear(DATA, REQUEST);
    rig.ring();
    rig.take_all();
    rig.hear(ACK, b"");
    assert_eq!(rig.slot.timer, Timer::Persist, "the window is still closed");
    rig.window = 60_000;
    let reply = rig.hear(ACK, b"").expect("data");
    assert_eq!((reply.payload_at, reply.payload_bytes), (1, 1460));
}

#[test]
fn a_window_that_closes_over_data_in_flight_is_probed() {
    let mut rig = Rig::server_sending(5000);
    rig.hear(DATA, REQUEST);
    rig.window = 0;
    rig.hear(ACK, b"");
    rig.ring();
    assert_eq!(rig.slot.timer, Timer::Persist, "no failure while the peer answers");
    for _ in 0..10 {
        assert_eq!(told(rig.ring()), Some((ACK, 1)));
        rig.hear(ACK, b"");
    }
    rig.window = 60_000;
    assert!(rig.hear(ACK, b"").is_some());
}

#[test]
fn a_window_opened_by_a_segment_out_of_order_is_used() {
    let mut rig = Rig::server_sending(5000);
    rig.window = 0;
    rig.hear(DATA, REQUEST);
    rig.drain_ready();
    rig.window = 60_000;
    let (seq, ack) = (rig.seq.wrapping_add(10), rig.ack);
    assert_eq!(told(rig.hear_at(seq, ack, DATA, b"x")), Some((ACK, 0)));
    assert!(rig.tcp.wants_more(&rig.slot));
}

#[test]
fn a_request_into_a_closed_window_still_acknowledges() {
    let mut rig = Rig::kept(Role::Client, 10_000, 0);
    rig.take_all();
    rig.window = 0;
    rig.hear(DATA, RESPONSE);
    let ack = rig.ring().expect("the ACK that waited");
    assert_eq!((ack.flags, ack.payload_bytes, ack.ack), (ACK, 0, rig.seq));
    assert_eq!(rig.slot.timer, Timer::Persist);
}

/// A server with a window of eight segments, all of which are out, and `left_bytes` more to send.
fn full(left_bytes: u32) -> Rig {
    let change = |plan: &mut CorePlan<'static>| {
        plan.payload.total_bytes = 8 * 1460 + left_bytes;
        plan.send_window = 8;
    };
    let mut rig = Rig::new(Role::Server, change).connected();
    assert!(rig.hear(DATA, REQUEST).is_some());
    assert_eq!(rig.drain_ready().len(), 7);
    rig
}

#[test]
fn segments_go_out_together_when_half_of_the_window_is_free() {
    let mut rig = full(100_000);
    for _ in 0..3 {
        rig.ack = rig.ack.wrapping_add(1460);
        assert_eq!(rig.hear(ACK, b""), None, "more room will come");
        assert_eq!(rig.slot.timer, Timer::Retransmit, "if the ACK is lost");
    }
    rig.ack = rig.ack.wrapping_add(1460);
    assert_eq!(told(rig.hear(ACK, b"")), Some((ACK, 1460)));
    assert_eq!(rig.drain_ready().len(), 3);
}

#[test]
fn the_last_segments_of_a_message_wait_for_no_others() {
    let mut rig = full(1960);
    rig.ack = rig.ack.wrapping_add(1460);
    assert_eq!(rig.hear(ACK, b""), None, "all that is left will fit");
    rig.ack = rig.ack.wrapping_add(1460);
    assert_eq!(told(rig.hear(ACK, b"")), Some((ACK, 1460)));
    assert_eq!(told(rig.drain_ready().pop()), Some((DATA | FIN, 500)));
}
