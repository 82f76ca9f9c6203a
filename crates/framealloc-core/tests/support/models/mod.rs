//! State machines against plain models, shared by the property tests of this folder and by the fuzz targets of `proof/fuzz`.
//!
//! A program is a list of records of six bytes, each of which is a step: whatever bytes come, they are a program. Running one
//! panics if the library disagrees with the model. What makes the bytes, chance or a fuzzer, is the callers' business.
#![allow(dead_code, reason = "each program uses a part")]

pub(crate) mod arena;
pub(crate) mod blocks;
pub(crate) mod bump;
pub(crate) mod collections;
pub(crate) mod config;
pub(crate) mod frames;
pub(crate) mod instances;
pub(crate) mod pools;
pub(crate) mod vault;

use std::fmt::Debug;

/// The bytes of a step: what it is, and three arguments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) kind: u8,
    /// Mostly a size.
    pub(crate) a: u16,
    /// Mostly an alignment.
    pub(crate) b: u8,
    /// Mostly an index.
    pub(crate) c: u16,
}

impl From<[u8; 6]> for Record {
    fn from([kind, a, aa, b, c, cc]: [u8; 6]) -> Self {
        Self { kind, a: u16::from_le_bytes([a, aa]), b, c: u16::from_le_bytes([c, cc]) }
    }
}

/// A first record, which is the setting, and the steps.
#[derive(Clone, Debug)]
pub(crate) struct Program<S> {
    pub(crate) setup: Record,
    pub(crate) steps: Vec<S>,
}

impl<S: From<Record> + Debug> Program<S> {
    pub(crate) fn new(setup: [u8; 6], steps: Vec<[u8; 6]>) -> Self {
        Self { setup: setup.into(), steps: steps.into_iter().map(|step| Record::from(step).into()).collect() }
    }

    /// The program that these bytes are; a rest of less than six is left out. `most` steps are run, so that none takes long.
    pub(crate) fn decode(bytes: &[u8], most: usize) -> Option<Self> {
        let (records, _) = bytes.as_chunks::<6>();
        let (&setup, steps) = records.split_first()?;
        Some(Self::new(setup, steps[..steps.len().min(most)].to_vec()))
    }
}

/// A size: mostly small, 0 among them, up to 128 KiB.
pub(crate) fn size(code: u16) -> usize {
    let low = usize::from(code & 0x1fff);
    match code >> 13 {
        0 if low & 3 == 0 => 0,
        0 => low & 7,
        1..=3 => low & 63,
        4 => low & 511,
        5 => low & 4095,
        6 => low * 2,
        _ => low * 16,
    }
}

/// An alignment from 1 to 4096, now and then 64 KiB.
pub(crate) fn align(code: u8) -> usize {
    if code >= 248 { 1 << 16 } else { 1 << (code % 13) }
}

/// `code` brought below `len`, which is not 0.
pub(crate) fn index(code: u16, len: usize) -> usize {
    usize::from(code) % len
}
