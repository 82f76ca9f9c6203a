//! The chunk store: chunks are drawn by one thread at a time, and what a sealed frame gives back is found once.

use core::alloc::Layout;
use std::sync::Arc;

use super::{Ledger, Tally, join, model, spawn};
use crate::chunk::store::hauls;
use crate::chunk::{Chunk, ChunkList, ChunkStore, Growth, Haul, TrimPolicy};
use crate::governor::Ungoverned;

const BYTES: usize = 1024;

fn store(ledger: &Arc<Ledger>) -> Arc<ChunkStore> {
    let growth = Growth::new(BYTES, BYTES).unwrap();
    Arc::new(ChunkStore::new(ledger.source(Arc::new(Ungoverned)), growth, TrimPolicy::AfterFrames(0)))
}

fn draw(store: &ChunkStore, tally: &Tally) -> Chunk {
    let chunk = store.draw(64, 8, BYTES).unwrap();
    tally.enter(chunk.start().addr().get());
    // As an arena does that allocates in it.
    crate::annotate::passed_on(chunk.start().as_ptr(), 64);
    chunk
}

/// Gives a chunk back as a sealed frame does.
fn put(store: &ChunkStore, tally: &Tally, chunk: Chunk) {
    tally.leave(chunk.start().addr().get());
    let mut regular = ChunkList::new();
    regular.push_back(chunk);
    chunk.header().haul.set(Haul { regular, bytes: chunk.bytes(), ..Haul::EMPTY });
    // SAFETY: nobody uses the chunk any more.
    unsafe {
        chunk.free_whole();
        store.put_hauls(chunk, chunk, chunk.bytes());
    }
}

/// Takes back what came back, as a boundary does, and hands the chunks out.
fn take(store: &ChunkStore) -> ChunkList {
    let mut list = ChunkList::new();
    for haul in store.take_hauls().into_iter().flat_map(hauls) {
        list.append(haul.regular);
    }
    list
}

fn assert_balanced(store: Arc<ChunkStore>, ledger: &Ledger) {
    assert_eq!((store.stored(), store.committed()), (0, 0));
    drop(store);
    ledger.assert_all_back();
}

#[test]
fn loom_chunk_on_the_shelf_is_drawn_once() {
    model(|| {
        let (ledger, tally) = (Ledger::new(), Tally::default());
        let store = store(&ledger);
        // One on the shelf, for two that want it.
        let mut shelved = ChunkList::new();
        let chunk = store.draw(64, 8, BYTES).unwrap();
        chunk.header().last_used.set(1);
        shelved.push_back(chunk);
        store.end_frame(1, shelved);
        assert_eq!(store.stored(), BYTES, "it is not surplus");
        let (theirs, their_tally) = (Arc::clone(&store), tally.clone());
        let other = spawn(move || put(&theirs, &their_tally, draw(&theirs, &their_tally)));
        let chunk = draw(&store, &tally);
        other.join().unwrap();
        tally.leave(chunk.start().addr().get());
        store.release(chunk);
        assert_eq!(store.stored(), store.committed(), "nobody has a chunk any more");
        store.trim();
        assert_balanced(store, &ledger);
    });
}

#[test]
fn loom_two_threads_draw_and_return() {
    model(|| {
        let (ledger, tally) = (Ledger::new(), Tally::default());
        let store = store(&ledger);
        let threads = [(); 2].map(|()| {
            let (store, tally) = (Arc::clone(&store), tally.clone());
            spawn(move || {
                put(&store, &tally, draw(&store, &tally));
                let chunk = draw(&store, &tally);
                tally.leave(chunk.start().addr().get());
                store.release(chunk);
            })
        });
        join(threads);
        assert!(tally.is_empty());
        assert_eq!(store.stored(), store.committed(), "nobody has a chunk any more");
        store.release_all(take(&store));
        assert_balanced(store, &ledger);
    });
}

#[test]
fn loom_returned_haul_is_found_by_the_next_boundary() {
    model(|| {
        let (ledger, tally) = (Ledger::new(), Tally::default());
        let store = store(&ledger);
        let (first, second) = (draw(&store, &tally), draw(&store, &tally));
        let threads = [first, second].map(|chunk| {
            let (store, tally) = (Arc::clone(&store), tally.clone());
            spawn(move || put(&store, &tally, chunk))
        });
        // A boundary between, or before, or after, and one when all is quiet.
        let early = take(&store);
        join(threads);
        let late = take(&store);
        let found = early.iter().count() + late.iter().count();
        assert_eq!((found, store.stored()), (2, 0), "each haul is found once");
        store.release_all(early);
        store.release_all(late);
        assert_balanced(store, &ledger);
    });
}

#[test]
fn loom_shelf_is_trimmed_while_a_frame_comes_back() {
    model(|| {
        let (ledger, tally) = (Ledger::new(), Tally::default());
        let store = store(&ledger);
        let (sealed, shelved) = (draw(&store, &tally), draw(&store, &tally));
        shelved.header().last_used.set(1);
        let theirs = Arc::clone(&store);
        let other = spawn(move || put(&theirs, &tally, sealed));
        // Surplus of a boundary, of which one chunk goes back to the backend.
        let mut surplus = ChunkList::new();
        surplus.push_back(shelved);
        store.end_frame(9, surplus);
        other.join().unwrap();
        assert_eq!((store.stored(), store.committed()), (BYTES, BYTES));
        assert_eq!(take(&store).front().map(|chunk| chunk.start()), Some(sealed.start()));
        store.release(sealed);
        assert_balanced(store, &ledger);
    });
}

// A model's chunk has the size it asks for.
const _: () = assert!(Layout::new::<crate::chunk::Header>().size() + 128 < BYTES);
