//! Where frame memory is asked for: sites, sizes and what alignment takes, estimated from samples.

#[cfg(feature = "sample")]
mod sampler;

use std::fmt;

#[cfg(feature = "sample")]
pub(crate) use sampler::Sampler;
#[cfg(feature = "sample")]
pub use sampler::Sampling;
#[cfg(feature = "backtrace")]
pub(crate) use sampler::stack;

use crate::bytes;

/// An amount that was estimated from samples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "report", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Estimate {
    /// The amount, right on average.
    pub value: f64,
    /// Its standard error: of a dozen samples and more, two of three estimates are no farther off, and nineteen of twenty no farther
    /// than twice that. Of fewer it says little.
    pub error: f64,
}

impl Estimate {
    /// The error as a part of the amount; 0 for an amount of 0.
    #[must_use]
    pub fn relative(&self) -> f64 {
        if self.value == 0.0 { 0.0 } else { self.error / self.value }
    }
}

/// The frame memory of a program, by the lines that asked for it, as far as samples tell: see
/// [`Budget::with_sampling`](crate::Budget::with_sampling).
///
/// Each sample stands for as many blocks of its kind as one in so many is sampled of (the estimator of Horvitz and Thompson, *A
/// Generalization of Sampling Without Replacement From a Finite Universe*, 1952): small ones for many, one much larger than the
/// interval for itself.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "report", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Sites {
    /// Bytes between two samples, on average.
    pub interval: usize,
    /// Frames that began and ended meanwhile.
    pub frames: u64,
    /// Samples taken.
    pub samples: u64,
    /// Bytes that frame memory was handed out of, in all frames: what was freed and handed out again counts again.
    pub bytes: Estimate,
    /// The part of them that nobody asked for: what alignment takes, and rounding up to 8 bytes. What a growing block takes back of it is
    /// taken off.
    pub lost: Estimate,
    /// Blocks; one that grows where it is remains one.
    pub blocks: Estimate,
    /// By the size that was asked for, a row for each power of two, the smallest first; rows without a sample are left out.
    pub sizes: Vec<SizeEstimate>,
    /// By site and tag, the one with the most bytes first.
    pub sites: Vec<Site>,
}

/// Blocks of frame memory of about one size.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "report", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct SizeEstimate {
    /// The largest size that is in the row, a power of two. Bytes; those of the row before are in that one.
    pub up_to: usize,
    /// Samples of that size.
    pub samples: u64,
    /// Bytes.
    pub bytes: Estimate,
    /// Blocks.
    pub blocks: Estimate,
}

/// A line of the program that asks for frame memory, in one tag.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "report", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Site {
    /// The file, as the compiler was told; empty for all that came after there were as many sites as are told apart.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
    /// The path of the innermost tag; empty in none.
    pub tag: String,
    /// Who called, the innermost first: functions of the stack, where backtraces are taken; else nothing.
    pub stack: Vec<String>,
    /// Samples.
    pub samples: u64,
    /// Bytes, in all frames.
    pub bytes: Estimate,
    /// The part of them that nobody asked for.
    pub lost: Estimate,
    /// Blocks.
    pub blocks: Estimate,
    /// The largest size that was seen to be asked for. Bytes.
    pub largest: usize,
}

impl Sites {
    /// As collapsed stacks, a line for each site: its tags, the stack if there is one, the line of the program, and the bytes. What
    /// `flamegraph.pl` and `inferno-flamegraph` draw.
    #[must_use]
    pub fn to_collapsed(&self) -> String {
        let mut text = String::new();
        for site in &self.sites {
            let clean = |name: &str| name.replace(|c: char| c == ';' || c.is_whitespace(), "_");
            let mut names = vec!["all".to_owned()];
            names.extend(site.tag.split('/').filter(|name| !name.is_empty()).map(clean));
            names.extend(site.stack.iter().rev().map(|name| clean(name)));
            names.push(clean(&site.place()));
            text += &format!("{} {:.0}\n", names.join(";"), site.bytes.value);
        }
        text
    }

    fn a_frame(&self, amount: f64) -> f64 {
        amount / self.frames.max(1) as f64
    }
}

impl Site {
    /// File and line, as compilers print them.
    fn place(&self) -> String {
        if self.file.is_empty() { "others".to_owned() } else { format!("{}:{}", self.file, self.line) }
    }
}

/// Bytes as a text, of what may have a fraction.
fn amount(value: f64) -> impl fmt::Display {
    // Less than nothing, as chance may have it of what is lost, is nothing; and what is too large is as large as can be.
    bytes::display(value.round() as usize)
}

/// A table of the sites, the first 20, a frame.
impl fmt::Display for Sites {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ROWS: usize = 20;
        writeln!(
            f,
            "{} samples, one every {}, of {} frames. A frame: {} in {:.1} blocks, {} of them lost to alignment (± {:.1} %)",
            self.samples,
            bytes::display(self.interval),
            self.frames,
            amount(self.a_frame(self.bytes.value)),
            self.a_frame(self.blocks.value),
            amount(self.a_frame(self.lost.value)),
            100.0 * self.bytes.relative(),
        )?;
        let width = self.sites.iter().take(ROWS).map(|site| site.place().len()).max().unwrap_or(0);
        writeln!(
            f,
            "{:>12} {:>6} {:>6} {:>10} {:>12}  {:<width$}  tag",
            "bytes", "share", "±", "blocks", "largest", "site"
        )?;
        for site in self.sites.iter().take(ROWS) {
            writeln!(
                f,
                "{:>12} {:>5.1}% {:>5.1}% {:>10.1} {:>12}  {:<width$}  {}",
                amount(self.a_frame(site.bytes.value)).to_string(),
                100.0 * site.bytes.value / self.bytes.value.max(1.0),
                100.0 * site.bytes.relative(),
                self.a_frame(site.blocks.value),
                bytes::display(site.largest).to_string(),
                site.place(),
                site.tag,
            )?;
            for caller in &site.stack {
                writeln!(f, "{:>52}{caller}", "")?;
            }
        }
        if self.sites.len() > ROWS {
            writeln!(f, "and {} more", self.sites.len() - ROWS)?;
        }
        Ok(())
    }
}
