//! Strings: copied and formatted.

use std::hint::black_box;

use bump_scope::BumpBox;
use framealloc::frame_format;

use super::names::*;
use crate::row::{Bar, Figure, Group, Row};

/// Strings in a pass.
const TEXTS: usize = 2_000;

/// What strings are made of.
static TEXT: &str = "the quick brown fox jumps over the lazy dog, and over it again.";
/// 0 to 63 bytes: what comes next cannot be guessed.
static LENGTHS: [usize; TEXTS] = super::lengths(TEXT.len());

macro_rules! copies {
    (|$source:ident| $alloc:expr) => {{
        let (text, lengths) = black_box((TEXT, &LENGTHS));
        let mut sum = 0;
        for &length in lengths {
            let $source = &text[..length];
            sum += read(black_box($alloc));
        }
        sum
    }};
}

macro_rules! formats {
    (|$number:ident, $text:ident| $alloc:expr) => {{
        let ($text, lengths) = black_box(("enemy", &LENGTHS));
        let mut sum = 0;
        for &$number in lengths {
            sum += read(black_box($alloc));
        }
        sum
    }};
}

#[inline(always)]
fn read(text: &str) -> u64 {
    text.len() as u64 + text.as_bytes().last().copied().map_or(0, u64::from)
}

/// Appends to the list of what is kept; what was appended.
#[inline(always)]
fn keep(kept: &mut Vec<String>, text: String) -> &str {
    kept.push(text);
    kept.last().expect("just pushed")
}

fn copied() -> Row {
    Row {
        id: "str-copy",
        group: Group::Layouts,
        work: "copies of 2,000 strings of 0 to 63 bytes",
        unit: "string",
        operations: TEXTS as u64,
        contenders: vec![
            pass!(frame, |frame| copies!(|source| frame.alloc_str(source))),
            pass!(sugar, |alloc| copies!(|source| alloc.frame_alloc_str(source))),
            pass!(arena, |arena| copies!(|source| arena.alloc_str(source))),
            pass!(bumpalo, |bump| copies!(|source| bump.alloc_str(source))),
            pass!(bump_scope, |bump| copies!(|source| BumpBox::leak(bump.alloc_str(source)))),
            pass!(bump_scope_8, |bump| copies!(|source| BumpBox::leak(bump.alloc_str(source)))),
            pass!(blink, |blink| copies!(|source| blink.copy_str(source))),
            pass!(multitude, |arena| copies!(|source| &mut *arena.alloc_str(source))),
            pass!(kept SYSTEM, |kept| copies!(|source| keep(&mut kept, source.to_owned()))),
        ],
        bars: vec![
            Bar { ours: FRAME, rivals: &[BUMP_SCOPE, BLINK], figure: Figure::Instructions, at_most: 1.0 },
            Bar { ours: FRAME, rivals: &[BUMP_SCOPE, BLINK], figure: Figure::Time, at_most: 1.03 },
        ],
    }
}

/// blink-alloc has no strings that grow.
fn formatted() -> Row {
    Row {
        id: "format",
        group: Group::Layouts,
        work: "2,000 strings of a text, a number and another, formatted",
        unit: "string",
        operations: TEXTS as u64,
        contenders: vec![
            pass!(frame, |frame| formats!(|n, name| frame_format!(frame, "{name} {n}: {} hp", n * 3).into_str())),
            pass!(sugar, |alloc| formats!(|n, name| frame_format!(alloc, "{name} {n}: {} hp", n * 3).into_str())),
            pass!(bumpalo, |bump| formats!(|n, name| {
                bumpalo::format!(in &bump, "{name} {n}: {} hp", n * 3).into_bump_str()
            })),
            pass!(bump_scope, |bump| formats!(|n, name| {
                BumpBox::leak(bump.alloc_fmt(format_args!("{name} {n}: {} hp", n * 3)))
            })),
            pass!(reset BUMP_SCOPE_MUT, super::Scope::new(), |bump| {
                let scope = bump.as_mut_scope();
                formats!(|n, name| BumpBox::leak(scope.alloc_fmt_mut(format_args!("{name} {n}: {} hp", n * 3))))
            }),
            pass!(multitude, |arena| formats!(|n, name| {
                multitude::strings::format!(in &arena, "{name} {n}: {} hp", n * 3).leak()
            })),
            pass!(kept SYSTEM, |kept| formats!(|n, name| keep(&mut kept, format!("{name} {n}: {} hp", n * 3)))),
        ],
        bars: vec![
            Bar { ours: FRAME, rivals: &[BUMP_SCOPE], figure: Figure::Instructions, at_most: 1.0 },
            Bar { ours: FRAME, rivals: &[BUMP_SCOPE], figure: Figure::Time, at_most: 1.03 },
        ],
    }
}

/// The rows.
#[must_use]
pub fn rows() -> Vec<Row> {
    vec![copied(), formatted()]
}
