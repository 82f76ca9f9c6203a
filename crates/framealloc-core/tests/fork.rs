//! What the child of a fork may do, in a program of several threads. The child has the forking thread only; what other threads had
//! locked stays locked there. `docs/guide.md` says what is promised.
#![cfg(all(unix, feature = "std"))]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use framealloc_core::*;

/// One test at a time: what one does on its threads would be no quiet fork to the other, even with allocators of their own, for
/// locks have a place in the process where their threads wait.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Forks, and runs `f` in the child; fails if the child does, or does not come to an end.
#[track_caller]
fn in_a_child(f: impl FnOnce()) {
    // SAFETY: the child runs `f`, which is what is tested, and ends without coming back: nothing of it is dropped.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let done = catch_unwind(AssertUnwindSafe(f));
        // SAFETY: ends the process, without the destructors of the parent's thread-locals.
        unsafe { libc::_exit(i32::from(done.is_err())) };
    }
    assert!(child > 0, "{}", std::io::Error::last_os_error());
    let (began, mut status) = (Instant::now(), 0);
    loop {
        // SAFETY: asks for the child's status, which it writes.
        let ended = unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) };
        if ended == child {
            break;
        }
        if began.elapsed() > Duration::from_secs(20) {
            // SAFETY: a child of this process that was not waited for.
            unsafe { libc::kill(child, libc::SIGKILL) };
            panic!("the child waits for ever");
        }
        thread::sleep(Duration::from_millis(1));
    }
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "the child ended with status {status:#x}");
}

/// Something of everything, more than what is warm.
fn work(alloc: &SmartAlloc, mark: u64) {
    let frame = alloc.frame();
    let block = frame.alloc_slice_fill(5_000, mark);
    let mut list = frame.vec();
    list.extend((0..20_000).map(|i| i ^ mark));
    let pooled: Vec<_> = (0..3000).map(|i| alloc.pool_box([i ^ mark; 8])).collect();
    let large = alloc.heap_box([mark; 5000]);
    let handle = alloc.publish_slice_fill_with(100, |i| (i as u64 ^ mark).to_string());
    assert_eq!(alloc.scratch().alloc_slice_fill(9_000, mark)[8_999], mark);
    assert!(block.iter().all(|&word| word == mark) && list.iter().zip(0..).all(|(&word, i)| word == i ^ mark));
    assert!(pooled.iter().zip(0..).all(|(object, i)| **object == [i ^ mark; 8]));
    assert_eq!((alloc.get(handle).unwrap()[7].as_str(), large[4999]), ((7 ^ mark).to_string().as_str(), mark));
}

/// While no other thread is in a call of the allocator all of it works in the child: also the end of frames, which the other
/// threads' arenas take part in as if these were idle.
#[test]
fn child_of_a_quiet_fork_may_do_everything() {
    let _turn = alone();
    for frames_in_flight in [1, 2] {
        let config = AllocConfig::default().with_frame_chunk(1024, 65536).with_frames_in_flight(frames_in_flight);
        let mut alloc = SmartAlloc::new(config);
        let other_objects = alloc.pool_box([1u64; 8]);
        for round in 0..5 {
            let (filled, forked) = (Barrier::new(4), Barrier::new(4));
            thread::scope(|s| {
                let threads = [0, 1, 2].map(|mark| {
                    let (alloc, filled, forked) = (&alloc, &filled, &forked);
                    s.spawn(move || {
                        work(alloc, mark);
                        filled.wait();
                        // Alive, with memory of the frame and with objects in its cache, while the process is forked.
                        forked.wait();
                    })
                });
                filled.wait();
                in_a_child(|| {
                    for mark in 0..20 {
                        work(&alloc, mark);
                    }
                    assert_eq!(*other_objects, [1; 8]);
                    // New threads of the child use it, too.
                    thread::scope(|s| s.spawn(|| work(&alloc, 9)).join().unwrap());
                });
                forked.wait();
                // The end of a scope does not wait for the destructors of thread-locals, which give back what the caches hold.
                threads.into_iter().for_each(|thread| thread.join().unwrap());
            });
            // Between frames, when nothing borrows it: the child goes on with frames of its own.
            let handle = alloc.publish(round);
            in_a_child(|| {
                assert_eq!(alloc.get(handle), Ok(&round));
                for frame in 0..50 {
                    alloc.begin_frame();
                    work(&alloc, frame);
                    alloc.end_frame();
                }
                drop(alloc.seal_frame());
                alloc.trim();
            });
            assert_eq!(alloc.get(handle), Ok(&round), "the child changed its parent's memory");
            alloc.end_frame();
        }
    }
}

/// Whatever other threads are doing at the time, also under locks: what is warm needs none.
#[test]
fn child_of_a_busy_fork_may_use_what_is_warm() {
    const WORDS: usize = 20_000;
    let _turn = alone();
    let alloc = SmartAlloc::new(AllocConfig::default().with_frame_chunk(1 << 20, 1 << 20));
    // This thread's chunk has room for what the child allocates, and its cache objects.
    let warm: Vec<_> = (0..200u64).map(|i| alloc.pool_box([i; 8])).collect();
    alloc.frame().alloc(0u64);
    drop(warm);
    let stop = AtomicBool::new(false);
    let started = Barrier::new(4);
    thread::scope(|s| {
        for _ in 0..3 {
            s.spawn(|| {
                started.wait();
                // All the time at the depot, the backends, and the store.
                while !stop.load(Ordering::Relaxed) {
                    drop((0..2000u64).map(|i| alloc.pool_box([i; 8])).collect::<Vec<_>>());
                    alloc.pool().trim();
                    drop(alloc.heap_box([1u8; 5000]));
                    let arena = Arena::new();
                    arena.alloc_slice_fill(100_000, 1u8);
                }
            });
        }
        started.wait();
        let forked = catch_unwind(AssertUnwindSafe(|| {
            for _ in 0..100 {
                in_a_child(|| {
                    let frame = alloc.frame();
                    let blocks = frame.alloc_slice_fill_with(WORDS, |i| i as u64);
                    let mut list = frame.vec_with_capacity(WORDS);
                    for i in 0..WORDS as u64 {
                        list.push(i);
                    }
                    assert!(list.iter().eq(blocks.iter()));
                    let handle = alloc.publish_slice_copy(blocks);
                    assert_eq!(alloc.get(handle).unwrap().len(), WORDS);
                    for round in 0..50u64 {
                        let pooled: [PoolBox<[u64; 8]>; 20] =
                            std::array::from_fn(|i| alloc.pool_box([i as u64 ^ round; 8]));
                        assert!(pooled.iter().zip(0..).all(|(object, i)| **object == [i ^ round; 8]));
                    }
                });
            }
        }));
        stop.store(true, Ordering::Relaxed);
        forked.unwrap();
    });
}
