//! `FrameMap` and `FrameSet`: hashbrown's tables in a frame.

use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::ops::{Deref, DerefMut};

use hashbrown::{DefaultHashBuilder, HashMap, HashSet, HashTable};

use crate::error::AllocError;
use crate::frame::Frame;
use crate::frame::vec::reserve_quietly;

macro_rules! table {
    ($(#[$doc:meta])* $name:ident[$key:ident $(, $value:ident)?]($table:ident), $item:ty, $reference:ty) => {
        $(#[$doc])*
        pub struct $name<'f, $key $(, $value)?, S = DefaultHashBuilder> {
            table: $table<$key $(, $value)?, S, Frame<'f>>,
        }

        impl<'f, $key $(, $value)?> $name<'f, $key $(, $value)?> {
            /// An empty table, which takes no memory yet.
            #[must_use]
            pub fn new_in(frame: Frame<'f>) -> Self {
                Self { table: $table::with_hasher_in(DefaultHashBuilder::default(), frame) }
            }
        }

        impl<'f, $key: Eq + Hash $(, $value)?> $name<'f, $key $(, $value)?> {
            /// An empty table with room for `capacity` entries.
            ///
            /// # Panics
            ///
            /// If memory is refused.
            #[must_use]
            #[track_caller]
            pub fn with_capacity_in(capacity: usize, frame: Frame<'f>) -> Self {
                let mut table = Self::new_in(frame);
                frame.raw().on_behalf(|| table.reserve(capacity));
                table
            }

            /// An empty table with room for `capacity` entries.
            ///
            /// # Errors
            ///
            /// If memory is refused, or more than `isize::MAX` bytes are asked for.
            #[track_caller]
            pub fn try_with_capacity_in(capacity: usize, frame: Frame<'f>) -> Result<Self, AllocError> {
                let mut table = Self::new_in(frame);
                table.try_reserve(capacity)?;
                Ok(table)
            }
        }

        impl<'f, $key $(, $value)?, S> $name<'f, $key $(, $value)?, S> {
            /// An empty table with a hasher of your choice.
            #[must_use]
            pub const fn with_hasher_in(hasher: S, frame: Frame<'f>) -> Self {
                Self { table: $table::with_hasher_in(hasher, frame) }
            }

            /// The table underneath.
            #[must_use]
            pub fn into_inner(self) -> $table<$key $(, $value)?, S, Frame<'f>> {
                self.table
            }
        }

        impl<'f, $key: Eq + Hash $(, $value)?, S: BuildHasher> $name<'f, $key $(, $value)?, S> {
            /// Makes room for `additional` more entries.
            ///
            /// # Errors
            ///
            /// If memory is refused; the table is unchanged.
            #[track_caller]
            pub fn try_reserve(&mut self, additional: usize) -> Result<(), AllocError> {
                let wanted = self.table.len().checked_add(additional);
                let wanted = wanted.ok_or(AllocError::capacity(additional, size_of::<$item>()))?;
                if wanted > self.table.capacity() {
                    // Growing runs the user's `Hash`, in which a refusal has to unwind as always. So a table of that size
                    // is reserved, empty, first, and given back: the memory is then there for the growth itself.
                    let size = wanted.max(self.table.capacity().saturating_add(1));
                    let frame = *self.table.allocator();
                    let mut empty = HashTable::<$item, _>::new_in(frame);
                    reserve_quietly(frame, (size, size_of::<$item>()), || empty.try_reserve(size, |_| 0))?;
                    if empty.allocation_size() == self.table.allocation_size() {
                        // Removed entries hold the rest of this one: it grows to the next size.
                        let size = empty.capacity() + 1;
                        drop(empty);
                        empty = HashTable::new_in(frame);
                        reserve_quietly(frame, (size, size_of::<$item>()), || empty.try_reserve(size, |_| 0))?;
                    }
                    drop(empty);
                    frame.raw().on_behalf(|| self.table.reserve(additional));
                }
                Ok(())
            }
        }

        impl<'f, $key $(, $value)?, S> Deref for $name<'f, $key $(, $value)?, S> {
            type Target = $table<$key $(, $value)?, S, Frame<'f>>;

            fn deref(&self) -> &Self::Target {
                &self.table
            }
        }

        impl<$key $(, $value)?, S> DerefMut for $name<'_, $key $(, $value)?, S> {
            fn deref_mut(&mut self) -> &mut Self::Target {
                &mut self.table
            }
        }

        impl<$key: Eq + Hash $(, $value)?, S: BuildHasher> Extend<$item> for $name<'_, $key $(, $value)?, S> {
            #[track_caller]
            fn extend<I: IntoIterator<Item = $item>>(&mut self, iter: I) {
                self.table.extend(iter);
            }
        }

        impl<'f, $key $(, $value)?, S> IntoIterator for $name<'f, $key $(, $value)?, S> {
            type Item = $item;
            type IntoIter = <$table<$key $(, $value)?, S, Frame<'f>> as IntoIterator>::IntoIter;

            fn into_iter(self) -> Self::IntoIter {
                self.table.into_iter()
            }
        }

        impl<'a, 'f, $key $(, $value)?, S> IntoIterator for &'a $name<'f, $key $(, $value)?, S> {
            type Item = $reference;
            type IntoIter = <&'a $table<$key $(, $value)?, S, Frame<'f>> as IntoIterator>::IntoIter;

            fn into_iter(self) -> Self::IntoIter {
                (&self.table).into_iter()
            }
        }

        impl<$key: fmt::Debug $(, $value: fmt::Debug)?, S> fmt::Debug for $name<'_, $key $(, $value)?, S> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.table.fmt(f)
            }
        }

        impl<$key: Eq + Hash $(, $value: PartialEq)?, S: BuildHasher> PartialEq for $name<'_, $key $(, $value)?, S> {
            fn eq(&self, other: &Self) -> bool {
                self.table == other.table
            }
        }
    };
}

table! {
    /// A hash map in a frame: hashbrown's, with all its methods.
    ///
    /// ```
    /// use framealloc_core::SmartAlloc;
    /// let alloc = SmartAlloc::default();
    /// let mut owners = alloc.frame_map();
    /// owners.insert(7, "player");
    /// *owners.entry(8).or_insert("nobody") = "enemy";
    /// assert_eq!(owners.len(), 2);
    /// ```
    FrameMap[K, V](HashMap), (K, V), (&'a K, &'a V)
}

table! {
    /// A hash set in a frame: hashbrown's, with all its methods.
    ///
    /// ```
    /// use framealloc_core::SmartAlloc;
    /// let alloc = SmartAlloc::default();
    /// let mut seen = alloc.frame_set();
    /// assert!(seen.insert(7) && !seen.insert(7));
    /// ```
    FrameSet[T](HashSet), T, &'a T
}
