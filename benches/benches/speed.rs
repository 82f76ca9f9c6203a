//! The rows under criterion, for its own statistics and its comparison with the run before: `cargo bench -p benches -- u64`.
//!
//! Criterion takes one contender after the other. What it says of one over time is worth more than what it says of two against
//! each other: that is what `cargo performance` is for, which takes them in turn.

use std::hint::black_box;
use std::time::{Duration, Instant};

use benches::row::take_aside;
use benches::{Contender, Pass};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// A contender set up and warm, as where the page's figures are measured.
fn warm(contender: &Contender) -> Pass {
    let mut pass = (contender.start)();
    for _ in 0..2 {
        black_box(pass());
    }
    pass
}

/// Passes in a row, without what they do aside.
fn time(pass: &mut Pass, passes: u64) -> Duration {
    take_aside();
    let start = Instant::now();
    for _ in 0..passes {
        black_box(pass());
    }
    start.elapsed().saturating_sub(take_aside())
}

fn rows(criterion: &mut Criterion) {
    for row in benches::rows() {
        let mut group = criterion.benchmark_group(row.id);
        group.throughput(Throughput::Elements(row.operations));
        for contender in &row.contenders {
            // Made when it is first asked for, which is never if the filter leaves it out, and kept: criterion asks for each
            // of its samples anew.
            let mut pass = None;
            group.bench_function(contender.name, |bencher| {
                let pass = pass.get_or_insert_with(|| warm(contender));
                bencher.iter_custom(|passes| time(pass, passes));
            });
        }
        group.finish();
    }
}

/// Criterion's own eight seconds for each of several hundred contenders would be the better part of an hour.
fn settings() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(30)
}

criterion_group!(name = speed; config = settings(); targets = rows);
criterion_main!(speed);
