//! Reads dperf's blocks, which both testers print: one per second, `name value` pairs after a line
//! that begins with `seconds`.

use std::collections::HashMap;

/// One block: its second, how busy its worker was, its counters.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// Seconds since the start.
    pub(crate) second: u64,
    /// Percent of its time that the busiest worker worked.
    pub(crate) busy_percent: f64,
    /// `client` or `server`, where one process is both.
    pub(crate) role: Option<String>,
    counters: HashMap<String, f64>,
}

impl Block {
    /// A counter; 0 if the tester does not print it.
    pub(crate) fn count(&self, name: &str) -> f64 {
        self.counters.get(name).copied().unwrap_or(0.0)
    }
}

/// The blocks of seconds in what a tester printed so far; not those of its end.
pub(crate) fn read(out: &str) -> Vec<Block> {
    let before_end = out.split("Test Finished").next().unwrap_or_default();
    let blocks = before_end.split("\nseconds ").skip(1);
    blocks.filter_map(block).collect()
}

fn block(text: &str) -> Option<Block> {
    let (head, rows) = text.split_once('\n')?;
    let mut words = head.split_whitespace();
    let second = words.next()?.parse().ok()?;
    let mut block = Block { second, busy_percent: 0.0, role: None, counters: HashMap::new() };
    for word in words.skip_while(|word| *word == "cpuUsage") {
        match word.parse::<f64>() {
            Ok(percent) => block.busy_percent = block.busy_percent.max(percent),
            Err(_) => block.role = Some(word.to_string()),
        }
    }
    let words: Vec<&str> = rows.split_whitespace().collect();
    for pair in words.windows(2) {
        if let Ok(value) = pair[1].replace(',', "").parse() {
            block.counters.insert(pair[0].to_string(), value);
        }
    }
    Some(block)
}
