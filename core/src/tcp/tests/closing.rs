//! The end of a connection, in every order of FINs, with RST, and in silence.

use super::*;

#[test]
fn both_close_at_once() {
    let mut rig = Rig::server();
    rig.hear(DATA, REQUEST);
    let una = rig.ack;
    assert_eq!(told(rig.hear_at(rig.seq, una, FIN_ACK, b"")), Some((ACK, 0)));
    assert_eq!(rig.slot.state, State::Closing);
    rig.seq = rig.seq.wrapping_add(1);
    rig.take_all();
    assert_eq!(rig.hear(ACK, b""), None);
    assert!(rig.slot.is_closed());
    assert_eq!(rig.count(Count::SkErr), 0);
}

#[test]
fn a_client_may_finish_first_and_still_be_served() {
    let mut rig = Rig::server_sending(4000);
    assert_eq!(told(rig.hear(DATA | FIN, REQUEST)), Some((ACK, 1460)));
    assert_eq!(rig.slot.state, State::CloseWait);
    let rest = rig.drain_ready();
    assert_eq!(told(rest.last().copied()), Some((DATA | FIN, 1080)));
    assert_eq!(rig.slot.state, State::LastAck);
    rig.take_all();
    assert_eq!(rig.hear(ACK, b""), None);
    assert!(rig.slot.is_closed());
    assert_eq!((rig.count(Count::Http2xx), rig.count(Count::SkErr)), (1, 0));
}

#[test]
fn a_closed_slot_still_answers_the_last_fin() {
    let mut rig = Rig::server();
    rig.hear(DATA, REQUEST);
    rig.take_all();
    let fin = rig.seq;
    rig.hear(FIN_ACK, b"");
    assert!(rig.slot.is_closed());
    let (seq, ack) = (rig.seq, rig.ack);
    assert_eq!(rig.hear_at(seq, ack, ACK, b""), None, "a late ACK is nothing");
    let again = rig.hear_at(fin, ack, FIN_ACK, b"").expect("the last ACK once more");
    assert_eq!((again.flags, again.seq, again.ack), (ACK, ack, seq));
    // Anything else has no connection.
    for (seq, ack, flags) in [(seq, ack, DATA), (fin, ack.wrapping_sub(9), FIN_ACK)] {
        let payload = if flags == DATA { &b"x"[..] } else { b"" };
        let reset = rig.hear_at(seq, ack, flags, payload).expect("RST");
        assert_eq!((reset.flags, reset.seq), (RST, ack));
    }
    for (seq, payload) in [(seq, &b""[..]), (fin, b"x")] {
        assert_eq!(rig.hear_at(seq, ack, RST_ACK, payload), None, "a RST is never answered");
    }
    assert_eq!(rig.count(Count::DropNoConnection), 4);
    assert_eq!(rig.count(Count::SkClose), 1);
}

/// Two that have nothing to say must not answer each other's bare ACKs for ever.
#[test]
fn an_ack_behind_the_peers_fin_is_not_answered() {
    let mut rig = Rig::server_sending(100_000);
    rig.hear(DATA | FIN, REQUEST);
    rig.drain_ready();
    assert_eq!((rig.slot.state, rig.hear(ACK, b"")), (State::CloseWait, None));
    let mut rig = Rig::server();
    rig.hear(DATA, REQUEST);
    rig.hear(FIN_ACK, b"");
    assert_eq!((rig.slot.state, rig.hear(ACK, b"")), (State::Closing, None));
}

#[test]
fn fast_close_leaves_with_a_reset() {
    let mut rig = Rig::new(Role::Client, |plan| plan.fast_close = true).connected();
    rig.take_all();
    let start = rig.seq;
    let reset = rig.hear(DATA | FIN, RESPONSE).expect("RST");
    assert_eq!((reset.flags, reset.seq), (RST_ACK, rig.ack));
    assert!(rig.slot.is_closed());
    assert_eq!((rig.count(Count::SkErr), rig.count(Count::Http2xx)), (0, 1));
    // If that was lost the server repeats itself, and hears it again.
    let ack = rig.ack;
    let again = rig.hear_at(start, ack, DATA | FIN, RESPONSE).expect("RST");
    assert!(again.flags.contains(RST) && again.seq == ack);
}

#[test]
fn a_silent_client_is_given_up() {
    let mut rig = Rig::server();
    assert_eq!((rig.slot.timer, rig.wait_ms()), (Timer::Idle, IDLE));
    assert_eq!(told(rig.ring()), Some((RST_ACK, 0)));
    assert_eq!((rig.count(Count::SkErr), rig.count(Count::SkErrIdle)), (1, 1));
}

/// Only what was asked for and did not come is an answer that is missing.
#[test]
fn silence_after_the_exchange_is_no_missing_answer() {
    let mut rig = Rig::client();
    rig.take_all();
    rig.hear(DATA, RESPONSE);
    rig.take_all();
    rig.hear(ACK, b"");
    assert_eq!(rig.slot.state, State::FinWait2);
    rig.ring();
    assert_eq!((rig.count(Count::SkErrIdle), rig.count(Count::SkErrResponse)), (1, 0));
    let mut rig = Rig::kept(Role::Server, 100_000, 0);
    rig.hear(DATA, b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    rig.take_all();
    rig.hear(ACK, b"");
    rig.ring();
    assert_eq!((rig.count(Count::SkErrIdle), rig.count(Count::SkErrResponse)), (1, 0));
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_request_has_broken_off() {
    for (request, errors) in [(&REQUEST[..9], 1), (b"", 0), (REQUEST, 0)] {
        let mut rig = Rig::server();
        rig.hear(DATA | FIN, request);
        assert_eq!(rig.count(Count::HttpErr), errors, "{request:?}");
    }
}
