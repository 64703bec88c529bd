//! The configuration language holds what it promises.

mod arguments;
mod checks;
mod dperf;
mod exception;
mod golden;
mod mutation;
mod positions;
mod together;
mod toml;
mod values;

use super::{ConfigError, Read, Source, read};

/// A client that lacks nothing.
const CLIENT: &str = "\
mode client
cpu 0
port link:a 10.0.1.1 10.0.2.1
client 10.0.1.1 10
server 10.0.2.1 1
cps 1k
";

/// A server that lacks nothing.
const SERVER: &str = "\
mode server
cpu 0
port link:a 10.0.2.1 10.0.1.1
client 10.0.1.1 10
server 10.0.2.1 1
";

/// Reads one text.
fn text(text: &str) -> Result<Read, ConfigError> {
    read(&[Source { name: "t.conf".to_owned(), bytes: text.as_bytes().to_vec() }])
}

/// Reads a client with further lines.
fn client(lines: &str) -> Result<Read, ConfigError> {
    text(&format!("{CLIENT}{lines}\n"))
}

/// Reads a server with further lines.
fn server(lines: &str) -> Result<Read, ConfigError> {
    text(&format!("{SERVER}{lines}\n"))
}

/// The refusal of a text, in one line without its hint.
fn refusal(result: Result<Read, ConfigError>) -> String {
    match result {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.to_string().lines().next().unwrap_or_default().to_owned(),
    }
}
