//! What a stamped segment says beside its numbers: options, window, time to live.

use super::*;
use crate::frame::testing::frame_of;
use crate::tcp::tests::plan;
use crate::wire::ipv4::Ipv4;
use crate::wire::tcp::{Tcp, TcpOptions, option};

/// MSS and window scale travel in a SYN alone, the scale only where it is wanted; nothing follows
/// an end of options, since there is none.
#[test]
fn options_travel_in_a_syn_alone() {
    for mss in [88, 1220, 1460] {
        let plan = CorePlan { mss, tos: 0x68, ..plan(Role::Server) };
        let mut template = Template::new(&plan, Offloads::empty());
        let ends =
            Endpoints::V4(Pair { local: ([10, 0, 0, 1], 80), remote: ([10, 0, 0, 2], 1024) });
        let (syn, ack) = (TcpFlags::SYN, TcpFlags::ACK);
        for (flags, scaled) in [(syn, true), (syn | ack, false), (ack, true), (ack, false)] {
            let reply = Reply { scaled, ..Reply::bare(1, 2, flags) };
            let mut frame = frame_of(&[], 100);
            assert!(template.stamp_between(&ends, &mut frame, &reply));
            let ip = Ipv4::parse(&frame.bytes()[14..]).unwrap();
            let tcp = Tcp::parse(ip.payload).unwrap();
            assert_ne!(tcp.options.last(), Some(&option::END));
            let mut want = TcpOptions::default();
            if flags.contains(syn) {
                want.mss = Some(mss);
                want.window_scale = scaled.then_some(WINDOW_SCALE);
            }
            assert_eq!(TcpOptions::parse(tcp.options), Ok(want), "{flags:?} {scaled}");
            assert_eq!((tcp.header.window.get(), tcp.header.urgent.get()), (WINDOW, 0));
            assert_eq!((ip.header.ttl, ip.header.tos), (HOPS, 0x68));
        }
    }
}
