//! Bonds of virtual devices, in a process of their own: if any driver has used a timer, as bonds
//! do, DPDK's clean-up goes through a list in which memif leaves an entry in memory that is gone.

use super::*;
use crate::testing::run_alone;

#[test]
fn bonds_of_virtual_devices() {
    run_alone(concat!(module_path!(), "::bonds_alone"));
}

/// Not a test: what the other one starts.
#[test]
#[ignore = "started by another test"]
fn bonds_alone() {
    let args = EalArgs { ordinary_mb: 128, extra: "--no-huge".into(), ..EalArgs::default() };
    if let Err(error) = start(&args) {
        println!("skipped: bonds_of_virtual_devices needs a DPDK that starts: {error:#}");
        return;
    }
    bonds_carry_frames_in_every_mode();
    bonds_that_cannot_be_are_explained();
    stop().unwrap();
}

fn bond(mode: u8, members: [&str; 2]) -> PortWish {
    let members = members.map(str::to_owned).to_vec();
    let bond = Some(Bond { mode, policy: 2, members });
    PortWish { bond, ..wish(&format!("bond{mode}:2(..)")) }
}

/// A bond takes frames in every mode but the one that waits for a switch, opens its members for
/// itself alone, and leaves them free again.
fn bonds_carry_frames_in_every_mode() {
    for mode in 0..=6 {
        let members = [format!("net_null{mode}0"), format!("net_null{mode}1,size=60")];
        let wish = bond(mode, [&members[0], &members[1]]);
        let mut port = open(&wish, &|| false).unwrap_or_else(|error| panic!("{error:#}"));
        let missing = wish.bond.as_ref().unwrap().wait("bond", &|| false).unwrap();
        assert_eq!(missing, None, "mode {mode}");
        assert!(refused(&super::wish(&members[0])).contains("open already"));
        port.wait_for_link("bond", Duration::from_secs(5), &|| false).unwrap();
        let queue = &mut port.queues[0];
        let mut tray = Tray::new();
        assert_eq!(queue.take(BURST, &mut tray), BURST);
        tray.frames_mut().iter_mut().for_each(|frame| assert!(frame.set_len(60)));
        let sent = queue.transmit(&mut tray);
        assert_eq!(sent, if mode == 4 { 0 } else { BURST }, "mode {mode}");
        queue.give_back(&mut tray);
        queue.receive(&mut tray);
        assert_eq!(tray.is_empty(), mode == 4, "mode {mode}");
        queue.give_back(&mut tray);
        drop(port);
        drop(opened(&members[1]));
    }
}

fn bonds_that_cannot_be_are_explained() {
    let said = refused(&bond(1, ["net_null7", "0000:fe:1f.7"]));
    assert!(said.contains("bond1:2(..)") && said.contains("member 0000:fe:1f.7"), "{said}");
    assert!(said.contains("no such PCI device"), "{said}");
    let said = refused(&bond(1, ["net_null7", "net_nonsense0"]));
    assert!(said.contains("member net_nonsense0: no such device"), "{said}");
    // What was there before the refusal is free again.
    let mut alone = open(&bond(4, ["net_null9", "net_null10"]), &|| false).unwrap();
    let mut said = |limit, stopped| {
        let bonds = &mut [("alone".to_owned(), &mut alone)];
        agree(bonds, limit, &|| stopped).unwrap_err().to_string()
    };
    let stopped = said(Duration::from_secs(9), true);
    assert_eq!(stopped, "port alone: stopped while waiting for the switch");
    assert!(said(Duration::ZERO, false).contains("set LACP (802.3ad) up there"));
    let _open = opened("net_null7");
    let said = refused(&bond(0, ["net_null7", "net_null8"]));
    assert!(said.contains("member net_null7: it is open already"), "{said}");
}
