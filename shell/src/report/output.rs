//! Where text goes: to stdout, to stderr when records have stdout, or, in the background, to
//! dperf's log files. Nobody who stops listening and no full disk stops a run; what is lost is
//! said.

use std::cell::{Cell, OnceCell};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use dperf_core::plan::Role;

/// Where the logs lie, unless the environment names another folder: it must be there.
const FOLDER: &str = "/var/log/dperf";
/// The variable of the environment that names another folder.
const FOLDER_VARIABLE: &str = "DPERF_SHELL_LOG_DIR";

/// Where the log of `role` lies: as in dperf, one for each side of the load.
pub fn log_path(role: Role) -> PathBuf {
    let folder = std::env::var_os(FOLDER_VARIABLE).map_or_else(|| FOLDER.into(), PathBuf::from);
    folder.join(format!("dperf-ctl-{}.log", role.name()))
}

/// A place for text.
#[derive(Debug)]
enum Sink {
    Stdout,
    Stderr,
    Log(Role, File),
}

/// All places of a run.
#[derive(Debug)]
pub(super) struct Output {
    people: Vec<Sink>,
    records: bool,
    /// Bytes that nobody took.
    lost: Cell<u64>,
    /// Why they were not taken, the first time; it was said then.
    why: OnceCell<String>,
}

impl Output {
    /// On a terminal, or wherever stdout leads; `json` adds records on stdout.
    pub(super) fn new(json: bool) -> Output {
        let people = vec![if json { Sink::Stderr } else { Sink::Stdout }];
        Output { people, records: json, lost: Cell::new(0), why: OnceCell::new() }
    }

    /// In the log files of `roles`.
    ///
    /// # Errors
    /// A file cannot be opened: its folder must be there.
    pub(super) fn logs(roles: impl Iterator<Item = Role>, json: bool) -> Result<Output> {
        let mut people: Vec<Sink> = Vec::new();
        for role in roles {
            if people.iter().any(|sink| matches!(sink, Sink::Log(known, _) if *known == role)) {
                continue;
            }
            let path = log_path(role);
            let file = OpenOptions::new().append(true).create(true).open(&path);
            let file = file.with_context(|| {
                let folder = path.parent().map(|folder| folder.display().to_string());
                format!(
                    "daemon: the log {} cannot be opened; its folder must be there: mkdir -p {}",
                    path.display(),
                    folder.unwrap_or_default()
                )
            })?;
            people.push(Sink::Log(role, file));
        }
        Ok(Output { people, records: json, lost: Cell::new(0), why: OnceCell::new() })
    }

    /// People look at it on a terminal.
    pub(super) fn is_terminal(&self) -> bool {
        self.people.iter().all(|sink| match sink {
            Sink::Stdout => io::stdout().is_terminal(),
            Sink::Stderr => io::stderr().is_terminal(),
            Sink::Log(..) => false,
        })
    }

    /// Records are wanted.
    pub(super) fn has_records(&self) -> bool {
        self.records
    }

    /// Text for people: of one role, or of all.
    pub(super) fn say(&self, role: Option<Role>, text: &str) {
        for sink in &self.people {
            match sink {
                Sink::Stdout => self.put("stdout", &mut io::stdout().lock(), text),
                Sink::Stderr => self.put("stderr", &mut io::stderr().lock(), text),
                Sink::Log(of, _) if role.is_some_and(|role| role != *of) => {}
                Sink::Log(_, file) => {
                    let mut file = file;
                    self.put("the log", &mut file, text);
                }
            }
        }
    }

    /// Text for people about a fault: stdout is for what was asked for.
    pub(super) fn warn(&self, text: &str) {
        let terminal = self.people.iter().any(|sink| matches!(sink, Sink::Stdout | Sink::Stderr));
        if terminal {
            self.put("stderr", &mut io::stderr().lock(), text);
        } else {
            self.say(None, text);
        }
    }

    /// A record for programs.
    pub(super) fn record(&self, text: &str) {
        self.put("stdout", &mut io::stdout().lock(), text);
    }

    /// Writes at once; whoever has gone is not missed, but a full disk is told once.
    fn put(&self, name: &str, to: &mut dyn Write, text: &str) {
        let Err(error) = to.write_all(text.as_bytes()).and_then(|()| to.flush()) else { return };
        if error.kind() == ErrorKind::BrokenPipe {
            return;
        }
        self.lost.set(self.lost.get() + text.len() as u64);
        let why = format!("{name}: {error}");
        let line = format!("dperf-shell: output is being lost, the run goes on: {why}\n");
        if self.why.set(why).is_ok() {
            let _ = io::stderr().write_all(line.as_bytes());
        }
    }

    /// What was lost, and why, in one sentence.
    pub(super) fn missing(&self) -> Option<String> {
        let why = self.why.get()?;
        Some(format!("{} bytes of output were lost: {why}", self.lost.get()))
    }

    /// Says how much was lost in the end.
    pub(super) fn end(&self) {
        if let Some(sentence) = self.missing() {
            let _ = writeln!(io::stderr(), "dperf-shell: {sentence}");
        }
    }
}
