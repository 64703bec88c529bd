//! Scripts that ask for what is not here, by class.

/// Folders of the suite that test something else.
const FOLDERS: &[(&str, &str)] = &[
    ("fast-open/", "TCP fast open"),
    ("tcp-over-udp/", "TCP over UDP"),
    ("rcv-icmp/", "ICMP errors end no connection (MUST-54)"),
    ("socket-api/", "the socket interface of a kernel"),
];

/// Parts of names that say in which state a script puts us.
const STATES: &[(&str, &str)] = &[
    ("via-syn-sent", "simultaneous open (MUST-10)"),
    ("/rcv-syn-syn-sent/", "simultaneous open (MUST-10)"),
    ("-close-wait", "CLOSE-WAIT: a load closes as soon as its peer does"),
    ("/close-wait", "CLOSE-WAIT: a load closes as soon as its peer does"),
    ("-nodrop-", "a SYN with FIN is taken for a SYN, which only an attacker sends"),
    ("-dropping-disabled-", "a SYN with FIN is taken for a SYN, which only an attacker sends"),
    // The tool follows connections, and takes an answer without one for somebody else's.
    ("ack-closed/", "the tool does not see what a closed socket answers"),
    ("/rcv-fin-closed/", "the tool does not see what a closed socket answers"),
    ("/rcv-syn-closed/", "the tool does not see what a closed socket answers"),
    ("/rcv-syn-fin-closed/", "the tool does not see what a closed socket answers"),
];

/// What a script says.
const WORDS: &[(&str, &str)] = &[
    ("insecure_rst=1", "RFC 5961 switched off"),
    ("insecure_syn=1", "RFC 5961 switched off"),
    ("> SEW", "ECN (SHLD-8)"),
    ("TCP_KEEPINIT", "a socket option of FreeBSD that the tool does not know"),
    ("TCP_NOOPT", "a socket option of FreeBSD that the tool does not know"),
    ("--mtu=", "an MTU of the script's"),
];

/// Why a script is not applicable, if it is not.
pub(crate) fn not_applicable(name: &str, script: &str) -> Option<&'static str> {
    let folder = FOLDERS.iter().find(|(folder, _)| name.starts_with(folder));
    let state = STATES.iter().find(|(part, _)| name.contains(part));
    let word = WORDS.iter().find(|(word, _)| script.contains(word));
    folder.or(state).or(word).map(|(_, class)| *class)
}
