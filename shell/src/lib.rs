//! The thin std side of dperf-shell.
