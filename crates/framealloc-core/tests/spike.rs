//! A load spike is given back: what the process holds after it is what it held before.
#![cfg(all(target_os = "linux", not(asan)))]

use std::process::Command;
use std::thread;

use framealloc_core::*;

const SPIKE: usize = 256 << 20;

/// Runs `body` in a process in which nothing else runs.
fn alone(name: &str, body: impl FnOnce()) {
    const MARK: &str = "FRAMEALLOC_TEST_ALONE";
    if std::env::var(MARK).is_ok_and(|running| running == name) {
        return body();
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, name)
        .output()
        .unwrap();
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{text}");
    assert!(output.status.success() && text.contains("1 passed"), "{name}: {}\n{text}\n{errors}", output.status);
}

/// Bytes of this process in memory.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    // SAFETY: asks for a number.
    pages * usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap()
}

fn quiet(alloc: &SmartAlloc) {
    for i in 0..200 {
        alloc.frame().alloc_slice_fill(100 + i, 1u64);
    }
}

/// Quiet frames, one spike, 600 quiet frames.
fn comes_back(name: &str, config: AllocConfig, threads: usize, spike: fn(&SmartAlloc, usize)) {
    let mut alloc = SmartAlloc::new(config);
    let mut frame = |work: fn(&SmartAlloc, usize), bytes: usize| {
        if threads == 1 {
            work(&alloc, bytes);
        } else {
            thread::scope(|s| {
                let alloc = &alloc;
                let workers: Vec<_> = (0..threads).map(|_| s.spawn(move || work(alloc, bytes))).collect();
                workers.into_iter().for_each(|worker| worker.join().unwrap());
            });
        }
        let peak = resident();
        alloc.end_frame();
        peak
    };
    for _ in 0..60 {
        frame(|alloc, _| quiet(alloc), 0);
    }
    let before = resident();
    let peak = frame(spike, SPIKE / threads);
    assert!(peak > before + SPIKE / 10 * 9, "the spike was no spike: {before}, then {peak}");
    let mut half = 0;
    for number in 0..600 {
        let now = frame(|alloc, _| quiet(alloc), 0);
        if half == 0 && now < before + SPIKE / 2 {
            half = number + 1;
        }
    }
    let after = resident();
    let bound = before / 4 * 5 + (4 << 20);
    println!(
        "{name}: {} KiB before, {} at the peak, half after {half} frames, {} after 600",
        before >> 10,
        peak >> 10,
        after >> 10
    );
    assert!(after <= bound, "{after} bytes, but at most {bound}");
    drop(alloc);
    assert!(resident() <= bound);
}

fn small_allocations(alloc: &SmartAlloc, bytes: usize) {
    let frame = alloc.frame();
    for i in 0..bytes / 4096 {
        frame.alloc([i; 512]);
    }
}

fn one_slice(alloc: &SmartAlloc, bytes: usize) {
    assert_eq!(alloc.frame().alloc_slice_fill(bytes / 64, [1u64; 8])[bytes / 64 - 1], [1; 8]);
}

fn growing_vec(alloc: &SmartAlloc, bytes: usize) {
    let mut vec = alloc.frame_vec();
    (0..bytes / 64).for_each(|i| vec.push([i; 8]));
}

fn scratch(alloc: &SmartAlloc, bytes: usize) {
    let scratch = alloc.scratch();
    for i in 0..bytes / 4096 {
        scratch.alloc([i; 512]);
    }
}

#[test]
fn spike_of_many_chunks_comes_back() {
    alone("spike_of_many_chunks_comes_back", || comes_back("chunks", AllocConfig::default(), 1, small_allocations));
}

#[test]
fn spike_of_one_slice_comes_back() {
    alone("spike_of_one_slice_comes_back", || comes_back("slice", AllocConfig::default(), 1, one_slice));
}

#[test]
fn spike_of_a_growing_vector_comes_back() {
    alone("spike_of_a_growing_vector_comes_back", || comes_back("vec", AllocConfig::default(), 1, growing_vec));
}

#[test]
fn spike_in_scratch_comes_back() {
    alone("spike_in_scratch_comes_back", || comes_back("scratch", AllocConfig::default(), 1, scratch));
}

#[test]
fn spike_of_many_chunks_on_two_threads_comes_back() {
    alone("spike_of_many_chunks_on_two_threads_comes_back", || {
        comes_back("chunks, 2 threads", AllocConfig::default(), 2, small_allocations);
    });
}

#[test]
fn spike_of_slices_on_two_threads_comes_back() {
    alone("spike_of_slices_on_two_threads_comes_back", || {
        comes_back("slices, 2 threads", AllocConfig::default(), 2, one_slice);
    });
}

#[test]
fn spike_with_two_frames_in_flight_comes_back() {
    alone("spike_with_two_frames_in_flight_comes_back", || {
        comes_back("2 in flight", AllocConfig::default().with_frames_in_flight(2), 1, small_allocations);
    });
}

#[test]
fn at_most_one_chunk_a_frame_is_given_back() {
    let mut alloc = SmartAlloc::default();
    small_allocations(&alloc, 32 << 20);
    alloc.end_frame();
    let mut releases = alloc.stats().backend_releases;
    let chunks = alloc.stats().backend_allocations;
    for frame in 0..100 {
        quiet(&alloc);
        alloc.end_frame();
        let now = alloc.stats().backend_releases;
        assert!(now - releases <= 1, "{} chunks in frame {frame}", now - releases);
        releases = now;
    }
    assert!(releases > chunks - 6 && releases < chunks, "{releases} of {chunks} chunks went back");
}
