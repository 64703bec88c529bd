//! Segments that no honest peer sends here: RST, SYN and ACK out of place, and what they cost.

use super::*;

#[test]
fn acks_from_the_past_and_the_future() {
    let mut rig = Rig::client();
    rig.take_all();
    rig.hear(ACK, b"");
    let (seq, una) = (rig.seq, rig.slot.snd_una);
    // An old ACK is ignored, its data is not; its window is stale.
    rig.window = 0;
    rig.hear_at(seq, una.wrapping_sub(50), DATA, &RESPONSE[..5]);
    assert_eq!((rig.slot.rcv_nxt, rig.slot.snd_wnd), (seq.wrapping_add(5), 60_000));
    // So it is as long as a window may be.
    let seq = rig.slot.rcv_nxt;
    rig.hear_at(seq, una.wrapping_sub(1 << 30), DATA, &RESPONSE[5..9]);
    assert_eq!((rig.slot.rcv_nxt, rig.count(Count::ChallengeAck)), (seq.wrapping_add(4), 0));
    for blind in [una.wrapping_add(1), una.wrapping_add(1 << 30), una.wrapping_sub((1 << 30) + 1)] {
        let rcv_nxt = rig.slot.rcv_nxt;
        let challenge = rig.hear_at(rcv_nxt, blind, DATA, b"evil");
        assert_eq!(told(challenge), Some((ACK, 0)), "{blind}");
        assert_eq!(rig.slot.rcv_nxt, rcv_nxt, "its data is not taken");
    }
    assert_eq!(rig.count(Count::ChallengeAck), 3);
}

#[test]
fn a_reset_counts_only_where_it_is_exact() {
    let mut rig = Rig::client();
    let (next, ack) = (rig.seq, rig.ack);
    let beyond = next.wrapping_add((u32::from(WINDOW)) << WINDOW_SCALE);
    for outside in [next.wrapping_sub(1), beyond, next ^ 0x8000_0000] {
        for payload in [&b""[..], b"x"] {
            assert_eq!(rig.hear_at(outside, ack, RST, payload), None);
            assert_eq!(rig.slot.state, State::Established);
        }
    }
    assert_eq!(told(rig.hear_at(next.wrapping_add(1), ack, RST, b"")), Some((ACK, 0)));
    assert_eq!(rig.count(Count::ChallengeAck), 1);
    assert_eq!(rig.hear_at(next, ack, RST, b""), None);
    assert!(rig.slot.is_closed());
    assert_eq!((rig.count(Count::SkErr), rig.count(Count::SkErrReset)), (1, 1));
}

#[test]
fn a_reset_ends_every_state() {
    let finish = |rig: &mut Rig, state: State| {
        let (seq, ack) = (rig.slot.rcv_nxt, rig.slot.snd_max);
        assert_eq!(rig.slot.state, state);
        assert_eq!(rig.hear_at(seq, ack, RST_ACK, b""), None);
        assert!(rig.slot.is_closed(), "{state:?}");
        assert_eq!(rig.count(Count::SkClose), 1);
    };
    let mut rig = Rig::new(Role::Client, |_| {});
    let syn = rig.tcp.open(&mut rig.slot, rig.now);
    assert_eq!(rig.hear_at(0, syn.seq, RST_ACK, b""), None, "it acknowledges nothing of ours");
    assert_eq!(rig.hear_at(0, syn.seq.wrapping_add(1), RST, b""), None, "nor does this");
    finish(&mut rig, State::SynSent);
    let mut rig = Rig::new(Role::Server, |_| {});
    rig.hear(SYN, b"");
    finish(&mut rig, State::SynReceived);
    let mut rig = Rig::server_sending(100_000);
    rig.hear(DATA | FIN, REQUEST);
    finish(&mut rig, State::CloseWait);
    let mut rig = Rig::server();
    rig.hear(DATA, REQUEST);
    finish(&mut rig, State::FinWait1);
    assert_eq!(rig.count(Count::SkErr), 0, "the client was served");
    let mut rig = Rig::server();
    rig.hear(DATA, REQUEST);
    rig.take_all();
    rig.hear(ACK, b"");
    finish(&mut rig, State::FinWait2);
    let mut rig = Rig::server();
    rig.hear(DATA, REQUEST);
    rig.hear(FIN_ACK, b"");
    finish(&mut rig, State::Closing);
    let mut rig = Rig::server();
    rig.hear(DATA | FIN, REQUEST);
    finish(&mut rig, State::LastAck);
}

/// Who goes with a RST after it was served, or after it served, has not failed.
#[test]
fn a_reset_after_the_exchange_is_no_failure() {
    let failures = |mut rig: Rig| {
        let (seq, ack) = (rig.slot.rcv_nxt, rig.slot.snd_max);
        assert_eq!(rig.hear_at(seq, ack, RST_ACK, b""), None);
        assert!(rig.slot.is_closed());
        rig.count(Count::SkErrReset)
    };
    assert_eq!(failures(Rig::server()), 1, "nothing was asked");
    let mut rig = Rig::kept(Role::Server, 100_000, 0);
    rig.hear(DATA, REQUEST);
    assert_eq!(failures(rig), 0, "it was served");
    assert_eq!(failures(Rig::client()), 1, "nothing was answered");
    let mut rig = Rig::client();
    rig.take_all();
    rig.hear(DATA, RESPONSE);
    assert_eq!((rig.slot.state, failures(rig)), (State::FinWait1, 0));
    let mut rig = Rig::kept(Role::Client, 100_000, 0);
    rig.take_all();
    rig.hear(DATA, RESPONSE);
    assert_eq!(failures(rig), 1, "more requests were to come");
}

#[test]
fn a_syn_in_a_connection_is_challenged() {
    for flags in [SYN, SYN_ACK] {
        let mut rig = Rig::server();
        let (seq, ack) = (rig.seq.wrapping_add(77), rig.ack);
        assert_eq!(told(rig.hear_at(seq, ack, flags, b"")), Some((ACK, 0)));
        assert_eq!((rig.slot.state, rig.count(Count::ChallengeAck)), (State::Established, 1));
    }
    for flags in [SYN | FIN, SYN | RST] {
        let mut rig = Rig::server();
        let (seq, ack) = (rig.seq, rig.ack);
        assert_eq!(rig.hear_at(seq, ack, flags, b""), None);
        assert_eq!((rig.slot.state, rig.count(Count::DropFlags)), (State::Established, 1));
    }
}

/// Who was started again knocks with any number, on more connections than the budget has ACKs.
#[test]
fn a_syn_with_a_new_number_is_always_challenged() {
    let mut rig = Rig::server();
    let (seq, ack) = (rig.seq.wrapping_sub(1 << 30), rig.ack);
    for _ in 0..2 * CHALLENGES_PER_SECOND {
        assert_eq!(told(rig.hear_at(seq, ack, SYN, b"")), Some((ACK, 0)));
    }
    let challenges = u64::from(2 * CHALLENGES_PER_SECOND);
    assert_eq!((rig.count(Count::ChallengeAck), rig.count(Count::AckRt)), (challenges, 0));
    assert_eq!(rig.slot.state, State::Established);
}

#[test]
fn strangers_are_told_only_if_we_may() {
    let mut rig = Rig::new(Role::Client, |plan| plan.tcp_rst = false);
    assert_eq!(rig.hear_at(1, 2, DATA, b"x"), None);
    assert_eq!(rig.count(Count::DropNoConnection), 1);
}

#[test]
fn challenges_have_a_budget() {
    let mut rig = Rig::client();
    let (seq, ack) = (rig.seq.wrapping_sub(9), rig.ack);
    for _ in 0..CHALLENGES_PER_SECOND {
        assert!(rig.hear_at(seq, ack, ACK, b"").is_some());
    }
    assert_eq!(rig.hear_at(seq, ack, ACK, b""), None);
    assert_eq!(rig.count(Count::ChallengeAck), u64::from(CHALLENGES_PER_SECOND));
}

#[test]
fn a_reset_may_carry_data() {
    let mut rig = Rig::client();
    assert_eq!(rig.hear(RST_ACK, b"out of memory"), None);
    assert!(rig.slot.is_closed());
    assert_eq!(rig.count(Count::SkErrReset), 1);
}

#[test]
fn a_reset_ends_a_connection_whose_window_is_closed() {
    let mut rig = Rig::server_sending(5000);
    rig.window = 0;
    rig.hear(DATA, REQUEST);
    assert_eq!(rig.slot.timer, Timer::Persist);
    assert_eq!(rig.hear(RST, b""), None);
    assert!(rig.slot.is_closed());
}

/// RFC 9293, 3.10.7.2: what has neither SYN nor ACK has no business with a listener; where nobody
/// listens it is told so (3.10.7.1).
#[test]
fn a_listener_is_silent_to_what_opens_nothing() {
    for flags in [FIN, PSH, TcpFlags::empty(), FIN | PSH] {
        let mut rig = Rig::new(Role::Server, |_| {});
        assert_eq!(rig.hear_at(17, 0, flags, b"abc"), None, "{flags:?}");
        assert_eq!(rig.count(Count::DropNoConnection), 1);
        let mut rig = Rig::new(Role::Client, |_| {});
        assert_eq!(told(rig.hear_at(17, 0, flags, b"abc")), Some((RST_ACK, 0)), "{flags:?}");
    }
    let mut rig = Rig::new(Role::Server, |_| {});
    assert_eq!(told(rig.hear_at(17, 33, ACK, b"")), Some((RST, 0)));
}

/// Whoever offered no window scale was offered 58,400 bytes, and a segment beyond is out of place.
#[test]
fn the_window_is_as_wide_as_it_was_offered() {
    for (wscale, window) in [(None, u32::from(WINDOW)), (Some(0), u32::from(WINDOW) << 4)] {
        let mut rig = Rig::new(Role::Server, |_| {});
        rig.wscale = wscale;
        let mut rig = rig.connected();
        let (next, ack) = (rig.seq, rig.ack);
        let beyond = rig.hear_at(next.wrapping_add(window), ack, RST, b"");
        assert_eq!((beyond, rig.count(Count::DropSequence)), (None, 1), "{wscale:?}");
        let last = rig.hear_at(next.wrapping_add(window - 1), ack, RST, b"");
        assert_eq!((told(last), rig.count(Count::DropSequence)), (Some((ACK, 0)), 1));
    }
}
