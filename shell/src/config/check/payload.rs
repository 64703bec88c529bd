//! Messages are of a size that can be sent, and a message from a file is there.

use std::fs;
use std::path::{Path, PathBuf};

use dperf_core::http::{REQUEST_BYTES, RESPONSE_HEADER_BYTES};
use dperf_core::plan::Role;

use super::{Done, inner_mtu, ip_header_bytes, note};
use crate::config::error::Note;
use crate::config::{Config, Protocol};

const _: () = assert!(REQUEST_BYTES == RESPONSE_HEADER_BYTES);

pub(super) fn check(config: &mut Config, notes: &mut Vec<Note>) -> Done {
    counts(config)?;
    kinds(config)?;
    sizes(config, notes)?;
    file(config)
}

/// One size, or one for each worker of a server.
fn counts(config: &Config) -> Done {
    let (sizes, workers) = (config.payload_sizes.len(), config.cpus.len());
    if sizes == 1 {
        return Ok(());
    }
    if config.role == Role::Client {
        return Err(config.refuse("payload_size", "a client has one size", "keep one"));
    }
    if sizes != workers {
        let why = format!("{sizes} sizes do not match {workers} cores");
        return Err(config.refuse("payload_size", why, "give one size, or one for each core"));
    }
    Ok(())
}

/// All sizes are HTTP, or none is.
fn kinds(config: &Config) -> Done {
    if config.is_udp() {
        return Ok(());
    }
    let plain = |size: &u32| (1..REQUEST_BYTES as u32).contains(size);
    let plains = config.payload_sizes.iter().filter(|size| plain(size)).count();
    if plains != 0 && plains != config.payload_sizes.len() {
        let why = format!("sizes below and from {REQUEST_BYTES} on (HTTP) are mixed");
        return Err(config.refuse("payload_size", why, "choose one kind"));
    }
    Ok(())
}

/// The longest message that must fit one packet.
fn one_packet(config: &Config) -> u32 {
    const UDP_HEADER_BYTES: u16 = 8;
    u32::from(match config.protocol {
        Protocol::Udp => inner_mtu(config) - ip_header_bytes(config) - UDP_HEADER_BYTES,
        Protocol::Tcp | Protocol::Http => config.mss,
    })
}

fn sizes(config: &Config, notes: &mut Vec<Note>) -> Done {
    let most = one_packet(config);
    let size = config.payload_sizes.iter().copied().max().unwrap_or(0);
    let endless = config.role == Role::Server && !config.is_udp();
    if size > most && !endless {
        let (one, hint) = match (config.is_udp(), config.given("mss")) {
            (true, _) => ("packet", "over UDP a message is one packet"),
            (false, Some(_)) => {
                ("segment of mss", "raise mss; only a server's messages may be longer")
            }
            (false, None) => ("packet", "only a server's messages may be longer"),
        };
        let why = format!("{size} bytes are more than fit one {one}, {most}");
        return Err(config.refuse("payload_size", why, hint));
    }
    if size > most && !size.is_multiple_of(most) {
        let text = format!("{size} bytes are sent exactly; dperf rounds up to whole segments");
        note(config, notes, "payload_size", text);
    }
    let get = config.role == Role::Client && !config.http_post && !config.is_udp() && !config.flood;
    if get && size > REQUEST_BYTES as u32 {
        let text = format!("a GET of {size} bytes is sent exactly; dperf sends {}", size - 1);
        note(config, notes, "payload_size", text);
    }
    Ok(())
}

fn file(config: &mut Config) -> Done {
    if config.payload_path.is_empty() {
        return Ok(());
    }
    let path = config.payload_path.as_str();
    let found = found(config);
    let refuse = |why: String, hint: &str| Err(config.refuse("payload_file", why, hint));
    if config.given("payload_size").is_some() {
        return refuse("it cannot be combined with payload_size".to_owned(), "keep one of them");
    }
    let about = match fs::metadata(&found) {
        Ok(about) if about.is_file() => about,
        Ok(_) => return refuse(format!("'{path}' is not a file"), "name a file"),
        Err(error) => {
            return refuse(
                format!("'{path}' cannot be read: {error}"),
                "a relative path starts at the current directory, or beside the configuration",
            );
        }
    };
    let most = one_packet(config);
    if about.len() == 0 || about.len() > u64::from(most) {
        let why = format!("'{path}' has {} bytes, but a message has 1 to {most}", about.len());
        return refuse(why, "the message must fit one packet");
    }
    match fs::read(&found) {
        Ok(bytes) => config.payload_file = bytes,
        Err(error) => return refuse(format!("'{path}' cannot be read: {error}"), ""),
    }
    Ok(())
}

/// Where the payload file is: as in dperf from the current directory on, else beside the file that
/// names it.
fn found(config: &Config) -> PathBuf {
    let path = Path::new(&config.payload_path);
    let folder = config.given("payload_file").and_then(|place| Path::new(&*place.file).parent());
    match folder.map(|folder| folder.join(path)) {
        Some(beside) if !path.exists() && beside.exists() => beside,
        _ => path.to_path_buf(),
    }
}
