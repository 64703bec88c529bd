//! The exit status: 0 every target was met, 1 it ran with errors or short of its target, 2 it could
//! not start or the input was bad.

use dperf_tests::process::{Ended, Folder};

use crate::in_turn;
use crate::run::{code, count, of, pair, records, run};

#[test]
fn short_of_the_target_is_1_unless_less_was_asked_for() {
    let _turn = in_turn();
    let folder = Folder::new();
    // Opened so slowly that the mean is far below what shall be open in the end.
    let both = "duration 2s\nkeepalive 100ms";
    let [server, client] = pair(&folder, both, "", "cps 2k\ncc 20k");
    let ended = run(&["run", &server, &client, "--json"]);
    assert_eq!(code(&ended), Some(1), "{}", ended.err);
    let records = records(&ended);
    let client_record = of(&records, "final", "client")[0];
    assert_eq!(client_record["passed"], false);
    assert_eq!(client_record["target"]["name"], "cc");
    let fault = client_record["faults"][0].as_str().unwrap_or_default();
    assert!(fault.starts_with("client: cc reached ") && fault.contains(" of 20000 "), "{fault}");
    assert!(ended.err.contains("not passed:\n  client: cc reached "), "{}", ended.err);
    let ended = run(&["run", &server, &client, "--target", "5"]);
    assert_eq!(code(&ended), Some(0), "{}{}", ended.out, ended.err);
}

/// While connections open they are fewer than shall be open in the end: no reason to fail.
#[test]
fn connections_that_were_all_open_and_stayed_so_are_the_target() {
    let _turn = in_turn();
    let folder = Folder::new();
    let [server, client] = pair(&folder, "duration 4s\nkeepalive 100ms", "", "cps 1k\ncc 2k");
    let ended = run(&["run", &server, &client, "--json"]);
    assert_eq!(code(&ended), Some(0), "{}{}", ended.out, ended.err);
    let records = records(&ended);
    assert_eq!(of(&records, "final", "client")[0]["target"]["reached"], 2000.0);
    // Otherwise nothing would have been held against it.
    assert!(count(of(&records, "interval", "client")[0], "skCon") < 1500);
}

#[test]
fn a_run_that_fails_says_why() {
    let _turn = in_turn();
    let folder = Folder::new();
    let [server, client] = pair(&folder, "duration 1s", "listen 81", "cps 1k");
    let ended = run(&["run", &server, &client]);
    assert_eq!(code(&ended), Some(1), "{}{}", ended.out, ended.err);
    let reasons: Vec<&str> =
        ended.out.lines().filter(|line| line.starts_with("reasons: ")).collect();
    let told = |text: &str| reasons.iter().filter(|line| line.contains(text)).count();
    assert_eq!((told(" skErrReset "), told(" dropNoConnection ")), (1, 1), "{}", ended.out);
}

/// A run of a second has one reading, at its end.
#[test]
fn a_short_run_is_judged_by_what_was_open_at_its_end() {
    let _turn = in_turn();
    let folder = Folder::new();
    let both = "duration 1s\nkeepalive 100ms";
    let [server, client] = pair(&folder, both, "", "cps 10k\ncc 100");
    let ended = run(&["run", &server, &client, "--json"]);
    assert_eq!(code(&ended), Some(0), "{}{}", ended.out, ended.err);
    assert_eq!(of(&records(&ended), "final", "client")[0]["target"]["reached"], 100.0);
}

/// A flood leaves its server with connections that nobody will ever complete: the server does not
/// go on about them to a client that is over.
#[test]
fn a_flood_between_two_of_ours_passes() {
    let _turn = in_turn();
    let folder = Folder::new();
    let [server, client] = pair(&folder, "duration 4s", "", "cps 1k\nflood");
    let ended = run(&["run", &server, &client, "--json"]);
    assert_eq!(code(&ended), Some(0), "{}{}", ended.out, ended.err);
    let records = records(&ended);
    let server_record = of(&records, "final", "server")[0];
    assert!(count(server_record, "synRt") > 500, "{server_record}");
}

#[test]
fn errors_are_1_unless_they_are_allowed() {
    let _turn = in_turn();
    let folder = Folder::new();
    // The server answers with ten letters, the client expects HTTP.
    let answer = "protocol tcp\npayload_size 10";
    let [server, client] = pair(&folder, "duration 1s", answer, "cps 1k");
    let text = std::fs::read_to_string(&server).expect("just written");
    std::fs::write(&server, text.replacen("protocol http\n", "", 1)).expect("a file");
    let ended = run(&["run", &server, &client]);
    assert_eq!(code(&ended), Some(1), "{}{}", ended.out, ended.err);
    let fault = ended.out.lines().find(|line| line.starts_with("  client: httpErr is "));
    assert!(fault.is_some_and(|line| line.ends_with(", allowed 0")), "{}", ended.out);
    let allowed = ["--allow", "httpErr=1000000", "--allow", "skErr=1", "--target", "90"];
    let ended = run(&[&["run", &server, &client], &allowed[..]].concat());
    assert_eq!(code(&ended), Some(0), "{}{}", ended.out, ended.err);
    assert!(!ended.out.contains("reasons: "), "{}", ended.out);
}

/// Refused: status 2, nothing on stdout, one sentence on stderr with all of `words` in it.
fn is_refused(ended: &Ended, words: &[&str]) {
    let Ended { out, err, .. } = ended;
    assert_eq!((code(ended), out.as_str()), (Some(2), ""), "{err}");
    for word in words {
        assert!(err.contains(word), "no '{word}' in\n{err}");
    }
}

#[test]
fn what_is_no_configuration_is_2() {
    let folder = Folder::new();
    let bytes = folder.write("bytes", [0xff, 0xfe, 0, 1, b'\n']).display().to_string();
    let empty = folder.write("empty", "").display().to_string();
    let here = folder.path().display().to_string();
    for verb in ["run", "check"] {
        is_refused(&run(&[verb, "/nonexistent.conf"]), &["/nonexistent.conf", "No such file"]);
        is_refused(&run(&[verb, &here]), &[&here, "directory"]);
        is_refused(&run(&[verb, &bytes]), &[&format!("{bytes}:1:")]);
        is_refused(&run(&[verb, &empty]), &[&empty, "port", "hint"]);
        is_refused(&run(&[verb, "/dev/zero"]), &["/dev/zero", "16 MiB"]);
        is_refused(&run(&[verb]), &["FILE"]);
    }
}

/// A refusal names the place, the word and a way out.
#[test]
fn bad_input_is_2_and_says_where_and_what_to_do() {
    let folder = Folder::new();
    for (line, column, words) in [
        ("spede 5", 1, &["spede", "hint"][..]),
        ("cps fast", 5, &["cps", "fast", "hint"]),
        ("mss 99999", 5, &["mss", "99999", "most possible"]),
        ("protocol ftp", 10, &["protocol", "ftp", "http"]),
        ("listen 0", 8, &["listen", "0", "least possible"]),
        ("keepalive 5", 11, &["keepalive", "5", "hint"]),
    ] {
        let [_, client] = pair(&folder, "", "", line);
        let text = std::fs::read_to_string(&client).expect("just written");
        let text = text.replacen("protocol http\n", "", usize::from(line.starts_with("protocol")));
        std::fs::write(&client, &text).expect("a file");
        let row = text.lines().position(|found| found == line).expect("the line") + 1;
        let place = format!("{client}:{row}:{column}: ");
        for verb in ["run", "check"] {
            let ended = run(&[verb, &client]);
            is_refused(&ended, &[&place]);
            is_refused(&ended, words);
            assert!(ended.err.lines().count() <= 2, "{}", ended.err);
        }
    }
}

/// What `run` refuses of two files together `check` tells; each of them may be sound.
#[test]
fn files_that_cannot_run_together_are_told() {
    let folder = Folder::new();
    let [server, client] = pair(&folder, "", "", "cps 1\nretransmit_timeout 3x");
    for verb in ["run", "check"] {
        let bad = folder.write("bad.conf", "cps 10m").display().to_string();
        let ended = run(&[verb, &client, &bad]);
        is_refused(&ended, &["bad.conf:1:", "hint"]);
    }
    let both_ends = "link:test has a client on both ends";
    is_refused(&run(&["run", &client, &client]), &[both_ends]);
    let ended = run(&["check", &client, &client]);
    assert!(code(&ended) == Some(0) && ended.err.contains(both_ends), "{}", ended.err);
    let ended = run(&["check", &server, &client]);
    assert_eq!((code(&ended), ended.err.as_str()), (Some(0), ""));
    // The roles of one file belong together.
    let role = "[[role]]\nmode = \"client\"\ncpu = 0\ncps = 1\nclient = \"10.0.1.2\"\n\
                server = \"10.0.2.1\"\n[[role.port]]\nname = \"link:test\"\n\
                address = \"10.0.1.1\"\ngateway = \"10.0.2.1\"\n";
    let twice = folder.write("twice.toml", role.repeat(2)).display().to_string();
    is_refused(&run(&["check", &twice]), &[both_ends]);
    // What is read otherwise than it looks may be why what follows is refused.
    let text = std::fs::read_to_string(&client).expect("just written");
    let odd = folder.write("odd.conf", text + "\nmss 9999\n").display().to_string();
    is_refused(&run(&["check", &odd]), &["'3x' is read as 3, as in dperf", "9999 bytes are more"]);
}

#[test]
fn what_a_port_cannot_do_is_2_and_named() {
    let folder = Folder::new();
    let [_, client] = pair(&folder, "", "", "vlan 5 6\ncps 2");
    let text = std::fs::read_to_string(&client).expect("just written");
    let own = format!("cpu {}\n", crate::run::cpus()[0]);
    let text = text.replacen("link:test", "af_xdp:eth0", 1).replacen(&own, "cpu 0 1\n", 1);
    let file = folder.write("on.conf", text).display().to_string();
    is_refused(
        &run(&["check", &file]),
        &["on.conf:3:", "af_xdp:eth0 chooses queues by the outer headers", "hint"],
    );
}

#[test]
fn a_missing_device_is_2() {
    let folder = Folder::new();
    let [_, client] = pair(&folder, "", "", "cps 1");
    let on = |port: &str, cpu: Option<u16>| {
        let text = std::fs::read_to_string(&client).expect("just written");
        let text = text.replacen("link:test", port, 1);
        let own = format!("cpu {}\n", crate::run::cpus()[0]);
        let text = cpu.map_or(text.clone(), |cpu| text.replacen(&own, &format!("cpu {cpu}\n"), 1));
        let file = folder.write("on.conf", text).display().to_string();
        run(&["run", &file])
    };
    let at = |row: u32| format!("on.conf:{row}:");
    is_refused(&on("af_packet:nonexistent0", None), &[&at(3), "nonexistent0"]);
    is_refused(&on("link:alone", None), &[&at(3), "link:alone", "1 end", "two"]);
    is_refused(&on("af_packet:nonexistent0", Some(1000)), &[&at(2), "cpu 1000", "hint"]);
    is_refused(&run(&["run", &client, &client]), &["client.conf:3:", "link:test", "both ends"]);
    let ended = on("0000:ff:1f.7", None);
    is_refused(&ended, &[&at(3), "0000:ff:1f.7"]);
    // Nobody is waited for, and what DPDK prints of its own is no record.
    is_refused(&on("net_memif0,role=banana", None), &[&at(3), "net_memif0,role=banana"]);
    let text = std::fs::read_to_string(&client).expect("just written");
    let wrong = text.replacen("link:test", "net_null0", 1) + "eal --no-huge --nonsense\n";
    let file = folder.write("wrong.conf", wrong).display().to_string();
    is_refused(&run(&["run", &file]), &[]);
    let without = "needs DPDK, and this program was built without it";
    assert!(!ended.err.contains(without) || ended.err.contains("--features dpdk"), "{}", ended.err);
}

#[test]
fn a_bad_command_line_is_2() {
    let folder = Folder::new();
    let [server, client] = pair(&folder, "duration 1s", "", "cps 1k");
    for (words, said) in [
        (&["--allow", "skErr"][..], "skErr=10"),
        (&["--allow", "nonsense=1"], "nonsense"),
        (&["--target", "101"], "101"),
        (&["--target", "all"], "all"),
        (&["--nonsense"], "--nonsense"),
    ] {
        let mut line = vec!["run", server.as_str(), client.as_str()];
        line.extend(words);
        is_refused(&run(&line), &[said]);
    }
    is_refused(&run(&["--json", "run", &server, &client]), &["--json"]);
    is_refused(&run(&["demo", "--cps", "0"]), &["cps"]);
    is_refused(&run(&["demo", "--duration", "0"]), &["duration"]);
    is_refused(&run(&["jump"]), &["jump"]);
    is_refused(&run(&[]), &["Usage"]);
}
