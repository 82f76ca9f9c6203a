//! A frame of everything, for tests of what a warm one costs.

use framealloc_core::*;

static SOURCE: &[u64] = &[1; 225_000];

/// About 3 MB of everything. What it returns depends on all of it.
pub(crate) fn frame_of_3_mb(alloc: &SmartAlloc, seed: u64) -> u64 {
    let f = alloc.frame();
    let mut sum = 0u64;
    for i in 0..1000 {
        sum += *f.alloc(seed + i);
        sum += f.alloc_box([seed; 4])[3];
    }
    for i in 0..100 {
        sum += f.alloc_slice_copy(&SOURCE[..1000 + i])[i];
        sum += alloc.publish_slice_fill_with(10, |i| i as u64).frame();
    }
    let mut vec = f.vec();
    (0..20_000).for_each(|i| vec.push(seed ^ i));
    sum += vec[19_999];
    // A dedicated chunk, which the next vector grows into.
    sum += f.alloc_slice_copy(SOURCE)[224_999] + f.collect(SOURCE.iter().copied().take(100))[99];
    let mut map = f.map();
    (0..500).for_each(|i| assert!(map.insert(i, seed).is_none()));
    let mut text = f.string();
    (0..500).for_each(|_| text.push_str("some text "));
    let scratch = alloc.scratch();
    sum += scratch.alloc_slice_copy(&SOURCE[..20_000])[19_999];
    let boxed = alloc.pool_box([seed; 8]);
    // A value with a destructor, whose own memory is of the pool.
    let handle = alloc.publish(alloc.pool_box(seed));
    let (a, b) = f.columns::<(u64, u32)>(500);
    sum + map[&7]
        + text.len() as u64
        + boxed[7]
        + **alloc.get(handle).unwrap()
        + a[9]
        + u64::from(b[9])
        + alloc.with_tag("warm", |a| *a.frame().alloc(seed))
}
