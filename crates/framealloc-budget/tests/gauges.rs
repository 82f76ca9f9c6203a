//! Gauges of the `metrics` facade: set when a frame has ended, by the names that are promised.
#![cfg(feature = "metrics")]

use std::collections::BTreeMap;

use framealloc_budget::Budget;
use framealloc_core::{AllocConfig, SmartAlloc};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

fn gauges(snapshotter: &Snapshotter) -> BTreeMap<String, f64> {
    let values = snapshotter.snapshot().into_vec().into_iter();
    values
        .map(|(key, _, _, value)| {
            let labels: Vec<_> = key.key().labels().map(|label| label.value().to_owned()).collect();
            let DebugValue::Gauge(value) = value else { panic!("no gauge") };
            (format!("{} {}", key.key().name(), labels.join(",")).trim().to_owned(), value.into_inner())
        })
        .collect()
}

#[test]
fn each_frame_sets_its_figures() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let budget = Budget::new();
        let mut alloc = SmartAlloc::new(AllocConfig::default().with_governor(budget.clone()));
        for frame in 1..=3usize {
            alloc.with_tag("ui", |a| a.with_tag("text", |a| a.frame().alloc_slice_fill(8 * frame, 0u8).len()));
            alloc.end_frame();
            let gauges = gauges(&snapshotter);
            let record = budget.metrics().last().unwrap();
            for (name, figure) in [
                ("framealloc_frame_bytes", 8 * frame),
                ("framealloc_committed_bytes", record.committed),
                ("framealloc_chunk_bytes", record.chunk_bytes),
                ("framealloc_pool_bytes", 0),
                ("framealloc_refused_requests", 0),
                ("framealloc_tag_bytes ui", 8 * frame),
                ("framealloc_tag_bytes ui/text", 8 * frame),
                ("framealloc_tag_own_bytes ui", 0),
                ("framealloc_tag_own_bytes ui/text", 8 * frame),
            ] {
                assert_eq!(gauges.get(name), Some(&(figure as f64)), "{name} of {gauges:?}");
            }
            assert_eq!(gauges["framealloc_frame_interval_seconds"], record.interval.as_secs_f64());
        }
    });
}
