//! The configuration language, and TOML: any text is accepted and planned, or refused with a place
//! and a reason.

use dperf_shell::config::{ConfigError, Source, read};
use dperf_shell::plan::{Plan, PlanRecord, explain};

/// Reads, plans and explains one file.
pub fn holds(data: &[u8]) {
    for name in ["any.conf", "any.toml"] {
        let source = Source { name: name.to_owned(), bytes: data.to_vec() };
        let Err(error) = answer(source) else { continue };
        let lines = data.iter().filter(|byte| **byte == b'\n').count() as u32 + 1;
        assert!((1..=lines).contains(&error.place.line), "{error}");
        assert!(error.place.column >= 1 && !error.complaint.why.is_empty(), "{error}");
    }
}

fn answer(source: Source) -> Result<(), ConfigError> {
    let read = read(&[source])?;
    let plan = Plan::assumed(&read.config)?;
    assert!(!explain(&read.config, &plan, &read.notes).is_empty());
    let _ = PlanRecord::new(&read.config, &plan, &read.notes);
    Ok(())
}
