// error: E0597
// What is left of a boxed slice is dropped, and may look at what it borrows.

use framealloc_core::SmartAlloc;

struct Farewell<'a>(&'a str);

impl Drop for Farewell<'_> {
    fn drop(&mut self) {
        assert_eq!(self.0, "name");
    }
}

pub fn main() {
    let alloc = SmartAlloc::default();
    let (_boxed, name);
    name = String::from("name");
    _boxed = alloc.frame_collect([Farewell(&name)]).into_boxed_slice().into_iter();
}
