//! Collections over the `Allocator` trait against those of the standard library: vectors, strings, maps and deques that grow
//! in turn in one arena, so that what grows is now the last block and now is not; and the same in a pool.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use allocator_api2::vec::Vec as AllocVec;
use framealloc_core::{Arena, Frame, FrameBox, FrameDeque, FrameMap, FrameString, FrameVec, Pool, SmartAlloc};

use super::vault::Vault;
use super::{Program, Record};

/// A step of a program of collections: which one, what with it, and two arguments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    which: u8,
    what: u8,
    a: u16,
    c: u16,
}

impl From<Record> for Step {
    fn from(Record { kind, a, b, c }: Record) -> Self {
        Self { which: kind % 10, what: b, a, c }
    }
}

/// An element that has to be dropped once: the token counts those that live.
#[derive(Clone, Debug)]
struct Element(u32, #[allow(dead_code, reason = "counted")] Rc<()>);

impl PartialEq<u32> for Element {
    fn eq(&self, other: &u32) -> bool {
        self.0 == *other
    }
}

/// An element of a large alignment.
#[derive(Clone, Copy, Debug)]
#[repr(align(128))]
struct Wide(u32);

impl PartialEq<u32> for Wide {
    fn eq(&self, other: &u32) -> bool {
        assert!(std::ptr::from_ref(self).is_aligned());
        self.0 == *other
    }
}

/// One step of a vector, whichever it is, and of its model. `$new` makes an element.
macro_rules! vec_step {
    ($ours:expr, $model:expr, $step:expr, $new:expr) => {{
        let (ours, model, step, new) = (&mut $ours, &mut $model, $step, $new);
        let value = u32::from(step.c) << 8 | u32::from(step.what);
        let at = if model.is_empty() { 0 } else { usize::from(step.a) % model.len() };
        match step.what % 20 {
            0..=3 => {
                ours.push(new(value));
                model.push(value);
            }
            4 => assert_eq!(ours.pop().is_some(), model.pop().is_some()),
            5 => {
                ours.insert(at, new(value));
                model.insert(at, value);
            }
            6 if !model.is_empty() => assert_eq!(ours.remove(at), model.remove(at)),
            7 if !model.is_empty() => assert_eq!(ours.swap_remove(at), model.swap_remove(at)),
            8 => {
                ours.truncate(at);
                model.truncate(at);
            }
            9 | 10 => {
                let many = u32::from(step.a % 300);
                ours.extend((0..many).map(|i| new(value ^ i)));
                model.extend((0..many).map(|i| value ^ i));
            }
            11 => {
                // Without a length to tell beforehand.
                let many = (0..u32::from(step.a % 200)).filter(|i| i % 3 != 1);
                ours.extend(many.clone().map(|i| new(value ^ i)));
                model.extend(many.map(|i| value ^ i));
            }
            12 => {
                let keep = |x: u32| x % 5 != u32::from(step.a) % 5;
                ours.retain(|x| keep(x.0));
                model.retain(|x| keep(*x));
            }
            13 => {
                let until = at + (model.len() - at) / 2;
                assert!(ours.drain(at..until).map(|x| x.0).eq(model.drain(at..until)));
            }
            14 => ours.shrink_to_fit(),
            15 => {
                ours.shrink_to(usize::from(step.a % 100));
            }
            16 => {
                ours.reserve(usize::from(step.a % 1000));
                assert!(ours.capacity() - ours.len() >= usize::from(step.a % 1000));
            }
            17 => {
                ours.reserve_exact(usize::from(step.a % 50));
            }
            18 => {
                // A part taken off the end, and put back.
                let mut tail = ours.split_off(at);
                assert!(tail.iter().map(|x| x.0).eq(model[at..].iter().copied()));
                ours.push(new(value));
                model.insert(at, value);
                ours.append(&mut tail);
            }
            19 if step.a.is_multiple_of(4) => {
                ours.clear();
                model.clear();
            }
            _ => {}
        }
        assert_eq!(ours.len(), model.len());
        assert!(ours.first().zip(model.first()).is_none_or(|(a, b)| *a == *b));
        assert!(ours.last().zip(model.last()).is_none_or(|(a, b)| *a == *b));
    }};
}

macro_rules! map_step {
    ($ours:expr, $model:expr, $step:expr, $new:expr) => {{
        let (ours, model, step, new) = (&mut $ours, &mut $model, $step, $new);
        let (key, value) = (step.a % 512, u32::from(step.c));
        match step.what % 12 {
            0..=3 => assert_eq!(ours.insert(key, new(value)).map(|x| x.0), model.insert(key, value)),
            4 | 5 => assert_eq!(ours.remove(&key).map(|x| x.0), model.remove(&key)),
            6 | 7 => assert_eq!(ours.get(&key).map(|x| x.0), model.get(&key).copied()),
            8 => {
                for at in 0..step.c % 200 {
                    ours.insert(key ^ at, new(u32::from(at)));
                    model.insert(key ^ at, u32::from(at));
                }
            }
            9 => {
                ours.retain(|key, _| key % 3 != step.c % 3);
                model.retain(|key, _| key % 3 != step.c % 3);
            }
            10 => ours.shrink_to_fit(),
            _ if step.c.is_multiple_of(8) => {
                ours.clear();
                model.clear();
            }
            _ => ours.reserve(usize::from(step.c % 700)),
        }
        assert_eq!(ours.len(), model.len());
    }};
}

fn same_map<'a>(ours: impl Iterator<Item = (&'a u16, u32)>, model: &HashMap<u16, u32>) {
    let mut count = 0;
    for (key, value) in ours {
        assert_eq!(model.get(key), Some(&value));
        count += 1;
    }
    assert_eq!(count, model.len());
}

/// Everything in one frame.
struct Ours<'f> {
    words: FrameVec<'f, Wide>,
    elements: FrameVec<'f, Element>,
    text: FrameString<'f>,
    map: FrameMap<'f, u16, Element>,
    deque: FrameDeque<'f, Element>,
    plain: AllocVec<Element, Frame<'f>>,
    aligned: AllocVec<Wide, &'f Arena>,
    pooled: AllocVec<Element, Pool>,
    pool_map: hashbrown::HashMap<u16, Element, hashbrown::DefaultHashBuilder, Pool>,
    boxed: Vec<FrameBox<'f, [Element]>>,
}

#[derive(Default)]
struct Models {
    words: Vec<u32>,
    elements: Vec<u32>,
    text: String,
    map: HashMap<u16, u32>,
    deque: VecDeque<u32>,
    plain: Vec<u32>,
    aligned: Vec<u32>,
    pooled: Vec<u32>,
    pool_map: HashMap<u16, u32>,
    boxed: Vec<Vec<u32>>,
}

impl Ours<'_> {
    fn compare(&self, model: &Models) {
        assert!(self.words.iter().zip(&model.words).all(|(a, b)| *a == *b) && self.words.len() == model.words.len());
        assert!(self.elements.iter().map(|x| x.0).eq(model.elements.iter().copied()));
        assert_eq!(self.text.as_str(), model.text);
        same_map(self.map.iter().map(|(key, x)| (key, x.0)), &model.map);
        assert!(self.deque.iter().map(|x| x.0).eq(model.deque.iter().copied()));
        assert!(self.plain.iter().map(|x| x.0).eq(model.plain.iter().copied()));
        assert!(self.aligned.iter().zip(&model.aligned).all(|(a, b)| *a == *b));
        assert!(self.pooled.iter().map(|x| x.0).eq(model.pooled.iter().copied()));
        same_map(self.pool_map.iter().map(|(key, x)| (key, x.0)), &model.pool_map);
        assert_eq!(self.boxed.len(), model.boxed.len());
        for (ours, model) in self.boxed.iter().zip(&model.boxed) {
            assert!(ours.iter().map(|x| x.0).eq(model.iter().copied()));
        }
    }
}

fn text_step(ours: &mut FrameString<'_>, model: &mut String, step: Step) {
    let character = char::from_u32(u32::from(step.a)).unwrap_or('ß');
    match step.what % 8 {
        0..=2 => {
            ours.push(character);
            model.push(character);
        }
        3 => {
            let text = "aß☃𝄞".repeat(usize::from(step.c % 60));
            ours.push_str(&text);
            model.push_str(&text);
        }
        4 => assert_eq!(ours.pop(), model.pop()),
        5 => {
            let at = (0..=usize::from(step.c) % (model.len() + 1)).rev().find(|&at| model.is_char_boundary(at));
            ours.truncate(at.unwrap_or(0));
            model.truncate(at.unwrap_or(0));
        }
        6 => {
            use std::fmt::Write;
            write!(ours, "{:>1$}", step.a, usize::from(step.c % 40)).unwrap();
            write!(model, "{:>1$}", step.a, usize::from(step.c % 40)).unwrap();
        }
        _ if step.c.is_multiple_of(8) => {
            ours.clear();
            model.clear();
        }
        _ => ours.try_reserve(usize::from(step.c % 500)).unwrap(),
    }
}

fn deque_step(ours: &mut FrameDeque<'_, Element>, model: &mut VecDeque<u32>, step: Step, token: &Rc<()>) {
    let value = u32::from(step.c);
    match step.what % 10 {
        0..=2 => {
            ours.push_back(Element(value, token.clone()));
            model.push_back(value);
        }
        3 | 4 => {
            ours.push_front(Element(value, token.clone()));
            model.push_front(value);
        }
        5 => assert_eq!(ours.pop_front().map(|x| x.0), model.pop_front()),
        6 => assert_eq!(ours.pop_back().map(|x| x.0), model.pop_back()),
        7 => {
            for at in 0..u32::from(step.a % 100) {
                ours.push_back(Element(at, token.clone()));
                model.push_back(at);
                if at % 4 == 3 {
                    assert_eq!(ours.pop_front().map(|x| x.0), model.pop_front());
                }
            }
        }
        8 => {
            let at = usize::from(step.a % 128);
            assert_eq!(ours.get(at).map(|x| x.0), model.get(at).copied());
        }
        _ if step.c.is_multiple_of(8) => {
            ours.clear();
            model.clear();
        }
        _ => ours.try_reserve(usize::from(step.a % 200)).unwrap(),
    }
    assert_eq!(ours.len(), model.len());
    assert_eq!(ours.front().map(|x| x.0), model.front().copied());
    assert_eq!(ours.back().map(|x| x.0), model.back().copied());
}

pub(crate) fn run(program: &Program<Step>) {
    let Record { kind, a, .. } = program.setup;
    let min = 1024 << (a % 7);
    let (arena_vault, pool_vault) = (Vault::new(None), Vault::new(None));
    let mut arena = Arena::<8>::try_with(arena_vault.boxed(), min, min << (kind % 4)).unwrap();
    let alloc = SmartAlloc::new(framealloc_core::AllocConfig::default().with_backend(pool_vault.boxed()));
    let token = Rc::new(());
    // Twice in the same memory.
    for half in program.steps.chunks(program.steps.len().div_ceil(2).max(1)) {
        {
            let (frame, pool) = (arena.frame(), alloc.pool());
            let mut ours = Ours {
                words: frame.vec(),
                elements: frame.vec(),
                text: frame.string(),
                map: frame.map(),
                deque: frame.deque(),
                plain: AllocVec::new_in(frame),
                aligned: AllocVec::new_in(&arena),
                pooled: AllocVec::new_in(pool.clone()),
                pool_map: hashbrown::HashMap::new_in(pool.clone()),
                boxed: Vec::new(),
            };
            let mut model = Models::default();
            let element = |value| Element(value, token.clone());
            for (number, &step) in half.iter().enumerate() {
                match step.which {
                    0 => vec_step!(ours.words, model.words, step, Wide),
                    1 => vec_step!(ours.elements, model.elements, step, element),
                    2 => text_step(&mut ours.text, &mut model.text, step),
                    3 => map_step!(ours.map, model.map, step, element),
                    4 => deque_step(&mut ours.deque, &mut model.deque, step, &token),
                    5 => vec_step!(ours.plain, model.plain, step, element),
                    6 => vec_step!(ours.aligned, model.aligned, step, Wide),
                    7 => vec_step!(ours.pooled, model.pooled, step, element),
                    8 => map_step!(ours.pool_map, model.pool_map, step, element),
                    _ => {
                        // A vector becomes a boxed slice, and another one begins.
                        let (taken, kept) = (std::mem::replace(&mut ours.elements, frame.vec()), &mut model.elements);
                        ours.boxed.push(taken.into_boxed_slice());
                        model.boxed.push(std::mem::take(kept));
                        if step.what.is_multiple_of(4) {
                            let at = usize::from(step.a) % ours.boxed.len();
                            let (a, b) = (ours.boxed.swap_remove(at), model.boxed.swap_remove(at));
                            assert!(a.iter().map(|x| x.0).eq(b.into_iter()));
                        }
                    }
                }
                if number % 16 == 15 {
                    ours.compare(&model);
                }
            }
            ours.compare(&model);
        }
        assert_eq!(Rc::strong_count(&token), 1, "every element was dropped once");
        arena.reset();
    }
    drop((arena, alloc));
    assert_eq!((arena_vault.live(), pool_vault.live()), ((0, 0), (0, 0)), "all memory goes back");
}
