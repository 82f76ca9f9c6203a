//! The arithmetic of a bump against the same in 128 bits, where nothing wraps.

/// Checks what a module of bump arithmetic answers to any cursor, bound and layout: a macro, so that it can be asked of
/// the library's and of a verbatim copy that was compiled for other targets.
macro_rules! check_bump {
    ($name:ident, $($bump:tt)+) => {
        /// Whatever four words these are, brought into what callers guarantee.
        pub(crate) fn $name(words: [usize; 4], align: u8, min_align: u8) {
            use $($bump)+::{Bump, HEADROOM, any, bound, constant, dynamic, is_constant, round_down};

            let min_align = 1usize << (min_align % 7);
            let align = 1usize << (u32::from(align) % (usize::BITS - 1));
            let top = usize::MAX - HEADROOM;
            let (one, other) = (words[0] % (top + 1), words[1] % (top + 1));
            let (cursor, end) = (round_down(one.min(other), min_align), round_down(one.max(other), min_align));
            let size = words[2] % (isize::MAX as usize - (align - 1) + 1);

            // What is right.
            let wide = |value: usize| value as u128;
            let up = |value: u128, align: usize| value.next_multiple_of(wide(align));
            let start = up(wide(cursor), align);
            let next = up(start + wide(size), min_align);
            let right = (next <= wide(end)).then(|| Bump { start: start as usize, cursor: next as usize });

            assert_eq!(any(cursor, end, size, align, min_align), right, "any");
            assert_eq!(dynamic(cursor, end, size, align, min_align), right, "dynamic");
            // Sizes for which the short way is taken, as well.
            for size in [size, size % (HEADROOM / 2), size % 4096] {
                if is_constant(size, align, min_align) {
                    let next = up(start + wide(size), min_align);
                    let right = (next <= wide(end)).then(|| Bump { start: start as usize, cursor: next as usize });
                    assert_eq!(constant(cursor, end, size, align, min_align), right, "constant");
                }
            }

            // A bound of a chunk from `cursor` to `end`.
            for (used, grant) in [(words[2], words[3]), (words[3], words[2]), (words[2] % 8192, words[3] % 8192)] {
                let answer = bound(cursor, end, used, grant, min_align);
                let allowed = wide(grant).saturating_sub(wide(used)).min(wide(end - cursor));
                assert_eq!(wide(answer), wide(cursor) + allowed / wide(min_align) * wide(min_align), "bound");
            }
        }
    };
}
#[allow(unused_imports, reason = "for the verbatim copy")]
pub(crate) use check_bump;

check_bump!(check_library, framealloc_core::bump);

/// The words and the two bytes that these bytes are.
pub(crate) fn decode(bytes: &[u8]) -> Option<([usize; 4], u8, u8)> {
    let (words, rest) = bytes.as_chunks::<8>();
    let word = |at: usize| words.get(at).map(|&bytes| u64::from_le_bytes(bytes) as usize);
    // The two bytes come last, so that shorter inputs are none.
    Some(([word(0)?, word(1)?, word(2)?, word(3)?], *rest.first()?, *rest.get(1)?))
}
