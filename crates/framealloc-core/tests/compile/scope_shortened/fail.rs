// error: lifetime may not live long enough
// A scope is invariant: none stands for one of a shorter life.

use framealloc_core::{Arena, Scope};

fn shorten<'s, 'a, 'b: 'a, 'e: 'b>(scope: &'s Scope<'b, 'e>) -> &'s Scope<'a, 'e> {
    scope
}

pub fn main() {
    Arena::new().scope(|scope| *shorten(scope).alloc(1));
}
