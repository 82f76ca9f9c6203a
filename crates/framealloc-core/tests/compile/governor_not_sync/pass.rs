// A governor is asked by several threads at once.

use framealloc_core::{AllocConfig, Governor, Request, SmartAlloc, Verdict};

#[derive(Default)]
struct Limit(std::sync::atomic::AtomicUsize);

impl Governor for Limit {
    fn request(&self, request: &Request) -> Verdict {
        if request.bytes > 1 << 30 { Verdict::Deny } else { Verdict::Allow }
    }
}

pub fn main() {
    let limit = Limit::default();
    assert_eq!(limit.0.into_inner(), 0);
    SmartAlloc::new(AllocConfig::default().with_governor(Limit::default())).frame().alloc(1);
}
