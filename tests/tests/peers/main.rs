//! The program among peers that nobody here wrote: the kernel's TCP, curl, wrk, nginx, a router
//! that tracks connections. What they count as wrong is wrong, and they must have counted nothing.
//!
//! Root is needed, and the tools that each test names; what is lacking is said and skipped, or
//! fails with CI=true. `DPERF_PEER_SECONDS` shortens the long runs, `DPERF_SHELL` names another
//! program.

mod against_nginx;
mod among_hostiles;
mod from_the_kernel;
mod in_tags;
mod manners;
mod net;
mod over_a_bad_line;
mod over_ipv6;
mod over_two_ports;
mod over_udp;
mod over_xdp;
mod through_a_router;
mod through_a_tunnel;
