//! Containers of other crates in frame, arena and pool memory: whatever is generic over allocator-api2's `Allocator`.
//! When memory is refused inside one of them, it unwinds with a text that says why; nothing aborts.
#![forbid(unsafe_code)]

use std::hash::BuildHasher;
use std::panic::{self, AssertUnwindSafe};

use allocator_api2::boxed::Box as BoxIn;
use blart::TreeMap;
use bump_scope::Bump;
use bump_scope::alloc::compat::AllocatorApi2V02Compat;
use framealloc::prelude::*;
use hashbrown::{DefaultHashBuilder, HashTable};

/// hashbrown's `HashTable` in a frame: vertices that are equal get one index.
fn weld(frame: Frame<'_>, vertices: &[[i32; 3]]) -> (usize, usize) {
    let hasher = DefaultHashBuilder::default();
    let mut unique = frame.vec();
    let mut table: HashTable<u32, Frame<'_>> = HashTable::new_in(frame);
    let mut indices = frame.vec_with_capacity(vertices.len());
    for vertex in vertices {
        let known = table.find(hasher.hash_one(vertex), |&at| unique[at as usize] == *vertex).copied();
        indices.push(known.unwrap_or_else(|| {
            let at = unique.len() as u32;
            unique.push(*vertex);
            table.insert_unique(hasher.hash_one(vertex), at, |&at| hasher.hash_one(unique[at as usize]));
            at
        }));
    }
    assert!(indices.iter().zip(vertices).all(|(&at, vertex)| unique[at as usize] == *vertex));
    (indices.len(), unique.len())
}

/// blart's adaptive radix tree in an arena: assets by path, and all that lie in one folder.
fn assets(arena: &Arena) -> (usize, usize) {
    let mut tree: TreeMap<&str, usize, 16, &Arena> = TreeMap::with_prefix_len_in(arena);
    for id in 0..300 {
        let folder = ["audio", "mesh", "texture"][id % 3];
        let path = arena.alloc_str(&format!("{folder}/{id:04}.bin"));
        assert_eq!(tree.try_insert(path, id), Ok(None));
    }
    assert_eq!(tree.get("mesh/0007.bin"), Some(&7));
    assert!(tree.keys().is_sorted());
    (tree.len(), tree.prefix(b"mesh/").count())
}

/// bump-scope's arena, which takes its chunks from the pool: it lives as long as its level, and leaves no fragments.
fn level(pool: &Pool) -> usize {
    let bump: Bump<AllocatorApi2V02Compat<Pool>> = Bump::new_in(AllocatorApi2V02Compat(pool.clone()));
    let names = bump.alloc_iter((0..50).map(|i| bump.alloc_fmt(format_args!("door {i}")).len()));
    assert!(pool.stats().slab_bytes > 0 && bump.stats().allocated() > 0);
    names.iter().sum()
}

/// What is said when a container that cannot fail goes on growing until there is no memory.
fn refusal(mut insert: impl FnMut(u64)) -> String {
    let grow = AssertUnwindSafe(|| (0..1_000_000).for_each(&mut insert));
    let payload = panic::catch_unwind(grow).expect_err("the memory ends before");
    payload.downcast_ref::<String>().expect("a text").clone()
}

fn main() {
    let mut alloc = SmartAlloc::default();
    let vertices: Vec<[i32; 3]> = (0..5_000).map(|i| [i % 10, i % 15, i % 4]).collect();
    let (corners, unique) = weld(alloc.frame(), &vertices);
    assert_eq!((corners, unique), (5_000, 60));
    println!("hashbrown::HashTable in a frame: {corners} corners welded to {unique} vertices");

    let boxed: BoxIn<[u8; 512], Frame<'_>> = BoxIn::new_in([7; 512], alloc.frame());
    let kept: BoxIn<[u8; 512], Pool> = BoxIn::new_in(*boxed, alloc.pool().clone());
    drop(boxed);
    alloc.end_frame();
    assert_eq!(*kept, [7; 512]);
    println!("allocator_api2::boxed::Box: one died with its frame, its copy in a pool lives on");

    let mut arena = Arena::new();
    let (count, meshes) = assets(&arena);
    arena.reset();
    assert_eq!((count, meshes), (300, 100));
    println!("blart::TreeMap in an arena: {count} assets, {meshes} of them in mesh/");

    println!("bump_scope::Bump on a pool: {} letters of names", level(alloc.pool()));

    // Refusals. The hook keeps the panics that are caught below off the screen.
    panic::set_hook(Box::new(|_| {}));
    let small = || Box::new(FixedBackend::new(192 << 10));

    let arena = Arena::with_backend(small());
    let mut map = hashbrown::HashMap::new_in(&arena);
    let table = refusal(|i| assert!(map.insert(i, i * i).is_none()));

    let mut tree: TreeMap<u64, u64, 16, &Arena> = TreeMap::with_prefix_len_in(&arena);
    let tree = refusal(|i| assert!(tree.insert(i, i).is_none()));

    let pooled = SmartAlloc::new(AllocConfig::default().with_backend(small()));
    let bump: Bump<AllocatorApi2V02Compat<Pool>> = Bump::new_in(AllocatorApi2V02Compat(pooled.pool().clone()));
    let bump = refusal(|i| assert_eq!(*bump.alloc(i), i));
    let _ = panic::take_hook();

    assert!(map.iter().all(|(i, square)| i * i == *square) && map.len() > 100, "what was inserted before is all there");
    for (name, text) in [("hashbrown", table), ("blart", tree), ("bump-scope", bump)] {
        assert!(text.contains("the backend has no memory for"), "{text}");
        println!("refused inside {name}: {text}");
    }
}
