//! Numbers, times, addresses and names are read exactly or refused.

use dperf_core::plan::Role;

use crate::config::error::Complaint;
use crate::config::number::{interval_us, scaled, seconds, whole, whole_or_hex};
use crate::config::value::{address, cores, host_address, mac};
use crate::config::{PortName, Xdp};

type Table<'t> = &'t [(&'t str, Option<u64>)];

fn check(table: Table, read: impl Fn(&str) -> Result<u64, Complaint>) {
    for (text, expected) in table {
        let got = read(text);
        assert_eq!(got.clone().ok(), *expected, "{text}: {got:?}");
    }
}

#[test]
fn whole_numbers_are_digits() {
    let table: Table = &[
        ("0", Some(0)),
        ("80", Some(80)),
        ("007", Some(7)),
        ("1000", Some(1000)),
        ("1001", None),
        ("99999999999999999999999", None),
        ("-1", None),
        ("+1", None),
        ("1k", None),
        ("1.0", None),
        ("0x10", None),
        ("", None),
        ("٣", None),
    ];
    check(table, |text| whole(text, &(0..=1000)));
}

#[test]
fn scaled_numbers_are_exact() {
    let table: Table = &[
        ("0", Some(0)),
        ("37.2k", Some(37_200)),
        (".5k", Some(500)),
        ("5.k", Some(5_000)),
        ("0.29k", Some(290)),
        ("2.4m", Some(2_400_000)),
        ("2.4M", Some(2_400_000)),
        ("3000m", Some(3_000_000_000)),
        ("4G", Some(4_000_000_000)),
        ("18446744073709551615", Some(u64::MAX)),
        ("18446744073709551616", None),
        ("1.2.3", None),
        ("1.5", None),
        ("0.0001k", None),
        ("1kk", None),
        ("1 k", None),
        ("k", None),
        (".", None),
        ("-1k", None),
        ("1e6", None),
        ("00000000000000000000000000000001", None),
        ("340282366920938463463g", None),
    ];
    check(table, |text| scaled(text, &(0..=u64::MAX)));
    let twice = scaled("1.2.3", &(0..=9)).unwrap_err();
    assert_eq!(twice.why, "'1.2.3' has more than one decimal point");
    assert_eq!(twice.hint, "write what you mean");
}

#[test]
fn seconds_have_a_unit_that_dperf_and_we_read_alike() {
    let table: Table = &[
        ("60", Some(60)),
        ("60s", Some(60)),
        ("10m", Some(600)),
        ("4.5m", Some(270)),
        ("10.1d", Some(872_640)),
        ("2h", Some(7_200)),
        ("1.5", None),
        ("10ms", None),
        ("10us", None),
        ("10x", None),
        ("10M", None),
        ("0", None),
        ("s", None),
        ("-1s", None),
    ];
    check(table, |text| seconds(text, &(1..=u64::MAX)));
    let ambiguous = seconds("10ms", &(1..=9)).unwrap_err();
    assert_eq!(ambiguous.why, "'10ms' ends with 'ms', which is not s, m (minutes), h or d");
    assert_eq!(ambiguous.hint, "write 10s, 10m, 10h or 10d");
}

#[test]
fn intervals_always_have_a_unit() {
    let table: Table = &[
        ("0us", Some(0)),
        ("3us", Some(3)),
        ("1ms", Some(1_000)),
        ("6.25ms", Some(6_250)),
        ("6250us", Some(6_250)),
        ("60s", Some(60_000_000)),
        ("3000s", Some(3_000_000_000)),
        ("0.5us", None),
        ("1", None),
        ("us", None),
        ("1m", None),
        ("1sec", None),
    ];
    check(table, interval_us);
}

#[test]
fn hexadecimal_is_strict() {
    let table: Table = &[
        ("0x68", Some(0x68)),
        ("0Xff", Some(255)),
        ("104", Some(104)),
        ("0x100", None),
        ("0x", None),
        ("0xg", None),
        ("abc", None),
        ("0xffffffffffffffffff", None),
    ];
    check(table, |text| whole_or_hex(text, &(0..=255)));
}

#[test]
fn addresses_are_whole() {
    for sound in ["10.0.1.1", "2001:db8::1", "::ffff:1.2.3.4", "6.6.241.0"] {
        assert!(address(sound).is_ok() && host_address(sound).is_ok(), "{sound}");
    }
    for wrong in ["10.0.1", "10.0.1.256", "10.0.1.1/24", "010.0.0.1", "::1%eth0", "host", ""] {
        assert!(address(wrong).is_err(), "{wrong}");
    }
    let nobodys = ["224.0.0.1", "255.255.255.255", "127.0.0.1", "ff02::1", "::1"];
    for wrong in ["0.0.0.0", "::", "2001:db8::"].iter().chain(&nobodys) {
        assert!(address(wrong).is_ok() && host_address(wrong).is_err(), "{wrong}");
    }
    assert!(address("10.0.0.0/8").unwrap_err().hint.contains("without the bits"));
    assert!(mac("b4:a9:fc:ab:7a:85").is_ok());
    for wrong in ["0:1:2:3:4:5", "b4-a9-fc-ab-7a-85", "b4:a9:fc:ab:7a:8g", ""] {
        assert!(mac(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn cores_are_single_or_ranges() {
    assert_eq!(cores("3"), Ok((vec![3], None)));
    assert_eq!(cores("0-3"), Ok((vec![0, 1, 2, 3], None)));
    let remark = "'1-2-3' is read as 1-2, as in dperf".to_owned();
    assert_eq!(cores("1-2-3"), Ok((vec![1, 2], Some(remark))));
    for wrong in ["3-0", "1-", "-1", "a", "0-9999", "0,1"] {
        assert!(cores(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn port_names_tell_the_device() {
    let pci = |name: &str| PortName::Pci(name.to_owned());
    assert_eq!(PortName::parse("0000:af:00.1"), Ok(pci("0000:af:00.1")));
    assert_eq!(PortName::parse("0000:AF:00.1"), Ok(pci("0000:af:00.1")));
    assert_eq!(PortName::parse("10000:01:00.0"), Ok(pci("10000:01:00.0")));
    assert_eq!(PortName::parse("link:demo"), Ok(PortName::Link("demo".to_owned())));
    assert_eq!(PortName::parse("af_packet:eth0.5"), Ok(PortName::AfPacket("eth0.5".to_owned())));
    let memif = "net_memif0,role=server,socket=/run/x";
    assert_eq!(PortName::parse(memif), Ok(PortName::Vdev(memif.to_owned())));
    let members = vec!["0000:81:10.0".to_owned(), "0000:81:10.1".to_owned()];
    let bond = PortName::Bond { mode: 4, policy: 2, members };
    assert_eq!(PortName::parse("bond4:2(0000:81:10.0,0000:81:10.1)"), Ok(bond.clone()));
    assert_eq!(bond.to_string(), "bond4:2(0000:81:10.0,0000:81:10.1)");
    let members = ["net_af_packet0,iface=eth0,qpairs=1", "0000:81:10.1", "net_null1"];
    let text = format!("bond1:0({})", members.join(","));
    let members = members.map(str::to_owned).to_vec();
    let bond = PortName::Bond { mode: 1, policy: 0, members };
    assert_eq!(PortName::parse(&text), Ok(bond.clone()));
    assert_eq!((bond.to_string(), bond.devices()[0]), (text, "net_af_packet0"));
    let wrong = [
        "bond1:0(iface=eth0)",
        "bond1:0(net_null0,)",
        "bond1:0(link:a)",
        "",
        "03:00.0",
        "0000:03:00.8",
        "0000:3:00.0",
        "000:03:00.0",
        "link:",
        "link:a b",
        "eth0",
        "af_packet:",
        "af_packet:a/b",
        "af_packet:sixteen_letters_",
        "bond7:2(0000:81:10.0)",
        "bond4:2()",
        "bond4:2(0000:81:10.0",
        "bond4:2",
        "net_é0",
        "bond4:2(0000:81:10.0,0000:81:10.1,0000:81:10.2,0000:81:10.3,0000:81:10.4)",
    ];
    for name in wrong {
        assert!(PortName::parse(name).is_err(), "{name}");
    }
}

#[test]
fn interrupts_may_be_put_off_where_xdp_sockets_are() {
    let xdp = |defer_us| PortName::AfXdp(Xdp { interface: "eth0".to_owned(), defer_us });
    for (text, name, said) in [
        ("af_xdp:eth0", xdp(None), "af_xdp:eth0"),
        ("af_xdp:eth0,defer=1us", xdp(Some(1)), "af_xdp:eth0,defer=1us"),
        ("af_xdp:eth0,defer=0.1ms", xdp(Some(100)), "af_xdp:eth0,defer=100us"),
        ("af_xdp:eth0,defer=10ms", xdp(Some(10_000)), "af_xdp:eth0,defer=10000us"),
    ] {
        let read = PortName::parse(text).unwrap();
        assert_eq!((read.to_string(), read.devices()), (said.to_owned(), vec!["eth0"]));
        assert_eq!(read, name);
    }
    for (wrong, why) in [
        ("af_packet:eth0,defer=1us", "packet sockets have no 'defer=1us'"),
        ("af_xdp:,defer=1us", "no proper name"),
        ("af_xdp:eth0,", "have no ''"),
        ("af_xdp:eth0,gather=1us", "have no 'gather=1us'"),
        ("af_xdp:eth0,defer=100", "not a time with us, ms or s behind it"),
        ("af_xdp:eth0,defer=0us", "put off by 1us to 10ms, not by 0us"),
        ("af_xdp:eth0,defer=10001us", "put off by 1us to 10ms, not by 10001us"),
        ("af_xdp:eth0,defer=1us,defer=2us", "not a time with us"),
    ] {
        let complaint = PortName::parse(wrong).unwrap_err();
        assert!(complaint.why.contains(why), "{wrong}: {complaint:?}");
    }
}

#[test]
fn memory_is_shared_at_a_socket_under_a_number() {
    let memif = |text: &str| match PortName::parse(text) {
        Ok(PortName::Memif(memif)) => memif,
        other => panic!("{text}: {other:?}"),
    };
    let plain = memif("memif:/run/demo.sock");
    assert_eq!((plain.socket(), plain.id), ("/run/demo.sock", 0));
    assert!(plain.listens(Role::Server) && !plain.listens(Role::Client));
    let told = memif("memif:@demo,role=client,id=7");
    assert_eq!((told.socket(), told.id), ("@demo", 7));
    assert!(!told.listens(Role::Server) && !told.listens(Role::Client));
    assert!(memif("memif:demo,role=server").listens(Role::Client));
    for (text, said) in [
        ("memif:/run/demo.sock,id=0", "memif:/run/demo.sock"),
        ("memif:@demo,role=client,id=7", "memif:@demo,id=7,role=client"),
        ("memif:@demo,role=server", "memif:@demo,role=server"),
    ] {
        let name = PortName::parse(text).unwrap();
        assert_eq!(name.to_string(), said);
        assert_eq!(PortName::parse(said), Ok(name));
    }
    let devices = |text: &str| PortName::Memif(memif(text)).devices().concat();
    assert_ne!(devices("memif:@demo,id=1"), devices("memif:@demo,id=2"));
    assert_eq!(devices("memif:@demo,role=client"), devices("memif:@demo"));
    let long = format!("memif:/{}", "x".repeat(107));
    for wrong in [
        "memif:",
        "memif:@",
        "memif:,id=1",
        "memif:/run/demo,",
        "memif:/run/demo,id=",
        "memif:/run/demo,id=-1",
        "memif:/run/demo,id=4294967296",
        "memif:/run/demo,role=master",
        "memif:/run/demo,secret=x",
        "memif:/run/demo,id=1,id=2",
        "memif:/run/demo,role=client,role=server",
        "memif:/run/é",
        &long,
    ] {
        let complaint = PortName::parse(wrong).unwrap_err();
        assert!(complaint.why.contains("is no memif"), "{wrong}: {complaint:?}");
    }
}

#[test]
fn devices_that_pair_queues_are_known_by_name() {
    let pairs = |name: &str| PortName::parse(name).unwrap().pairs_queues();
    for name in [
        "link:a",
        "memif:/run/a",
        "net_memif0,role=client",
        "net_ring1",
        "virtio_user0,path=/tmp/sock",
    ] {
        assert!(pairs(name), "{name}");
    }
    let others =
        ["0000:01:00.0", "af_packet:eth0", "net_tap0", "net_virtio_user0,path=/dev/vhost-net"];
    for name in others {
        assert!(!pairs(name), "{name}");
    }
}
