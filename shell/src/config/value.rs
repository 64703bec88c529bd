//! Addresses, names and texts: each is checked completely before it is believed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dperf_core::plan::number;
use dperf_core::wire::ethernet::MacAddr;

use super::error::{Complaint, ConfigError};
use super::number::whole;
use super::words::Word;

/// The highest last byte of an address range.
const LAST_BYTE_MAX: u64 = 254;

/// An IPv4 or IPv6 address.
pub(super) fn address(text: &str) -> Result<IpAddr, Complaint> {
    text.parse().map_err(|_| {
        let hint = if text.contains('/') {
            "write the first address and how many there are, for example 10.0.1.1 100"
        } else {
            "for example 10.0.1.1 or 2001:db8::1"
        };
        Complaint::new(format!("'{text}' is not an IP address"), hint)
    })
}

/// The address of a host that takes part in the load.
pub(super) fn host_address(text: &str) -> Result<IpAddr, Complaint> {
    let address = address(text)?;
    if number(address) & 0xffff_ffff == 0 {
        let why = format!("'{text}' is no host's address: its low 32 bits are zero");
        return Err(Complaint::new(why, ""));
    }
    Ok(address)
}

/// `ADDRESS COUNT`: as many consecutive addresses, which differ in the last byte only.
pub(super) fn address_range(first: &Word, count: &Word) -> Result<Vec<IpAddr>, ConfigError> {
    let lowest = first.read(host_address)?;
    let last_byte = (number(lowest) & 0xff) as u64;
    let room = (LAST_BYTE_MAX + 1).saturating_sub(last_byte);
    let many = count.read(|text| whole(text, &(1..=u64::MAX)))?;
    if many > room {
        let why = format!(
            "{} addresses from {lowest} on go beyond the last byte {LAST_BYTE_MAX}",
            count.text
        );
        let hint = match room {
            0 => "begin with a lower address".to_owned(),
            _ => format!("at most {room} here; further addresses need a further line"),
        };
        return Err(count.error(Complaint::new(why, hint)));
    }
    Ok((0..many).map(|place| nth(lowest, place as u32)).collect())
}

/// The address `place` behind `first`.
pub(super) fn nth(first: IpAddr, place: u32) -> IpAddr {
    match first {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits().wrapping_add(place)).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits().wrapping_add(place.into())).into(),
    }
}

/// A MAC address of one station.
pub(super) fn mac(text: &str) -> Result<MacAddr, Complaint> {
    let mac = MacAddr::parse(text).ok_or_else(|| {
        let why = format!("'{text}' is not a MAC address");
        Complaint::new(why, "six pairs of hexadecimal digits, for example b4:a9:fc:ab:7a:85")
    })?;
    if mac.is_multicast() || mac == MacAddr::ZERO {
        return Err(Complaint::new(format!("'{text}' is not the address of one station"), ""));
    }
    Ok(mac)
}

/// `CORE` or `FIRST-LAST`.
pub(super) fn cores(text: &str) -> Result<Vec<u16>, Complaint> {
    const CORES: std::ops::RangeInclusive<u64> = 0..=4095;
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (whole(first, &CORES)?, whole(last, &CORES)?),
        None => (whole(text, &CORES)?, whole(text, &CORES)?),
    };
    if first > last {
        let why = format!("'{text}' counts downwards");
        return Err(Complaint::new(why, format!("write {last}-{first}")));
    }
    Ok((first..=last).map(|core| core as u16).collect())
}

/// A text for a header field or a request target: printable ASCII, at most `longest` characters.
pub(super) fn header_text(text: &str, longest: usize) -> Result<String, Complaint> {
    if let Some(odd) = text.chars().find(|c| !c.is_ascii_graphic()) {
        let why = format!("'{text}' contains '{odd}', which a header may not carry as it is");
        return Err(Complaint::new(why, "write other characters percent-encoded"));
    }
    not_longer(text, longest)
}

/// At most `longest` characters.
pub(super) fn not_longer(text: &str, longest: usize) -> Result<String, Complaint> {
    let length = text.chars().count();
    if length > longest {
        let why = format!("'{text}' is {length} characters long, more than {longest}");
        return Err(Complaint::new(why, ""));
    }
    Ok(text.to_owned())
}

/// A kernel interface's name: a letter, then letters and digits, nine characters at most.
pub(super) fn kernel_interface(text: &str) -> Result<String, Complaint> {
    if !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        let why = format!("'{text}' does not begin with a letter");
        return Err(Complaint::new(why, "for example dperf"));
    }
    if let Some(odd) = text.chars().find(|c| !c.is_ascii_alphanumeric()) {
        let why = format!("'{text}' contains '{odd}'");
        return Err(Complaint::new(why, "letters and digits, for example dperf"));
    }
    not_longer(text, 9)
}

/// Megabytes per NUMA node, separated by commas.
pub(super) fn node_megabytes(text: &str) -> Result<String, Complaint> {
    for part in text.split(',') {
        whole(part, &(0..=u64::from(u32::MAX))).map_err(|complaint| {
            Complaint::new(complaint.why, "megabytes of each NUMA node, for example 1024,0")
        })?;
    }
    not_longer(text, 63)
}
