//! The rows under criterion: `cargo bench -p benches`.

use benches::arenas::{BumpScope, Bumpalo, FrameBoxes, HeldFrame, OwnArena, Row, VALUES};
use benches::pools::{
    BATCH, BATCHES, Boxes, Mimalloc, OBJECTS, Pooled, fill_and_drain, ping_pong, producer_consumer, with_consumer,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn arena<R: Row>(c: &mut Criterion) {
    let mut group = c.benchmark_group("10,000 values of 32 bytes, read back, reset");
    group.throughput(Throughput::Elements(VALUES));
    let mut row = R::new();
    group.bench_function(R::NAME, |b| b.iter(|| row.frame()));
    group.finish();
}

fn arenas(c: &mut Criterion) {
    arena::<HeldFrame>(c);
    arena::<OwnArena>(c);
    arena::<Bumpalo>(c);
    arena::<BumpScope>(c);
    arena::<FrameBoxes>(c);
}

fn pool<B: Boxes + Default>(c: &mut Criterion) {
    let boxes = B::default();
    let mut group = c.benchmark_group("objects of 64 bytes");
    group.throughput(Throughput::Elements(OBJECTS as u64));
    group.bench_function(format!("ping-pong/{}", B::NAME), |b| b.iter(|| ping_pong(&boxes)));
    let mut live = Vec::with_capacity(OBJECTS);
    group.bench_function(format!("fill and drain/{}", B::NAME), |b| b.iter(|| fill_and_drain(&boxes, &mut live)));
    group.throughput(Throughput::Elements((BATCH * BATCHES) as u64));
    with_consumer::<B, _>(|consumer| {
        group.bench_function(format!("producer, consumer/{}", B::NAME), |b| {
            b.iter(|| producer_consumer(&boxes, &consumer));
        });
    });
    group.finish();
}

fn pools(c: &mut Criterion) {
    pool::<Pooled>(c);
    pool::<Mimalloc>(c);
}

criterion_group!(benches, arenas, pools);
criterion_main!(benches);
