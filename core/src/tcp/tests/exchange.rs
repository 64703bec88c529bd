//! The exchange of messages: short and kept connections, answers of every form, the pace.

use super::*;

#[test]
fn a_short_connection_of_the_client() {
    let mut rig = Rig::client();
    assert_eq!(rig.wait_ms(), RTO);
    rig.take_all();
    assert_eq!(told(rig.hear(DATA | FIN, RESPONSE)), Some((FIN_ACK, 0)));
    assert_eq!(rig.slot.state, State::LastAck);
    rig.take_all();
    assert_eq!(rig.hear(ACK, b""), None);
    assert!(rig.slot.is_closed());
    let counts = [Count::SkOpen, Count::SkClose, Count::Http2xx, Count::HttpGet, Count::RttCount];
    assert!(counts.iter().all(|count| rig.count(*count) == 1));
    assert_eq!((rig.count(Count::SkErr), rig.count(Count::TcpDrop)), (0, 0));
}

#[test]
fn a_short_connection_of_the_server() {
    let mut rig = Rig::server();
    assert_eq!(told(rig.hear(DATA, REQUEST)), Some((DATA | FIN, 100)));
    assert_eq!(rig.slot.state, State::FinWait1);
    rig.take_all();
    assert_eq!(told(rig.hear(FIN_ACK, b"")), Some((ACK, 0)));
    assert!(rig.slot.is_closed());
    assert_eq!((rig.count(Count::Http2xx), rig.count(Count::SkErr)), (1, 0));
}

#[test]
fn an_answer_that_does_not_come_is_a_failure() {
    let mut rig = Rig::client();
    rig.take_all();
    rig.hear(ACK, b"");
    assert_eq!((rig.slot.timer, rig.wait_ms()), (Timer::Idle, IDLE));
    let reset = rig.ring().expect("RST");
    assert_eq!((reset.flags, reset.seq, reset.ack), (RST_ACK, rig.ack, rig.seq));
    assert_eq!((rig.count(Count::SkErr), rig.count(Count::SkErrResponse)), (1, 1));
}

#[test]
fn a_slow_answer_is_none_as_long_as_it_comes() {
    let mut rig = Rig::client();
    rig.take_all();
    rig.hear(ACK, b"");
    for byte in &RESPONSE[..20] {
        rig.now = rig.now.after(ms(IDLE - 100));
        rig.hear(DATA, &[*byte]);
        rig.drain_ready();
        assert_eq!(rig.wait_ms(), IDLE);
    }
}

#[test]
fn a_kept_connection_sends_as_many_requests_as_told() {
    for requests in [1u16, 2, 7] {
        let mut rig = Rig::kept(Role::Client, 100_000, requests);
        for _ in 1..requests {
            rig.take_all();
            assert_eq!(rig.hear(DATA, RESPONSE), None);
            assert_eq!((rig.slot.timer, rig.wait_ms()), (Timer::Pace, 100));
            assert_eq!(told(rig.drain_ready().pop()), Some((ACK, 0)), "100 ms are too long");
            assert_eq!(told(rig.ring()), Some((DATA, 100)));
        }
        rig.take_all();
        assert_eq!(told(rig.hear(DATA, RESPONSE)), Some((FIN_ACK, 0)));
        assert_eq!(rig.count(Count::HttpGet), u64::from(requests));
    }
}

#[test]
fn the_next_request_carries_the_ack_if_it_comes_soon() {
    let mut rig = Rig::kept(Role::Client, 10_000, 0);
    rig.take_all();
    assert_eq!(rig.hear(DATA, RESPONSE), None);
    assert!(rig.drain_ready().is_empty());
    let request = rig.ring().expect("a request");
    assert_eq!((request.flags, request.ack), (DATA, rig.seq));
    // At once.
    let mut rig = Rig::kept(Role::Client, 0, 0);
    rig.take_all();
    assert_eq!(told(rig.hear(DATA, RESPONSE)), Some((DATA, 100)));
}

/// A Linux sender with two segments in flight repeats the last after two round trips and a little
/// (RFC 8985, 7.2), so two segments are acknowledged at once, whatever comes soon.
#[test]
fn two_segments_are_not_kept_waiting() {
    let mut rig = Rig::kept(Role::Client, 10_000, 0);
    rig.take_all();
    assert_eq!(rig.hear(DATA, &RESPONSE[..10]), None);
    assert_eq!(rig.hear(DATA, &RESPONSE[10..]), None);
    assert_eq!(told(rig.drain_ready().pop()), Some((ACK, 0)));
    assert_eq!(rig.slot.timer, Timer::Pace);
}

/// A long interval makes coarse buckets: what is near may ring late.
#[test]
fn a_coarse_pace_acknowledges_at_once() {
    let mut rig = Rig::kept(Role::Client, 120_000_000, 0);
    rig.take_all();
    rig.now = rig.now.after(ms(119_990));
    assert_eq!(rig.hear(DATA, RESPONSE), None);
    assert_eq!(told(rig.drain_ready().pop()), Some((ACK, 0)));
}

#[test]
fn the_pace_outlives_an_early_answer() {
    let mut rig = Rig::new(Role::Client, |plan| {
        plan.payload.total_bytes = 4000;
        plan.keepalive = Some(Keepalive { interval_us: 100_000, requests: 0 });
    })
    .connected();
    rig.drain_ready();
    let una = rig.ack;
    rig.ack = una.wrapping_add(1460);
    rig.hear(DATA, RESPONSE);
    rig.drain_ready();
    rig.ack = una.wrapping_add(2920);
    rig.hear(ACK, b"");
    rig.take_all();
    rig.hear(ACK, b"");
    assert!(rig.ring().is_some_and(|reply| reply.payload_bytes == 1460), "the next request");
    assert_eq!(rig.count(Count::HttpGet), 2);
}

#[test]
fn draining_ends_what_waits_and_opens_nothing() {
    let mut rig = Rig::kept(Role::Client, 100_000, 0);
    rig.take_all();
    rig.hear(DATA, RESPONSE);
    rig.tcp.draining = true;
    assert_eq!(told(rig.tcp.drain(&mut rig.slot, rig.now)), Some((FIN_ACK, 0)));
    assert_eq!(rig.slot.state, State::FinWait1);
    assert_eq!(rig.tcp.drain(&mut rig.slot, rig.now), None);
    // One that waits for its answer ends behind it.
    let mut rig = Rig::kept(Role::Client, 100_000, 0);
    rig.tcp.draining = true;
    assert_eq!(rig.tcp.drain(&mut rig.slot, rig.now), None);
    rig.take_all();
    assert_eq!(told(rig.hear(DATA, RESPONSE)), Some((FIN_ACK, 0)));
}

#[test]
fn a_body_may_end_with_the_connection() {
    let mut rig = Rig::client();
    rig.take_all();
    rig.hear(DATA, b"HTTP/1.1 200 OK\r\n\r\nanything");
    assert_eq!(rig.count(Count::Http2xx), 0);
    assert_eq!(told(rig.hear(FIN_ACK, b"")), Some((FIN_ACK, 0)));
    assert_eq!((rig.count(Count::Http2xx), rig.count(Count::HttpErr)), (1, 0));
}

#[test]
fn what_comes_behind_the_answer_is_no_other() {
    for behind in [RESPONSE, b"anything"] {
        let mut rig = Rig::client();
        rig.take_all();
        assert_eq!(told(rig.hear(DATA, &[RESPONSE, behind].concat())), Some((FIN_ACK, 0)));
        assert_eq!((rig.count(Count::Http2xx), rig.count(Count::HttpErr)), (1, 0));
    }
}

#[test]
fn a_truncated_or_foreign_answer_is_an_error() {
    for broken in [&RESPONSE[..20], b"", b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", b"\0"] {
        let mut rig = Rig::client();
        rig.take_all();
        let reply = rig.hear(DATA | FIN, broken);
        assert_eq!(told(reply), Some((FIN_ACK, 0)), "{broken:?}");
        assert_eq!((rig.count(Count::Http2xx), rig.count(Count::HttpErr)), (0, 1), "{broken:?}");
    }
}

#[test]
fn pipelined_and_split_requests() {
    let mut rig = Rig::kept(Role::Server, 1_000_000, 0);
    let three = [REQUEST, REQUEST, REQUEST].concat();
    // Each answer is a segment of its own: its bytes begin at the head of a message.
    let first = rig.hear(DATA, &three).expect("an answer");
    let rest = rig.drain_ready();
    let places: Vec<_> =
        rest.iter().chain([&first]).map(|r| (r.payload_at, r.payload_bytes)).collect();
    assert_eq!(places, vec![(0, 100); 3]);
    rig.take_all();
    for byte in &REQUEST[..REQUEST.len() - 1] {
        assert_eq!(rig.hear(DATA, &[*byte]), None);
        assert_eq!(told(rig.drain_ready().pop()), Some((ACK, 0)));
    }
    assert_eq!(told(rig.hear(DATA, &REQUEST[REQUEST.len() - 1..])), Some((DATA, 100)));
    assert_eq!(rig.count(Count::Http2xx), 4);
}

const HEAD: &[u8] = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";

/// RFC 9110, 10.1.1: a final answer does as well as 100 (Continue), and the body is not missed.
#[test]
fn a_client_that_waits_with_its_body_is_answered_at_once() {
    let post = |version: &str, fields: &str, body: &str| {
        std::format!(
            "POST / HTTP/{version}\r\nHost: a\r\n{fields}\r\nExpect: 100-continue\r\n\r\n{body}"
        )
        .into_bytes()
    };
    let server = || {
        let keepalive = Some(Keepalive { interval_us: 1_000_000, requests: 0 });
        Rig::new(Role::Server, |plan| plan.keepalive = keepalive).connected()
    };
    for fields in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        let mut rig = server();
        let answer = rig.hear(DATA, &post("1.1", fields, "")).expect("an answer");
        assert!(answer.payload_bytes > 0 && answer.flags.contains(TcpFlags::FIN), "{answer:?}");
        assert!(rig.tcp.says_close(&rig.slot, &answer));
        assert_eq!((rig.count(Count::HttpPost), rig.count(Count::Http2xx)), (1, 1));
        // It may send the body all the same.
        assert!(rig.hear(DATA, b"12345").is_none_or(|reply| reply.payload_bytes == 0));
        assert_eq!((rig.count(Count::HttpErr), rig.count(Count::Http2xx)), (0, 1));
    }
    let length = "Content-Length: 5";
    for (request, rest) in [
        (post("1.0", length, ""), "12345"),
        (post("1.1", length, "12"), "345"),
        (post("1.1", "Content-Length: 5\r\nX-Expect: 1", "1"), "2345"),
    ] {
        let mut rig = server();
        assert!(rig.hear(DATA, &request).is_none_or(|reply| reply.payload_bytes == 0));
        assert_eq!(rig.count(Count::Http2xx), 0, "the body is on its way");
        rig.hear(DATA, rest.as_bytes());
        assert_eq!(rig.count(Count::Http2xx), 1);
    }
}

const LAST_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n";
const LAST_HEAD: &[u8] = b"HEAD / HTTP/1.1\r\nConnection: close\r\n\r\n";

/// RFC 9112, 9.6: the last answer says so, the first time and whenever it is sent again; those
/// before it do not, nor does one that was sent before anybody knew.
#[test]
fn the_last_answer_of_a_kept_connection_is_known_as_such() {
    let says_close = |rig: &Rig, replies: &[Reply]| {
        replies.iter().map(|reply| rig.tcp.says_close(&rig.slot, reply)).collect::<Vec<_>>()
    };
    for (last, bytes) in [(LAST_REQUEST, 100), (LAST_HEAD, 85)] {
        let mut rig = Rig::kept(Role::Server, 1_000_000, 0);
        let mut all = vec![rig.hear(DATA, &[REQUEST, REQUEST, last].concat()).expect("an answer")];
        all.extend(rig.drain_ready());
        assert_eq!(all.last().map(|reply| u32::from(reply.payload_bytes)), Some(bytes));
        assert_eq!(says_close(&rig, &all), [false, false, true]);
        rig.ack = all[2].seq;
        rig.hear(ACK, b"");
        let again = rig.ring().expect("the last once more");
        assert_eq!(says_close(&rig, &[again]), [true]);
    }
    // Each part of a long one is a part of the last.
    let mut rig = Rig::new(Role::Server, |plan| {
        plan.keepalive = Some(Keepalive { interval_us: 1_000_000, requests: 0 });
        plan.mss = 60;
    })
    .connected();
    let mut parts = vec![rig.hear(DATA, LAST_REQUEST).expect("an answer")];
    parts.extend(rig.drain_ready());
    assert_eq!(says_close(&rig, &parts), [true, true]);
    // The run ends.
    let mut rig = Rig::kept(Role::Server, 1_000_000, 0);
    rig.tcp.draining = true;
    let answer = rig.hear(DATA, REQUEST).expect("an answer");
    assert_eq!(says_close(&rig, &[answer]), [true]);
    // The client ends behind an answer that is under way already.
    let mut rig = Rig::kept(Role::Server, 1_000_000, 0);
    let answer = rig.hear(DATA, REQUEST).expect("an answer");
    rig.hear(FIN_ACK, b"");
    assert_eq!(says_close(&rig, &[answer]), [false]);
}

#[test]
fn a_head_request_gets_no_body() {
    let mut rig = Rig::kept(Role::Server, 1_000_000, 0);
    let header = Some((DATA, 85));
    for (request, answer) in
        [(HEAD, header), (HEAD, header), (REQUEST, Some((DATA, 100))), (HEAD, header)]
    {
        let reply = rig.hear(DATA, request);
        assert_eq!((told(reply), reply.map(|reply| reply.payload_at)), (answer, Some(0)));
        // Lost, it comes again from the same place.
        let again = rig.ring();
        assert_eq!(again.map(|r| (r.payload_at, r.payload_bytes)), answer.map(|(_, n)| (0, n)));
        rig.take_all();
    }
    assert_eq!(rig.hear(RST_ACK, b""), None);
    assert!(rig.slot.is_closed());
    assert_eq!((rig.count(Count::Http2xx), rig.count(Count::SkErr)), (4, 0));
}

/// What has no form is a request too: behind a header that is under way it is not answered.
#[test]
fn what_is_no_http_behind_a_head_request_is_not_answered() {
    let mut rig = Rig::kept(Role::Server, 1_000_000, 0);
    assert_eq!(told(rig.hear(DATA, HEAD)), Some((DATA, 85)));
    let reply = rig.hear(DATA, b"hello").expect("a FIN");
    assert_eq!((reply.payload_bytes, reply.flags.contains(TcpFlags::FIN)), (0, true));
    assert_eq!((rig.count(Count::Http2xx), rig.count(Count::TcpReq)), (1, 0));
    // Once the header has arrived it is answered as any other.
    let mut rig = Rig::kept(Role::Server, 1_000_000, 0);
    rig.hear(DATA, HEAD);
    rig.take_all();
    let reply = rig.hear(DATA, b"hello").expect("an answer");
    assert_eq!((reply.payload_at, reply.payload_bytes), (0, 100));
}

/// A HEAD for whose answer there is no room queues no header: what is queued stays as it is.
#[test]
fn a_head_request_that_finds_no_room_changes_nothing() {
    let mut rig = Rig::new(Role::Server, |plan| {
        plan.keepalive = Some(Keepalive { interval_us: 1_000_000, requests: 0 });
        plan.payload.total_bytes = 1 << 30;
    })
    .connected();
    rig.hear(DATA, REQUEST);
    rig.hear(DATA, HEAD);
    assert!(!rig.slot.flags.contains(SlotFlags::HEADER_LAST));
    assert_eq!((rig.count(Count::HttpErr), rig.count(Count::Http2xx)), (1, 1));
}

#[test]
fn a_head_request_in_a_pipeline_is_the_last_that_is_answered() {
    let mut rig = Rig::kept(Role::Server, 1_000_000, 0);
    let first = rig.hear(DATA, &[REQUEST, HEAD, REQUEST].concat()).expect("an answer");
    let rest = rig.drain_ready();
    let places: Vec<_> =
        [first].iter().chain(&rest).map(|r| (r.payload_at, r.payload_bytes, r.flags)).collect();
    assert_eq!(places, [(0, 100, DATA), (0, 85, DATA | FIN)]);
    assert_eq!(rig.count(Count::Http2xx), 2);
    // In pieces, too.
    let mut rig = Rig::new(Role::Server, |plan| plan.mss = 60).connected();
    let first = rig.hear(DATA, HEAD).expect("an answer");
    let rest = rig.drain_ready();
    let places: Vec<_> =
        [first].iter().chain(&rest).map(|r| (r.payload_at, r.payload_bytes, r.flags)).collect();
    assert_eq!(places, [(0, 60, ACK), (60, 25, DATA | FIN)]);
}

/// The end of an answer and the header behind it would fit into one segment, and are two messages.
#[test]
fn a_header_behind_the_end_of_an_answer_has_a_segment_of_its_own() {
    let mut rig = Rig::new(Role::Server, |plan| {
        plan.mss = 99;
        plan.send_window = 1;
        plan.keepalive = Some(Keepalive { interval_us: 1_000_000, requests: 0 });
    })
    .connected();
    let first = rig.hear(DATA, &[REQUEST, HEAD].concat());
    assert_eq!(first.map(|reply| (reply.payload_at, reply.payload_bytes)), Some((0, 99)));
    assert_eq!(rig.drain_ready(), []);
    for expected in [(99, 1), (0, 85)] {
        rig.take_all();
        let next = rig.hear(ACK, b"").or_else(|| rig.drain_ready().first().copied());
        assert_eq!(next.map(|reply| (reply.payload_at, reply.payload_bytes)), Some(expected));
    }
}

#[test]
fn an_endless_pipeline_stays_within_the_sequence_space() {
    let mut rig = Rig::new(Role::Server, |plan| {
        plan.payload.total_bytes = 100 << 20;
        plan.keepalive = Some(Keepalive { interval_us: 1_000_000, requests: 0 });
    })
    .connected();
    let many = REQUEST.repeat(50);
    for _ in 0..4 {
        rig.hear(DATA, &many);
    }
    let queued = rig.slot.snd_end.wrapping_sub(rig.slot.snd_una);
    assert!(queued < 1 << 31, "{queued}");
    assert!(rig.slot.flags.contains(SlotFlags::FIN_QUEUED));
}

/// Answers of which as many as may wait fill the row to its last byte.
#[test]
fn what_may_be_queued_is_queued() {
    let server = |total_bytes| {
        let mut rig = Rig::new(Role::Server, |plan| {
            plan.payload.total_bytes = total_bytes;
            plan.keepalive = Some(Keepalive { interval_us: 1_000_000, requests: 0 });
        })
        .connected();
        rig.hear(DATA, &REQUEST.repeat(5));
        let queued = rig.slot.snd_end.wrapping_sub(rig.slot.snd_una);
        (queued, rig.count(Count::Http2xx), rig.count(Count::HttpErr))
    };
    assert_eq!(server(1 << 28), (1 << 30, 4, 1));
    assert_eq!(server((1 << 28) + 1), (3 << 28 | 3, 3, 1));
    // One is sent whatever its length.
    assert_eq!(server((1 << 30) + 1), ((1 << 30) + 1, 1, 1));
}

/// Whoever may say that the connection ends: the client, the run's end, the configuration.
#[test]
fn an_answer_is_the_last_if_anybody_says_so() {
    let close = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let mut rig = Rig::kept(Role::Server, 1_000_000, 0);
    assert_eq!(told(rig.hear(DATA, close)), Some((DATA | FIN, 100)));
    let mut rig = Rig::kept(Role::Server, 1_000_000, 0);
    rig.tcp.draining = true;
    assert_eq!(told(rig.hear(DATA, REQUEST)), Some((DATA | FIN, 100)));
    assert_eq!(told(Rig::server().hear(DATA, REQUEST)), Some((DATA | FIN, 100)));
}

/// A load test of a server that is asked in another language is answered all the same.
#[test]
fn what_does_not_look_like_http_is_one_request() {
    for foreign in [&b"\x16\x03\x01"[..], b"hello", b"{}"] {
        let mut rig = Rig::kept(Role::Server, 1_000_000, 0);
        assert_eq!(told(rig.hear(DATA, foreign)), Some((DATA, 100)), "{foreign:?}");
        assert_eq!((rig.count(Count::TcpReq), rig.count(Count::HttpErr)), (1, 0));
    }
    let mut rig = Rig::kept(Role::Server, 1_000_000, 0);
    assert!(rig.hear(DATA, b"G\0").is_some_and(|it| it.flags.contains(FIN)), "broken HTTP");
    assert_eq!((rig.count(Count::TcpReq), rig.count(Count::HttpErr)), (0, 1));
}

#[test]
fn raw_bytes_are_answered_until_the_end_is_queued() {
    let raw = |plan: &mut CorePlan<'static>| plan.messages = Messages::Raw;
    let mut rig = Rig::new(Role::Server, raw).connected();
    assert_eq!(told(rig.hear(DATA, b"some")), Some((DATA | FIN, 100)));
    let end = rig.slot.snd_max;
    assert_eq!(rig.hear(DATA, b"more"), None);
    assert_eq!(told(rig.drain_ready().pop()), Some((ACK, 0)));
    assert_eq!((rig.slot.snd_max, rig.count(Count::TcpRsp)), (end, 1));
    let mut rig = Rig::new(Role::Client, raw).connected();
    rig.take_all();
    assert_eq!(told(rig.hear(DATA, b"x")), Some((FIN_ACK, 0)));
    assert_eq!((rig.count(Count::TcpReq), rig.count(Count::TcpRsp)), (1, 1));
}

#[test]
fn urgent_bytes_are_bytes_like_any_other() {
    let mut rig = Rig::server();
    assert_eq!(told(rig.hear(DATA | TcpFlags::URG, REQUEST)), Some((DATA | FIN, 100)));
}
