//! Models of threads: whoever marks bytes has them to itself.

use crate::sync::modelled::touch;

pub(super) fn noaccess(start: *mut u8, bytes: usize) {
    touch(start, bytes);
}

pub(super) fn undefined(start: *mut u8, bytes: usize) {
    touch(start, bytes);
}

#[cfg(feature = "hardened")]
pub(super) fn defined(start: *mut u8, bytes: usize) {
    touch(start, bytes);
}
