//! The arguments of the keywords that take more than one plain number.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use dperf_core::plan::{PortRange, Vlan};
use dperf_core::wire::ethernet::MacAddr;

use super::error::{Complaint, ConfigError, Note};
use super::lenient::{self, interval_us, leading, scaled};
use super::number::whole;
use super::value::{
    address, address_list, address_range, cores, header_text, host_address, kernel_interface, mac,
    no_hosts, node_megabytes, not_longer, spaced,
};
use super::words::Word;
use super::{Addresses, Config, Exception, ExceptionKind, Keepalive, Port, PortName, Vxlan};

/// Ports of TCP and UDP.
const PORTS: RangeInclusive<u64> = 1..=65535;
/// More workers than this on one machine are a slip of the pen.
const MAX_WORKERS: usize = 1024;

type Done = Result<(), ConfigError>;

pub(super) fn cpu(config: &mut Config, _: &Word, arguments: &[Word]) -> Done {
    for word in arguments {
        config.cpus.extend(word.read_leniently(&mut config.remarks, cores)?);
        if config.cpus.len() > MAX_WORKERS {
            let why = format!("more than {MAX_WORKERS} cores are named up to '{}'", word.text);
            return Err(word.error(Complaint::new(why, "")));
        }
    }
    Ok(())
}

pub(super) fn port(config: &mut Config, first: &Word, arguments: &[Word]) -> Done {
    let [name, local, gateway, rest @ ..] = arguments else {
        return Ok(());
    };
    let port = Port {
        name: name.read(PortName::parse)?,
        local: local.read(host_address)?,
        gateway: gateway.read(host_address)?,
        gateway_mac: gateway_mac(rest.first(), &mut config.remarks)?,
        place: first.place.clone(),
    };
    if port.local == port.gateway {
        let why = format!("'{}' is the port's own address", gateway.text);
        return Err(gateway.error(Complaint::new(why, "the gateway is another station")));
    }
    if port.local.is_ipv6() != port.gateway.is_ipv6() {
        let why = format!("'{}' is not of the family of {}", gateway.text, local.text);
        return Err(gateway.error(Complaint::new(why, "both are IPv4 or both are IPv6")));
    }
    config.ports.push(port);
    Ok(())
}

/// The gateway's MAC address; six zeros are none, as in dperf.
fn gateway_mac(word: Option<&Word>, notes: &mut Vec<Note>) -> Result<Option<MacAddr>, ConfigError> {
    let Some(word) = word else { return Ok(None) };
    let address = word.read(mac)?;
    if address == MacAddr::ZERO {
        notes.push(word.note("a MAC address of zeros is none: the gateway is asked for its own"));
        return Ok(None);
    }
    if address.is_multicast() {
        notes.push(word.note("this MAC address is a group's: more than one station gets the load"));
    }
    Ok(Some(address))
}

pub(super) fn client(config: &mut Config, first: &Word, arguments: &[Word]) -> Done {
    let list = address_list(arguments)?;
    config.clients.push(Addresses { list, place: first.place.clone() });
    Ok(())
}

pub(super) fn server(config: &mut Config, first: &Word, arguments: &[Word]) -> Done {
    let list = address_list(arguments)?;
    config.servers.push(Addresses { list, place: first.place.clone() });
    Ok(())
}

pub(super) fn listen(config: &mut Config, _: &Word, arguments: &[Word]) -> Done {
    if let [first, rest @ ..] = arguments {
        let hint = "write the first port and how many there are, for example listen 80 11";
        let lowest = first.read(|text| {
            whole(text, &PORTS).map_err(|complaint| match text.contains(['-', ',']) {
                true => Complaint::new(complaint.why, hint),
                false => complaint,
            })
        })?;
        let room = 65536 - lowest;
        let count = rest.first().map(|word| word.read(|text| whole(text, &(1..=room))));
        let count = count.transpose()?.unwrap_or(1);
        config.listen = PortRange { first: lowest as u16, count: count as u32 };
    }
    Ok(())
}

pub(super) fn client_ports(config: &mut Config, _: &Word, arguments: &[Word]) -> Done {
    let notes = &mut config.remarks;
    let (word, lowest, highest) = match arguments {
        [both] => match both.text.split_once('-') {
            Some((low, high)) if whole(low, &PORTS).is_ok() => {
                let port = |text: &str| whole(text, &PORTS);
                let (low, high) = (both.read(|_| port(low))?, both.read(|_| port(high))?);
                if high != *PORTS.end() {
                    let (text, end) = (both.text, PORTS.end());
                    notes.push(both.note(format!("'{text}' ends at {high}; dperf reads {end}")));
                }
                (both, low, high)
            }
            _ => (both, both.read_leniently(notes, |text| leading(text, &PORTS))?, *PORTS.end()),
        },
        [low, high] => {
            let lowest = low.read_leniently(notes, |text| leading(text, &PORTS))?;
            (high, lowest, high.read_leniently(notes, |text| leading(text, &PORTS))?)
        }
        _ => return Ok(()),
    };
    if lowest > highest {
        let why = format!("the last port {highest} is lower than the first, {lowest}");
        return Err(word.error(Complaint::new(why, format!("write {highest} {lowest}"))));
    }
    let count = (highest - lowest + 1) as u32;
    config.client_ports = PortRange { first: lowest as u16, count };
    Ok(())
}

pub(super) fn keepalive(config: &mut Config, _: &Word, arguments: &[Word]) -> Done {
    let [interval, rest @ ..] = arguments else {
        return Ok(());
    };
    let notes = &mut config.remarks;
    let interval_us = interval.read_leniently(notes, interval_us)?;
    let requests = match rest.first() {
        None => 0,
        Some(word) => word.read_leniently(notes, |text| scaled(text, &(0..=32767)))?,
    };
    if let (0, true, Some(word)) = (interval_us, requests > 0, rest.first()) {
        let why = "an interval of 0 cannot be combined with a number of requests";
        let hint = "leave the number out, or give an interval";
        return Err(word.error(Complaint::new(why, hint)));
    }
    config.keepalive = Some(Keepalive { interval_us, requests: requests as u16 });
    Ok(())
}

pub(super) fn payload_size(config: &mut Config, _: &Word, arguments: &[Word]) -> Done {
    config.payload_sizes.clear();
    for word in arguments {
        let size = |text: &str| scaled(text, &(0..=1 << 30));
        config.payload_sizes.push(word.read_leniently(&mut config.remarks, size)? as u32);
    }
    Ok(())
}

pub(super) fn payload_file(config: &mut Config, _: &Word, arguments: &[Word]) -> Done {
    if let [path] = arguments {
        config.payload_path = path.read(|text| not_longer(text, 255))?;
    }
    Ok(())
}

pub(super) fn http_host(config: &mut Config, _: &Word, arguments: &[Word]) -> Done {
    if let [host] = arguments {
        config.http_host =
            host.read(|text| header_text(text, 127, "write a name as DNS has it (xn--..)"))?;
    }
    Ok(())
}

pub(super) fn http_path(config: &mut Config, _: &Word, arguments: &[Word]) -> Done {
    if let [path] = arguments {
        if !path.text.starts_with('/') {
            let why = format!("'{}' does not begin with a slash", path.text);
            return Err(path.error(Complaint::new(why, format!("write /{}", path.text))));
        }
        config.http_path =
            path.read(|text| header_text(text, 255, "percent-encode other characters"))?;
    }
    Ok(())
}

pub(super) fn jumbo(config: &mut Config, _: &Word, arguments: &[Word]) -> Done {
    config.mtu = match arguments.first() {
        None => 9710,
        Some(word) => {
            let mtu = |text: &str| leading(text, &(9000..=9710));
            word.read_leniently(&mut config.remarks, mtu)? as u16
        }
    };
    Ok(())
}

pub(super) fn rss(config: &mut Config, _: &Word, arguments: &[Word]) -> Done {
    config.rss = true;
    config.rss_words.extend(arguments.iter().map(|word| word.text.to_owned()));
    Ok(())
}

pub(super) fn kni(config: &mut Config, first: &Word, arguments: &[Word]) -> Done {
    exception_of_kind(config, ExceptionKind::Tap, first, arguments.first())
}

pub(super) fn exception(config: &mut Config, first: &Word, arguments: &[Word]) -> Done {
    let [kind, name @ ..] = arguments else { return Ok(()) };
    let kind = match kind.text {
        "tap" => ExceptionKind::Tap,
        "tap-per-core" => ExceptionKind::TapPerCore,
        "vhost-net" => ExceptionKind::VhostNet,
        "none" => {
            return name.first().map(|name| name.read(kernel_interface)).transpose().map(drop);
        }
        other => {
            let why = format!("'{other}' is no way to the kernel");
            return Err(kind.error(Complaint::new(why, "tap, tap-per-core, vhost-net or none")));
        }
    };
    exception_of_kind(config, kind, first, name.first())
}

fn exception_of_kind(
    config: &mut Config,
    kind: ExceptionKind,
    first: &Word,
    name: Option<&Word>,
) -> Done {
    let name = name.map(|word| word.read(kernel_interface)).transpose()?;
    let name = name.unwrap_or_else(|| "dperf".to_owned());
    config.exception = Some(Exception { kind, name, place: first.place.clone() });
    Ok(())
}

pub(super) fn vlan(config: &mut Config, _: &Word, arguments: &[Word]) -> Done {
    let ids = 1..=4094;
    let [first, second @ ..] = arguments else { return Ok(()) };
    let first = first.read_leniently(&mut config.remarks, |text| leading(text, &ids))? as u16;
    let second = second.first().map(|word| word.read(|text| whole(text, &ids))).transpose()?;
    config.vlan = Some(match second {
        None => Vlan { service: None, customer: first },
        Some(inner) => Vlan { service: Some(first), customer: inner as u16 },
    });
    Ok(())
}

pub(super) fn vxlan(config: &mut Config, first: &Word, arguments: &[Word]) -> Done {
    let [vni, source, destination, local, locals, remote, remotes] = arguments else {
        return Ok(());
    };
    let vxlan = Vxlan {
        vni: vni.read_leniently(&mut config.remarks, |text| leading(text, &(1..=0xff_ffff)))?
            as u32,
        inner: (source.read(mac)?, destination.read(mac)?),
        local: address_range(local, locals)?,
        remote: address_range(remote, remotes)?,
        place: first.place.clone(),
    };
    for (word, address) in [(source, vxlan.inner.0), (destination, vxlan.inner.1)] {
        let odd = match address {
            MacAddr::ZERO => "a MAC address of zeros is nobody's",
            group if group.is_multicast() => "this MAC address is a group's",
            _ => continue,
        };
        config.remarks.push(word.note(odd));
    }
    if let Some(both) = vxlan.local.iter().find(|address| vxlan.remote.contains(address)) {
        let why = format!("{both} is at both ends of the tunnel");
        return Err(remote.error(Complaint::new(why, "LOCAL is our end, REMOTE the other one")));
    }
    for (word, end) in [(local, &vxlan.local), (remote, &vxlan.remote)] {
        if end.iter().any(IpAddr::is_ipv6) {
            let why = format!("'{}' is not an IPv4 address", word.text);
            return Err(word.error(Complaint::new(why, "tunnels run over IPv4")));
        }
    }
    config.vxlans.push(vxlan);
    Ok(())
}

pub(super) fn change_dip(config: &mut Config, first: &Word, arguments: &[Word]) -> Done {
    let [lowest, step, count] = arguments else {
        return Ok(());
    };
    let from = lowest.read(address)?;
    let is_none = |word: &Word| word.text.is_ascii() && lenient::atoi(word.text) <= 0;
    if is_none(step) || is_none(count) {
        let text = "the line is ignored, as in dperf: its step or its count is not above 0";
        config.remarks.push(first.note(text));
        return Ok(());
    }
    let notes = &mut config.remarks;
    let step = step.read_leniently(notes, |text| leading(text, &(1..=0x7fff_ffff)))?;
    let taken: usize = config.change_dips.iter().map(|dips| dips.list.len()).sum();
    let room = 65536 - taken as u64;
    let many = count.read_leniently(notes, |text| leading(text, &(1..=room)))?;
    let list = spaced(from, step, many).ok_or_else(|| {
        let why = format!("there are no {many} addresses from {from} on, {step} apart");
        count.error(Complaint::new(why, "begin with a lower address, or take fewer"))
    })?;
    if let Some((address, kind)) = list.iter().find_map(|one| Some((one, no_hosts(*one)?))) {
        notes.push(lowest.note(format!("{address} is no host's address: {kind}")));
    }
    config.change_dips.push(Addresses { list, place: first.place.clone() });
    Ok(())
}

pub(super) fn socket_mem(config: &mut Config, _: &Word, arguments: &[Word]) -> Done {
    if let [megabytes] = arguments {
        config.socket_mem = megabytes.read(node_megabytes)?;
    }
    Ok(())
}

pub(super) fn eal(config: &mut Config, _: &Word, arguments: &[Word]) -> Done {
    config.eal.extend(arguments.iter().map(|word| word.text.to_owned()));
    Ok(())
}

pub(super) fn daemon(config: &mut Config, _: &Word, arguments: &[Word]) -> Done {
    config.daemon = true;
    if let Some(extra) = arguments.first() {
        config.remarks.push(extra.note(format!("'{}' is ignored, as in dperf", extra.text)));
    }
    Ok(())
}
