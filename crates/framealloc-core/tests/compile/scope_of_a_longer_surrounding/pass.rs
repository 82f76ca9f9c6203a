// A scope is invariant in what surrounds it: none stands for one whose surroundings are gone earlier.

use framealloc_core::{Arena, Scope};

fn shorten<'t, 's, 'a: 's, 'e: 'a>(scope: &'t Scope<'s, 'e>, _: &'a u8) -> &'t Scope<'s, 'e> {
    scope
}

pub fn main() {
    Arena::new().scope(|scope| *shorten(scope, &1).alloc(1));
}
