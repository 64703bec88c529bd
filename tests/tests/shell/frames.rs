//! What one frame carries: as much as the MTU leaves behind the headers of its family.

use dperf_tests::process::Folder;

use crate::in_turn;
use crate::run::{code, count, of, pair, records, run};

/// Bytes of one answer.
const ANSWER: u64 = 100_000;

#[test]
fn a_jumbo_frame_carries_as_much_as_it_can() {
    let _turn = in_turn();
    for (ipv6, words, mss) in [
        (false, "", 1460),
        (false, "jumbo 9000", 8960),
        (true, "", 1440),
        (true, "jumbo 9000", 8940),
    ] {
        let folder = Folder::new();
        let server = format!("duration 2s\npayload_size {ANSWER}\nsend_window 16");
        let files = pair(&folder, words, &server, "duration 2s\ncps 50");
        if ipv6 {
            for name in ["server.conf", "client.conf"] {
                let text = String::from_utf8_lossy(&folder.read(name)).into_owned();
                folder.write(
                    name,
                    text.replace("10.0.1.", "fd00:1::").replace("10.0.2.", "fd00:2::"),
                );
            }
        }
        let ended = run(&["run", &files[0], &files[1], "--json", "--target", "80"]);
        assert_eq!(code(&ended), Some(0), "{}", ended.err);
        let records = records(&ended);
        assert_eq!(of(&records, "plan", "client")[0]["workers"][0]["mss"], mss);
        let client = of(&records, "final", "client")[0];
        let opened = count(client, "skOpen");
        assert!(opened > 50, "{client}");
        // What opens it and what ends it is a segment each, beside those of the answer.
        let segments = ANSWER.div_ceil(mss) + 2;
        assert_eq!((count(client, "tcpRx"), count(client, "badRx")), (segments * opened, 0));
    }
}
