//! Programs for the models of the core's property tests, decoded from whatever bytes a fuzzer makes.
//!
//! With `PRINT=1` in the environment each program is printed before it runs: to read what a finding does.

#[macro_use]
#[path = "../../../crates/framealloc-core/src/canary.rs"]
mod canary;
#[path = "../../../crates/framealloc-core/tests/support/models/mod.rs"]
mod models;
/// The arithmetic of a bump as it stands, compiled without `std`: with little room at the top of the address space.
#[path = "../../../crates/framealloc-core/src/bump.rs"]
#[allow(dead_code, reason = "what the library uses")]
mod verbatim;

use std::fmt::Debug;
use std::sync::OnceLock;

use libfuzzer_sys::fuzzer_mutate;
use models::{Program, Record};

models::bump::check_bump!(check_verbatim, crate::verbatim);

fn is_printing() -> bool {
    static PRINTING: OnceLock<bool> = OnceLock::new();
    *PRINTING.get_or_init(|| std::env::var_os("PRINT").is_some())
}

fn run<S: From<Record> + Debug>(bytes: &[u8], most: usize, run: fn(&Program<S>)) {
    let Some(program) = Program::decode(bytes, most) else { return };
    if is_printing() {
        eprintln!("{program:#?}");
    }
    run(&program);
}

pub fn arena(bytes: &[u8]) {
    run(bytes, 200, models::arena::run);
}

pub fn collections(bytes: &[u8]) {
    run(bytes, 200, models::collections::run);
}

pub fn config(bytes: &[u8]) {
    run(bytes, 200, models::config::run);
}

pub fn frames(bytes: &[u8]) {
    run(bytes, 200, models::frames::run);
}

pub fn instances(bytes: &[u8]) {
    run(bytes, 200, models::instances::run);
}

pub fn pool(bytes: &[u8]) {
    run(bytes, 200, models::pools::run);
}

pub fn bump(bytes: &[u8]) {
    let Some((words, align, min_align)) = models::bump::decode(bytes) else { return };
    models::bump::check_library(words, align, min_align);
    check_verbatim(words, align, min_align);
}

/// Changes a program of `size` bytes in place, up to `max`: as libFuzzer does, or by whole steps, which keeps those behind
/// what they are.
pub fn mutate(data: &mut [u8], size: usize, max: usize, seed: u32) -> usize {
    const STEP: usize = 6;
    let steps = size / STEP;
    let mut state = u64::from(seed) | 1 << 40;
    let mut below = |limit: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % limit.max(1)
    };
    if steps < 2 || below(2) == 0 {
        return fuzzer_mutate(data, size, max);
    }
    let size = steps * STEP;
    // Never the first one, which is the setting.
    let from = 1 + below(steps - 1);
    let count = 1 + below((steps - from).min(8));
    let (from, len) = (from * STEP, count * STEP);
    match below(4) {
        // Steps less.
        0 => {
            data.copy_within(from + len..size, from);
            size - len
        }
        // The same ones again, elsewhere.
        1 if size + len <= max => {
            let to = (1 + below(steps)) * STEP;
            let copy = data[from..from + len].to_vec();
            data.copy_within(to..size, to + len);
            data[to..to + len].copy_from_slice(&copy);
            size + len
        }
        // A new one.
        2 if size + STEP <= max => {
            data.copy_within(from..size, from + STEP);
            data[from..from + STEP].fill_with(|| below(256) as u8);
            size + STEP
        }
        // Another argument.
        _ => {
            data[from + below(STEP)] = below(256) as u8;
            size
        }
    }
}
