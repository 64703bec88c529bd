//! Scripts that ask for what is not here, by class.

/// Folders of the suite that test something else.
const FOLDERS: &[(&str, &str)] = &[
    ("fast-open/", "TCP fast open"),
    ("tcp-over-udp/", "TCP over UDP"),
    ("rcv-icmp/", "ICMP errors are counted and end no connection"),
    ("socket-api/", "the socket interface of a kernel"),
];

/// What a script says, and why it does not run.
const WORDS: &[(&str, &str)] =
    &[("insecure_rst=1", "RFC 5961 switched off"), ("insecure_syn=1", "RFC 5961 switched off")];

/// Why a script is not applicable, if it is not.
pub(crate) fn not_applicable(name: &str, script: &str) -> Option<&'static str> {
    let folder = FOLDERS.iter().find(|(folder, _)| name.starts_with(folder));
    let word = WORDS.iter().find(|(word, _)| script.contains(word));
    folder.or(word).map(|(_, class)| *class)
}
