//! The EAL's command line, as a pure function of what is wished for and what memory is there: the
//! user's own words come last, and nothing of ours contradicts them.

use std::fs;

use crate::port::dpdk_buffers::Memory;

/// What the EAL is to be started with.
#[derive(Clone, Debug, Default)]
pub struct EalArgs {
    /// PCI addresses of the ports, in any form [`pci_address`] reads.
    pub pci: Vec<String>,
    /// MiB of huge pages that the packet buffers need: the sum of [`super::PortWish::memory_mb`].
    pub huge_mb: u32,
    /// The same of ordinary pages.
    pub ordinary_mb: u32,
    /// Huge-page memory to set aside per NUMA node, as the EAL reads it ("1024,1024").
    pub socket_mem: Option<String>,
    /// CPUs the workers will own: the EAL's own threads keep off them where there are others.
    pub worker_cpus: Vec<usize>,
    /// More words for the EAL, split on blanks; where they name an option, ours is left out.
    pub extra: String,
}

/// Memory the EAL and the drivers want for themselves.
const OWN_MB: u32 = 64;

/// Words that only make sense with huge pages.
const HUGE_WORDS: [&str; 5] =
    ["--in-memory", "--huge-dir", "--huge-unlink", "--legacy-mem", "--socket-limit"];

/// The full form of a PCI address ("03:00.0" is "0000:03:00.0"); `None` if it is none.
pub fn pci_address(text: &str) -> Option<String> {
    let hex = |part: &str, digits: usize| {
        part.len() == digits && part.bytes().all(|b| b.is_ascii_hexdigit())
    };
    let (rest, function) = text.rsplit_once('.')?;
    let (rest, device) = rest.rsplit_once(':')?;
    let (domain, bus) = rest.rsplit_once(':').unwrap_or(("0000", rest));
    let valid = hex(domain, 4) && hex(bus, 2) && hex(device, 2) && hex(function, 1);
    valid.then(|| format!("{domain}:{bus}:{device}.{function}").to_ascii_lowercase())
}

/// Bytes of huge pages nobody uses, of any size.
pub(super) fn free_huge_bytes() -> u64 {
    let Ok(sizes) = fs::read_dir("/sys/kernel/mm/hugepages") else { return 0 };
    let bytes = |size: fs::DirEntry| -> Option<u64> {
        let name = size.file_name().into_string().ok()?;
        let kib = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse::<u64>().ok()?;
        let free = fs::read_to_string(size.path().join("free_hugepages")).ok()?;
        Some(kib * 1024 * free.trim().parse::<u64>().ok()?)
    };
    sizes.flatten().filter_map(bytes).sum()
}

impl EalArgs {
    /// The user says something about one of these options: `--name`, `--name=x` or `-n...`.
    fn says(&self, options: &[&str]) -> bool {
        self.extra.split_whitespace().any(|word| {
            options.iter().any(|option| match word.strip_prefix(option) {
                Some(rest) => rest.is_empty() || rest.starts_with('=') || !option.starts_with("--"),
                None => false,
            })
        })
    }

    /// MiB to set aside, if the user's `socket_mem` names them.
    fn socket_mb(&self) -> u32 {
        let nodes = self.socket_mem.as_deref().unwrap_or_default().split(',');
        nodes.filter_map(|node| node.trim().parse::<u32>().ok()).sum()
    }

    /// Huge pages where enough are free, unless the user has decided.
    pub(super) fn memory(&self, free_huge_bytes: u64) -> Memory {
        let wanted = u64::from(self.huge_mb.max(self.socket_mb()).saturating_add(OWN_MB));
        let huge = !self.says(&["--no-huge"])
            && (self.says(&HUGE_WORDS) || free_huge_bytes >= wanted << 20);
        if huge { Memory::Huge } else { Memory::Ordinary }
    }

    /// The whole command line. `prefix` is unique among running processes; `cpus` is what the
    /// calling thread may run on now.
    pub(super) fn words(&self, memory: Memory, prefix: &str, cpus: &[usize]) -> Vec<String> {
        let mut words = vec!["dperf-shell".to_owned()];
        let mut unless = |options: &[&str], word: String| {
            if !self.says(options) {
                words.push(word);
            }
        };
        unless(&["--no-telemetry", "--telemetry"], "--no-telemetry".into());
        unless(&["--file-prefix"], format!("--file-prefix={prefix}"));
        unless(&["--log-level"], "--log-level=warning".into());
        unless(&["--iova-mode"], "--iova-mode=va".into());
        unless(&["-l", "-c", "--lcores"], format!("--lcores=0@({})", self.lcore_cpus(cpus)));
        self.memory_words(memory, &mut unless);
        self.device_words(&mut unless);
        words.extend(self.extra.split_whitespace().map(str::to_owned));
        words
    }

    /// One lcore for the calling thread, which floats over all of these CPUs; the EAL keeps its
    /// other threads off them.
    fn lcore_cpus(&self, cpus: &[usize]) -> String {
        let own = if self.worker_cpus.is_empty() { cpus } else { &self.worker_cpus };
        own.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }

    fn memory_words(&self, memory: Memory, unless: &mut impl FnMut(&[&str], String)) {
        match memory {
            Memory::Huge => {
                // Excluded by 22.11 together with these two; and nothing then stays in hugetlbfs.
                unless(&["--in-memory", "--legacy-mem", "--huge-dir"], "--in-memory".into());
                if let Some(nodes) = &self.socket_mem {
                    unless(&["--socket-mem", "-m"], format!("--socket-mem={nodes}"));
                }
            }
            Memory::Ordinary => {
                let wanted = self.ordinary_mb.max(self.socket_mb()).saturating_add(OWN_MB);
                unless(&["--no-huge"], "--no-huge".into());
                unless(&["--no-shconf"], "--no-shconf".into());
                unless(&["-m"], format!("-m{wanted}"));
            }
        }
    }

    fn device_words(&self, unless: &mut impl FnMut(&[&str], String)) {
        let devices = ["--no-pci", "-a", "--allow", "-b", "--block"];
        if self.pci.is_empty() {
            unless(&devices, "--no-pci".into());
        }
        for address in &self.pci {
            let address = pci_address(address).unwrap_or_else(|| address.clone());
            unless(&["--no-pci", "-b", "--block"], format!("--allow={address}"));
        }
    }
}
