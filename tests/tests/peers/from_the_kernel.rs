//! Our server, asked by curl and wrk over the kernel's TCP: every answer is whole and exact, and no
//! segment is sent twice.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use dperf_tests::kernel::{Counters, RESETS};
use dperf_tests::namespace::alone;
use dperf_tests::process::{Process, Signal};

use crate::net::{CABLE, Checksums, LOAD, Net, seconds, tool, wrk, wrk_line};

const BODY: &str = "hello dperf!\r\n";

/// What curl says: status, bytes of the body, connections made, bytes of the header.
const ASK: &str =
    "curl -sS -m 60 -w %{http_code},%{size_download},%{num_connects},%{size_header}\\n";

#[test]
fn curl_gets_one_answer() {
    let Some(_alone) = alone("curl_gets_one_answer", &["curl"]) else { return };
    for checksums in [Checksums::Made, Checksums::Left] {
        let net = Net::new(checksums);
        let before = Counters::of(&net.there);
        let server = net.server("");
        let file = net.folder.file("body");
        let said = tool(&net.there, &format!("{ASK} -o {} http://{LOAD}/", file.display()));
        assert_eq!(said, "200,14,1,85\n");
        assert_eq!(net.folder.read("body"), BODY.as_bytes());
        let outcome = server.stop();
        net.assert_clean(&outcome, &[], &before, RESETS);
        for (name, count) in [("httpGet", 1), ("http2XX", 1), ("skOpen", 1), ("skClose", 1)] {
            assert_eq!(outcome.count(name), count, "{name}");
        }
    }
}

#[test]
fn curl_keeps_its_connection() {
    let Some(_alone) = alone("curl_keeps_its_connection", &["curl"]) else { return };
    let net = Net::new(Checksums::Made);
    let before = Counters::of(&net.there);
    let server = net.server("keepalive 1s");
    let (one, other) = (net.folder.file("one"), net.folder.file("other"));
    let (one, other) = (one.display(), other.display());
    let line = format!("{ASK} -o {one} http://{LOAD}/ -o {other} http://{LOAD}/again");
    assert_eq!(tool(&net.there, &line), "200,14,1,85\n200,14,0,85\n");
    for name in ["one", "other"] {
        assert_eq!(net.folder.read(name), BODY.as_bytes());
    }
    let outcome = server.stop();
    net.assert_clean(&outcome, &[], &before, RESETS);
    for (name, count) in [("httpGet", 2), ("http2XX", 2), ("skOpen", 1), ("skClose", 1)] {
        assert_eq!(outcome.count(name), count, "{name}");
    }
}

/// A body behind it would be taken for the next answer.
#[test]
fn a_header_is_all_that_head_gets() {
    let Some(_alone) = alone("a_header_is_all_that_head_gets", &[]) else { return };
    let net = Net::new(Checksums::Made);
    let before = Counters::of(&net.there);
    let server = net.server("keepalive 1s\npayload_size 5000");
    let behind = net.there.inside(|| {
        let mut stream = TcpStream::connect((LOAD, 80)).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a time-out");
        for (method, bytes) in [("HEAD", 85), ("GET", 5000), ("HEAD", 85), ("HEAD", 85)] {
            write!(stream, "{method} / HTTP/1.1\r\nHost: {LOAD}\r\n\r\n").expect("a request");
            let mut answer = vec![0; bytes];
            stream.read_exact(&mut answer).expect("an answer");
            assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\nContent-Length:       4915\r\n"));
        }
        stream.shutdown(Shutdown::Write).expect("an end");
        stream.read_to_end(&mut Vec::new()).expect("the server's end")
    });
    assert_eq!(behind, 0, "bytes behind the last header");
    let outcome = server.stop();
    net.assert_clean(&outcome, &[], &before, RESETS);
    for (name, count) in [("httpGet", 4), ("http2XX", 4), ("skOpen", 1), ("skClose", 1)] {
        assert_eq!(outcome.count(name), count, "{name}");
    }
}

#[test]
fn curl_posts_twenty_kilobytes() {
    let Some(_alone) = alone("curl_posts_twenty_kilobytes", &["curl"]) else { return };
    for (checksums, keepalive) in
        [(Checksums::Made, ""), (Checksums::Left, "keepalive 1s"), (Checksums::Left, "")]
    {
        let net = Net::new(checksums);
        let before = Counters::of(&net.there);
        let server = net.server(keepalive);
        let data = net.folder.write("data", vec![b'p'; 20_000]);
        let file = net.folder.file("body");
        let (data, file) = (data.display(), file.display());
        let line = format!("{ASK} --data-binary @{data} -o {file} http://{LOAD}/upload");
        assert_eq!(tool(&net.there, &line), "200,14,1,85\n");
        assert_eq!(net.folder.read("body"), BODY.as_bytes());
        let outcome = server.stop();
        net.assert_clean(&outcome, &[], &before, RESETS);
        assert_eq!(outcome.count("httpPost"), 1);
        assert_eq!(outcome.count("http2XX"), 1);
    }
}

/// A client that asks whether it may send its body gets the answer without, and waits for nothing;
/// the answer says that the connection ends, and curl asks again on another.
#[test]
fn curl_need_not_wait_with_a_large_body() {
    let Some(_alone) = alone("curl_need_not_wait_with_a_large_body", &["curl"]) else { return };
    for (keepalive, bytes) in
        [("", 100_000), ("keepalive 1s", 100_000), ("", 3_000_000), ("keepalive 1s", 3_000_000)]
    {
        let net = Net::new(Checksums::Made);
        let before = Counters::of(&net.there);
        let server = net.server(keepalive);
        net.folder.write("data", vec![b'p'; bytes]);
        let files = ["data", "body", "header"].map(|name| net.folder.file(name));
        let [data, body, header] = files.each_ref().map(|file| file.display());
        // Longer than anything else takes.
        let patient = format!("{ASK} --expect100-timeout 9 -m 8 -H Expect:100-continue");
        let post = format!("{patient} --data-binary @{data} -D {header}");
        let line = format!("{post} -o {body} http://{LOAD}/ -o {body} http://{LOAD}/again");
        assert_eq!(tool(&net.there, &line), "200,14,1,85\n200,14,1,85\n");
        let header = String::from_utf8(net.folder.read("header")).expect("text");
        assert_eq!(header.matches("\r\nConnection:close").count(), 2, "{header}");
        let outcome = server.stop();
        net.assert_clean(&outcome, &[], &before, &[]);
        for (name, count) in [("httpPost", 2), ("http2XX", 2), ("skOpen", 2), ("skClose", 2)] {
            assert_eq!(outcome.count(name), count, "{name}");
        }
    }
}

/// A client of a kept connection that says it is the last time is told the same.
#[test]
fn curl_is_told_that_its_connection_ends() {
    let Some(_alone) = alone("curl_is_told_that_its_connection_ends", &["curl"]) else { return };
    let net = Net::new(Checksums::Made);
    let before = Counters::of(&net.there);
    let server = net.server("keepalive 1s\npayload_size 200k");
    let files = ["body", "header"].map(|name| net.folder.file(name));
    let [body, header] = files.each_ref().map(|file| file.display());
    let line = format!("{ASK} -H Connection:close -D {header} -o {body} http://{LOAD}/");
    assert_eq!(tool(&net.there, &line), format!("200,{},1,85\n", 200_000 - 85));
    let header = String::from_utf8(net.folder.read("header")).expect("text");
    assert!(header.contains("\r\nConnection:close"), "{header}");
    let outcome = server.stop();
    net.assert_clean(&outcome, &[], &before, RESETS);
    assert_eq!((outcome.count("http2XX"), outcome.count("skClose")), (1, 1));
}

#[test]
fn curl_gets_large_answers_whole() {
    let Some(_alone) = alone("curl_gets_large_answers_whole", &["curl"]) else { return };
    // `DPERF_PEER_MB=1000` asks for one gigabyte.
    let megabytes = std::env::var("DPERF_PEER_MB").ok().and_then(|text| text.parse().ok());
    let huge = megabytes.unwrap_or(100) * 1_000_000;
    for (size, more) in [
        (1_000_000, ""),
        (1_000_000, "keepalive 1s\nsend_window 16"),
        (100_001, "mss 536"),
        (huge, "send_window 16"),
    ] {
        let net = Net::new(Checksums::Made);
        let before = Counters::of(&net.there);
        let server = net.server(&format!("payload_size {size}\n{more}"));
        let file = net.folder.file("body");
        let line = format!("{ASK} -o {} http://{LOAD}/", file.display());
        assert_eq!(tool(&net.there, &line), format!("200,{},1,85\n", size - 85));
        let body = net.folder.read("body");
        assert_eq!(body.len(), size - 85);
        // The body is the short one's, and filler behind it.
        let filler = body.strip_prefix(BODY.as_bytes()).unwrap_or(&body);
        assert!(filler.iter().all(|byte| *byte == b'a'));
        let outcome = server.stop();
        net.assert_clean(&outcome, &[], &before, RESETS);
    }
}

/// What a kernel may be told about its TCP changes nothing of this.
#[test]
fn curl_is_served_by_the_letter_of_every_option() {
    let Some(_alone) = alone("curl_is_served_by_the_letter_of_every_option", &["curl"]) else {
        return;
    };
    for (parameters, mtu, more) in [
        (&[("tcp_ecn", "1")][..], 1500, ""),
        (&[("tcp_timestamps", "0")], 1500, ""),
        (&[("tcp_sack", "0"), ("tcp_timestamps", "0")], 1500, ""),
        (&[("tcp_window_scaling", "0")], 1500, ""),
        (&[], 600, ""),
        // Its window closes again and again.
        (&[("tcp_rmem", "4096 8192 16384")], 1500, "--limit-rate 300k"),
    ] {
        let net = Net::new(Checksums::Made);
        for (name, value) in parameters {
            let parameter = format!("net.ipv4.{name}={value}");
            let mut set = net.there.command("sysctl");
            assert!(set.args(["-q", "-w", &parameter]).status().is_ok_and(|s| s.success()));
        }
        net.there.run(&format!("ip link set {CABLE} mtu {mtu}"));
        let server = net.server("payload_size 500k\nsend_window 16");
        let before = Counters::of(&net.there);
        let file = net.folder.file("body");
        let begun = Instant::now();
        let line = format!("{ASK} {more} -o {} http://{LOAD}/", file.display());
        assert_eq!(tool(&net.there, &line), format!("200,{},1,85\n", 500_000 - 85));
        println!("{parameters:?}, MTU {mtu} {more}: {:?}", begun.elapsed());
        let outcome = server.stop();
        net.assert_clean(&outcome, &["ackDup"], &before, RESETS);
    }
}

#[test]
fn wrk_finds_no_error() {
    let Some(_alone) = alone("wrk_finds_no_error", &["wrk"]) else { return };
    let close = ["-H", "Connection: close"];
    for (checksums, conf, header) in [
        (Checksums::Made, "keepalive 1s", &[][..]),
        (Checksums::Left, "", &close[..]),
        // It believes that it may ask again: the server's answer says otherwise.
        (Checksums::Left, "", &[]),
    ] {
        let net = Net::new(checksums);
        let before = Counters::of(&net.there);
        let server = net.server_with(conf, &["--allow", "skErr=32"]);
        let answers = wrk(&net.there, LOAD, seconds(), header);
        let outcome = server.stop();
        // In the end wrk leaves in the midst of 32 exchanges.
        net.assert_clean(&outcome, &["skErr", "tcpDrop"], &before, &[]);
        assert!(outcome.count("skErr") <= 32 && outcome.count("tcpDrop") <= 64);
        let sent = outcome.count("http2XX");
        assert!((answers..=answers + 32).contains(&sent), "{sent} sent, {answers} seen");
    }
}

/// A kept connection has no end of its own: each is asked ten thousand times and more.
#[test]
fn wrk_asks_ten_thousand_times_on_each_connection() {
    const EACH: u64 = 10_000;
    let test = "wrk_asks_ten_thousand_times_on_each_connection";
    let Some(_alone) = alone(test, &["wrk"]) else { return };
    let net = Net::new(Checksums::Made);
    let before = Counters::of(&net.there);
    let server = net.server("keepalive 1s");
    let connections = 2;
    let answers = wrk(&net.there, LOAD, seconds().max(10), &["-c2"]);
    let outcome = server.stop();
    // In the end wrk leaves in the midst of its exchanges.
    net.assert_clean(&outcome, &["skErr", "tcpDrop"], &before, &[]);
    assert_eq!(outcome.count("skErr"), outcome.count("skErrReset"));
    // Before its load wrk looks whether anybody listens.
    assert_eq!(outcome.count("skOpen"), connections + 1, "none was closed and opened again");
    let sent = outcome.count("http2XX");
    assert!((answers..=answers + connections).contains(&sent), "{sent} sent, {answers} seen");
    assert!(sent >= EACH * connections, "{sent} answers on {connections} connections");
}

/// Clients that come again and again do not keep a server that was told to end.
#[test]
fn a_server_ends_though_its_clients_go_on() {
    let Some(_alone) = alone("a_server_ends_though_its_clients_go_on", &["wrk"]) else { return };
    let net = Net::new(Checksums::Made);
    let errors = ["--allow", "skErr=1000000", "--allow", "dropTx=1000000"];
    let server = net.server_with("keepalive 1s", &errors);
    let wrk = Process::start(wrk_line(&net.there, LOAD, 120, &[]), "wrk", &net.folder);
    std::thread::sleep(Duration::from_secs(2));
    let outcome = server.stop_within(Duration::from_secs(40));
    assert!(outcome.count("http2XX") > 1000, "it was asked all the while");
    wrk.end_by(Signal::INT, Duration::from_secs(10));
}
