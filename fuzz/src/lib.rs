//! What must hold for any bytes at all. Each module is one fuzz target: `holds` takes bytes from
//! anywhere and panics when a law is broken.
//!
//! libFuzzer looks for such bytes (`make fuzz`); the seeds, and damaged copies of them, run as
//! ordinary tests. What libFuzzer finds becomes a seed with a name that says what it broke.

pub mod config;
pub mod http;
pub mod receive;
pub mod wire;
