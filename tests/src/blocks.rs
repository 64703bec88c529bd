//! Reads dperf's blocks, which both testers print: one per second, `name value` pairs after a line
//! that begins with `seconds`. dperf paints what went wrong, even into a file.

use std::collections::HashMap;

/// One block: its second, how busy its worker was, its counters.
#[derive(Clone, Debug)]
pub struct Block {
    /// Seconds since the start.
    pub second: u64,
    /// Percent of its time that the busiest worker worked.
    pub busy_percent: f64,
    /// `client` or `server`, where one process is both.
    pub role: Option<String>,
    counters: HashMap<String, f64>,
}

impl Block {
    /// A counter; 0 if the tester does not print it.
    #[must_use]
    pub fn count(&self, name: &str) -> f64 {
        self.counters.get(name).copied().unwrap_or(0.0)
    }
}

/// The blocks of seconds in what a tester printed so far; not those of its end.
#[must_use]
pub fn read(out: &str) -> Vec<Block> {
    let plain = anstream::adapter::strip_str(out).to_string();
    let before_end = plain.split("Test Finished").next().unwrap_or_default();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn painted_faults_are_counted() {
        let second = "\nseconds 7                  cpuUsage 86 91 client\n\
            pktRx   360,505            pktTx    360,513\n\
            synRt   \x1b[41;37m1,155\x1b[0m  finRt   \x1b[41;37m10\x1b[0m  ackRt   0\n\
            imissed  \x1b[41;37m3\x1b[0m\n";
        let blocks = read(&format!("it begins\n{second}\n{second}\n\n----Test Finished\n{second}"));
        assert_eq!(blocks.len(), 2);
        let block = &blocks[1];
        assert_eq!((block.second, block.busy_percent), (7, 91.0));
        assert_eq!(block.role.as_deref(), Some("client"));
        let counts = ["pktRx", "synRt", "finRt", "ackRt", "imissed", "absent"];
        assert_eq!(counts.map(|name| block.count(name)), [360_505.0, 1155.0, 10.0, 0.0, 3.0, 0.0]);
    }
}
