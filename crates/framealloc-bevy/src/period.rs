//! How long a frame is: an update, or a fixed step.

use std::fmt::Debug;

/// What begins and ends an allocator's frames.
///
/// There are two: [`EachUpdate`], which is meant wherever none is named, and [`EachFixedStep`].
pub trait Period: sealed::Sealed + MaybeTypePath + Copy + Default + Debug + Eq + Send + Sync + 'static {}

#[cfg(feature = "reflect")]
use bevy_reflect::TypePath as MaybeTypePath;

/// Of no interest without reflection.
#[cfg(not(feature = "reflect"))]
use Sized as MaybeTypePath;

/// A frame is an update of the app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "reflect", derive(bevy_reflect::TypePath))]
pub struct EachUpdate;

/// A frame is a fixed step, of which an update has none, one, or several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "reflect", derive(bevy_reflect::TypePath))]
pub struct EachFixedStep;

impl Period for EachUpdate {}
impl Period for EachFixedStep {}

/// What messages, diagnostics and Tracy call an allocator of this period, and its plugin.
pub(crate) struct Names {
    #[allow(dead_code, reason = "diagnostics and Tracy are features")]
    pub(crate) alloc: &'static str,
    pub(crate) plugin: &'static str,
    pub(crate) resource: &'static str,
}

pub(crate) mod sealed {
    use super::{EachFixedStep, EachUpdate, Names};

    #[allow(private_interfaces, reason = "nobody outside can name it")]
    pub trait Sealed {
        const NAMES: Names;
    }

    impl Sealed for EachUpdate {
        #[allow(private_interfaces, reason = "nobody outside can name it")]
        const NAMES: Names = Names { alloc: "framealloc", plugin: "FrameAllocPlugin", resource: "FrameAlloc" };
    }

    impl Sealed for EachFixedStep {
        #[allow(private_interfaces, reason = "nobody outside can name it")]
        const NAMES: Names =
            Names { alloc: "framealloc_fixed", plugin: "FixedFrameAllocPlugin", resource: "FixedFrameAlloc" };
    }
}
