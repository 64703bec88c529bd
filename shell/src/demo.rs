//! The first run: client and server in one process over a link, the real engine, no device.

use anyhow::{Result, bail};

use crate::config::{self, Read, Source};
use crate::crew;

/// What the demonstration shall be.
#[derive(Clone, Copy, Debug)]
pub struct Demo {
    /// Connections opened a second.
    pub cps: u64,
    /// Seconds.
    pub duration_s: u32,
}

/// The two configurations, for as many processors as there are: two, or one for both sides.
///
/// # Errors
/// The numbers make no configuration.
pub fn reads(demo: &Demo) -> Result<Vec<Read>> {
    let cpus = crew::processors()?;
    let Some(first) = cpus.first() else { bail!("this process may use no processor") };
    let second = cpus.get(1).unwrap_or(first);
    let Demo { cps, duration_s } = demo;
    // Enough tuples that none is used twice within a retransmission time-out.
    let clients = (cps / 20_000 + 1).min(250);
    let common = format!("duration {duration_s}s\nclient 10.0.1.2 {clients}\nserver 10.0.2.1 1\n");
    let server = format!("mode server\ncpu {second}\nport link:demo 10.0.2.1 10.0.1.1\n{common}");
    let client = format!(
        "mode client\ncpu {first}\nport link:demo 10.0.1.1 10.0.2.1\nprotocol http\ncps {cps}\n\
         slow_start 0\nclient_port_range 1024 65535\n{common}"
    );
    let read = |name: &str, text: String| {
        config::read(&[Source { name: name.to_string(), bytes: text.into_bytes() }])
    };
    Ok(vec![read("demo server", server)?, read("demo client", client)?])
}
