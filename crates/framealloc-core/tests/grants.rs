//! Vectors that grow under a grant: refused where the bytes end, neither before nor in one way only.

use std::panic::{AssertUnwindSafe, catch_unwind};

use framealloc_core::*;

/// Grants every tag as many bytes, and no more.
struct Grant(usize);

impl Governor for Grant {
    fn open_tag(&self, _: &TagScope) -> Verdict {
        Verdict::AllowUpTo(self.0)
    }
}

/// Fills a vector of `capacity` values under a grant and pushes one more: whether that was refused. `None` if the grant is less
/// than the vector.
fn push_is_refused<T: Copy>(value: T, capacity: usize, grant: usize, quietly: bool) -> Option<bool> {
    let alloc = SmartAlloc::new(AllocConfig::default().with_governor(Grant(grant)));
    alloc.with_tag("vectors", |alloc| {
        let mut vec = alloc.frame().try_vec_with_capacity(capacity).ok()?;
        (0..capacity).for_each(|_| vec.push(value));
        Some(if quietly {
            vec.try_push(value).is_err()
        } else {
            catch_unwind(AssertUnwindSafe(|| vec.push(value))).is_err()
        })
    })
}

#[test]
fn push_is_refused_where_try_push_is() {
    fn check<T: Copy>(value: T) {
        for capacity in 1..20 {
            for grant in (8..400).step_by(8) {
                let [quiet, loud] = [true, false].map(|quietly| push_is_refused(value, capacity, grant, quietly));
                assert_eq!(quiet, loud, "{capacity} values of {} bytes in a grant of {grant}", size_of::<T>());
            }
        }
    }
    check(1u8);
    check(1u32);
    check(1u64);
}

#[test]
fn small_vector_grows_to_the_least_capacity_and_no_further() {
    let alloc = SmartAlloc::new(AllocConfig::default().with_governor(Grant(32)));
    alloc.with_tag("vectors", |alloc| {
        let mut vec = alloc.frame().vec_with_capacity(1);
        vec.push(1u64);
        vec.push(2);
        assert_eq!(vec.capacity(), 4);
    });
}
