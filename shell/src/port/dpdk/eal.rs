//! DPDK's environment (the EAL): started once per process, leaves the calling thread where it was
//! and nothing behind on disk; a refusal is one sentence with the fix.
//!
//! The EAL is a foreign library behind C calls, so this file talks to it in `unsafe`.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::args::{EalArgs, free_huge_bytes};
use crate::port::dpdk_buffers::Memory;

/// What the one EAL of this process is doing.
enum State {
    Fresh,
    Running(Memory),
    Over,
}

static STATE: Mutex<State> = Mutex::new(State::Fresh);

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the EAL. Ports are opened afterwards; the calling thread keeps its CPU affinity.
///
/// # Errors
/// It runs already, ran before (DPDK starts once per process), or DPDK refused.
pub fn start(args: &EalArgs) -> Result<Memory> {
    let mut state = state();
    match *state {
        State::Fresh => {}
        State::Running(_) => bail!("DPDK runs already: it is started once per process"),
        State::Over => bail!("DPDK was stopped: it cannot start twice in one process"),
    }
    let affinity = Affinity::of_this_thread()?;
    let memory = args.memory(free_huge_bytes());
    let words = args.words(memory, &unique_prefix(), &affinity.cpus());
    // DPDK may keep pointers into its command line: it gets it for good.
    let mut argv: Vec<*mut c_char> = Vec::with_capacity(words.len() + 1);
    for word in &words {
        let word = CString::new(word.as_str()).context("an EAL option holds a NUL byte")?;
        argv.push(word.into_raw());
    }
    argv.push(std::ptr::null_mut());

    let log = Overheard::listen();
    let aside = StdoutAside::put()?;
    // SAFETY: argc counts the strings of a NULL-terminated argv that live on for ever; STATE makes
    // this the only call.
    let rc = unsafe { dpdk_sys::rte_eal_init(words.len() as c_int, argv.as_mut_ptr()) };
    drop(aside);
    let said = log.finish();
    affinity.restore();
    if let Some(dir) = runtime_dir() {
        // Empty, unless the user's own options keep files there.
        let _ = std::fs::remove_dir(dir);
    }
    if rc < 0 {
        *state = State::Over;
        let reason = error_text(last_error());
        return Err(refusal(&reason, &said, &words));
    }
    if args.extra.contains("--log-level") && !said.is_empty() {
        eprintln!("{said}");
    }
    *state = State::Running(memory);
    Ok(memory)
}

/// Stops the EAL and removes what it left on disk. No port is open, and nobody holds a frame.
///
/// # Errors
/// DPDK said so.
pub(super) fn stop() -> Result<()> {
    let mut state = state();
    if !matches!(*state, State::Running(_)) {
        return Ok(());
    }
    // SAFETY: it was initialised, once; no port is open and no pool's memory is lent.
    let (dir, rc) = (runtime_dir(), unsafe { dpdk_sys::rte_eal_cleanup() });
    if let Some(dir) = dir {
        // Under a prefix the user chose there may be another process's files.
        let _ = if is_own(&dir) { std::fs::remove_dir_all(dir) } else { std::fs::remove_dir(dir) };
    }
    *state = State::Over;
    ensure!(rc == 0, "DPDK did not stop cleanly: {}", error_text(-rc));
    Ok(())
}

/// Fails unless the EAL runs; says where its memory is.
pub(super) fn check_running() -> Result<Memory> {
    match *state() {
        State::Running(memory) => Ok(memory),
        State::Fresh | State::Over => bail!("DPDK is not running: start the EAL first"),
    }
}

/// A file prefix no other process has, in whatever PID namespace it lives.
fn unique_prefix() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("dperf-{}-{:x}", std::process::id(), now.as_nanos() as u64)
}

/// The folder the EAL keeps its files in.
fn runtime_dir() -> Option<PathBuf> {
    // SAFETY: the EAL has read its arguments; it answers with a string in static memory or NULL.
    let dir = unsafe {
        let dir = dpdk_sys::rte_eal_get_runtime_dir();
        if dir.is_null() { None } else { CStr::from_ptr(dir).to_str().ok() }
    };
    dir.map(PathBuf::from)
}

/// The EAL's folder was made under the prefix of this process, not under one the user chose.
fn is_own(dir: &Path) -> bool {
    let own = format!("dperf-{}-", std::process::id());
    dir.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(&own))
}

/// One sentence, and what to do about it.
fn refusal(reason: &str, said: &str, words: &[String]) -> anyhow::Error {
    let has = |text: &str| said.to_ascii_lowercase().contains(text);
    let too_few = ["hugepage", "huge page", "--in-memory", "not enough memory available on socket"];
    let fix = if too_few.iter().any(|text| has(text)) {
        "set more huge pages aside (sysctl -w vm.nr_hugepages=1400), lower socket_mem if you gave \
         it, or pass --no-huge to the EAL"
    } else if has("permission denied") || has("runtime directory") {
        "run it as root, or let XDG_RUNTIME_DIR name a folder you may write to"
    } else if has("option") || has("invalid") || has("usage") {
        "look at the EAL options given"
    } else {
        "look at DPDK's own words"
    };
    let said = if said.is_empty() { String::new() } else { format!(" ({said})") };
    anyhow!(
        "DPDK did not start: {reason}{said}: {fix}. It was called with: {}",
        words[1..].join(" ")
    )
}

/// The error of the last DPDK call on this thread.
pub(super) fn last_error() -> c_int {
    // SAFETY: reads a thread-local number.
    unsafe { dpdk_sys::shim_errno() }
}

/// DPDK's words for an error number.
pub(super) fn error_text(number: c_int) -> String {
    // SAFETY: answers with a NUL-terminated string of this thread, copied at once.
    let text = unsafe { CStr::from_ptr(dpdk_sys::rte_strerror(number)) };
    text.to_string_lossy().into_owned()
}

/// The CPUs the calling thread may use, put back whatever the EAL does to it.
struct Affinity(libc::cpu_set_t);

impl Affinity {
    fn of_this_thread() -> Result<Affinity> {
        // SAFETY: an all-zero set is a valid set, and its size is what is passed.
        unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            let rc = libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set);
            ensure!(rc == 0, "cannot read the CPU affinity: {}", std::io::Error::last_os_error());
            Ok(Affinity(set))
        }
    }

    fn cpus(&self) -> Vec<usize> {
        // SAFETY: `CPU_ISSET` only reads the set, and every number is below its size.
        (0..libc::CPU_SETSIZE as usize)
            .filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &self.0) })
            .collect()
    }

    fn restore(&self) {
        // SAFETY: the set was filled by the kernel. A failure leaves the thread where the EAL put
        // it: on CPUs it may use.
        unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &self.0) };
    }
}

/// Standard output is standard error as long as this lives: records are written to the one, and
/// DPDK prints how to use it, when it is not used so, to either.
struct StdoutAside(OwnedFd);

impl StdoutAside {
    fn put() -> Result<StdoutAside> {
        let stdout = std::io::stdout().as_fd().try_clone_to_owned()?;
        // SAFETY: both are open descriptors of this process.
        let rc = unsafe { libc::dup2(libc::STDERR_FILENO, libc::STDOUT_FILENO) };
        ensure!(rc >= 0, "cannot set stdout aside: {}", std::io::Error::last_os_error());
        Ok(StdoutAside(stdout))
    }
}

impl Drop for StdoutAside {
    fn drop(&mut self) {
        // SAFETY: NULL means all streams of the C library, in which DPDK's words may still lie;
        // then two open descriptors.
        unsafe {
            libc::fflush(std::ptr::null_mut());
            libc::dup2(self.0.as_raw_fd(), libc::STDOUT_FILENO);
        }
    }
}

/// What DPDK says while we call it, kept for our own sentence instead of the terminal.
pub(super) struct Overheard {
    stream: Option<&'static Stream>,
}

/// A log stream in memory. It is never closed: a thread of DPDK's may be writing to it.
struct Stream {
    file: File,
    handle: usize,
}

static STREAM: OnceLock<Option<Stream>> = OnceLock::new();

impl Stream {
    fn open() -> Option<Stream> {
        // SAFETY: plain calls on a descriptor of our own; each is checked before the next.
        unsafe {
            let fd = libc::memfd_create(c"dpdk-log".as_ptr(), libc::MFD_CLOEXEC);
            if fd < 0 {
                return None;
            }
            let file = File::from_raw_fd(fd);
            let handle = libc::fdopen(file.try_clone().ok()?.into_raw_fd(), c"a".as_ptr());
            (!handle.is_null()).then_some(Stream { file, handle: handle as usize })
        }
    }
}

impl Overheard {
    /// From now on DPDK's words go to memory. Callers hold the lock of STATE or of the ports.
    pub(super) fn listen() -> Overheard {
        let stream = STREAM.get_or_init(Stream::open).as_ref();
        if let Some(stream) = stream {
            let _ = stream.file.set_len(0);
            // SAFETY: the stream is open and stays so for ever.
            unsafe { dpdk_sys::rte_openlog_stream(stream.handle as *mut dpdk_sys::FILE) };
        }
        Overheard { stream }
    }

    /// The last lines it said.
    pub(super) fn finish(self) -> String {
        const LINES: usize = 4;
        let Some(stream) = self.stream else { return String::new() };
        // SAFETY: NULL means the EAL's own stream again.
        unsafe { dpdk_sys::rte_openlog_stream(std::ptr::null_mut()) };
        let length = stream.file.metadata().map_or(0, |data| data.len());
        let mut text = vec![0; length.min(1 << 16) as usize];
        let read = stream.file.read_at(&mut text, 0).unwrap_or(0);
        let text = String::from_utf8_lossy(&text[..read]);
        let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        lines[lines.len().saturating_sub(LINES)..].join("; ")
    }
}
