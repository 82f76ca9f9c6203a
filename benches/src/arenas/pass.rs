//! What all rows have in common: how each arena is made, used for a pass, and reset. A row adds what it allocates.
//!
//! Macros, because an arena's lifetime is in the type of what it hands out: a function over closures could not name it, and
//! would cost a call where nothing is inlined.

/// A contender: an arena that is made once, used for a pass, and reset. The body's value is the pass's.
macro_rules! pass {
    (frame, |$frame:ident| $body:expr) => {
        pass!(named $crate::arenas::names::FRAME, frame, |$frame| $body)
    };
    (named $name:expr, frame, |$frame:ident| $body:expr) => {
        $crate::contender!($name, framealloc::SmartAlloc::default(), |alloc| {
            alloc.begin_frame();
            let $frame = alloc.frame();
            let sum = $body;
            alloc.end_frame();
            sum
        })
    };
    (sugar, |$alloc:ident| $body:expr) => {
        $crate::contender!($crate::arenas::names::SUGAR, framealloc::SmartAlloc::default(), |$alloc| {
            $alloc.begin_frame();
            let sum = $body;
            $alloc.end_frame();
            sum
        })
    };
    (arena, |$arena:ident| $body:expr) => {
        pass!(reset $crate::arenas::names::ARENA, framealloc::Arena::new(), |$arena| $body)
    };
    (bumpalo, |$bump:ident| $body:expr) => {
        pass!(reset $crate::arenas::names::BUMPALO, bumpalo::Bump::new(), |$bump| $body)
    };
    (bump_scope, |$bump:ident| $body:expr) => {
        pass!(reset $crate::arenas::names::BUMP_SCOPE, $crate::arenas::Scope::new(), |$bump| $body)
    };
    (bump_scope_8, |$bump:ident| $body:expr) => {
        pass!(reset $crate::arenas::names::BUMP_SCOPE_8, $crate::arenas::Scope8::new(), |$bump| $body)
    };
    (blink, |$blink:ident| $body:expr) => {
        pass!(reset $crate::arenas::names::BLINK, blink_alloc::Blink::new(), |$blink| $body)
    };
    (multitude, |$arena:ident| $body:expr) => {
        pass!(reset $crate::arenas::names::MULTITUDE, multitude::Arena::new(), |$arena| $body)
    };
    (reset $name:expr, $new:expr, |$arena:ident| $body:expr) => {
        $crate::contender!($name, $new, |$arena| {
            let sum = $body;
            $arena.reset();
            sum
        })
    };
    // The general-purpose heap: what is made is kept in a list, whose room stays, and freed at the end of the pass.
    (kept $name:expr, |$kept:ident| $body:expr) => {
        $crate::contender!($name, Vec::new(), |$kept| {
            let sum = $body;
            $kept.clear();
            sum
        })
    };
}
