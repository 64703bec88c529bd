//! The command line: what people type, and what exit status they get.

use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};

use crate::config::{self, ConfigError, Read, Source};
use crate::daemon;
use crate::demo::{self, Demo};
use crate::plan::{Plan, PlanRecord, explain};
use crate::report::{Report, Style, log_path};
use crate::run;
use crate::verdict::{Limits, Verdict};

/// Everything was met.
const PASSED: u8 = 0;
/// It ran, with errors or short of its target.
const NOT_PASSED: u8 = 1;
/// It could not start, or the input was bad.
const NOT_STARTED: u8 = 2;

/// A configuration file may have so many bytes: a device file has no end.
const LONGEST_FILE: u64 = 16 << 20;

/// What follows the options in the help; scripts look there for DPDK.
const AFTER_HELP: &str = if cfg!(feature = "dpdk") {
    "Exit status: 0 every target was met, 1 it ran with errors or short of its target, 2 it could \
     not start or the input was bad.\nDPDK: built in"
} else {
    "Exit status: 0 every target was met, 1 it ran with errors or short of its target, 2 it could \
     not start or the input was bad.\nDPDK: not built in"
};

/// A network load tester: HTTP connections and datagrams by the million, over DPDK, any Linux
/// interface, shared memory or a link within the process.
#[derive(Parser, Debug)]
#[command(
    name = "dperf-shell",
    version,
    disable_version_flag = true,
    arg_required_else_help = true,
    args_conflicts_with_subcommands = true
)]
#[command(after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Run FILE, as dperf does; given several times, the files add up to one configuration
    #[arg(short = 'c', long = "conf", value_name = "FILE")]
    conf: Vec<PathBuf>,
    /// Only check the configuration, as dperf does
    #[arg(short = 't', long)]
    test: bool,
    /// Print every keyword, as dperf does
    #[arg(short, long)]
    manual: bool,
    /// Print the version
    #[arg(short = 'v', long)]
    version: bool,
    #[command(flatten)]
    machine: Machine,
    #[command(flatten)]
    output: Output,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run a client, a server, or both in one process (one FILE each)
    Run {
        /// Configuration files: each is one role
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        #[command(flatten)]
        machine: Machine,
        #[command(flatten)]
        output: Output,
    },
    /// Check a configuration and explain what it would do; needs no device and no privilege.
    /// Two files are held against each other as well
    Check {
        /// Configuration files: each is one role
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Print the plan as JSON, one object per line
        #[arg(long)]
        json: bool,
    },
    /// Print every keyword with its form, default and help
    Keywords {
        /// Print them as Markdown
        #[arg(long, conflicts_with = "schema")]
        markdown: bool,
        /// Print the JSON schema of the TOML format
        #[arg(long)]
        schema: bool,
    },
    /// Turn a configuration in dperf's language into TOML, on stdout
    Convert {
        /// Configuration file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Run client and server in one process, without any device
    Demo {
        /// Connections opened a second
        #[arg(long, default_value = "100k", value_parser = config::rate)]
        cps: u64,
        /// How long, in seconds or with a unit
        #[arg(long, value_name = "TIME", default_value = "5s", value_parser = config::duration_s)]
        duration: u32,
        #[command(flatten)]
        output: Output,
    },
}

/// What a run needs of the machine.
#[derive(Args, Clone, Debug)]
struct Machine {
    /// Words for DPDK's EAL, as one argument: --eal '--no-huge -m 512'
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    eal: Option<String>,
    /// A shell command to run for each kernel interface that comes up: it finds INTERFACE, ADDRESS,
    /// GATEWAY, MAC and ROLE in its environment
    #[arg(long, value_name = "CMD")]
    exception_up: Option<String>,
}

/// What a run tells, and what it is judged by.
#[derive(Args, Clone, Debug)]
struct Output {
    /// Records for programs on stdout, one JSON object per line; text for people on stderr
    #[arg(long)]
    json: bool,
    /// In each output a line for each worker and each port, as the keyword per_worker
    #[arg(long)]
    per_worker: bool,
    /// Percent of the asked rate (cps) or of the asked open connections (cc) that must be reached
    #[arg(long, value_name = "PERCENT", default_value_t = 99.0, value_parser = percent)]
    target: f64,
    /// Let a counter come to COUNT without failing the run, for example skErr=10; may be repeated
    #[arg(long, value_name = "COUNTER=COUNT")]
    allow: Vec<String>,
}

/// Does what the command line says; the result is the process's exit status.
pub fn main() -> ExitCode {
    let status = match act(Cli::parse_from(words(std::env::args_os()))) {
        Ok(status) => status,
        Err(error) => {
            if let Some(of_config) = error.downcast_ref::<ConfigError>() {
                of_config.notes.iter().for_each(|note| complain(&note.to_string()));
            }
            // One sentence with its causes behind it.
            complain(&format!("dperf-shell: {error:#}"));
            NOT_STARTED
        }
    };
    ExitCode::from(status)
}

/// The command line with dperf's long options as we know them: it takes them behind a single dash
/// too (`-conf FILE`, `-test`). What follows `--eal` is DPDK's.
fn words(given: impl Iterator<Item = OsString>) -> Vec<OsString> {
    const LONG: [&str; 5] = ["conf", "test", "manual", "version", "help"];
    let mut words: Vec<OsString> = Vec::new();
    let mut ended = false;
    for word in given {
        let of_eal = words.last().is_some_and(|last| last == "--eal");
        ended |= word == "--" && !of_eal;
        let name = word.to_str().and_then(|text| text.strip_prefix('-'));
        let name = name.map(|rest| rest.split_once('=').map_or(rest, |(name, _)| name));
        if !ended && !of_eal && name.is_some_and(|name| LONG.contains(&name)) {
            let mut double = OsString::from("-");
            double.push(word);
            words.push(double);
        } else {
            words.push(word);
        }
    }
    words
}

/// A percentage that can be met.
fn percent(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("write a number from 0 to 100".to_string()),
    }
}

fn act(cli: Cli) -> Result<u8> {
    match cli.command {
        Some(Command::Run { files, machine, output }) => {
            let reads = read_files(&files)?.into_iter().flatten();
            let reads = reads.map(|read| with(read, &machine));
            run(reads.collect(), Style::Blocks, &output)
        }
        Some(Command::Check { files, json }) => check(&files, json),
        Some(Command::Keywords { markdown: true, .. }) => print(&config::markdown()),
        Some(Command::Keywords { schema: true, .. }) => print(&config::schema()),
        Some(Command::Keywords { .. }) => print(&config::manual()),
        Some(Command::Convert { file }) => print(&config::convert(&source(&file)?)?),
        Some(Command::Demo { cps, duration, output }) => {
            let demo = Demo { cps, duration_s: duration };
            run(demo::reads(&demo)?, Style::Lines, &output)
        }
        None => as_dperf(&cli),
    }
}

/// dperf's own flags.
fn as_dperf(cli: &Cli) -> Result<u8> {
    if cli.version {
        return print(&format!("{}\n", env!("CARGO_PKG_VERSION")));
    }
    if cli.manual {
        return print(&config::manual());
    }
    if cli.conf.is_empty() {
        bail!("no configuration file: dperf-shell run FILE, or -c FILE");
    }
    let sources = cli.conf.iter().map(|path| source(path)).collect::<Result<Vec<_>>>()?;
    let read = with(config::read(&sources)?, &cli.machine);
    if cli.test {
        limits(&cli.output)?;
        plan(&read)?;
        read.notes.iter().for_each(|note| complain(&note.to_string()));
        return print("Config file OK\n");
    }
    run(vec![read], Style::Blocks, &cli.output)
}

/// What a run may do and still pass.
fn limits(output: &Output) -> Result<Limits> {
    let mut limits = Limits { target_percent: output.target, ..Limits::default() };
    output.allow.iter().try_for_each(|text| limits.allow(text))?;
    Ok(limits)
}

/// What a configuration comes to, as far as it can be known without opening a port.
fn plan(read: &Read) -> Result<Plan, ConfigError> {
    Plan::assumed(&read.config).map_err(|error| error.after(read.notes.clone()))
}

fn run(mut reads: Vec<Read>, style: Style, output: &Output) -> Result<u8> {
    let limits = limits(output)?;
    config::together(&mut reads)?;
    for read in &mut reads {
        read.config.per_worker |= output.per_worker;
    }
    if reads.iter().any(|read| read.config.daemon) {
        return in_background(reads, &limits, output);
    }
    let mut report = Report::new(style, output.json);
    let verdict = run::run(reads, &limits, &mut report)?;
    Ok(judge(&verdict, &report))
}

/// A run whose output is not whole did not pass.
fn judge(verdict: &Verdict, report: &Report) -> u8 {
    if verdict.passed() && report.missing().is_none() { PASSED } else { NOT_PASSED }
}

/// The first process checks what it can and starts the second, which runs.
fn in_background(reads: Vec<Read>, limits: &Limits, output: &Output) -> Result<u8> {
    let roles = || reads.iter().map(|read| read.config.role);
    let mut report = Report::logged(roles(), output.json)?;
    if daemon::is_background() {
        daemon::detach();
        let outcome = run::run(reads, limits, &mut report);
        // Whoever looks into the log learns why it ended.
        return outcome
            .inspect_err(|error| report.note(&format!("dperf-shell: {error:#}")))
            .map(|verdict| judge(&verdict, &report));
    }
    for read in &reads {
        plan(read)?;
    }
    let logs: Vec<String> = roles().map(|role| log_path(role).display().to_string()).collect();
    let process = daemon::start()?;
    complain(&format!(
        "dperf-shell: runs in the background as process {process}, output in {}",
        logs.join(" and ")
    ));
    Ok(PASSED)
}

fn check(files: &[PathBuf], json: bool) -> Result<u8> {
    let mut of_files = read_files(files)?;
    // The other end of a link may be in a file that is not here, but not in another one for a role
    // of this one.
    of_files.iter_mut().filter(|roles| roles.len() > 1).try_for_each(|r| config::together(r))?;
    let is_pair = of_files.len() == 2;
    let mut reads: Vec<Read> = of_files.into_iter().flatten().collect();
    if is_pair && let Err(error) = config::together(&mut reads) {
        complain(&format!("note: these two cannot run on one machine: {error}"));
    }
    let plans = reads.iter().map(plan).collect::<Result<Vec<_>, _>>()?;
    for (read, plan) in reads.iter().zip(plans) {
        if json {
            let record = PlanRecord::new(&read.config, &plan, &read.notes);
            print(&format!("{}\n", serde_json::to_string(&record)?))?;
        } else {
            print(&explain(&read.config, &plan, &read.notes))?;
        }
    }
    Ok(PASSED)
}

/// The roles of each file: one, or as many as a TOML file has.
fn read_files(files: &[PathBuf]) -> Result<Vec<Vec<Read>>> {
    files.iter().map(|path| Ok(config::read_roles(&source(path)?)?)).collect()
}

/// A configuration with what the command line adds.
fn with(mut read: Read, machine: &Machine) -> Read {
    read.config.eal.extend(machine.eal.iter().cloned());
    read.config.exception_up.clone_from(&machine.exception_up);
    read
}

fn source(path: &Path) -> Result<Source> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LONGEST_FILE + 1).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read the configuration file {}", path.display()))?;
    let longest_mib = LONGEST_FILE >> 20;
    if bytes.len() as u64 > LONGEST_FILE {
        bail!("{} is longer than {longest_mib} MiB: no configuration is", path.display());
    }
    Ok(Source { name: path.display().to_string(), bytes })
}

/// Writes a line to stderr; nobody need be there to read it.
fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Writes to stdout; a reader that has gone is not an error.
fn print(text: &str) -> Result<u8> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(why) if why.kind() != ErrorKind::BrokenPipe => Err(why).context("stdout"),
        _ => Ok(PASSED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dperf_takes_long_options_behind_one_dash() {
        let turned = |line: &str| {
            let words = words(line.split(' ').map(OsString::from));
            words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
        };
        for (given, meant) in [
            ("dperf-shell -conf a.conf -test", "dperf-shell --conf a.conf --test"),
            ("dperf-shell -conf=a -c b -t", "dperf-shell --conf=a -c b -t"),
            ("dperf-shell -manual -help", "dperf-shell --manual --help"),
            ("dperf-shell run a --eal -test -version", "dperf-shell run a --eal -test --version"),
            ("dperf-shell check -- -test", "dperf-shell check -- -test"),
            ("dperf-shell --test -cfile", "dperf-shell --test -cfile"),
        ] {
            assert_eq!(turned(given), meant);
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
        for (text, good) in [("99.5", true), ("0", true), ("100.1", false), ("nan", false)] {
            assert_eq!(percent(text).is_ok(), good, "{text}");
        }
    }
}
