//! A recording's frames as a table.

use super::Recording;

const PLAIN: [&str; 16] = [
    "frame",
    "interval_ns",
    "bytes",
    "waste",
    "chunk_bytes",
    "committed",
    "pools",
    "heap",
    "sealed",
    "scratch_peak",
    "chunks",
    "refused",
    "refused_memory",
    "over",
    "traffic",
    "threads",
];

pub(super) fn write(recording: &Recording) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut line: Vec<String> = PLAIN.map(str::to_owned).to_vec();
    line.extend(recording.tags.iter().flat_map(|tag| [format!("own {}", tag.path), format!("peak {}", tag.path)]));
    // Into memory, and all lines are as long as the first.
    let mut push = |line: &[String]| writer.write_record(line).expect("a line as long as the others, into memory");
    push(&line);
    for record in &recording.frames {
        line.clear();
        line.push(record.frame.to_string());
        line.push(record.interval.as_nanos().to_string());
        let plain = [
            record.bytes,
            record.waste,
            record.chunk_bytes,
            record.committed,
            record.pools,
            record.heap,
            record.sealed,
            record.scratch_peak,
            record.chunks,
            record.refused,
            record.refused_memory,
            record.over,
            record.traffic,
            record.threads.len(),
        ];
        line.extend(plain.map(|figure| figure.to_string()));
        for at in 0..recording.tags.len() {
            let tag = record.tags.get(at).copied().unwrap_or_default();
            line.extend([tag.own.to_string(), tag.peak.to_string()]);
        }
        push(&line);
    }
    let bytes = writer.into_inner().expect("memory is flushed");
    String::from_utf8(bytes).expect("of texts")
}
