// A pool box drops its value, which may look at what it borrows.

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
    _boxed = alloc.pool_box(Farewell(&name));
}
