//! Numbered packets between the kernels of two namespaces: whoever gets one knows whether it was
//! sent, whether it came before, and whether it is whole.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::namespace::Namespace;

/// Flows in each direction: the kernel spreads them over the queues of an interface.
const FLOWS: usize = 16;
/// Packets on their way in one direction, at most: fewer than a kernel queue
/// of 4000 places holds.
const WINDOW: u64 = 2000;
/// How long a sender that is far ahead waits for the workers, who need the processor more.
const NAP: Duration = Duration::from_micros(100);
/// Packets that do not come within this are lost.
const PATIENCE: Duration = Duration::from_millis(200);
/// Where the receivers listen; each sender has a port of its own above.
const PORT: u16 = 9000;
/// Bytes that may wait at a receiver: many windows.
const WAITING_BYTES: usize = 8 << 20;
/// The longest payload.
const LONGEST: usize = 300;

/// What became of one direction.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Packets that the kernel took from the sender.
    pub sent: u64,
    /// Different packets that came.
    pub received: u64,
    /// What came and should not have: twice, changed, never sent.
    pub wrong: Vec<String>,
}

/// Sends `packets` each way between the two namespaces, at once, and tells what came of it: first
/// what the first one sent. `subnets` numbers the networks that join them; on number n the first
/// has the address 192.168.n.1, the second 192.168.n.2.
///
/// # Panics
/// The kernel gives no sockets.
pub fn exchange(ends: [&Namespace; 2], subnets: usize, packets: u64) -> [Tally; 2] {
    thread::scope(|scope| {
        let ways = [(0, 1), (1, 0)].map(|(from, to): (usize, usize)| {
            let host = to + 1;
            scope.spawn(move || one_way(ends[from], ends[to], (subnets, host), packets))
        });
        ways.map(|way| way.join().expect("a direction ends"))
    })
}

fn one_way(
    from: &Namespace,
    to: &Namespace,
    (subnets, host): (usize, usize),
    packets: u64,
) -> Tally {
    let (came, over) = (&AtomicU64::new(0), &AtomicBool::new(false));
    let senders: Vec<UdpSocket> = from.inside(|| {
        let connected = |flow: usize| {
            let socket = UdpSocket::bind(("0.0.0.0", PORT + 1 + flow as u16)).expect("a socket");
            let address = format!("192.168.{}.{host}", flow % subnets);
            socket.connect((address, PORT)).expect("a way there");
            socket
        };
        (0..FLOWS).map(connected).collect()
    });
    let receiver = to.inside(|| UdpSocket::bind(("0.0.0.0", PORT)).expect("a socket"));
    receiver.set_read_timeout(Some(Duration::from_millis(50))).expect("a time-out");
    rustix::net::sockopt::set_socket_recv_buffer_size_force(&receiver, WAITING_BYTES)
        .expect("root may wait for much");
    thread::scope(|scope| {
        let hearing = scope.spawn(|| hear(&receiver, packets, came, over));
        let sent = send(&senders, packets, came);
        over.store(true, Relaxed);
        let heard = hearing.join().expect("the receiver ends");
        Tally { sent, ..heard }
    })
}

/// The payload of packet `number`: its number, and bytes that follow from it.
fn payload(number: u64, into: &mut [u8; LONGEST]) -> &[u8] {
    let len = 8 + (number % (LONGEST as u64 - 8)) as usize;
    into[..8].copy_from_slice(&number.to_be_bytes());
    for (index, byte) in into[8..len].iter_mut().enumerate() {
        *byte = (number as usize + index) as u8;
    }
    &into[..len]
}

/// Sends every packet once, never more than a window ahead of what came.
fn send(senders: &[UdpSocket], packets: u64, came: &AtomicU64) -> u64 {
    let (mut sent, mut lost) = (0, 0);
    let mut bytes = [0; LONGEST];
    for number in 0..packets {
        let ahead = || sent - lost - came.load(Relaxed).min(sent - lost);
        let begun = Instant::now();
        while ahead() >= WINDOW {
            if begun.elapsed() > PATIENCE {
                lost += ahead();
                break;
            }
            thread::sleep(NAP);
        }
        // The interface may have gone: then nothing was sent.
        let socket = &senders[number as usize % senders.len()];
        sent += u64::from(socket.send(payload(number, &mut bytes)).is_ok());
    }
    sent
}

/// Receives until nothing comes any more after the end.
fn hear(receiver: &UdpSocket, packets: u64, came: &AtomicU64, over: &AtomicBool) -> Tally {
    let mut tally = Tally::default();
    let mut seen = vec![false; packets as usize];
    let (mut bytes, mut right) = ([0; 2048], [0; LONGEST]);
    let mut last = Instant::now();
    loop {
        match receiver.recv(&mut bytes) {
            Ok(len) => {
                last = Instant::now();
                match judge(&bytes[..len], &mut seen, &mut right) {
                    Ok(()) => tally.received += 1,
                    Err(wrong) => tally.wrong.push(wrong),
                }
                came.fetch_add(1, Relaxed);
            }
            Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if over.load(Relaxed) && last.elapsed() > PATIENCE {
                    return tally;
                }
            }
            Err(why) => panic!("the receiver's socket: {why}"),
        }
    }
}

/// Whether a packet is one that was sent, whole, and for the first time.
fn judge(bytes: &[u8], seen: &mut [bool], right: &mut [u8; LONGEST]) -> Result<(), String> {
    let Some(number) = bytes.first_chunk().map(|number| u64::from_be_bytes(*number)) else {
        return Err(format!("invented: {bytes:?}"));
    };
    let Some(seen) = seen.get_mut(number as usize) else {
        return Err(format!("invented: number {number}"));
    };
    if bytes != payload(number, right) {
        return Err(format!("changed: {number}: {bytes:?}"));
    }
    if std::mem::replace(seen, true) {
        return Err(format!("twice: {number}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_seen() {
        let (mut seen, mut right, mut bytes) = ([false; 8], [0; LONGEST], [0; LONGEST]);
        let packet = payload(7, &mut bytes).to_vec();
        assert_eq!(judge(&packet, &mut seen, &mut right), Ok(()));
        for (wrong, word) in [
            (packet.clone(), "twice"),
            ([&packet[..], b"x"].concat(), "changed"),
            (packet[..10].to_vec(), "changed"),
            (8u64.to_be_bytes().to_vec(), "invented"),
            (vec![1], "invented"),
        ] {
            let found = judge(&wrong, &mut seen, &mut right);
            assert!(found.as_ref().is_err_and(|why| why.starts_with(word)), "{word}: {found:?}");
        }
    }
}
