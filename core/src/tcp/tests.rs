//! Unit tests of the TCP engine.
