//! The second choice: a table of `nft` at the interface's ingress, named after this process.

use core::fmt::Write as _;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::IpRange;

/// Tables made by this process: two interfaces need two names.
static TABLES: AtomicU32 = AtomicU32::new(0);

/// A table; dropping it removes it from the kernel.
#[derive(Debug)]
pub(super) struct Table(String);

impl Table {
    pub(super) fn new(interface: &str, addresses: &[IpRange]) -> Result<Table> {
        let number = TABLES.fetch_add(1, Relaxed);
        let name = format!("dperf_shell_{}_{number}", std::process::id());
        nft(&rules(&name, interface, addresses))?;
        Ok(Table(name))
    }

    /// The command that removes it.
    pub(super) fn remedy(&self) -> String {
        format!("nft delete table netdev {}", self.0)
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        if let Err(error) = nft(&format!("delete table netdev {}\n", self.0)) {
            eprintln!("the kernel stays silent until '{}': {error:#}", self.remedy());
        }
    }
}

fn rules(name: &str, interface: &str, addresses: &[IpRange]) -> String {
    let set = |v4| {
        let ranges = addresses.iter().filter(|range| range.first.is_ipv4() == v4);
        let mut words = String::new();
        for range in ranges {
            let _ = write!(words, "{}-{}, ", range.first, range.last);
        }
        words
    };
    // Quotes could end the name's; no interface name needs them.
    let interface: String = interface.chars().filter(|c| !"\"\\\n".contains(*c)).collect();
    let mut text = format!(
        "table netdev {name} {{\n chain ingress {{\n  \
         type filter hook ingress device \"{interface}\" priority -500; policy accept;\n"
    );
    let (v4, v6) = (set(true), set(false));
    if !v4.is_empty() {
        let _ = write!(text, "  ip daddr {{ {v4} }} drop\n  arp daddr ip {{ {v4} }} drop\n");
    }
    if !v6.is_empty() {
        // Its solicitations pass: should the kernel answer one, then with the same MAC address.
        let _ = writeln!(text, "  ip6 daddr {{ {v6} }} drop");
    }
    text.push_str(" }\n}\n");
    text
}

fn nft(script: &str) -> Result<()> {
    let mut nft = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start 'nft'")?;
    let mut input = nft.stdin.take().context("'nft' takes no input")?;
    let written = input.write_all(script.as_bytes());
    drop(input);
    let output = nft.wait_with_output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && written.is_ok(), "nft: {}", error.trim());
    Ok(())
}
