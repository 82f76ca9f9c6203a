// error: E0502
// No scope opens in a scratch arena while a collection in it is alive.

use framealloc_core::SmartAlloc;

pub fn main() {
    let alloc = SmartAlloc::default();
    let mut scratch = alloc.scratch();
    let costs = scratch.deque::<u8>();
    scratch.scope(|scope| *scope.alloc(1));
    drop(costs);
}
