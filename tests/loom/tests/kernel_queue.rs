//! Before and after: several workers with one kernel queue lose packets; the same workers with a
//! queue each, or with one behind [`Shared`], lose none.
#![cfg(loom)]

use dperf_core::exception::{ExceptionPath, Shared};
use loom::sync::Arc;
use loom_models::fifo::{Address, Fifo, FifoPath};
use loom_models::{both, until, with_packet};

/// Delivers the packet `number`.
fn send(mut path: impl ExceptionPath, number: u8) {
    with_packet(number, |packet| {
        let packet = core::slice::from_ref(packet);
        until(|| (path.deliver(packet).done == 1).then_some(()));
    });
}

/// What lies in `queues`, in order of number.
fn kernel_gets(queues: &[&Address]) -> Vec<usize> {
    let mut packets = Vec::new();
    for queue in queues {
        packets.extend(core::iter::from_fn(|| queue.get()));
    }
    packets.sort_unstable();
    packets
}

/// dperf's fault: two workers fetch the same write index, and one packet overwrites the other.
#[test]
#[should_panic(expected = "every packet arrives once")]
fn one_queue_for_two_workers_loses_packets() {
    loom::model(|| {
        let queue = Fifo::new();
        let (one, other) = (queue.clone(), queue.clone());
        both(move || assert!(one.put(1)), move || assert!(other.put(2)));
        assert_eq!(kernel_gets(&[&queue]), [1, 2], "every packet arrives once");
    });
}

#[test]
fn a_queue_for_each_worker_loses_none() {
    loom::model(|| {
        let (one, other) = (Fifo::new(), Fifo::new());
        let paths = [FifoPath::new(one.clone()), FifoPath::new(other.clone())];
        let [first, second] = paths;
        both(move || send(first, 1), move || send(second, 2));
        assert_eq!(kernel_gets(&[&one, &other]), [1, 2], "every packet arrives once");
    });
}

#[test]
fn one_queue_behind_the_lock_loses_none() {
    loom::model(|| {
        let queue = Fifo::new();
        let shared = Arc::new(Shared::new(FifoPath::new(queue.clone())));
        let (one, other) = (Arc::clone(&shared), Arc::clone(&shared));
        both(move || send(&*one, 1), move || send(&*other, 2));
        assert_eq!(kernel_gets(&[&queue]), [1, 2], "every packet arrives once");
    });
}

/// With the kernel's thread at the other end, as in a run.
#[test]
fn the_kernel_reads_while_two_workers_write() {
    loom::model(|| {
        let queue = Fifo::new();
        let shared = Arc::new(Shared::new(FifoPath::new(queue.clone())));
        let (one, other) = (Arc::clone(&shared), shared);
        let workers = [
            loom::thread::spawn(move || send(&*one, 1)),
            loom::thread::spawn(move || send(&*other, 2)),
        ];
        let mut packets = [until(|| queue.get()), until(|| queue.get())];
        packets.sort_unstable();
        assert_eq!(packets, [1, 2], "every packet arrives once");
        for worker in workers {
            worker.join().expect("a worker");
        }
        assert_eq!(queue.get(), None, "and no other");
    });
}
