//! How much load, and when: what rates, ramps and open connections need from each other.

use dperf_core::plan::Role;

use super::{Done, note};
use crate::config::Config;
use crate::config::error::Note;

/// Connections opened a second when only their number is asked for.
const DEFAULT_CPS: u64 = 1000;

pub(super) fn keepalive(config: &mut Config) -> Done {
    if config.role == Role::Server {
        if let Some(keepalive) = &mut config.keepalive {
            keepalive.requests = 0;
        }
        return Ok(());
    }
    if config.cc > 0 && config.keepalive.is_none() {
        let hint = "add a line such as: keepalive 60s";
        return Err(config.refuse("cc", "it needs keepalive, or connections close at once", hint));
    }
    let at_once = config.keepalive.is_some_and(|keepalive| keepalive.interval_us == 0);
    if config.flood && at_once {
        let why = "flood does not wait for answers, so the interval cannot be 0";
        return Err(config.refuse("keepalive", why, "give an interval such as 1ms"));
    }
    Ok(())
}

pub(super) fn pipeline(config: &Config) -> Done {
    if config.pipeline == 0 {
        return Ok(());
    }
    let Some(keepalive) = config.keepalive else {
        return Err(config.refuse("pipeline", "it needs keepalive", "add: keepalive 0us"));
    };
    if !config.is_udp() {
        return Err(config.refuse("pipeline", "it needs protocol udp", "remove the line"));
    }
    if keepalive.interval_us > 0 && !config.flood {
        let why = "it needs keepalive 0us, or flood";
        return Err(config.refuse("pipeline", why, "add: flood"));
    }
    Ok(())
}

pub(super) fn ramp(config: &mut Config, notes: &mut Vec<Note>) {
    let (ramp, wait) = (config.slow_start_s, config.wait_s);
    config.wait_s = wait.min(ramp);
    if wait > ramp {
        let text = format!("wait {wait} ends with the ramp, after {ramp} s; dperf waits on");
        note(config, notes, "wait", text);
    }
    if ramp < 10 {
        let text = format!("slow_start {ramp} is less than dperf allows, 10");
        note(config, notes, "slow_start", text);
    }
}

pub(super) fn targets(config: &mut Config, notes: &mut Vec<Note>) -> Done {
    if config.role == Role::Server {
        return Ok(());
    }
    if config.cps == 0 && config.cc == 0 {
        let hint = "give cps, or cc with keepalive";
        return Err(config.refuse("cps", "no load is asked for", hint));
    }
    if config.cps == 0 {
        note(config, notes, "cps", format!("cps 0 is as good as none: {DEFAULT_CPS} a second"));
        config.cps = DEFAULT_CPS;
    }
    Ok(())
}
