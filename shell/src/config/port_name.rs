//! Which device a port is: told by the form of its name alone, without looking at the machine.

use std::fmt;

use dperf_core::plan::Role;

use super::error::Complaint;
use super::number;

/// A device for a port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PortName {
    /// A PCI device driven by DPDK: `0000:03:00.1`.
    Pci(String),
    /// Devices bonded by DPDK: `bond4:2(0000:81:10.0,0000:81:10.1)`.
    Bond {
        /// The bonding mode, 0 to 6.
        mode: u8,
        /// The transmit policy: 0 layer 2, 1 layers 2 and 3, 2 layers 3 and 4.
        policy: u8,
        /// PCI devices, and virtual devices with their arguments: one to four.
        members: Vec<String>,
    },
    /// One end of a link within this process: `link:NAME`.
    Link(String),
    /// A Linux network interface, by packet sockets: `af_packet:IFNAME`.
    AfPacket(String),
    /// A Linux network interface, by XDP sockets: `af_xdp:IFNAME[,defer=TIME]`.
    AfXdp(Xdp),
    /// Memory shared with another process: `memif:SOCKET`.
    Memif(Memif),
    /// A DPDK virtual device with its arguments: `net_memif0,role=server`.
    Vdev(String),
}

/// One end of a memif: `memif:SOCKET[,id=NUMBER][,role=server|client]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Memif {
    /// The socket and, if it is not 0, the number, as they are written.
    interface: String,
    /// Interfaces at one socket are told apart by it.
    pub id: u32,
    /// It makes the socket, or else the memory, if that is said.
    listens: Option<bool>,
}

impl Memif {
    /// Where the socket is: a file, or `@` and a name that is in no file system.
    pub fn socket(&self) -> &str {
        name(&self.interface)
    }

    /// The port of a program in this role makes the socket.
    pub fn listens(&self, role: Role) -> bool {
        self.listens.unwrap_or(role == Role::Server)
    }
}

/// An interface that XDP sockets are on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Xdp {
    /// Its name.
    pub interface: String,
    /// How long its interrupts are put off, in microseconds, if they shall be.
    pub defer_us: Option<u16>,
}

impl PortName {
    /// Reads a port's name.
    pub fn parse(text: &str) -> Result<PortName, Complaint> {
        if let Some(name) = text.strip_prefix("link:") {
            let sound = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            return named(text, name, 32, sound).map(PortName::Link);
        }
        let sound = |c: char| c.is_ascii_graphic() && !"/:,".contains(c);
        if let Some(name) = text.strip_prefix("af_packet:") {
            if let Some((interface, option)) = name.split_once(',') {
                let why = format!("'{text}': packet sockets have no '{option}'");
                return Err(Complaint::new(
                    why,
                    format!("write af_packet:{interface}; af_xdp alone has an option"),
                ));
            }
            return named(text, name, 15, sound).map(PortName::AfPacket);
        }
        if let Some(words) = text.strip_prefix("af_xdp:") {
            let (name, option) = match words.split_once(',') {
                Some((name, option)) => (name, Some(option)),
                None => (words, None),
            };
            let interface = named(text, name, 15, sound)?;
            let defer_us = option.map(|option| deferral(text, option)).transpose()?;
            return Ok(PortName::AfXdp(Xdp { interface, defer_us }));
        }
        if let Some(words) = text.strip_prefix("memif:") {
            return memif(text, words).map(PortName::Memif);
        }
        if text.starts_with("bond") {
            return bond(text);
        }
        if text.starts_with("net_") || text.starts_with("virtio_user") {
            return vdev(text);
        }
        pci(text).map(PortName::Pci)
    }

    /// Queue i of such a port talks to queue i of its peer and to no other.
    pub fn pairs_queues(&self) -> bool {
        match self {
            PortName::Link(_) | PortName::Memif(_) => true,
            PortName::Vdev(device) => {
                const PAIRED: [&str; 4] = ["net_memif", "net_ring", "net_null", "net_vhost"];
                // A virtio_user device is a vhost-user socket, or else the kernel's vhost.
                let vhost_user = device.contains("virtio_user") && !device.contains("path=/dev/");
                vhost_user || PAIRED.iter().any(|driver| device.starts_with(driver))
            }
            PortName::Pci(_)
            | PortName::Bond { .. }
            | PortName::AfPacket(_)
            | PortName::AfXdp(_) => false,
        }
    }

    /// Who chooses a queue of such a port looks behind a second tag and into a tunnel.
    pub fn looks_inside(&self) -> bool {
        matches!(self, PortName::AfPacket(_))
    }

    /// dperf knows such a port, and wants to be told by `rss` how its workers share it.
    pub fn is_dperfs(&self) -> bool {
        matches!(self, PortName::Pci(_) | PortName::Bond { .. })
    }

    /// DPDK drives such a port.
    pub fn is_dpdk(&self) -> bool {
        matches!(self, PortName::Pci(_) | PortName::Bond { .. } | PortName::Vdev(_))
    }

    /// The devices it takes; none may be taken twice.
    pub fn devices(&self) -> Vec<&str> {
        match self {
            PortName::Bond { members, .. } => members.iter().map(|member| name(member)).collect(),
            PortName::Vdev(device) => vec![name(device)],
            PortName::Memif(memif) => vec![&memif.interface],
            PortName::Pci(name) | PortName::Link(name) | PortName::AfPacket(name) => vec![name],
            PortName::AfXdp(xdp) => vec![&xdp.interface],
        }
    }
}

impl fmt::Display for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PortName::Pci(name) | PortName::Vdev(name) => f.write_str(name),
            PortName::Link(name) => write!(f, "link:{name}"),
            PortName::AfPacket(name) => write!(f, "af_packet:{name}"),
            PortName::AfXdp(Xdp { interface, defer_us }) => {
                write!(f, "af_xdp:{interface}")?;
                defer_us.map_or(Ok(()), |time_us| write!(f, ",defer={time_us}us"))
            }
            PortName::Memif(Memif { interface, listens, .. }) => {
                let role = match listens {
                    None => "",
                    Some(true) => ",role=server",
                    Some(false) => ",role=client",
                };
                write!(f, "memif:{interface}{role}")
            }
            PortName::Bond { mode, policy, members } => {
                write!(f, "bond{mode}:{policy}({})", members.join(","))
            }
        }
    }
}

/// A device's name without its arguments.
fn name(device: &str) -> &str {
    device.split(',').next().unwrap_or(device)
}

fn named(
    text: &str,
    name: &str,
    longest: usize,
    sound: impl Fn(char) -> bool,
) -> Result<String, Complaint> {
    if name.is_empty() || name.len() > longest || !name.chars().all(sound) {
        let why = format!("'{text}' has no proper name behind the colon");
        return Err(Complaint::new(
            why,
            format!("1 to {longest} letters, digits, '-', '_' or '.'"),
        ));
    }
    Ok(name.to_owned())
}

/// Longer than this no interrupt is put off: the rings would run over.
const LONGEST_DEFERRAL_US: u64 = 10_000;

/// What stands behind the interface of XDP sockets.
fn deferral(text: &str, option: &str) -> Result<u16, Complaint> {
    let Some(time) = option.strip_prefix("defer=") else {
        let why = format!("'{text}': XDP sockets have no '{option}'");
        return Err(Complaint::new(why, "af_xdp:INTERFACE[,defer=TIME], TIME being 100us or so"));
    };
    let time_us = number::interval_us(time)?;
    if !(1..=LONGEST_DEFERRAL_US).contains(&time_us) {
        let why = format!("'{text}': interrupts are put off by 1us to 10ms, not by {time}");
        return Err(Complaint::new(why, "100us, or what fewer than 256 frames come in"));
    }
    Ok(time_us as u16)
}

/// The longest name of a Unix socket, in bytes.
const SOCKET_BYTES: usize = 107;

fn memif(text: &str, words: &str) -> Result<Memif, Complaint> {
    let wrong = |why: &str| {
        let hint =
            "memif:SOCKET[,id=NUMBER][,role=server|client], for example memif:/run/demo.sock";
        Complaint::new(format!("'{text}' is no memif: {why}"), hint)
    };
    let mut words = words.split(',');
    let socket = words.next().filter(|socket| !matches!(*socket, "" | "@"));
    let socket = socket.ok_or_else(|| wrong("it has no socket"))?;
    if socket.len() > SOCKET_BYTES || !socket.chars().all(|c| c.is_ascii_graphic()) {
        return Err(wrong("a socket's name is 1 to 107 characters of printable ASCII"));
    }
    let (mut id, mut listens) = (0, None);
    let mut named = Vec::new();
    for word in words {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        if named.contains(&name) {
            return Err(wrong(&format!("it has '{name}' twice")));
        }
        named.push(name);
        match (name, value) {
            ("id", number) => {
                id = number.parse().map_err(|_| wrong("an id is a number from 0 to 4294967295"))?;
            }
            ("role", "server") => listens = Some(true),
            ("role", "client") => listens = Some(false),
            _ => return Err(wrong(&format!("it has no '{word}'"))),
        }
    }
    let number = if id == 0 { String::new() } else { format!(",id={id}") };
    Ok(Memif { interface: format!("{socket}{number}"), id, listens })
}

fn vdev(text: &str) -> Result<PortName, Complaint> {
    let name = name(text);
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        let why = format!("'{name}' is not the name of a DPDK virtual device");
        return Err(Complaint::new(why, "for example net_memif0,role=server,socket=/run/demo"));
    }
    if !text.chars().all(|c| c.is_ascii_graphic()) {
        let why = format!("'{text}' contains other characters than printable ASCII");
        return Err(Complaint::new(why, ""));
    }
    Ok(PortName::Vdev(text.to_owned()))
}

/// `domain:bus:device.function` in hexadecimal; domains have four digits, behind some controllers
/// five or more.
fn pci(text: &str) -> Result<String, Complaint> {
    let sound = |text: &str| -> Option<()> {
        let (domain, rest) = text.split_once(':')?;
        let (bus, rest) = rest.split_once(':')?;
        let (device, function) = rest.split_once('.')?;
        let hex = |part: &str, digits: std::ops::RangeInclusive<usize>| {
            digits.contains(&part.len()) && part.bytes().all(|b| b.is_ascii_hexdigit())
        };
        let sound = hex(domain, 4..=8)
            && hex(bus, 2..=2)
            && hex(device, 2..=2)
            && matches!(function.as_bytes(), [b'0'..=b'7']);
        sound.then_some(())
    };
    if sound(text).is_none() {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let hint = match () {
            () if sound(&format!("0000:{text}")).is_some() => {
                format!("with its domain: 0000:{text}")
            }
            () if !text.is_empty() && text.len() <= 15 && text.chars().all(is_name) => {
                format!("a Linux interface is written af_packet:{text} or af_xdp:{text}")
            }
            () => "a PCI address (0000:03:00.1), bondM:P(PCI,..), link:NAME, memif:SOCKET, \
                   af_packet:INTERFACE, af_xdp:INTERFACE or a DPDK virtual device \
                   (net_memif0,role=server)"
                .to_owned(),
        };
        return Err(Complaint::new(format!("'{text}' is not the name of a port"), hint));
    }
    Ok(text.to_ascii_lowercase())
}

fn bond(text: &str) -> Result<PortName, Complaint> {
    let wrong = |why: &str| {
        let hint = "bondMODE:POLICY(PCI[,PCI]...), for example bond4:2(0000:81:10.0,0000:81:10.1)";
        Complaint::new(format!("'{text}' is not a bond: {why}"), hint)
    };
    let body = text.strip_prefix("bond").and_then(|rest| rest.strip_suffix(')'));
    let (head, members) = body
        .and_then(|body| body.split_once('('))
        .ok_or_else(|| wrong("its members stand in parentheses, without spaces"))?;
    let &[mode @ b'0'..=b'6', b':', policy @ b'0'..=b'2'] = head.as_bytes() else {
        return Err(wrong("the mode is 0 to 6 and the policy 0 to 2"));
    };
    let members = split_members(members);
    if members.iter().any(String::is_empty) {
        return Err(wrong("a member is missing"));
    }
    let members = members.iter().map(|device| member(device)).collect::<Result<Vec<_>, _>>()?;
    if members.len() > 4 {
        return Err(wrong("it has more than four members"));
    }
    Ok(PortName::Bond { mode: mode - b'0', policy: policy - b'0', members })
}

/// The members between the commas; a word with `=` is an argument of the device before it.
fn split_members(text: &str) -> Vec<String> {
    let mut members: Vec<String> = Vec::new();
    for word in text.split(',') {
        match members.last_mut() {
            Some(device) if word.contains('=') => {
                device.push(',');
                device.push_str(word);
            }
            _ => members.push(word.to_owned()),
        }
    }
    members
}

fn member(text: &str) -> Result<String, Complaint> {
    if !text.starts_with("net_") {
        return pci(text);
    }
    vdev(text).map(|device| device.to_string())
}
