//! What is known of the program: its tags, its last frame, and figures of the frames before.
//!
//! Promises that whatever is sent, it takes bounded memory and does not panic: counts that do not fit one another are errors, and texts
//! lose what a terminal would obey.

use std::collections::{HashMap, VecDeque};

use framealloc_budget::live::{Message, NewTags, Snapshot};

/// Frames that are kept: ten seconds at 60 Hz. Fewer if the program itself keeps fewer.
const FRAMES: usize = 600;

/// Of which the rate is the mean.
const RATE: usize = 60;

/// Tags that are kept. The program tells fewer apart.
const MOST_TAGS: usize = 1 << 14;

/// Characters of a text that are kept.
const LONGEST: usize = 1000;

/// A figure of the last frames.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ring {
    values: VecDeque<u64>,
    /// How many there ever were.
    pushed: usize,
    /// How many are kept.
    window: usize,
}

impl Ring {
    fn push(&mut self, value: u64, window: usize) {
        self.window = window;
        while self.values.len() >= window {
            self.values.pop_front();
        }
        self.values.push_back(value);
        self.pushed += 1;
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    pub(crate) fn last(&self) -> u64 {
        self.values.back().copied().unwrap_or(0)
    }

    pub(crate) fn max(&self) -> u64 {
        self.values.iter().copied().max().unwrap_or(0)
    }

    /// So many frames ago.
    fn back(&self, frames: usize) -> u64 {
        let at = self.values.len().checked_sub(frames + 1);
        at.and_then(|at| self.values.get(at)).copied().unwrap_or(0)
    }

    /// For a drawing of so many columns, the newest one first: the most of as many frames each as all that are kept need. Which
    /// frames share a column does not change as they move.
    pub(crate) fn columns(&self, width: usize) -> Vec<u64> {
        let each = self.window.div_ceil(width.max(1)).max(1);
        let mut columns = Vec::with_capacity(width);
        let mut column = None;
        for (at, &value) in (0..self.pushed).rev().zip(self.values.iter().rev()) {
            if column != Some(at / each) {
                if columns.len() == width {
                    break;
                }
                column = Some(at / each);
                columns.push(0);
            }
            if let Some(most) = columns.last_mut() {
                *most = value.max(*most);
            }
        }
        columns
    }
}

/// A tag in its place.
#[derive(Clone, Debug)]
pub(crate) struct Tag {
    pub(crate) path: String,
    /// Its own name, the last of the path.
    pub(crate) name: String,
    /// The tag that it is inside of.
    pub(crate) parent: Option<usize>,
    pub(crate) depth: usize,
    /// What its limits are held against; of what lies in no tag, its own.
    pub(crate) bytes: Ring,
}

/// The frame that used the most of those that are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Worst {
    pub(crate) frame: u64,
    pub(crate) bytes: u64,
    /// What each tag used that lies in no other: by number, the largest first.
    pub(crate) tags: Vec<(usize, u64)>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) title: String,
    pub(crate) tags: Vec<Tag>,
    by_path: HashMap<String, usize>,
    pub(crate) last: Option<Box<Snapshot>>,
    /// Of the accounts that are no tags, in the order of [`Model::ACCOUNTS`].
    pub(crate) accounts: [Ring; 5],
    /// Nanoseconds from frame to frame.
    pub(crate) interval: Ring,
    numbers: Ring,
    /// Frames that ended and were not sent.
    pub(crate) left_out: u64,
}

/// What a terminal would obey, or what turns a line around, is not shown.
fn clean(text: &str) -> String {
    let obeyed = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().take(LONGEST).map(|c| if obeyed(c) { '\u{fffd}' } else { c }).collect()
}

impl Model {
    pub(crate) const ACCOUNTS: [&'static str; 5] = ["committed", "pools", "sealed", "frame", "thread"];
    /// The account of a frame's bytes.
    pub(crate) const FRAME: usize = 3;

    /// Takes what the program says.
    ///
    /// # Errors
    ///
    /// If it does not fit to what it said before.
    pub(crate) fn apply(&mut self, message: Message) -> Result<(), String> {
        match message {
            Message::Hello(hello) => {
                *self = Self { title: clean(&hello.title), ..Self::default() };
                self.add_tags(hello.tags)
            }
            Message::Tags(NewTags { first, paths, .. }) => {
                if first != self.tags.len() {
                    return Err(format!("tags from {first} on are told of, but {} are known", self.tags.len()));
                }
                self.add_tags(paths)
            }
            Message::Frame(frame) => self.add_frame(frame),
            Message::Error(why) => Err(why),
            _ => Err("a message of a kind that is not known".into()),
        }
    }

    fn add_tags(&mut self, paths: Vec<String>) -> Result<(), String> {
        if self.tags.len() + paths.len() > MOST_TAGS {
            return Err(format!("there are more than {MOST_TAGS} tags"));
        }
        for path in paths {
            let path = clean(&path);
            let above = path.rsplit_once('/');
            // One whose parent is not known stands by its whole path.
            let parent = above.and_then(|(above, _)| self.by_path.get(above)).copied();
            let name = above.filter(|_| parent.is_some()).map_or(&*path, |(_, name)| name).to_owned();
            let depth = parent.map_or(0, |parent| self.tags[parent].depth + 1);
            self.by_path.insert(path.clone(), self.tags.len());
            self.tags.push(Tag { path, name, parent, depth, bytes: Ring::default() });
        }
        Ok(())
    }

    fn add_frame(&mut self, frame: Box<Snapshot>) -> Result<(), String> {
        let record = &frame.record;
        let told = record.tags.len().max(frame.tags.len());
        if told > self.tags.len() {
            return Err(format!("a frame has {told} tags, but {} are known", self.tags.len()));
        }
        let window = frame.history.clamp(1, FRAMES);
        for (at, tag) in self.tags.iter_mut().enumerate() {
            let figures = record.tags.get(at).copied().unwrap_or_default();
            let bytes = if at == 0 { usize::try_from(figures.own).unwrap_or(0) } else { figures.peak };
            tag.bytes.push(bytes as u64, window);
        }
        let most = record.threads.iter().map(|thread| thread.peak).max().unwrap_or(0);
        let used = [record.committed, record.pools, record.sealed, record.bytes, most];
        for (ring, bytes) in self.accounts.iter_mut().zip(used) {
            ring.push(bytes as u64, window);
        }
        self.interval.push(u64::try_from(record.interval.as_nanos()).unwrap_or(u64::MAX), window);
        if let Some(last) = &self.last {
            // A budget's next allocator counts from the beginning.
            let gap = record.frame.saturating_sub(last.record.frame).saturating_sub(1);
            self.left_out = self.left_out.saturating_add(gap);
        }
        self.numbers.push(record.frame, window);
        self.last = Some(frame);
        Ok(())
    }

    /// Frames a second, of the last second or so; nothing is known from one frame.
    pub(crate) fn rate(&self) -> Option<f64> {
        let intervals = self.interval.values.iter().rev().take(RATE).filter(|&&nanoseconds| nanoseconds != 0);
        let (count, sum) = intervals.fold((0.0, 0.0), |(count, sum), &of| (count + 1.0, sum + of as f64));
        (sum > 0.0).then(|| 1e9 * count / sum)
    }

    /// The worst of the frames that are kept.
    pub(crate) fn worst(&self) -> Option<Worst> {
        let bytes = &self.accounts[Self::FRAME];
        // Of several the first one.
        let (ago, _) = bytes.values.iter().rev().enumerate().max_by_key(|&(ago, bytes)| (bytes, ago))?;
        let of = |(at, tag): (usize, &Tag)| tag.parent.is_none().then(|| (at, tag.bytes.back(ago)));
        let mut tags: Vec<_> = self.tags.iter().enumerate().filter_map(of).filter(|&(_, bytes)| bytes != 0).collect();
        tags.sort_by_key(|&(at, bytes)| (std::cmp::Reverse(bytes), at));
        Some(Worst { frame: self.numbers.back(ago), bytes: bytes.back(ago), tags })
    }

    /// What a tag, or what lies in none, is called.
    pub(crate) fn name(&self, tag: usize) -> &str {
        self.tags.get(tag).map_or("", |tag| if tag.path.is_empty() { "in no tag" } else { &tag.name })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use framealloc_budget::live::{SCHEMA, Standing};
    use framealloc_budget::{Level, TagRecord, ThreadRecord, bytes};

    use super::*;

    /// Of a program whose tags these are, and what lies in none.
    pub(crate) fn hello(paths: &[String]) -> Message {
        let paths: Vec<&str> = std::iter::once("").chain(paths.iter().map(String::as_str)).collect();
        let paths: Vec<String> = paths.iter().map(|path| format!("{path:?}")).collect();
        let line = format!(
            r#"{{"hello":{{"schema":{SCHEMA},"title":"a game","tags":[{}]}}}}"#,
            paths.join(",").replace("\\'", "'")
        );
        Message::read(&line).unwrap()
    }

    /// A frame of so many tags, each as `each` makes it.
    pub(crate) fn frame(number: u64, tags: usize, each: impl Fn(usize, &mut TagRecord, &mut Standing)) -> Message {
        let mut snapshot = Snapshot::default();
        snapshot.history = 3600;
        snapshot.record.frame = number;
        for tag in 0..=tags {
            let (mut record, mut standing) = Default::default();
            each(tag, &mut record, &mut standing);
            snapshot.record.tags.push(record);
            snapshot.tags.push(standing);
        }
        Message::Frame(Box::new(snapshot))
    }

    /// A game with limits of all kinds, after so many frames. In the 301st of them particles meet their limit.
    pub(crate) fn played(frames: u64) -> Model {
        let mut model = Model::default();
        let paths = ["physics", "physics/contacts", "physics/joints", "particles", "overlay"].map(String::from);
        model.apply(hello(&paths)).unwrap();
        let (kib, mib) = (bytes::kib, bytes::mib);
        for number in 1..=frames {
            let burst = number == 301;
            // Up and down in 160 frames.
            let contacts = kib(400 + 5 * (number % 160).abs_diff(80) as usize);
            let particles = if burst { mib(8) } else { kib(1024 + (number * number % 100) as usize) };
            let used = [720, contacts + kib(264), contacts, kib(64), particles, kib(2)];
            let mut message = frame(number, paths.len(), |tag, record, standing| {
                record.peak = used[tag];
                let (limits, worst) = match tag {
                    1 => ((Some(kib(900)), Some(kib(1200)), Level::Soft), (kib(1064), 160)),
                    2 => ((None, None, Level::Normal), (kib(800), 160)),
                    3 => ((None, Some(kib(256)), Level::Normal), (kib(64), 1)),
                    4 if number >= 301 => ((None, Some(mib(8)), Level::Hard), (mib(8), 301)),
                    4 => ((None, Some(mib(8)), Level::Normal), (kib(1120), 14)),
                    5 => ((Some(kib(64)), None, Level::Normal), (kib(2), 1)),
                    _ => {
                        (record.own, record.peak) = (720, used[1] + used[4] + used[5] + used[0]);
                        return;
                    }
                };
                (standing.soft, standing.hard, standing.level) = limits;
                (standing.worst, standing.worst_frame) = worst;
                standing.refused = if tag == 4 && number >= 301 { 12 } else { 0 };
            });
            let Message::Frame(snapshot) = &mut message else { panic!() };
            snapshot.history = 320;
            let record = &mut snapshot.record;
            record.bytes = record.tags[0].peak;
            record.interval = Duration::from_micros(if burst { 33_200 } else { 16_200 + 100 * (number % 7) });
            record.committed = if (301..331).contains(&number) { mib(14) } else { mib(6) };
            (record.pools, record.heap) = (kib(1536), kib(4));
            record.refused = if burst { 12 } else { 0 };
            let thread = || ThreadRecord::default();
            record.threads = vec![thread(), thread()];
            record.threads[1].peak = record.bytes / 2;
            let accounts = &mut snapshot.accounts;
            (accounts.committed.soft, accounts.committed.hard) = (Some(mib(24)), Some(mib(32)));
            (accounts.committed.worst, accounts.committed.worst_frame) = (mib(14), 301);
            (accounts.pools.hard, accounts.pools.worst, accounts.pools.worst_frame) = (Some(mib(4)), kib(1536), 1);
            (accounts.frame.worst, accounts.frame.worst_frame) = (kib(9163) + 720, 301);
            (accounts.thread.worst, accounts.thread.worst_frame) = (kib(9163) / 2 + 360, 301);
            model.apply(message).unwrap();
        }
        model
    }

    #[test]
    fn columns_hold_the_most_of_their_frames_and_stand_still() {
        let mut ring = Ring::default();
        for value in 0..30 {
            ring.push(value, 20);
        }
        assert_eq!((ring.len(), ring.last(), ring.max(), ring.back(5)), (20, 29, 29, 24));
        assert_eq!(ring.columns(20), (10..30).rev().collect::<Vec<_>>());
        assert_eq!(ring.columns(100), (10..30).rev().collect::<Vec<_>>());
        assert_eq!(ring.columns(5), [29, 27, 23, 19, 15]);
        ring.push(0, 20);
        assert_eq!(ring.columns(5), [29, 27, 23, 19, 15], "0 shares its column with 28 and 29");
        assert!(ring.columns(0).is_empty() && Ring::default().columns(7).is_empty());
        // A history that becomes shorter.
        ring.push(1, 2);
        assert_eq!((ring.len(), ring.max(), ring.back(7)), (2, 1, 0));
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let mut model = Model::default();
        let paths = ["a".to_owned()];
        model.apply(hello(&paths)).unwrap();
        assert!(model.apply(frame(1, 2, |_, _, _| ())).unwrap_err().contains("3 tags, but 2 are known"));
        let tags = |first, path: &str| Message::read(&format!(r#"{{"tags":{{"first":{first},"paths":["{path}"]}}}}"#));
        assert!(model.apply(tags(1, "b").unwrap()).unwrap_err().contains("2 are known"));
        model.apply(tags(2, "b").unwrap()).unwrap();
        model.apply(frame(1, 2, |_, _, _| ())).unwrap();
        // Fewer are as many that used nothing.
        model.apply(frame(5, 0, |_, _, _| ())).unwrap();
        assert_eq!((model.tags[2].bytes.len(), model.left_out), (2, 3));
        let many = vec![String::from("x"); MOST_TAGS];
        assert!(model.apply(hello(&many)).unwrap_err().contains("more than"));
    }

    #[test]
    fn texts_that_a_terminal_would_obey_are_not_shown() {
        let mut model = Model::default();
        let line = r#"{"hello":{"schema":1,"title":"\u001b[2Jtitle\u202e","tags":["","a\u0007\n/b\u009b"]}}"#;
        model.apply(Message::read(line).unwrap()).unwrap();
        assert_eq!(model.title, "\u{fffd}[2Jtitle\u{fffd}");
        assert_eq!(
            (&*model.tags[1].name, model.tags[1].depth),
            ("a\u{fffd}\u{fffd}/b\u{fffd}", 0),
            "by its path, without a parent"
        );
        let long = vec!["x".repeat(100_000)];
        model.apply(hello(&long)).unwrap();
        assert_eq!(model.tags[1].path.len(), LONGEST);
    }

    #[test]
    fn the_worst_frame_is_found_with_what_its_tags_used() {
        let model = played(400);
        let worst = model.worst().unwrap();
        let kib = |count| bytes::kib(count) as u64;
        let physics = kib(969);
        assert_eq!((worst.frame, worst.bytes), (301, kib(8194) + physics + 720));
        let tags: Vec<_> = worst.tags.iter().map(|&(tag, bytes)| (model.name(tag), bytes)).collect();
        assert_eq!(tags, [("particles", kib(8192)), ("physics", physics), ("overlay", 2048), ("in no tag", 720)]);
        assert_eq!(Model::default().worst(), None);
        // Of several the first one.
        let mut even = Model::default();
        even.apply(hello(&[])).unwrap();
        (7..20).for_each(|number| even.apply(frame(number, 0, |_, _, _| ())).unwrap());
        assert_eq!(even.worst().unwrap().frame, 7);
    }
}
