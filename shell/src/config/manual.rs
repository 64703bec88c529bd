//! The table of keywords as text for a terminal and as docs/CONFIG.md.

use std::fmt::Write;

use super::keyword::{GROUPS, Keyword, Otherwise, Reads, Side};
use super::number::span;

/// Every keyword with its form, its default and a few words, for a terminal.
pub fn manual() -> String {
    let mut text = String::new();
    for group in GROUPS {
        text += group.title;
        text += "\n";
        for keyword in group.keywords {
            let usage = format!("{} {}", keyword.name, keyword.form);
            let brief = keyword.brief;
            text += &match usage.len() {
                0..32 => format!("  {usage:<32}{brief}\n"),
                _ => format!("  {usage}\n  {:<32}{brief}\n", ""),
            };
            if !keyword.default.is_empty() {
                text += &format!("  {:<32}default: {}\n", "", keyword.default);
            }
        }
        text += "\n";
    }
    text + "A line is a keyword and its arguments; # starts a comment. Further: docs/CONFIG.md\n"
}

/// Every keyword with all there is to know, as Markdown.
pub fn markdown() -> String {
    let mut text = format!("{PREFACE}\n{TOML}");
    for group in GROUPS {
        text += &format!("\n## {}\n\n{}\n", group.title, group.about);
        for keyword in group.keywords {
            text += &entry(keyword);
        }
    }
    text
}

fn entry(keyword: &Keyword) -> String {
    let usage = format!("{} {}", keyword.name, keyword.form);
    let mut text = format!("\n### {}\n\n    {}\n\n", keyword.name, usage.trim_end());
    let brief = capitalised(keyword.brief);
    text += &format!("{brief}. {}", keyword.help);
    text.truncate(text.trim_end().len());
    text += "\n\n";
    for (name, value) in facts(keyword) {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "- {name}: {value}");
    }
    text
}

fn facts(keyword: &Keyword) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let Some(range) = range(&keyword.reads) {
        facts.push(("range", range));
    }
    if !keyword.default.is_empty() {
        facts.push(("default", keyword.default.to_owned()));
    }
    let side = match keyword.side {
        Side::Both => "client and server",
        Side::Client(Otherwise::Ignored) => "client; ignored with a note on a server",
        Side::Client(Otherwise::Refused) => "client; an error on a server",
        Side::Server(Otherwise::Ignored) => "server; ignored with a note on a client",
        Side::Server(Otherwise::Refused) => "server; an error on a client",
    };
    facts.push(("for", side.to_owned()));
    if keyword.repeats {
        facts.push(("repeats", "yes".to_owned()));
    }
    facts.push(("example", format!("`{}`", keyword.example)));
    facts
}

fn range(reads: &Reads) -> Option<String> {
    match reads {
        Reads::Leading(range, _)
        | Reads::Whole(range, _)
        | Reads::Hex(range, _)
        | Reads::Scaled(range, _) => Some(span(range)),
        _ => None,
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

const PREFACE: &str = "\
# Configuration

This file is made from the table in `shell/src/config/keyword.rs`; `UPDATE_GOLDEN=1 cargo test -p
dperf-shell` writes it anew.

A configuration is text, line by line: a keyword and its arguments, separated by spaces or tabs.
`#` starts a comment that goes on to the end of the line, at the start of a line or behind white
space; within a word it is a character like any other. The order of lines does not matter, except
among `port`, `client` and `server` lines. Several files are read as one. Unless it says that it
repeats, a keyword is given once.

The language is dperf's: what dperf accepts is accepted and means the same. That holds for words
that are no proper numbers too: dperf reads `tos abc` as 0, `duration 10ms` as 10 s and `cps 1.5`
as 1. Such words, and all that is ignored or means something else than in dperf, are told in one
line each when the file is read. Everything else is read exactly or refused, with its line and
column: nothing is rounded, cut off or guessed. dperf's own limits are gone: lines, lists and
numbers of any length.

| value | examples | |
|---|---|---|
| number | `80` | digits |
| number with a scale | `2.4m`, `.5k`, `4g` | k is 1000, m is 1000k, g is 1000m; in either case |
| TIME | `60`, `60s`, `4.5m`, `10.1d` | s, m (minutes), h or d; seconds if left out |
| INTERVAL | `10us`, `6.25ms`, `1s` | us, ms or s; never left out |
| ADDRESS | `10.0.1.1`, `2001:db8::1` | IPv4 or IPv6 |
| MAC | `b4:a9:fc:ab:7a:85` | six pairs of hexadecimal digits |
";

const TOML: &str = "\
## TOML

A file whose name ends with `.toml` is TOML: a key is a keyword of this file, its value stands for
the words behind it. `dperf-shell convert FILE` turns a file in dperf's language into TOML and keeps
its comments. [config.schema.json](config.schema.json) is the JSON schema, with which editors
complete and check; `dperf-shell keywords --schema` prints it.

| value | stands for |
|---|---|
| `quiet = true` | a keyword without arguments; `false`: not given |
| `cps = 1000`, `cps = \"2.4m\"` | one argument |
| `cpu = [0, 1, \"4-7\"]` | several arguments |
| `keepalive = { interval = \"1ms\", requests = 5 }` | arguments by their names, in lower case |
| `eal = [\"--no-huge\", [\"-m\", 512]]` | of a keyword that repeats: a line for each element |
| `[[port]]` | a port; its own `client`, `server` and `vxlan` may stand in it |
| `[[role]]` | one configuration of several; what stands at the top holds for all |

```toml
mode = \"client\"
cpu = [0, 1]
duration = \"1m\"
cps = \"100k\"
protocol = \"http\"
listen = { port = 80, count = 5 }

[[port]]
name = \"0000:03:00.1\"
address = \"10.0.1.1\"
gateway = \"10.0.1.2\"
client = \"10.0.1.128/25\"
server = [\"10.0.2.1\", 2]
```
";
