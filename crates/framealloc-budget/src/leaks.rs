//! What is live in pools: by the line that asked for it, by tag, and by age.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use framealloc_core::{Census, LiveBlock};

use crate::bytes;

/// Where ages are told apart, in frames.
const AGES: [u64; 5] = [0, 1, 10, 100, 1000];

/// The live objects of a pool, or those of them that are old: what a game has, or what it has left behind.
///
/// ```
/// use framealloc_budget::LeakReport;
/// use framealloc_core::{AllocConfig, SmartAlloc};
///
/// let mut alloc = SmartAlloc::new(AllocConfig::default().with_tracing());
/// let census = alloc.pool().census().unwrap();
/// let mut waiting = Vec::new();
/// for shot in 0..100u64 {
///     alloc.begin_frame();
///     waiting.push(alloc.with_tag("shots", |a| a.pool_box([shot; 4]))); // and nobody takes them out
///     let effect = alloc.pool_box(shot);
///     drop(effect);
///     alloc.end_frame();
/// }
/// let old = LeakReport::older_than(&census, 60);
/// assert_eq!((old.blocks, old.sites.len(), old.sites[0].tag.as_str()), (41, 1, "shots"));
/// println!("{old}");
/// drop((waiting, alloc));
/// assert!(LeakReport::of(&census).is_empty());                          // nothing is live at exit
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "report", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct LeakReport {
    /// Objects and large blocks.
    pub blocks: usize,
    /// What was asked for. Bytes.
    pub bytes: usize,
    /// By age, the youngest first; ages that nothing has are left out.
    pub ages: Vec<LeakAge>,
    /// By line and tag, the one with the most bytes first.
    pub sites: Vec<LeakSite>,
}

/// Objects of about one age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "report", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct LeakAge {
    /// Frames that have ended since they were made, at least.
    pub from: u64,
    /// At most; `None` for all that are older.
    pub to: Option<u64>,
    /// Objects.
    pub blocks: usize,
    /// Bytes.
    pub bytes: usize,
}

/// Live objects of a line, under one tag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "report", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct LeakSite {
    /// The file, as the compiler was told.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
    /// The path of the tags that it was under; empty in none.
    pub tag: String,
    /// Objects.
    pub blocks: usize,
    /// Bytes.
    pub bytes: usize,
    /// Frames that have ended since the youngest was made.
    pub youngest: u64,
    /// Frames that have ended since the oldest was made.
    pub oldest: u64,
    /// Time since then.
    pub age: Duration,
    /// Who asked for the oldest, if [stacks are noted](framealloc_core::AllocConfig::with_traced_stacks); else empty.
    pub stack: String,
}

impl LeakReport {
    /// Of all that is live.
    #[must_use]
    pub fn of(census: &Census) -> Self {
        Self::older_than(census, 0)
    }

    /// Of what has lived for at least so many frames.
    #[must_use]
    pub fn older_than(census: &Census, frames: u64) -> Self {
        let live: Vec<_> = census.live().into_iter().filter(|block| block.frames >= frames).collect();
        let mut ages = AGES.map(|from| LeakAge { from, ..LeakAge::default() });
        for (at, age) in ages.iter_mut().enumerate() {
            age.to = AGES.get(at + 1).map(|next| next - 1);
            for block in
                live.iter().filter(|block| block.frames >= age.from && age.to.is_none_or(|to| block.frames <= to))
            {
                age.blocks += 1;
                age.bytes += block.layout.size();
            }
        }
        let mut groups = BTreeMap::<_, Vec<&LiveBlock>>::new();
        for block in &live {
            let tag = block.tags.iter().map(|tag| tag.name()).collect::<Vec<_>>().join("/");
            groups.entry((block.site.file(), block.site.line(), block.site.column(), tag)).or_default().push(block);
        }
        let mut sites: Vec<_> = groups.into_iter().map(|(site, blocks)| LeakSite::new(site, &blocks)).collect();
        sites.sort_by_key(|site| std::cmp::Reverse(site.bytes));
        Self {
            blocks: live.len(),
            bytes: live.iter().map(|block| block.layout.size()).sum(),
            ages: ages.into_iter().filter(|age| age.blocks != 0).collect(),
            sites,
        }
    }

    /// Whether nothing is live.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.blocks == 0
    }
}

impl LeakSite {
    fn new((file, line, column, tag): (&str, u32, u32, String), blocks: &[&LiveBlock]) -> Self {
        let oldest = blocks.iter().max_by_key(|block| (block.frames, block.age));
        let stack = oldest.and_then(|block| block.stack.as_ref()).map_or_else(String::new, ToString::to_string);
        Self {
            file: file.to_owned(),
            line,
            column,
            tag,
            blocks: blocks.len(),
            bytes: blocks.iter().map(|block| block.layout.size()).sum(),
            youngest: blocks.iter().map(|block| block.frames).min().unwrap_or(0),
            oldest: oldest.map_or(0, |block| block.frames),
            age: oldest.map_or(Duration::ZERO, |block| block.age),
            stack,
        }
    }
}

/// Tables of ages and sites.
impl fmt::Display for LeakReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "no object is live");
        }
        writeln!(f, "{} objects are live, {}", self.blocks, bytes::display(self.bytes))?;
        for age in &self.ages {
            let span = match age.to {
                Some(0) => "made in this frame".to_owned(),
                Some(to) => format!("{} to {to} frames old", age.from),
                None => format!("{} frames old and older", age.from),
            };
            writeln!(f, "{:>10} {:>12}  {span}", age.blocks, bytes::display(age.bytes).to_string())?;
        }
        let place = |site: &LeakSite| format!("{}:{}", site.file, site.line);
        let width = self.sites.iter().map(|site| place(site).len()).max().unwrap_or(0);
        writeln!(f, "{:>10} {:>12} {:>17}  {:<width$}  tag", "objects", "bytes", "frames old", "site")?;
        for site in &self.sites {
            let ages = if site.youngest == site.oldest {
                site.oldest.to_string()
            } else {
                format!("{} to {}", site.youngest, site.oldest)
            };
            let amount = bytes::display(site.bytes).to_string();
            writeln!(f, "{:>10} {amount:>12} {ages:>17}  {:<width$}  {}", site.blocks, place(site), site.tag)?;
            for line in site.stack.lines() {
                writeln!(f, "{:>43}{line}", "")?;
            }
        }
        Ok(())
    }
}
