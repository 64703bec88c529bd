//! The way to the kernel: its words, its interfaces' names, and where it has no use.

use super::{CLIENT, SERVER, client, refusal, text};
use crate::config::{Exception, ExceptionKind, Read};

fn exception(read: &Read) -> &Exception {
    read.config.exception.as_ref().expect("there is a way to the kernel")
}

#[test]
fn interfaces_have_dperfs_names() {
    let names =
        |read: &Read, workers| exception(read).interfaces(read.config.role, 1, workers).join(" ");
    let tap = client("exception tap").unwrap();
    assert_eq!((exception(&tap).kind, names(&tap, 2)), (ExceptionKind::Tap, "dperfc1".to_owned()));
    let vhost = text(&format!("{SERVER}exception vhost-net net\n")).unwrap();
    assert_eq!(
        (exception(&vhost).kind, names(&vhost, 2).as_str()),
        (ExceptionKind::VhostNet, "nets1")
    );
    let each = client("exception tap-per-core a").unwrap();
    assert_eq!(names(&each, 2), "ac1.0 ac1.1");
    assert_eq!(client("exception none").unwrap().config.exception, None);
    assert_eq!(client("").unwrap().config.exception, None);
}

#[test]
fn kni_is_a_tap_and_says_so() {
    let read = client("kni gw").unwrap();
    assert_eq!(exception(&read).kind, ExceptionKind::Tap);
    assert_eq!(exception(&read).name, "gw");
    let note = "t.conf:7: kni is `exception tap` here: one queue to the kernel for each worker, no \
                shared one";
    assert_eq!(read.notes[0].to_string(), note);
    let both = refusal(client("kni\nexception tap"));
    assert_eq!(both, "t.conf:8:1: exception: 'exception' is given twice");
}

#[test]
fn a_name_that_would_be_too_long_is_refused() {
    let cpus = (0..1024).map(|_| "0").collect::<Vec<_>>().join(" ");
    let many = CLIENT.replace("cpu 0", &format!("cpu {cpus}"));
    let refused = refusal(text(&format!("{many}exception tap-per-core abcdefghi\n")));
    assert!(refused.contains("interface 'abcdefghic0.1023' would have 16 characters"), "{refused}");
    assert!(text(&format!("{many}exception tap-per-core abcdefgh\n")).is_ok());
}

#[test]
fn a_packet_socket_needs_none() {
    let socket = CLIENT.lines().map(|line| match line.strip_prefix("port ") {
        Some(rest) => format!("port af_packet:veth0 {}\n", rest.split_once(' ').unwrap().1),
        None => format!("{line}\n"),
    });
    let read = text(&format!("{}exception tap\n", socket.collect::<String>())).unwrap();
    assert_eq!(read.config.exception, None);
    let note = read.notes.iter().map(ToString::to_string).find(|note| note.contains("exception"));
    let note = note.expect("a line says so");
    assert!(note.contains("the kernel sees every frame of veth0 already"), "{note}");
}
