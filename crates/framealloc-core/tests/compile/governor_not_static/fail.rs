// error: E0597
// A governor borrows nothing that the allocator may outlive.

use framealloc_core::{AllocConfig, Governor, SmartAlloc};

#[derive(Clone)]
struct Named<'a>(&'a str);

impl Governor for Named<'_> {}

pub fn main() {
    let name = String::from("budget");
    let governor = Named(&name);
    assert_eq!(governor.0, name);
    SmartAlloc::new(AllocConfig::default().with_governor(governor)).frame().alloc(1);
}
