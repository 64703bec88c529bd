//! Any segments and timers in any order: no panic, no slot that nothing wakes, exact books.

use super::*;

/// Any segments and timers in any order: no panic, no slot that nothing wakes, exact books.
#[test]
fn a_storm_of_segments_on_one_slot() {
    let mut state = 0x1234_5678_9abc_def0u64;
    let mut next = move |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % bound
    };
    for role in [Role::Client, Role::Server] {
        for round in 0..2000 {
            let interval_us = [0, 5_000, 500_000][next(3) as usize];
            let total_bytes = [1, 100, 5_000][next(3) as usize];
            let mut rig = Rig::new(role, |plan| {
                plan.payload.total_bytes = total_bytes;
                plan.send_window = 1 + next(5) as u16;
                plan.fast_close = role == Role::Client && round % 7 == 0;
                plan.keepalive = (round % 2 == 0).then_some(Keepalive { interval_us, requests: 3 });
            });
            rig.slot.snd_max = [0, u32::MAX - 50][next(2) as usize];
            rig.wscale = [None, Some(0), Some(14)][next(3) as usize];
            for _ in 0..60 {
                storm_step(&mut rig, &mut next);
            }
            let open = u64::from(!rig.slot.is_closed());
            assert_eq!(rig.count(Count::SkOpen), rig.count(Count::SkClose) + open);
        }
    }
}

fn storm_step(rig: &mut Rig, next: &mut impl FnMut(u64) -> u64) {
    match next(10) {
        0 if rig.slot.is_closed() && rig.tcp.settings.role == Role::Client => {
            rig.tcp.open(&mut rig.slot, rig.now);
        }
        0 | 1 if rig.slot.timer != Timer::None => drop(rig.ring()),
        2 => drop(rig.drain_ready()),
        _ => {
            let near = |base: u32, next: &mut dyn FnMut(u64) -> u64| match next(8) {
                0 => base.wrapping_add(next(3000) as u32).wrapping_sub(1500),
                1 => (next(1 << 16) << 16 | next(1 << 16)) as u32,
                _ => base,
            };
            let seq = near(rig.slot.rcv_nxt, next);
            let ack = near(if next(2) == 0 { rig.slot.snd_max } else { rig.slot.snd_una }, next);
            let flags = [ACK, ACK, DATA, DATA, FIN_ACK, SYN_ACK, SYN, RST][next(8) as usize];
            let all = [REQUEST, RESPONSE, REQUEST].concat();
            let from = next(all.len() as u64) as usize;
            let payload = if next(2) == 0 { &all[from..] } else { &[][..] };
            rig.window = [0, 1, 500, 60_000][next(4) as usize];
            rig.hear_at(seq, ack, flags, payload);
        }
    }
}
