//! Many threads in one frame: tasks, parallel queries, systems that run inside of one another.

#![allow(clippy::needless_pass_by_value, reason = "systems take their parameters by value")]

mod support;

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_tasks::ComputeTaskPool;
use framealloc_bevy::prelude::*;
use support::{THREADS, app, last};

#[derive(Component)]
struct Body(u64);

/// Threads that were seen, waited for until there are two, so that one that is quick does not do it all.
struct Crew(Mutex<HashSet<thread::ThreadId>>);

impl Crew {
    fn join(&self) {
        let mut seen = self.0.lock().unwrap();
        seen.insert(thread::current().id());
        let alone = seen.len() < 2;
        drop(seen);
        if alone {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn each_thread_of_a_parallel_query_has_memory_of_its_own() {
    let mut app = app();
    app.world_mut().spawn_batch((0..2_000).map(Body));
    app.add_systems(Update, |memory: FrameMemory, bodies: Query<&Body>| {
        let crew = Crew(Mutex::default());
        let total = AtomicU32::new(0);
        bodies.par_iter().for_each(|body| {
            crew.join();
            let frame = memory.frame();
            let mut list = frame.vec();
            list.extend((0..50).map(|i| body.0 * 100 + i));
            let copy = frame.alloc_slice_copy(&list);
            assert!(list.iter().zip(&*copy).enumerate().all(|(i, (a, b))| a == b && *a == body.0 * 100 + i as u64));
            total.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(total.into_inner(), 2_000);
        assert!(crew.0.into_inner().unwrap().len() >= 2);
    });
    for _ in 0..5 {
        app.update();
    }
    let stats = last(&app);
    assert!((2..=THREADS + 1).contains(&stats.threads), "{stats:?}");
    assert_eq!(stats.bytes_allocated, 2_000 * 100 * 8);
}

#[test]
fn tasks_return_what_they_made_without_copying() {
    let mut app = app();
    app.add_systems(Update, |memory: FrameMemory| {
        // What a task of this pool returns must be `'static`, as handles are.
        let parts = ComputeTaskPool::get().scope(|scope| {
            for task in 0..16u64 {
                let memory = &memory;
                scope.spawn(async move { memory.publish_slice_fill_with(100, |i| task * 100 + i as u64) });
            }
        });
        let all: Vec<u64> = parts.iter().flat_map(|&part| memory.get(part).unwrap().iter().copied()).collect();
        assert!(all.iter().copied().eq(0..1600));
    });
    for _ in 0..3 {
        app.update();
    }
}

#[test]
fn systems_side_by_side_share_the_allocator() {
    static TOGETHER: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    fn system<const N: u64>(memory: FrameMemory) {
        MOST.fetch_max(TOGETHER.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let mut list = memory.frame().vec();
        for i in 0..2_000 {
            list.push(N * 10_000 + i);
            if i == 1_000 {
                thread::sleep(Duration::from_millis(1));
            }
        }
        assert!(list.iter().copied().eq((0..2_000).map(|i| N * 10_000 + i)));
        TOGETHER.fetch_sub(1, Ordering::SeqCst);
    }
    let mut app = app();
    app.add_systems(Update, (system::<1>, system::<2>, system::<3>, system::<4>));
    for _ in 0..20 {
        app.update();
    }
    assert!(MOST.load(Ordering::SeqCst) >= 2);
}

/// What the system that waits saw of those that ran inside it.
static NESTED: AtomicU32 = AtomicU32::new(0);
static WAITING: Mutex<Option<thread::ThreadId>> = Mutex::new(None);
static RAN: AtomicU32 = AtomicU32::new(0);
const SMALL: u32 = 24;

/// Waits in a scope of the task pool in mid-frame: its thread meanwhile runs what else there is.
fn waits(memory: FrameMemory) {
    let frame = memory.frame();
    let mut list = frame.vec_with_capacity(4);
    list.extend([1u64, 2, 3]);
    let scratch = memory.scratch();
    let kept = scratch.alloc_slice_fill(100, 5u64);
    memory.with_tag("outer", |a| {
        *WAITING.lock().unwrap() = Some(thread::current().id());
        let deadline = Instant::now() + Duration::from_secs(10);
        ComputeTaskPool::get().scope(|scope| {
            scope.spawn(async {
                while RAN.load(Ordering::SeqCst) < SMALL && Instant::now() < deadline {
                    bevy_tasks::futures_lite::future::yield_now().await;
                }
            });
        });
        *WAITING.lock().unwrap() = None;
        a.frame().alloc([7u64; 2]);
    });
    // It is no longer the last of the arena if a system ran in between, and must not grow over what that one left.
    list.extend(4..=1000);
    assert!(list.iter().copied().eq(1..=1000));
    assert!(kept.iter().all(|&five| five == 5));
}

fn small<const N: u32>(memory: FrameMemory, mut published: ResMut<Published>) {
    let inside = *WAITING.lock().unwrap() == Some(thread::current().id());
    let scratch = memory.scratch();
    scratch.alloc_slice_fill(200, 9u64);
    memory.with_tag("inner", |a| {
        published.0.push(a.publish_slice_fill_with(50, |i| u64::from(N) * 1000 + i as u64));
    });
    if inside {
        NESTED.fetch_add(1, Ordering::SeqCst);
    }
    RAN.fetch_add(1, Ordering::SeqCst);
}

#[derive(Resource, Default)]
struct Published(Vec<FrameHandle<[u64]>>);

#[test]
fn a_system_that_runs_inside_a_waiting_one_leaves_its_memory_alone() {
    let mut app = app();
    app.init_resource::<Published>();
    app.add_systems(Update, waits);
    macro_rules! smalls {
        ($($n:literal)*) => { $(app.add_systems(Update, small::<$n>);)* };
    }
    smalls!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23);
    app.add_systems(Last, |memory: FrameMemory, mut published: ResMut<Published>| {
        for handle in published.0.drain(..) {
            let list = memory.get(handle).unwrap();
            assert!(list.iter().enumerate().all(|(i, &value)| value == list[0] + i as u64));
        }
    });
    // Which thread runs a system is the pool's choice: until it was the waiting one often enough.
    let deadline = Instant::now() + Duration::from_secs(300);
    let mut updates = 0;
    while NESTED.load(Ordering::SeqCst) < 50 {
        assert!(Instant::now() < deadline, "no system ran inside of the waiting one in {updates} updates");
        RAN.store(0, Ordering::SeqCst);
        app.update();
        assert_eq!(RAN.load(Ordering::SeqCst), SMALL);
        updates += 1;
    }
    app.update();
    let tags = app.world().resource::<FrameAlloc>().tags();
    let of = |name| tags.iter().find(|of| of.tag.name() == name).unwrap();
    assert_eq!((of("inner").own_bytes, of("inner").scopes), (SMALL as usize * 400, SMALL as usize));
    // What ran inside is counted inside, and is none of its own.
    assert_eq!(of("outer").own_bytes, 16);
}
