//! A game loop in 20 lines: what a tick needs for a moment lives in frame memory, and is gone when the tick is over.
//! After the first tick no more memory is taken, whatever the frames allocate.
#![forbid(unsafe_code)]

use framealloc::prelude::*;

fn main() {
    let mut alloc = SmartAlloc::new(AllocConfig::default());
    let mut ships: Vec<f32> = (0..10_000).map(|i| i as f32).collect();
    let mut taken = 0;
    for tick in 0..600 {
        alloc.begin_frame();
        ships.iter_mut().for_each(|x| *x = (*x + 10.0) % 10_000.0);
        {
            let visible = alloc.frame_collect(ships.iter().enumerate().filter(|(_, x)| **x < 1_280.0));
            let mut columns = alloc.frame_map::<u32, FrameVec<usize>>();
            for &(ship, &x) in &visible {
                columns.entry(x as u32 / 64).or_insert_with(|| alloc.frame_vec()).push(ship);
            }
            let title = frame_format!(alloc, "tick {tick}: {} ships in {} columns", visible.len(), columns.len());
            assert!(title.ends_with("1280 ships in 20 columns"));
        } // Vectors, map and text are dropped here; with one of them alive the next line would not compile.
        alloc.end_frame();
        taken = if tick == 0 { alloc.stats().backend_allocations } else { taken };
    }
    assert_eq!(alloc.stats().backend_allocations, taken);
    println!(
        "600 ticks, {} bytes in the last: no memory was taken after the first",
        alloc.stats().last_frame.bytes_allocated
    );
}
