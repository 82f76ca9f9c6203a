//! A recording for other people's viewers: a Chrome trace of counters, and collapsed stacks for flame graphs.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::Recording;

/// What lies in no tag.
const UNTAGGED: &str = "in no tag";

impl Recording {
    /// As counters of a Chrome trace: what `chrome://tracing` and Perfetto's viewer open. One counter for the bytes of each tag, one
    /// for what is held, one for refusals; a frame stands where it ended, from 0 for the first one.
    ///
    /// The format is the JSON of Google's [Trace Event Format](https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU).
    #[must_use]
    pub fn to_trace(&self) -> String {
        let mut events = vec![json!({"name": "process_name", "ph": "M", "pid": 1, "args": {"name": self.title}})];
        let mut nanoseconds = 0;
        for (at, record) in self.frames.iter().enumerate() {
            if at > 0 {
                nanoseconds += record.interval.as_nanos();
            }
            let mut counter = |name: &str, series: Map<String, Value>| {
                // Microseconds, as the format has it.
                let ts = nanoseconds as f64 / 1e3;
                events.push(json!({"name": name, "ph": "C", "pid": 1, "ts": ts, "args": series}));
            };
            let tags = self.tags.iter().zip(&record.tags).map(|(tag, figures)| {
                let name = if tag.path.is_empty() { UNTAGGED } else { &tag.path };
                (name.to_owned(), json!(figures.own.max(0)))
            });
            counter("frame memory", tags.collect());
            let held = [("chunks", record.chunk_bytes), ("pools", record.pools), ("sealed", record.sealed)];
            counter("memory held", held.map(|(name, bytes)| (name.to_owned(), json!(bytes))).into_iter().collect());
            counter("refused", Map::from_iter([("requests".to_owned(), json!(record.refused))]));
        }
        json!({"displayTimeUnit": "ms", "traceEvents": events}).to_string()
    }

    /// As collapsed stacks, a line for each tag: `all;parent;child BYTES` with the bytes of all frames that are its own. What
    /// `flamegraph.pl` and `inferno-flamegraph` draw.
    #[must_use]
    pub fn to_collapsed(&self) -> String {
        let mut text = String::new();
        for (at, tag) in self.tags.iter().enumerate() {
            let own = |record: &crate::FrameRecord| record.tags.get(at).map_or(0, |figures| figures.own.max(0));
            let bytes: isize = self.frames.iter().map(own).sum();
            if bytes > 0 {
                // A space ends the stack, and a semicolon a name in it.
                let path = tag.path.replace(|c: char| c == ';' || c.is_whitespace(), "_").replace('/', ";");
                let join = if path.is_empty() { "" } else { ";" };
                writeln!(text, "all{join}{path} {bytes}").expect("a text takes what is written");
            }
        }
        text
    }
}
