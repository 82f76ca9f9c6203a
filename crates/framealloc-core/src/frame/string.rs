//! `FrameString`: a thin string over `FrameVec<u8>`, since allocator-api2 has none.

use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::{Deref, DerefMut};

use crate::error::AllocError;
use crate::frame::{Frame, FrameBox, FrameVec};

/// A growing UTF-8 string in a frame.
///
/// ```
/// use std::fmt::Write;
/// use framealloc_core::{SmartAlloc, frame_format};
/// let alloc = SmartAlloc::default();
/// let mut label = alloc.frame_string();
/// write!(label, "enemy {}", 7)?;
/// assert_eq!(label, "enemy 7");
/// assert_eq!(frame_format!(alloc, "{label}: {} hp", 100), "enemy 7: 100 hp");
/// # Ok::<(), std::fmt::Error>(())
/// ```
#[derive(Clone)]
pub struct FrameString<'f> {
    /// Always UTF-8: room is reserved before the first byte of a text is appended.
    bytes: FrameVec<'f, u8>,
}

impl<'f> FrameString<'f> {
    /// An empty string, which takes no memory yet.
    #[must_use]
    pub const fn new_in(frame: Frame<'f>) -> Self {
        Self { bytes: FrameVec::new_in(frame) }
    }

    /// An empty string with room for `capacity` bytes.
    ///
    /// # Panics
    ///
    /// If memory is refused.
    #[must_use]
    #[track_caller]
    pub fn with_capacity_in(capacity: usize, frame: Frame<'f>) -> Self {
        Self { bytes: FrameVec::with_capacity_in(capacity, frame) }
    }

    /// An empty string with room for `capacity` bytes.
    ///
    /// # Errors
    ///
    /// If memory is refused, or more than `isize::MAX` bytes are asked for.
    #[track_caller]
    pub fn try_with_capacity_in(capacity: usize, frame: Frame<'f>) -> Result<Self, AllocError> {
        Ok(Self { bytes: FrameVec::try_with_capacity_in(capacity, frame)? })
    }

    /// A formatted string.
    ///
    /// # Errors
    ///
    /// If memory is refused.
    ///
    /// # Panics
    ///
    /// If a `Display` returns an error of its own.
    ///
    /// ```
    /// use framealloc_core::{FrameString, SmartAlloc};
    /// let alloc = SmartAlloc::default();
    /// assert_eq!(FrameString::try_format(alloc.frame(), format_args!("{}", 7))?, "7");
    /// # Ok::<(), framealloc_core::AllocError>(())
    /// ```
    #[track_caller]
    pub fn try_format(frame: Frame<'f>, arguments: fmt::Arguments<'_>) -> Result<Self, AllocError> {
        struct Quiet<'a, 'f>(&'a mut FrameString<'f>, Option<AllocError>);
        impl fmt::Write for Quiet<'_, '_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0.try_push_str(text).map_err(|error| {
                    self.1 = Some(error);
                    fmt::Error
                })
            }
        }
        let mut string = Self::new_in(frame);
        let mut quiet = Quiet(&mut string, None);
        match (frame.raw().on_behalf(|| fmt::Write::write_fmt(&mut quiet, arguments)), quiet.1) {
            (Ok(()), _) => Ok(string),
            (Err(_), Some(error)) => Err(error),
            (Err(_), None) => panic!("a formatting trait implementation returned an error"),
        }
    }

    /// A formatted string: what [`frame_format!`](crate::frame_format) calls.
    ///
    /// # Panics
    ///
    /// If memory is refused, or a `Display` returns an error.
    #[must_use]
    #[inline]
    #[track_caller]
    pub fn format(frame: Frame<'f>, arguments: fmt::Arguments<'_>) -> Self {
        let mut string = Self::new_in(frame);
        if let Some(text) = arguments.as_str() {
            string.push_str(text);
        } else if frame.raw().on_behalf(|| fmt::Write::write_fmt(&mut string, arguments)).is_err() {
            panic!("a formatting trait implementation returned an error");
        }
        string
    }

    /// The string as a slice.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self
    }

    /// Bytes that fit before the string grows.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Appends a string.
    ///
    /// # Panics
    ///
    /// If memory is refused.
    #[inline]
    #[track_caller]
    pub fn push_str(&mut self, text: &str) {
        // A refusal comes before the first byte, and so leaves whole characters.
        self.bytes.append(text.as_bytes());
    }

    /// Appends a string.
    ///
    /// # Errors
    ///
    /// If memory is refused; the string is unchanged.
    #[track_caller]
    pub fn try_push_str(&mut self, text: &str) -> Result<(), AllocError> {
        self.bytes.try_extend_from_slice(text.as_bytes())
    }

    /// `write_str` of a text for which there is no room.
    #[cold]
    #[inline(never)]
    #[track_caller]
    fn write_grown(&mut self, text: &str) -> fmt::Result {
        self.push_str(text);
        Ok(())
    }

    /// Appends a character.
    ///
    /// # Panics
    ///
    /// If memory is refused.
    #[inline]
    #[track_caller]
    pub fn push(&mut self, character: char) {
        self.push_str(character.encode_utf8(&mut [0; 4]));
    }

    /// Appends a character.
    ///
    /// # Errors
    ///
    /// If memory is refused; the string is unchanged.
    #[track_caller]
    pub fn try_push(&mut self, character: char) -> Result<(), AllocError> {
        self.try_push_str(character.encode_utf8(&mut [0; 4]))
    }

    /// Takes the last character off.
    pub fn pop(&mut self) -> Option<char> {
        let character = self.chars().next_back()?;
        let len = self.len() - character.len_utf8();
        self.bytes.truncate(len);
        Some(character)
    }

    /// Shortens the string to `len` bytes; longer ones than it has change nothing.
    ///
    /// # Panics
    ///
    /// If `len` lies inside a character.
    #[track_caller]
    pub fn truncate(&mut self, len: usize) {
        if len <= self.len() {
            assert!(self.is_char_boundary(len), "byte {len} is not at the boundary of a character");
            self.bytes.truncate(len);
        }
    }

    /// Empties the string, and keeps its capacity.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Makes room for `additional` more bytes.
    ///
    /// # Errors
    ///
    /// If memory is refused; the string is unchanged.
    #[track_caller]
    pub fn try_reserve(&mut self, additional: usize) -> Result<(), AllocError> {
        self.bytes.try_reserve(additional)
    }

    /// The string for the rest of the frame.
    #[must_use]
    #[inline]
    pub fn into_str(self) -> &'f mut str {
        let bytes = self.bytes.into_place();
        // SAFETY: the bytes are UTF-8, nobody else's, and stay for `'f`.
        unsafe { crate::arena::exclusive_str(bytes) }
    }

    /// The string as a box, which is `Send` and `Sync`.
    #[must_use]
    pub fn into_boxed_str(self) -> FrameBox<'f, str> {
        let place = core::ptr::NonNull::from(self.into_str());
        // SAFETY: initialised, nobody else's, in memory that stays for `'f`.
        unsafe { FrameBox::from_place(place) }
    }
}

impl Deref for FrameString<'_> {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        // SAFETY: the bytes are always UTF-8: only strings are appended, and cut between characters.
        unsafe { core::str::from_utf8_unchecked(&self.bytes) }
    }
}

impl DerefMut for FrameString<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut str {
        // SAFETY: the bytes are always UTF-8, and a `str` keeps them so.
        unsafe { core::str::from_utf8_unchecked_mut(&mut self.bytes) }
    }
}

impl fmt::Write for FrameString<'_> {
    // One comparison and the copy: nothing is kept across a call, so that nothing is saved for one.
    #[inline]
    #[track_caller]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.bytes.room() < text.len() {
            return self.write_grown(text);
        }
        // SAFETY: there is room.
        unsafe { self.bytes.append_within(text.as_bytes()) };
        Ok(())
    }
}

impl fmt::Debug for FrameString<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl fmt::Display for FrameString<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<S: AsRef<str> + ?Sized> PartialEq<S> for FrameString<'_> {
    fn eq(&self, other: &S) -> bool {
        **self == *other.as_ref()
    }
}

impl Eq for FrameString<'_> {}

impl Hash for FrameString<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl core::borrow::Borrow<str> for FrameString<'_> {
    fn borrow(&self) -> &str {
        self
    }
}

impl AsRef<str> for FrameString<'_> {
    fn as_ref(&self) -> &str {
        self
    }
}

impl<S: AsRef<str>> Extend<S> for FrameString<'_> {
    #[track_caller]
    fn extend<I: IntoIterator<Item = S>>(&mut self, iter: I) {
        for text in iter {
            self.push_str(text.as_ref());
        }
    }
}

/// A formatted [`FrameString`]: `frame_format!(alloc, "{x}")`.
///
/// ```
/// use framealloc_core::{SmartAlloc, frame_format};
/// let alloc = SmartAlloc::default();
/// let line = frame_format!(alloc, "{:>4} of {}", 7, 10);
/// assert_eq!(line, "   7 of 10");
/// ```
#[macro_export]
macro_rules! frame_format {
    ($alloc:expr, $($arguments:tt)+) => {
        $crate::FrameString::format(($alloc).frame(), ::core::format_args!($($arguments)+))
    };
}
