//! What must hold for any bytes at all. Each module is one fuzz target: `holds` takes bytes from
//! anywhere and panics when a law is broken.
//!
//! libFuzzer looks for such bytes (`make fuzz`); the seeds, and damaged copies of them, run as
//! ordinary tests. What libFuzzer finds becomes a seed with a name that says what it broke.

pub mod config;
pub mod headers;
pub mod http;
pub mod messages;
mod opening;
pub mod receive;
pub mod sequence;
mod throw;
pub mod wire;
