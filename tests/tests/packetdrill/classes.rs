//! Scripts that ask for what is not here, by class: the first that holds counts.

/// Why some scripts do not run.
pub(crate) struct Class {
    sign: Sign,
    pub(crate) reason: &'static str,
}

/// What such a script is known by.
enum Sign {
    /// Its path has this part.
    Path(&'static str),
    /// It says this.
    Text(&'static str),
}

impl Class {
    /// The script belongs to the class.
    pub(crate) fn holds(&self, name: &str, script: &str) -> bool {
        match self.sign {
            Sign::Path(part) => name.contains(part),
            Sign::Text(words) => script.contains(words),
        }
    }
}

const fn path(part: &'static str, reason: &'static str) -> Class {
    Class { sign: Sign::Path(part), reason }
}

const fn text(words: &'static str, reason: &'static str) -> Class {
    Class { sign: Sign::Text(words), reason }
}

const FAST_OPEN: &str = "TCP fast open";
const KERNEL: &str = "the interface and the insides of a kernel";
const OPTION: &str = "a socket option that does not exist here";
const OPEN: &str = "simultaneous open (MUST-10)";
const CLOSE_WAIT: &str = "CLOSE-WAIT: a load closes as soon as its peer does";
const UNSEEN: &str = "the tool does not see what a closed socket answers";
const SYN_FIN: &str = "a SYN with FIN is taken for a SYN, which only an attacker sends";
const INSECURE: &str = "RFC 5961 switched off";
const ECN: &str = "ECN (SHLD-8)";
const MTU: &str = "an MTU that is not ours, or varies (SHLD-6)";
const SACK: &str = "selective acknowledgments and what is built on them";
const TIMESTAMPS: &str = "timestamps";
const CONGESTION: &str = "a congestion control of Linux";

/// FreeBSD's suite.
pub(crate) const FREEBSD: &[Class] = &[
    path("fast-open/", FAST_OPEN),
    path("tcp-over-udp/", "TCP over UDP"),
    path("rcv-icmp/", "ICMP errors end no connection (MUST-54)"),
    path("socket-api/", KERNEL),
    path("via-syn-sent", OPEN),
    path("/rcv-syn-syn-sent/", OPEN),
    path("-close-wait", CLOSE_WAIT),
    path("/close-wait", CLOSE_WAIT),
    path("-nodrop-", SYN_FIN),
    path("-dropping-disabled-", SYN_FIN),
    path("ack-closed/", UNSEEN),
    path("/rcv-fin-closed/", UNSEEN),
    path("/rcv-syn-closed/", UNSEEN),
    path("/rcv-syn-fin-closed/", UNSEEN),
    text("insecure_rst=1", INSECURE),
    text("insecure_syn=1", INSECURE),
    text("> SEW", ECN),
    text("TCP_KEEPINIT", OPTION),
    text("TCP_NOOPT", OPTION),
    text("--mtu=", MTU),
];

/// packetdrill's own suite, which is Google's for Linux.
pub(crate) const GOOGLE: &[Class] = &[
    path("fastopen/", FAST_OPEN),
    path("blocking/", KERNEL),
    path("common/", KERNEL),
    path("eor/", KERNEL),
    path("epoll/", KERNEL),
    path("inq/", KERNEL),
    path("ioctl/", KERNEL),
    path("notsent_lowat/", KERNEL),
    path("sendfile/", KERNEL),
    path("splice/", KERNEL),
    path("syscall_bad_arg/", KERNEL),
    path("tcp_info/", KERNEL),
    path("timestamping/", KERNEL),
    path("zerocopy/", KERNEL),
    path("md5/", OPTION),
    path("mss/", OPTION),
    path("nagle/", OPTION),
    path("user_timeout/", OPTION),
    path("ecn/", ECN),
    path("-ecn-", ECN),
    path("mtu_probe/", MTU),
    path("sack/", SACK),
    path("fast_recovery/", SACK),
    path("-fack-", SACK),
    path("ts_recent/", TIMESTAMPS),
    path("cubic/", CONGESTION),
    text("connect(3, ..., ...) = 0", "a connect that waits"),
];
