// A vector drops its elements, which may look at what they borrow.

use framealloc_core::SmartAlloc;

struct Farewell<'a>(&'a str);

impl Drop for Farewell<'_> {
    fn drop(&mut self) {
        assert_eq!(self.0, "name");
    }
}

pub fn main() {
    let alloc = SmartAlloc::default();
    let (name, _boxed);
    name = String::from("name");
    _boxed = alloc.frame_collect([Farewell(&name)]);
}
