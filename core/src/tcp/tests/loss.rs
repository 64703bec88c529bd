//! Loss: time-outs, duplicate ACKs, holes, data that comes again, numbers that wrap.

use super::*;

#[test]
fn a_time_out_goes_back_to_the_oldest_and_waits_longer() {
    let mut rig = Rig::server_sending(5000);
    let first = rig.hear(DATA, REQUEST).expect("data");
    assert_eq!(rig.drain_ready().len(), 3);
    for (try_number, wait) in [(1, 2 * RTO), (2, 4 * RTO), (3, 8 * RTO)] {
        let again = rig.ring().expect("the oldest");
        assert_eq!((again.seq, again.payload_at), (first.seq, 0));
        assert_eq!((rig.wait_ms(), rig.count(Count::PushRt)), (wait, try_number));
        assert!(rig.drain_ready().is_empty(), "one segment per time-out");
    }
    assert_eq!(rig.ring(), None);
    assert!(rig.slot.is_closed());
    assert_eq!((rig.count(Count::SkErr), rig.count(Count::SkErrTimeout)), (1, 1));
}

#[test]
fn progress_after_a_time_out_resends_the_rest() {
    let mut rig = Rig::server_sending(5000);
    rig.hear(DATA, REQUEST);
    rig.drain_ready();
    rig.ring();
    rig.ack = rig.ack.wrapping_add(1460);
    let next = rig.hear(ACK, b"").expect("the second segment again");
    assert_eq!((next.seq, next.payload_at), (rig.ack, 1460));
    assert_eq!((rig.slot.retries, rig.wait_ms()), (0, RTO));
    rig.take_all();
    rig.hear(ACK, b"");
    assert_eq!(rig.slot.state, State::FinWait2);
}

#[test]
fn three_duplicates_resend_at_once() {
    let mut rig = Rig::server_sending(40_000);
    let first = rig.hear(DATA, REQUEST).expect("data");
    rig.drain_ready();
    assert_eq!((rig.hear(ACK, b""), rig.hear(ACK, b"")), (None, None));
    let again = rig.hear(ACK, b"").expect("fast retransmit");
    assert_eq!((again.seq, rig.count(Count::PushRt)), (first.seq, 1));
    for _ in 0..300 {
        assert_eq!(rig.hear(ACK, b""), None);
    }
    assert!(rig.drain_ready().is_empty());
    // The peer had the rest: nothing of it is sent again.
    rig.take_all();
    let next = rig.hear(ACK, b"").expect("new data");
    assert_eq!((next.seq, rig.count(Count::PushRt)), (rig.ack, 1));
}

/// RFC 5681, 2: something is in flight, and the segment says nothing new at all.
#[test]
fn an_ack_that_says_anything_is_no_duplicate() {
    let mut rig = Rig::server();
    for _ in 0..4 {
        rig.hear(ACK, b"");
    }
    assert_eq!(rig.count(Count::AckDup), 0, "nothing is in flight");
    let mut rig = Rig::kept(Role::Server, 1_000_000, 0);
    for _ in 0..4 {
        rig.hear(DATA, REQUEST);
    }
    assert_eq!(rig.count(Count::AckDup), 0, "a request comes with each");
    for _ in 0..4 {
        rig.window -= 1;
        rig.hear(ACK, b"");
    }
    assert_eq!(rig.count(Count::AckDup), 0, "the window changes");
    rig.hear(ACK, b"");
    assert_eq!(rig.count(Count::AckDup), 1);
}

#[test]
fn a_lost_fin_is_counted_as_one() {
    let mut rig = Rig::client();
    let (request, fin) = (rig.ack, rig.hear(DATA | FIN, RESPONSE));
    assert_eq!(told(fin), Some((FIN_ACK, 0)), "it pushes nothing");
    assert_eq!(rig.ring().map(|it| it.seq), Some(request));
    assert_eq!((rig.count(Count::PushRt), rig.count(Count::FinRt)), (1, 0));
    rig.take_all();
    rig.ack = rig.ack.wrapping_sub(1);
    assert_eq!((rig.hear(ACK, b""), told(rig.ring())), (None, Some((FIN_ACK, 0))));
    assert_eq!((rig.count(Count::PushRt), rig.count(Count::FinRt)), (1, 1));
}

#[test]
fn a_hole_is_told_at_once_and_filled() {
    let mut rig = Rig::client();
    rig.take_all();
    let (hole, ack) = (rig.seq, rig.ack);
    let (first, rest) = RESPONSE.split_at(10);
    let duplicate = rig.hear_at(hole.wrapping_add(10), ack, DATA, rest).expect("a duplicate ACK");
    assert_eq!((duplicate.flags, duplicate.ack), (ACK, hole));
    assert_eq!(rig.count(Count::DropOutOfOrder), 1);
    rig.hear(DATA, first);
    assert_eq!(told(rig.hear(DATA, rest)), Some((FIN_ACK, 0)));
    assert_eq!(rig.count(Count::Http2xx), 1);
}

/// Two machines that both miss something must not answer each other's bare ACKs for ever.
#[test]
fn a_bare_ack_beyond_a_hole_is_not_answered() {
    let mut rig = Rig::client();
    let (seq, ack) = (rig.seq.wrapping_add(10), rig.ack);
    assert_eq!(rig.hear_at(seq, ack, ACK, b""), None);
    assert_eq!(rig.count(Count::TcpDrop), 0);
    let (seq, ack) = (rig.seq.wrapping_add(10), rig.ack);
    assert_eq!(told(rig.hear_at(seq, ack, FIN_ACK, b"")), Some((ACK, 0)), "a FIN is");
}

#[test]
fn repeated_data_is_acknowledged() {
    let mut rig = Rig::kept(Role::Server, 1_000_000, 0);
    let start = rig.seq;
    assert!(rig.hear(DATA, REQUEST).is_some());
    let ack = rig.ack;
    let again = rig.hear_at(start, ack, DATA, REQUEST).expect("an ACK");
    assert_eq!((again.flags, again.ack, again.seq), (ACK, rig.seq, rig.slot.snd_max));
    assert_eq!((rig.count(Count::AckRt), rig.count(Count::HttpGet)), (1, 1));
    // Partly old: only the new part counts.
    rig.take_all();
    rig.hear(ACK, b"");
    let both = [REQUEST, REQUEST].concat();
    let ack = rig.ack;
    assert_eq!(told(rig.hear_at(start, ack, DATA, &both)), Some((DATA, 100)));
    assert_eq!(rig.count(Count::HttpGet), 2);
}

#[test]
fn numbers_wrap_in_the_middle_of_everything() {
    let mut rig = Rig::new(Role::Server, |plan| plan.payload.total_bytes = 20_000);
    rig.slot.snd_max = u32::MAX - 3000;
    rig.seq = u32::MAX - 10;
    let mut rig = rig.connected();
    let start = rig.ack;
    rig.hear(DATA, REQUEST);
    let mut sent = 1460;
    for _ in 0..30 {
        sent += rig.drain_ready().iter().map(|reply| u32::from(reply.payload_bytes)).sum::<u32>();
        rig.take_all();
        sent += rig.hear(ACK, b"").map_or(0, |reply| u32::from(reply.payload_bytes));
    }
    assert_eq!((sent, rig.slot.snd_una), (20_000, start.wrapping_add(20_001)));
    assert_eq!(rig.slot.state, State::FinWait2);
    rig.hear(FIN_ACK, b"");
    assert!(rig.slot.is_closed() && rig.slot.snd_una < start);
    assert_eq!(rig.count(Count::TcpDrop), 0);
}

#[test]
fn the_longest_waits_do_not_overflow() {
    let mut rig = Rig::new(Role::Client, |plan| {
        plan.retransmit_timeout_us = u32::MAX;
        plan.idle_timeout_us = u64::MAX;
    });
    rig.tcp.open(&mut rig.slot, rig.now);
    for repeats in 0..=RETRIES_MAX {
        assert!(rig.slot.due.reached(rig.now) && rig.slot.due != rig.now, "a wait lies ahead");
        assert_eq!(rig.ring().is_some(), repeats < RETRIES_MAX);
    }
    assert!(rig.slot.is_closed());
    let server = Rig::new(Role::Server, |plan| plan.idle_timeout_us = u64::MAX).connected();
    let (now, due) = (server.now, server.slot.due);
    assert!(now.until(due) == due.since(now) && now.until(due) >= ms(1_000_000));
}

/// Time-outs of minutes are waited for to the end, on every clock.
#[test]
fn long_waits_are_not_cut_short() {
    for rate in [TickRate::NANOSECONDS, TickRate::new(1_999_999_999), TickRate::new(2_048_000_000)]
    {
        let mut server = Rig::new(Role::Server, |plan| {
            plan.rate = rate;
            plan.idle_timeout_us = 1_000_000_000;
        });
        server = server.connected();
        let wait = rate.units_from_us(1_000_000_000);
        assert_eq!(server.slot.due.since(server.now), wait, "{rate:?}");
        let mut client = Rig::new(Role::Client, |plan| {
            plan.rate = rate;
            plan.retransmit_timeout_us = 125_000_000;
        });
        client.tcp.open(&mut client.slot, client.now);
        let wait = rate.units_from_us(125_000_000);
        assert_eq!(client.slot.due.since(client.now), wait, "{rate:?}");
    }
}
