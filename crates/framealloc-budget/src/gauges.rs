//! A frame's figures as gauges of the `metrics` facade, for whatever recorder the program has installed.

use metrics::gauge;

use crate::figures::FrameRecord;
use crate::tree::Tree;

/// Sets all of them. The recorder is the program's code: no lock is held here.
pub(crate) fn set(record: &FrameRecord, tree: &Tree) {
    let plain = [
        ("framealloc_frame_bytes", record.bytes),
        ("framealloc_frame_waste_bytes", record.waste),
        ("framealloc_chunk_bytes", record.chunk_bytes),
        ("framealloc_committed_bytes", record.committed),
        ("framealloc_pool_bytes", record.pools),
        ("framealloc_heap_bytes", record.heap),
        ("framealloc_sealed_bytes", record.sealed),
        ("framealloc_scratch_peak_bytes", record.scratch_peak),
        ("framealloc_refused_requests", record.refused),
    ];
    for (name, figure) in plain {
        gauge!(name).set(figure as f64);
    }
    gauge!("framealloc_frame_interval_seconds").set(record.interval.as_secs_f64());
    for (node, tag) in tree.nodes_from(0).iter().zip(&record.tags).skip(1) {
        let path = node.path.to_string();
        gauge!("framealloc_tag_bytes", "tag" => path.clone()).set(tag.peak as f64);
        gauge!("framealloc_tag_own_bytes", "tag" => path).set(tag.own as f64);
    }
}
