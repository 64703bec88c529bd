//! TOML means what the same lines mean, and its errors tell where they stand.

use super::{CLIENT, refusal};
use crate::config::{Config, Read, Source, convert, read, read_roles};

fn source(text: &str) -> Source {
    Source { name: "t.toml".to_owned(), bytes: text.as_bytes().to_vec() }
}

fn toml(text: &str) -> Result<Read, crate::config::ConfigError> {
    read(&[source(text)])
}

/// A client that lacks nothing.
const TOML: &str = r#"
mode = "client"
cpu = 0
cps = "1k"

[[port]]
name = "link:a"
address = "10.0.1.1"
gateway = "10.0.2.1"
client = { address = "10.0.1.1", count = 10 }
server = "10.0.2.1/32"
"#;

/// What can be compared: everything but places and the order of lines.
fn essence(config: &Config) -> String {
    let text = format!("{config:?}");
    let (what, _) = text.split_once("given: ").unwrap();
    let mut parts = what.split("Place { ");
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| part.split_once('}').map_or(part, |(_, rest)| rest));
    first + &rest.collect::<String>()
}

#[test]
fn both_formats_mean_the_same() {
    let lines = format!(
        "listen 80 5\nkeepalive 10ms 7\ntos 0x68\nquiet\njumbo\nrss l3\nrss\neal -m 512\n{CLIENT}"
    );
    let lines = lines.replace("server 10.0.2.1 1", "server 10.0.2.1/32");
    let classic = read(&[Source { name: "t.conf".to_owned(), bytes: lines.into_bytes() }]).unwrap();
    let added = "listen = [80, 5]\nkeepalive = { requests = 7, interval = \"10ms\" }\ntos = 0x68\n\
                 quiet = true\njumbo = true\nclear_screen = false\nrss = [\"l3\", true]\n\
                 eal = [[\"-m\", \"512\"]]\n";
    let modern = toml(&format!("{added}{TOML}")).unwrap();
    assert_eq!(essence(&modern.config), essence(&classic.config).replace("t.conf", "t.toml"));
    assert_eq!(modern.notes.len(), classic.notes.len());
}

#[test]
fn values_have_many_shapes() {
    let config = |lines: &str| toml(&format!("{lines}\n{TOML}")).unwrap().config;
    assert_eq!(config("duration = 90").duration_s, 90);
    assert_eq!(config("duration = 1_000").duration_s, 1000);
    assert_eq!(config("duration = \"1.5m\"").duration_s, 90);
    assert!(!config("tcp_rst = false").tcp_rst);
    assert!(config("tcp_rst = 1").tcp_rst);
    assert_eq!(config("seed = 18446744073709551615").seed, u64::MAX);
    let rss = toml(&TOML.replace("cpu = 0", "cpu = [0, \"1-2\"]\nrss = true")).unwrap();
    assert_eq!(rss.config.cpus, [0, 1, 2]);
    let nested = TOML.replace("{ address = \"10.0.1.1\", count = 10 }", "[\"10.0.1.1\", 10]");
    assert_eq!(toml(&nested).unwrap().config.clients[0].list.len(), 10);
    let apart = nested.replace("server = \"10.0.2.1/32\"\n", "");
    let apart = format!("server = [[\"10.0.2.1\", 1]]\n{apart}");
    assert_eq!(toml(&apart).unwrap().config.servers[0].list.len(), 1);
}

#[test]
fn errors_tell_where_they_stand() {
    let table = [
        ("cps = ", "1:7: this is not TOML: string values must be quoted"),
        ("cpz = 5", "1:1: unknown keyword 'cpz'"),
        ("quiet = true\n  duration = \"10q1\"x", "2:20: this is not TOML"),
        ("\n\ncps = \"x\"", "3:7: cps: 'x' is not a number"),
        ("cps = true", "1:7: cps: true says nothing about it"),
        ("cps = [1, 2]", "1:11: cps: '2' is one argument too many"),
        ("quiet = 5", "1:9: quiet: '5' is one argument too many"),
        ("cps = 1979-05-27", "1:7: cps: a value of type datetime is none of its arguments"),
        ("cps = \"\"", "1:7: cps: the text is empty"),
        ("payload_file = \"a\\nb\"", "1:16: payload_file: the text contains \\u{a}"),
        ("keepalive = { interval = 5, every = 1 }", "1:29: keepalive: 'every' is none of its"),
        ("keepalive = { requests = 5 }", "1:13: keepalive: its 'interval' is missing"),
        ("payload_size = { bytes = 5 }", "1:16: payload_size: it has no named arguments"),
        ("cps = 5\ncps = 6", "2:1: this is not TOML: duplicate key"),
        ("[[port]]\nname = \"link:a\"", "1:1: port: its 'address' is missing"),
        ("ü = 1\nquiet = [\"é\", { }]", "1:1: this is not TOML"),
        ("\"ü\" = 1", "1:1: unknown keyword 'ü'"),
        ("role = 5", "1:8: a role is a table of keywords"),
        ("[[role]]\nmode = \"client\"\n[[role]]", "1:1: there are 2 roles where one is wanted"),
        ("mode = \"client\"\ncpu = 0", "2:1: port: there is no port"),
    ];
    for (text, expected) in table {
        let refusal = refusal(toml(text));
        assert!(refusal.starts_with(&format!("t.toml:{expected}")), "{text}\n{refusal}");
    }
    let bytes = Source { name: "t.toml".to_owned(), bytes: b"quiet = true\nx = \"\xff\"".to_vec() };
    assert!(refusal(read(&[bytes])).starts_with("t.toml:2:6: a byte is not UTF-8"));
    let deep = format!("cpu = {}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(refusal(toml(&deep)).starts_with("t.toml:1:"));
}

#[test]
fn several_roles_share_what_stands_at_the_top() {
    let text = r#"
protocol = "http"
client = "10.0.1.1/32"
server = "10.0.2.1/32"

[[role]]
mode = "server"
cpu = 0
port = { name = "link:a", address = "10.0.2.1", gateway = "10.0.1.1" }

[[role]]
cpu = 1
cps = 10
port = { name = "link:a", address = "10.0.1.1", gateway = "10.0.2.1" }
"#;
    let roles = read_roles(&source(text)).unwrap();
    let names: Vec<_> = roles.iter().map(|read| read.config.role.name()).collect();
    assert_eq!(names, ["server", "client"]);
    assert!(roles.iter().all(|read| read.config.protocol == crate::config::Protocol::Http));
    let wrong = text.replace("cps = 10", "wait = \"x\"");
    let error = read_roles(&source(&wrong)).unwrap_err();
    assert_eq!(error.to_string().lines().next(), Some("t.toml:13:8: wait: 'x' is not a number"));
}

/// Every example, and dperf's where they are, also those that cannot be planned yet.
#[test]
fn every_file_is_converted_without_loss() {
    let files = super::mutation::files();
    assert!(files.len() > 20);
    for path in files {
        let name = path.display().to_string();
        let classic = Source { name: name.clone(), bytes: std::fs::read(&path).unwrap() };
        let bytes = convert(&classic).unwrap_or_else(|error| panic!("{error}")).into_bytes();
        let modern = Source { name: name.clone() + ".toml", bytes };
        let words = |source: Source| {
            let (config, _) = crate::config::read::words(&[source]).unwrap();
            essence(&config)
        };
        assert_eq!(words(modern.clone()), words(classic.clone()), "{name}");
        match (read(&[classic]), read(&[modern])) {
            (Ok(ours), Ok(theirs)) => {
                assert_eq!(essence(&theirs.config), essence(&ours.config), "{name}");
                // Old names that mean the same are gone.
                let kept = |note: &&crate::config::Note| !note.text.contains("is the old name");
                assert_eq!(theirs.notes.len(), ours.notes.iter().filter(kept).count(), "{name}");
            }
            (Err(ours), Err(theirs)) => assert_eq!(theirs.complaint.why, ours.complaint.why),
            (ours, theirs) => panic!("{name}: {ours:?}\n{theirs:?}"),
        }
    }
}

#[test]
fn a_converted_file_keeps_its_comments_and_its_order() {
    let text = "# who\nmode client # us\n\ncpu 0-1 3\ntos 0\ntos 0x68\n# where\n\
                port link:a 10.0.1.1 10.0.2.1 # the link\n\
                client 10.0.1.1 10 10.0.1.200\nserver 10.0.2.0/24 10.0.3.1 # it\n\
                lport_range 5 007\nkeepalive 10ms 5\neal -m 512\neal --no-huge\nhttp_path /\"\\\n\
                rss l3 l4\n# end";
    let toml = convert(&Source { name: "t.conf".to_owned(), bytes: text.into() }).unwrap();
    let expected = r##"# who
mode = "client"  # us

cpu = ["0-1", 3]
# replaced below: tos 0
tos = "0x68"
client_port_range = { first = 5, last = "007" }
keepalive = { interval = "10ms", requests = 5 }
eal = [
    ["-m", 512],
    "--no-huge",
]
http_path = "/\"\\"
rss = [["l3", "l4"]]
# end

[[port]]
# where
# the link
name = "link:a"
address = "10.0.1.1"
gateway = "10.0.2.1"
client = { address = "10.0.1.1", count = 10, more = ["10.0.1.200"] }
server = { address = "10.0.2.0/24", more = ["10.0.3.1"] }  # it
"##;
    let (schema, rest) = toml.split_once('\n').unwrap();
    assert!(schema.starts_with("#:schema http"));
    assert_eq!(rest, expected);
    assert!(convert(&source(&toml)).is_err());
    assert!(convert(&Source { name: "t.conf".to_owned(), bytes: b"cpz 1".to_vec() }).is_err());
}
