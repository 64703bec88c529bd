//! The handshake: offers and limits, wrong answers, repeated SYNs, used tuples.

use super::*;

#[test]
fn a_syn_may_carry_ecn_bits() {
    let mut rig = Rig::new(Role::Server, |_| {});
    let reply = rig.hear(SYN | TcpFlags::ECE | TcpFlags::CWR, b"");
    assert_eq!(told(reply), Some((SYN_ACK, 0)));
}

#[test]
fn the_peers_limits_are_kept() {
    // MSS of the peer, ours, what we may send in one segment.
    for (theirs, ours, want) in
        [(1460, 1460, 1460), (536, 1460, 536), (1460, 700, 700), (0, 1460, 536)]
    {
        let mut rig = Rig::new(Role::Server, |plan| {
            plan.mss = ours;
            plan.payload.total_bytes = 10_000;
        });
        rig.mss = theirs;
        let mut rig = rig.connected();
        assert_eq!(told(rig.hear(DATA, REQUEST)), Some((ACK, want)), "{theirs} {ours}");
    }
    // Window and scale of the peer, what we may send in all. The SYN's window is never scaled.
    for (window, wscale, want) in
        [(2000, Some(0), 1460), (500, Some(3), 2920), (5000, None, 4380), (300, Some(0), 300)]
    {
        let mut rig = Rig::new(Role::Server, |plan| plan.payload.total_bytes = 10_000);
        (rig.window, rig.wscale) = (window, wscale);
        let mut rig = rig.connected();
        let first = rig.hear(DATA, REQUEST).map_or(0, |reply| u32::from(reply.payload_bytes));
        let rest: u32 = rig.drain_ready().iter().map(|reply| u32::from(reply.payload_bytes)).sum();
        assert_eq!(first + rest, want, "{window} {wscale:?}");
    }
    let mut rig = Rig::new(Role::Client, |_| {});
    rig.wscale = Some(14);
    rig.window = u16::MAX;
    let mut rig = rig.connected();
    rig.hear(ACK, b"");
    assert_eq!(rig.slot.snd_wnd, 65_535 << 14);
}

#[test]
fn a_window_scale_is_offered_only_to_those_who_offer_one() {
    for offer in [None, Some(0), Some(7), Some(14), Some(200)] {
        let mut rig = Rig::new(Role::Server, |_| {});
        rig.wscale = offer;
        let syn_ack = rig.hear(SYN, b"").expect("SYN-ACK");
        assert_eq!(syn_ack.scaled, offer.is_some());
        assert_eq!(rig.ring(), Some(syn_ack));
    }
}

#[test]
fn a_repeated_syn_ack_is_acknowledged() {
    let mut rig = Rig::client();
    let (seq, ack) = (rig.seq.wrapping_sub(1), rig.slot.snd_una);
    assert_eq!(told(rig.hear_at(seq, ack, SYN_ACK, b"")), Some((ACK, 0)));
    assert_eq!(rig.slot.state, State::Established);
}

/// Else the server never learns that the handshake is done.
#[test]
fn a_syn_ack_without_a_window_is_acknowledged_at_once() {
    let mut rig = Rig::new(Role::Client, |_| {});
    let syn = rig.tcp.open(&mut rig.slot, rig.now);
    rig.ack = syn.seq.wrapping_add(1);
    rig.window = 0;
    assert_eq!(told(rig.hear(SYN_ACK, b"")), Some((ACK, 0)));
    assert_eq!((rig.slot.state, rig.slot.timer), (State::Established, Timer::Persist));
}

#[test]
fn a_second_syn_before_the_handshake_ends() {
    let mut rig = Rig::new(Role::Server, |_| {});
    let first = rig.hear(SYN, b"").expect("SYN-ACK");
    let again = rig.hear_at(5000, 0, SYN, b"").expect("the same once more");
    assert_eq!((again.seq, again.ack, rig.count(Count::SynRt)), (first.seq, first.ack, 1));
    let anew = rig.hear_at(90_000, 0, SYN, b"").expect("a new start");
    assert_eq!((anew.flags, anew.ack), (SYN_ACK, 90_001));
    assert_ne!(anew.seq, first.seq);
    rig.seq = 90_001;
    rig.ack = anew.seq.wrapping_add(1);
    rig.hear(ACK, b"");
    assert_eq!(rig.slot.state, State::Established);
}

#[test]
fn handshakes_that_are_not_answered_fail() {
    let mut rig = Rig::new(Role::Client, |_| {});
    let syn = rig.tcp.open(&mut rig.slot, rig.now);
    for wait in [2 * RTO, 4 * RTO, 8 * RTO] {
        assert_eq!(rig.ring(), Some(syn));
        assert_eq!(rig.wait_ms(), wait);
    }
    assert_eq!(rig.ring(), None);
    assert!(rig.slot.is_closed());
    assert_eq!((rig.count(Count::SkErrTimeout), rig.count(Count::SynRt)), (1, 3));
    let mut rig = Rig::new(Role::Server, |_| {});
    let syn_ack = rig.hear(SYN, b"");
    for _ in 0..RETRIES_MAX {
        assert_eq!(rig.ring(), syn_ack);
    }
    assert_eq!(rig.ring(), None);
    assert!(rig.slot.is_closed());
}

#[test]
fn wrong_answers_to_a_syn() {
    let mut rig = Rig::new(Role::Client, |_| {});
    let syn = rig.tcp.open(&mut rig.slot, rig.now);
    let reset = rig.hear_at(5, syn.seq.wrapping_add(9), SYN_ACK, b"").expect("RST");
    assert_eq!((reset.flags, reset.seq), (RST, syn.seq.wrapping_add(9)));
    assert_eq!(rig.hear_at(5, 0, SYN, b""), None, "no simultaneous open");
    assert_eq!(rig.hear_at(5, syn.seq.wrapping_add(1), ACK, b""), None);
    assert_eq!(rig.slot.state, State::SynSent);
}

#[test]
fn a_tuple_is_used_again_with_a_higher_number() {
    let mut rig = Rig::server();
    rig.hear(DATA, REQUEST);
    rig.take_all();
    rig.hear(FIN_ACK, b"");
    let last = rig.slot.snd_max;
    let syn_ack = rig.hear_at(77, 0, SYN, b"").expect("SYN-ACK");
    assert_eq!((syn_ack.seq, syn_ack.ack), (last.wrapping_add(1), 78));
}

/// What a peer takes that offers no MSS: 536 bytes, 1220 over IPv6 (RFC 9293, 3.7.1).
#[test]
fn a_peer_without_an_mss_gets_short_segments() {
    for (host, want) in [("10.0.0.1", 536), ("fd00::1", 1220)] {
        let mut rig = Rig::new(Role::Server, |plan| {
            plan.host = host.parse().unwrap();
            plan.payload.total_bytes = 10_000;
        });
        rig.mss = 0;
        let mut rig = rig.connected();
        assert_eq!(told(rig.hear(DATA, REQUEST)), Some((ACK, want)), "{host}");
    }
}
