//! Paired ratios: two rows in turn, many rounds, the median of the ratios round by round. What drifts hits both.

use std::time::{Duration, Instant};

use benches::arenas::{BumpScope, Bumpalo, FrameBoxes, HeldFrame, OwnArena, Row};
use benches::pools::{Boxes, Mimalloc, OBJECTS, Pooled, fill_and_drain, ping_pong, producer_consumer, with_consumer};

fn time(passes: u32, f: &mut dyn FnMut() -> u64) -> Duration {
    let start = Instant::now();
    for _ in 0..passes {
        std::hint::black_box(f());
    }
    start.elapsed()
}

/// Median and quartiles of `a`'s time over `b`'s.
fn ratio(rounds: usize, passes: u32, a: &mut dyn FnMut() -> u64, b: &mut dyn FnMut() -> u64) -> [f64; 3] {
    time(passes, a);
    time(passes, b);
    let mut ratios: Vec<f64> = (0..rounds)
        .map(|round| {
            // Who goes first alternates.
            if round % 2 == 0 {
                let first = time(passes, a).as_secs_f64();
                first / time(passes, b).as_secs_f64()
            } else {
                let first = time(passes, b).as_secs_f64();
                time(passes, a).as_secs_f64() / first
            }
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    [ratios[rounds / 2], ratios[rounds / 4], ratios[rounds * 3 / 4]]
}

fn print(what: &str, a: &str, b: &str, [median, low, high]: [f64; 3], bar: f64) {
    let verdict = if median <= bar { "holds" } else { "MISSED" };
    println!("| {what} | {a} / {b} | {median:.2} | {low:.2} to {high:.2} | <= {bar:.2} | {verdict} |");
}

fn arena<A: Row, B: Row>(rounds: usize, bar: f64) {
    let (mut a, mut b) = (A::new(), B::new());
    assert_eq!(a.frame(), b.frame(), "the rows do the same work");
    let result = ratio(rounds, 20, &mut || a.frame(), &mut || b.frame());
    print("10,000 values of 32 B", A::NAME, B::NAME, result, bar);
}

fn pools<A: Boxes + Default, B: Boxes + Default>(rounds: usize) {
    let (a, b) = (A::default(), B::default());
    let result = ratio(rounds, 20, &mut || ping_pong(&a), &mut || ping_pong(&b));
    print("ping-pong, 64 B", A::NAME, B::NAME, result, 0.6);
    let (mut live_a, mut live_b) = (Vec::with_capacity(OBJECTS), Vec::with_capacity(OBJECTS));
    let result = ratio(rounds, 10, &mut || fill_and_drain(&a, &mut live_a), &mut || fill_and_drain(&b, &mut live_b));
    print("fill and drain 10,000", A::NAME, B::NAME, result, 0.75);
    let result = with_consumer::<A, _>(|to_a| {
        with_consumer::<B, _>(|to_b| {
            ratio(rounds, 1, &mut || producer_consumer(&a, &to_a), &mut || producer_consumer(&b, &to_b))
        })
    });
    print("producer, consumer on 2 threads", A::NAME, B::NAME, result, 0.5);
}

fn main() {
    let rounds = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(101).max(3);
    println!("| work | pair | median ratio | quartiles | bar | |\n|---|---|---|---|---|---|");
    arena::<HeldFrame, Bumpalo>(rounds, 1.05);
    arena::<HeldFrame, BumpScope>(rounds, 1.05);
    arena::<OwnArena, Bumpalo>(rounds, 1.05);
    arena::<FrameBoxes, Bumpalo>(rounds, 1.2);
    pools::<Pooled, Mimalloc>(rounds);
}
