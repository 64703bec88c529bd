//! Addresses, names and texts: each is checked completely before it is believed.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dperf_core::plan::number;
use dperf_core::wire::ethernet::MacAddr;

use super::error::{Complaint, ConfigError};
use super::lenient::{Lenient, as_dperf, span_of_cores};
use super::number::whole;
use super::words::Word;

/// As many addresses as a connection's slot can number.
pub(super) const MAX_ADDRESSES: u128 = 65536;
/// The bits of an address that may not all be zero: an IPv4 address, the end of an IPv6 address.
const LOW_BITS: u128 = 0xffff_ffff;

/// An IPv4 or IPv6 address.
pub(super) fn address(text: &str) -> Result<IpAddr, Complaint> {
    text.parse().map_err(|_| {
        let hint = match () {
            () if text.contains('/') => {
                "a single address stands here, without the bits of its network"
            }
            () if text.contains(',') => "words are separated by spaces, not by commas",
            () => "for example 10.0.1.1 or 2001:db8::1",
        };
        Complaint::new(format!("'{text}' is not an IP address"), hint)
    })
}

/// The address of a host that takes part in the load.
pub(super) fn host_address(text: &str) -> Result<IpAddr, Complaint> {
    let address = address(text)?;
    if let Some(kind) = no_hosts(address) {
        return Err(Complaint::new(format!("'{text}' is no host's address: {kind}"), ""));
    }
    Ok(address)
}

/// Why no host on a network has this address.
pub(super) fn no_hosts(address: IpAddr) -> Option<&'static str> {
    match address {
        _ if number(address) & LOW_BITS == 0 => Some("its low 32 bits are zero"),
        _ if address.is_multicast() => Some("it is a multicast group's"),
        _ if address.is_loopback() => Some("it is the loopback's"),
        IpAddr::V4(Ipv4Addr::BROADCAST) => Some("it is everybody's"),
        _ => None,
    }
}

/// `ADDRESS COUNT`, an address alone, a network or a range; then any number of single addresses,
/// networks and ranges. No address comes twice.
pub(super) fn address_list(words: &[Word]) -> Result<Vec<IpAddr>, ConfigError> {
    let [first, rest @ ..] = words else {
        return Ok(Vec::new());
    };
    let (mut list, more) = match rest {
        [count, more @ ..] if is_single(first) => (address_range(first, count)?, more),
        more => (first.read(addresses)?, more),
    };
    let mut seen: HashSet<IpAddr> = list.iter().copied().collect();
    for word in more {
        for address in word.read(addresses)? {
            if address.is_ipv6() != list[0].is_ipv6() {
                let why = format!("'{}' is not of the family of {}", word.text, first.text);
                return Err(word.error(Complaint::new(why, "")));
            }
            if !seen.insert(address) {
                let why = match is_single(word) {
                    true => format!("'{}' stands in this line already", word.text),
                    false => format!("{address} of '{}' stands in this line already", word.text),
                };
                return Err(word.error(Complaint::new(why, "name it once")));
            }
            list.push(address);
        }
    }
    Ok(list)
}

fn is_single(word: &Word) -> bool {
    !word.text.contains(['/', '-'])
}

/// What one word stands for: an address, `ADDRESS/BITS` (its hosts), `FIRST-LAST`.
fn addresses(text: &str) -> Result<Vec<IpAddr>, Complaint> {
    if let Some((first, bits)) = text.split_once('/') {
        return hosts(text, address(first)?, bits);
    }
    let Some((first, last)) = text.split_once('-') else {
        return Ok(vec![host_address(text)?]);
    };
    let (first, last) = (host_address(first)?, host_address(last)?);
    let upwards = first.is_ipv6() == last.is_ipv6() && number(first) <= number(last);
    if !upwards {
        let why = format!("'{text}' does not count upwards");
        return Err(Complaint::new(why, "write the lower address first, then the higher one"));
    }
    consecutive(text, first, number(last) - number(first) + 1)
}

/// The hosts of a network: all but its own address and, with IPv4, the broadcast address. Networks
/// of one or two addresses have no such.
fn hosts(text: &str, network: IpAddr, bits: &str) -> Result<Vec<IpAddr>, Complaint> {
    let width: u32 = if network.is_ipv6() { 128 } else { 32 };
    let bits = whole(bits, &(0..=u64::from(width))).map_err(|complaint| {
        let hint = format!("the bits of a network are 0 to {width}");
        Complaint::new(complaint.why, hint)
    })? as u32;
    let size = 1u128.checked_shl(width - bits).unwrap_or(u128::MAX);
    let own = number(network);
    if !own.is_multiple_of(size) && size != u128::MAX {
        let first = nth_of_family(network, own - own % size);
        let why = format!("{network} is not the first address of '{text}'");
        return Err(Complaint::new(why, format!("write {first}/{bits}")));
    }
    match (size, network.is_ipv6()) {
        (1 | 2, _) => consecutive(text, network, size),
        (_, true) => consecutive(text, nth(network, 1), size - 1),
        (_, false) => consecutive(text, nth(network, 1), size - 2),
    }
}

fn nth_of_family(like: IpAddr, number: u128) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::from_bits(number as u32).into(),
        IpAddr::V6(_) => Ipv6Addr::from_bits(number).into(),
    }
}

/// `ADDRESS COUNT`: as many consecutive addresses.
pub(super) fn address_range(first: &Word, count: &Word) -> Result<Vec<IpAddr>, ConfigError> {
    let lowest = first.read(host_address)?;
    let many = count.read(|text| whole(text, &(1..=u64::MAX)))?;
    count.read(|text| consecutive(text, lowest, many.into()))
}

/// `count` addresses from `first` on.
fn consecutive(text: &str, first: IpAddr, count: u128) -> Result<Vec<IpAddr>, Complaint> {
    if count > MAX_ADDRESSES {
        let why = format!("'{text}' are more than {MAX_ADDRESSES} addresses");
        return Err(Complaint::new(why, "further addresses need a further process"));
    }
    let highest = if first.is_ipv6() { u128::MAX } else { u32::MAX.into() };
    if highest - number(first) < count - 1 {
        let why = format!("there are no {count} addresses from {first} on");
        return Err(Complaint::new(why, "begin with a lower address"));
    }
    let low = number(first) & LOW_BITS;
    if low == 0 || low + count - 1 > LOW_BITS {
        let why = format!("{count} addresses from {first} on contain one that is no host's");
        return Err(Complaint::new(why, "the low 32 bits of a host's address are not zero"));
    }
    let last = nth(first, (count - 1) as u32);
    if let Some(kind) = no_hosts(first).or_else(|| no_hosts(last)) {
        let why =
            format!("{count} addresses from {first} on contain one that is no host's: {kind}");
        return Err(Complaint::new(why, ""));
    }
    Ok((0..count).map(|place| nth(first, place as u32)).collect())
}

/// `count` addresses from `first` on, `step` apart; none if there are not so many.
pub(super) fn spaced(first: IpAddr, step: u64, count: u64) -> Option<Vec<IpAddr>> {
    let farthest = u32::try_from((count - 1) * step).ok()?;
    let upwards = number(nth(first, farthest)) >= number(first);
    upwards.then(|| (0..count).map(|place| nth(first, (place * step) as u32)).collect())
}

/// The address `place` behind `first`.
fn nth(first: IpAddr, place: u32) -> IpAddr {
    match first {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits().wrapping_add(place)).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits().wrapping_add(place.into())).into(),
    }
}

/// A MAC address.
pub(super) fn mac(text: &str) -> Result<MacAddr, Complaint> {
    MacAddr::parse(text).ok_or_else(|| {
        let why = format!("'{text}' is not a MAC address");
        Complaint::new(why, "six pairs of hexadecimal digits, for example b4:a9:fc:ab:7a:85")
    })
}

/// `CORE` or `FIRST-LAST`.
pub(super) fn cores(text: &str) -> Lenient<Vec<u16>> {
    const CORES: std::ops::RangeInclusive<u64> = 0..=4095;
    let (first, last, rest) = match (text.split_once('-'), span_of_cores(text)) {
        (None, _) => (text, text, false),
        (Some((first, last)), Some((_, digits))) => (first, digits, digits != last),
        (Some((first, last)), None) => (first, last, false),
    };
    let core = |text: &str| {
        let hint = "cores are separated by spaces, a row is FIRST-LAST: cpu 0 1, cpu 0-1";
        whole(text, &CORES).map_err(|complaint| Complaint { hint: hint.to_owned(), ..complaint })
    };
    let (first, last) = (core(first)?, core(last)?);
    if first > last {
        let why = format!("'{text}' counts downwards");
        return Err(Complaint::new(why, format!("write {last}-{first}")));
    }
    let remark = rest.then(|| as_dperf(text, format!("{first}-{last}")));
    Ok(((first..=last).map(|core| core as u16).collect(), remark))
}

/// A text for a header field or a request target: printable ASCII, at most `longest` characters;
/// `hint` says how others are written.
pub(super) fn header_text(text: &str, longest: usize, hint: &str) -> Result<String, Complaint> {
    if let Some(odd) = text.chars().find(|c| !c.is_ascii_graphic()) {
        let why = format!("'{text}' contains '{odd}', which a header may not carry as it is");
        return Err(Complaint::new(why, hint));
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

/// A kernel interface's name: a letter, then whatever the kernel takes, nine characters at most.
pub(super) fn kernel_interface(text: &str) -> Result<String, Complaint> {
    if !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        let why = format!("'{text}' does not begin with a letter");
        return Err(Complaint::new(why, "for example dperf"));
    }
    // The kernel takes neither '/' nor ':', and puts a number where it finds '%'.
    if let Some(odd) = text.chars().find(|c| !c.is_ascii_graphic() || "/:%".contains(*c)) {
        let why = format!("'{text}' contains '{odd}'");
        return Err(Complaint::new(why, "no / : or %, for example dperf"));
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
