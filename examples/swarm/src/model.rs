//! The game without its memory: bodies on a torus, a grid, contacts, flocking.
//!
//! Promises the same results whatever order lists have and whichever thread makes them: sums are of integers.

use std::ops::Range;

use bevy_ecs::prelude::*;

/// Parts that the work of a system is divided into.
pub const PARTS: usize = 16;

/// The frame from which on memory-hungry lists are twenty times as long, for one frame.
pub const BURST: u32 = 300;

/// The side of the world, in units of which there are 1024 in one. A power of two: the difference of two places, cut to its bits, is the shorter way
/// around.
const SIDE_BITS: u32 = 20;

/// What is beyond the bits of a place.
const BEYOND: u32 = i32::BITS - SIDE_BITS;

/// One of the bodies, by its number. Places and speeds are integers, so that sums are the same in any order.
#[derive(Component, Clone, Copy, Debug, Default)]
pub struct Body {
    pub id: u32,
    pub at: [i32; 2],
    /// Units a frame.
    pub velocity: [i32; 2],
}

/// Two bodies that touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contact {
    pub bodies: [u32; 2],
    /// From the first to the second.
    pub offset: [i32; 2],
    pub depth: i32,
}

/// A body that is near another one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Near {
    pub offset: [i32; 2],
    /// The distance, squared, in 1/256 of a square unit.
    pub squared: i32,
    pub velocity: [i32; 2],
    pub id: u32,
}

/// Bodies that are looked at together.
const PIECE: usize = 32;

/// Where those of them that are near are put first.
pub type Buffer = [Near; PIECE];

/// How far bodies reach in a frame.
#[derive(Resource, Clone, Copy, Debug)]
pub struct Reach {
    /// Distance at which two touch.
    touch: i32,
    /// Distance at which one sees another; a cell is at least as wide.
    sight: i32,
    /// Cells on a side.
    cells: usize,
}

/// In 1/256 of a square unit, which fits for distances up to a quarter of the side.
fn squared(offset: [i32; 2]) -> i32 {
    let [x, y] = offset.map(|d| d >> 4);
    x * x + y * y
}

fn offset(from: [i32; 2], to: [i32; 2]) -> [i32; 2] {
    let short = |axis: usize| (to[axis].wrapping_sub(from[axis])) << BEYOND >> BEYOND;
    [short(0), short(1)]
}

impl Reach {
    /// Lists are longer and shorter from frame to frame, and twenty times as long in the burst.
    pub fn of(frame: u32, bodies: u32) -> Self {
        let spacing = f64::from(1u32 << SIDE_BITS) / f64::from(bodies).sqrt();
        let swell = if frame == BURST { 20f64.sqrt() } else { 1.0 + 0.25 * (f64::from(frame) * 0.1).sin() };
        let sight = ((1.5 * spacing * swell) as i32).min((1 << SIDE_BITS) / 4);
        let touch = ((0.8 * spacing * swell) as i32).min(sight);
        Self { touch, sight, cells: ((1 << SIDE_BITS) / sight) as usize }
    }

    fn cell(&self, at: [i32; 2]) -> usize {
        let along = |x: i32| (x as usize * self.cells) >> SIDE_BITS;
        along(at[1]) * self.cells + along(at[0])
    }

    pub fn cell_count(&self) -> usize {
        self.cells * self.cells
    }

    fn rows(&self, part: usize) -> Range<usize> {
        part * self.cells / PARTS..(part + 1) * self.cells / PARTS
    }
}

/// So many bodies, placed and moved by the seed.
pub fn bodies(count: u32, seed: u64) -> impl Iterator<Item = Body> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move |bits: u32| {
        // Marsaglia's xorshift64.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> (u64::BITS - bits)) as i32
    };
    (0..count).map(move |id| Body {
        id,
        at: [next(SIDE_BITS), next(SIDE_BITS)],
        velocity: [next(8) - 128, next(8) - 128],
    })
}

pub fn advance(body: &mut Body) {
    for (at, velocity) in body.at.iter_mut().zip(body.velocity) {
        *at = (*at + velocity) & ((1 << SIDE_BITS) - 1);
    }
}

/// The bodies by cell, those of a cell in their order: a counting sort into `sorted`, with the first of each cell in `starts`, which has a place
/// more than there are cells.
pub fn sort_into_cells(bodies: &[Body], reach: &Reach, starts: &mut [u32], sorted: &mut [Body]) {
    starts.fill(0);
    for body in bodies {
        starts[reach.cell(body.at)] += 1;
    }
    let mut sum = 0;
    for start in &mut *starts {
        sum += *start;
        *start = sum;
    }
    for body in bodies.iter().rev() {
        let start = &mut starts[reach.cell(body.at)];
        *start -= 1;
        sorted[*start as usize] = *body;
    }
}

/// The broad phase's result.
#[derive(Clone, Copy)]
pub struct Grid<'a> {
    pub reach: &'a Reach,
    pub starts: &'a [u32],
    pub sorted: &'a [Body],
}

impl Grid<'_> {
    fn bodies_of(&self, cells: Range<usize>) -> &[Body] {
        &self.sorted[self.starts[cells.start] as usize..self.starts[cells.end] as usize]
    }

    /// The bodies of the nine cells around a place, in pieces: of three rows, each in one piece, or in two where the world ends.
    fn around(&self, at: [i32; 2], mut each: impl FnMut(&[Body])) {
        let cells = self.reach.cells;
        let (row, column) = (self.reach.cell(at) / cells, self.reach.cell(at) % cells);
        for row in [row + cells - 1, row, row + 1].map(|row| row % cells * cells) {
            let (first, last) = (column.saturating_sub(1), (column + 2).min(cells));
            each(self.bodies_of(row + first..row + last));
            if column == 0 {
                each(self.bodies_of(row + cells - 1..row + cells));
            } else if column + 1 == cells {
                each(self.bodies_of(row..row + 1));
            }
        }
    }

    /// Those of the bodies around one that are nearer than `reach`, some at a time.
    fn near(&self, body: &Body, reach: i32, buffer: &mut Buffer, mut found: impl FnMut(&[Near])) {
        let most = squared([reach, 0]);
        self.around(body.at, |bodies| {
            for bodies in bodies.chunks(PIECE) {
                let mut count = 0;
                // Without a branch: which of them are near is anybody's guess.
                for other in bodies {
                    let offset = offset(body.at, other.at);
                    let squared = squared(offset);
                    buffer[count] = Near { offset, squared, velocity: other.velocity, id: other.id };
                    count += usize::from(squared < most && other.id != body.id);
                }
                found(&buffer[..count]);
            }
        });
    }

    /// The contacts of the cells of a part.
    pub fn contacts(&self, part: usize, mut found: impl FnMut(Contact)) {
        let (reach, mut buffer) = (self.reach, Buffer::default());
        let (rows, most) = (reach.rows(part), squared([reach.touch, 0]));
        for body in self.bodies_of(rows.start * reach.cells..rows.end * reach.cells) {
            self.near(body, reach.touch, &mut buffer, |near| {
                for other in near.iter().filter(|other| other.id > body.id) {
                    let depth = most - other.squared;
                    found(Contact { bodies: [body.id, other.id], offset: other.offset, depth });
                }
            });
        }
    }

    /// What a body sees, some at a time.
    pub fn neighbours(&self, body: &Body, buffer: &mut Buffer, seen: impl FnMut(&[Near])) {
        self.near(body, self.reach.sight, buffer, seen);
    }
}

/// Where a body turns, by those that it sees and that are nearer than most: along with them, and away from them.
pub fn steer(seen: &[Near]) -> [i32; 2] {
    let sum: i64 = seen.iter().map(|near| i64::from(near.squared)).sum();
    let mean = sum.checked_div(seen.len() as i64).unwrap_or(0) as i32;
    let mut turn = [0i32; 2];
    for near in seen {
        let counts = -i32::from(near.squared <= mean);
        for (turn, (velocity, offset)) in turn.iter_mut().zip(near.velocity.iter().zip(near.offset)) {
            *turn += counts & ((velocity >> 6) - (offset >> 8));
        }
    }
    turn
}

/// Whether a body sees more than it can bear.
pub fn is_crowded(seen: &[Near]) -> bool {
    seen.len() > 12
}

/// Adds a contact's push to both bodies.
pub fn push(contact: &Contact, impulses: &mut [[i32; 2]]) {
    let [a, b] = contact.bodies.map(|id| id as usize);
    let [x, y] = contact.offset.map(|d| d >> 8);
    impulses[a] = [impulses[a][0] - x, impulses[a][1] - y];
    impulses[b] = [impulses[b][0] + x, impulses[b][1] + y];
}

/// What a body does with what pushes and turns it.
pub fn respond(body: &mut Body, by: [i32; 2]) {
    for (velocity, by) in body.velocity.iter_mut().zip(by) {
        *velocity = (*velocity + (by >> 3)).clamp(-256, 256);
    }
}

/// Whether a contact is to be heard.
pub fn is_loud(contact: &Contact, reach: &Reach) -> bool {
    contact.depth > squared([reach.touch, 0]) / 4 * 3
}

/// The loudest contacts make one number, whatever order they come in.
pub fn hear(loud: &mut [Contact]) -> u64 {
    const HEARD: usize = 64;
    loud.sort_unstable_by_key(|contact| (-contact.depth, contact.bodies));
    loud.iter().take(HEARD).fold(loud.len() as u64, |sum, contact| {
        let [a, b] = contact.bodies.map(u64::from);
        sum.wrapping_mul(0x0100_0000_01b3).wrapping_add(a << 32 ^ b ^ contact.depth as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(frame: u32) -> (Reach, Vec<Body>, Vec<u32>, Vec<Body>) {
        let bodies: Vec<_> = bodies(2_000, 7).collect();
        let reach = Reach::of(frame, 2_000);
        let (mut starts, mut sorted) = (vec![0; reach.cell_count() + 1], bodies.clone());
        sort_into_cells(&bodies, &reach, &mut starts, &mut sorted);
        (reach, bodies, starts, sorted)
    }

    #[test]
    fn the_grid_finds_what_a_search_of_all_pairs_finds() {
        for frame in [0, 17, BURST] {
            let (reach, bodies, starts, sorted) = grid(frame);
            let grid = Grid { reach: &reach, starts: &starts, sorted: &sorted };
            let mut found = Vec::new();
            (0..PARTS).for_each(|part| grid.contacts(part, |contact| found.push(contact.bodies)));
            let mut pairs = Vec::new();
            for (at, a) in bodies.iter().enumerate() {
                for b in &bodies[at + 1..] {
                    if squared(offset(a.at, b.at)) < squared([reach.touch, 0]) {
                        pairs.push([a.id, b.id]);
                    }
                }
            }
            found.sort_unstable();
            pairs.sort_unstable();
            assert_eq!(found, pairs);
            let mut seen = 0;
            grid.neighbours(&bodies[5], &mut Buffer::default(), |near| seen += near.len());
            let near = |b: &&Body| b.id != 5 && squared(offset(bodies[5].at, b.at)) < squared([reach.sight, 0]);
            assert_eq!(seen, bodies.iter().filter(near).count());
        }
    }

    #[test]
    fn the_burst_makes_lists_twenty_times_as_long() {
        let contacts = |frame| {
            let (reach, _, starts, sorted) = grid(frame);
            let grid = Grid { reach: &reach, starts: &starts, sorted: &sorted };
            let mut found = 0;
            (0..PARTS).for_each(|part| grid.contacts(part, |_| found += 1));
            found
        };
        let mean = (0..63).map(contacts).sum::<usize>() as f64 / 63.0;
        let burst = contacts(BURST) as f64 / mean;
        assert!((14.0..26.0).contains(&burst), "{burst}");
    }

    #[test]
    fn results_do_not_depend_on_the_order_of_lists() {
        let (reach, bodies, starts, sorted) = grid(3);
        let grid = Grid { reach: &reach, starts: &starts, sorted: &sorted };
        let mut list = Vec::new();
        (0..PARTS).for_each(|part| grid.contacts(part, |contact| list.push(contact)));
        let of = |list: &[Contact]| {
            let mut impulses = vec![[0; 2]; bodies.len()];
            list.iter().for_each(|contact| push(contact, &mut impulses));
            let mut loud: Vec<_> = list.iter().copied().filter(|contact| is_loud(contact, &reach)).collect();
            (impulses, hear(&mut loud))
        };
        let forth = of(&list);
        list.reverse();
        assert_eq!(of(&list), forth);
        assert!(list.iter().filter(|contact| is_loud(contact, &reach)).count() > 100);
    }
}
