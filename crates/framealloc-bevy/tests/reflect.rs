//! Settings and statistics for inspectors; handles stay opaque.

#![cfg(feature = "reflect")]
#![allow(clippy::needless_pass_by_value, reason = "systems take their parameters by value")]

mod support;

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_ecs::reflect::{AppTypeRegistry, ReflectComponent, ReflectResource};
use bevy_reflect::{FromReflect, PartialReflect, Reflect, TypeInfo, Typed};
use framealloc_bevy::prelude::*;
use framealloc_bevy::{EachFixedStep, FrameAllocSettings, FrameAllocStats};
use support::{MinimalPlugins, app, take};

#[test]
fn statistics_are_those_of_the_frame_that_ended() {
    let mut app = app();
    app.add_systems(Update, take(640));
    for _ in 0..3 {
        app.update();
    }
    let stats = app.world().resource::<FrameAllocStats>();
    assert_eq!((stats.frame, stats.frame_bytes, stats.peak, stats.threads), (3, 640, 640, 1));
    // When the frame ended: a thread that is new may have taken a chunk since.
    assert!(0 < stats.committed && stats.committed <= app.world().resource::<FrameAlloc>().stats().committed);
    // As an inspector sees them.
    let fields = stats.reflect_ref();
    let fields = fields.as_struct().unwrap();
    assert_eq!(fields.field("frame_bytes").unwrap().try_downcast_ref::<usize>(), Some(&640));
    assert_eq!(fields.field_len(), 10);
}

#[test]
fn an_inspector_finds_both_and_may_change_a_setting() {
    let mut app = App::new();
    app.add_plugins((MinimalPlugins, FrameAllocPlugin::default(), FixedFrameAllocPlugin::default()));
    let registry = app.world().resource::<AppTypeRegistry>().clone();
    let registry = registry.read();
    for info in [<FrameAllocStats as Typed>::type_info(), FrameAllocStats::<EachFixedStep>::type_info()] {
        assert!(registry.get_type_data::<ReflectResource>(info.type_id()).is_some());
    }
    // As inspectors write a resource: by the component that it is.
    let settings = registry.get_type_data::<ReflectComponent>(std::any::TypeId::of::<FrameAllocSettings>()).unwrap();
    let mut patch = bevy_reflect::structs::DynamicStruct::default();
    patch.insert("boundary", FrameBoundary::Last);
    let id = app.world().component_id::<FrameAllocSettings>().unwrap();
    let entity = app.world().resource_entities().get(id).unwrap();
    settings.apply(app.world_mut().entity_mut(entity), &patch);
    assert_eq!(app.world().resource::<FrameAllocSettings>().boundary, FrameBoundary::Last);
}

/// A component that reflects, and has a handle in it: whoever builds one by reflection gets none.
#[derive(Component, Reflect)]
#[reflect(from_reflect = false)]
struct Path {
    length: usize,
    #[reflect(ignore)]
    points: Option<FrameHandle<[f32]>>,
}

#[test]
fn a_handle_is_not_made_by_reflection() {
    let TypeInfo::Struct(info) = Path::type_info() else { panic!("a struct") };
    assert_eq!(info.field_names(), ["length"]);
    let alloc = SmartAlloc::default();
    let mut path = Path { length: 3, points: Some(alloc.publish_slice_copy(&[1.0, 2.0, 3.0])) };
    let mut patch = bevy_reflect::structs::DynamicStruct::default();
    patch.insert("length", 7usize);
    patch.insert("points", 1u64);
    path.apply(&patch);
    assert_eq!(path.length, 7);
    assert_eq!(alloc.get(path.points.unwrap()).unwrap(), [1.0, 2.0, 3.0]);
    assert!(FrameBoundary::from_reflect(&FrameBoundary::Last).is_some());
}

#[test]
fn a_sub_app_without_a_registry_takes_the_plugin_all_the_same() {
    let mut sub = bevy_app::SubApp::new();
    sub.add_plugins(FrameAllocPlugin::default());
    assert!(sub.world().contains_resource::<FrameAllocStats>());
}
