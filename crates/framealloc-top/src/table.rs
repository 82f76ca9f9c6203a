//! The table of accounts and tags: which rows, in which order, and which columns there is room for.

use std::cmp::Reverse;

use framealloc_budget::live::Standing;
use framealloc_budget::{Level, bytes};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Span;

use crate::model::{Model, Ring};

/// What tags beside one another are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sort {
    /// The most of the frames that are kept, since the last frame's would not stand still.
    #[default]
    Bytes,
    Name,
    /// The part of their limit that they use.
    Share,
}

impl Sort {
    pub(crate) fn next(self) -> Self {
        match self {
            Self::Bytes => Self::Name,
            Self::Name => Self::Share,
            Self::Share => Self::Bytes,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Name => "name",
            Self::Share => "share of limit",
        }
    }
}

/// An account, or a tag.
#[derive(Clone, Debug)]
pub(crate) struct Row<'a> {
    pub(crate) name: &'a str,
    pub(crate) depth: usize,
    standing: Standing,
    figures: &'a Ring,
}

impl<'a> Row<'a> {
    fn limit(&self) -> Option<usize> {
        self.standing.hard.or(self.standing.soft)
    }

    /// The part of its limit that it uses: of the hard one if it has one.
    fn share(&self) -> Option<f64> {
        let used = self.figures.last();
        self.limit().map(|limit| match (used, limit) {
            (0, _) => 0.0,
            (_, 0) => f64::INFINITY,
            _ => used as f64 / limit as f64,
        })
    }

    fn name_width(&self) -> u16 {
        u16::try_from(2 * self.depth + Span::raw(self.name).width()).unwrap_or(u16::MAX)
    }
}

/// The accounts, then the tags, those inside of others below them.
pub(crate) fn rows(model: &Model, sort: Sort) -> Vec<Row<'_>> {
    let Some(last) = &model.last else { return Vec::new() };
    let accounts = &last.accounts;
    let standings = [accounts.committed, accounts.pools, accounts.sealed, accounts.frame, accounts.thread];
    // Pools are a part of what is committed, and sealed frames of it, too.
    let depths = [0, 1, 1, 0, 0];
    let plain = Model::ACCOUNTS.iter().zip(standings).zip(&model.accounts).zip(depths);
    let mut rows: Vec<_> =
        plain.map(|(((name, standing), figures), depth)| Row { name, depth, standing, figures }).collect();

    let tagged = |at: usize| {
        let tag = &model.tags[at];
        let standing = last.tags.get(at).copied().unwrap_or_default();
        Row { name: model.name(at), depth: tag.depth, standing, figures: &tag.bytes }
    };
    let mut inside: Vec<Vec<usize>> = vec![Vec::new(); model.tags.len()];
    let mut outermost = Vec::new();
    for (at, tag) in model.tags.iter().enumerate() {
        tag.parent.map_or(&mut outermost, |parent| &mut inside[parent]).push(at);
    }
    // Each is looked at once, though it is compared with several.
    let order = |tags: &mut Vec<usize>| match sort {
        Sort::Bytes => tags.sort_by_cached_key(|&at| Reverse(model.tags[at].bytes.max())),
        Sort::Name => tags.sort_by(|&a, &b| model.tags[a].name.cmp(&model.tags[b].name)),
        Sort::Share => {
            let mut shares: Vec<_> = tags.iter().map(|&at| (tagged(at).share().unwrap_or(-1.0), at)).collect();
            shares.sort_by(|a, b| b.0.total_cmp(&a.0));
            *tags = shares.into_iter().map(|(_, at)| at).collect();
        }
    };
    order(&mut outermost);
    inside.iter_mut().for_each(order);
    let mut stack: Vec<usize> = outermost.into_iter().rev().collect();
    while let Some(at) = stack.pop() {
        rows.push(tagged(at));
        stack.extend(inside[at].iter().rev());
    }
    rows
}

/// A column, where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Name,
    Bytes,
    Peak,
    Level,
    Gauge,
    Limit,
    Refused,
    Worst,
    History,
}

/// Those of a table, with their widths, from left to right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Columns(Vec<(Column, u16)>);

/// Cells of a gauge's bar.
const BAR: usize = 10;

const NAME: std::ops::RangeInclusive<u16> = 14..=40;
const HISTORY: std::ops::RangeInclusive<u16> = 12..=60;

/// Beside the name, the most important first, with what they need.
const OTHERS: [(Column, u16); 8] = [
    (Column::Level, 1),
    (Column::Bytes, 9),
    (Column::Gauge, BAR as u16 + 6),
    (Column::Peak, 9),
    (Column::Limit, 10),
    (Column::History, *HISTORY.start()),
    (Column::Refused, 7),
    (Column::Worst, 20),
];

const ORDER: [Column; 9] = [
    Column::Name,
    Column::Bytes,
    Column::Peak,
    Column::Level,
    Column::Gauge,
    Column::Limit,
    Column::Refused,
    Column::Worst,
    Column::History,
];

/// Between columns.
const SPACE: u16 = 2;

impl Columns {
    /// Those that there is room for.
    pub(crate) fn of(rows: &[Row<'_>], width: u16) -> Self {
        let longest = rows.iter().map(Row::name_width).max().unwrap_or(0);
        let mut chosen = vec![(Column::Name, *NAME.start())];
        let mut left = width.saturating_sub(*NAME.start());
        for (column, needs) in OTHERS {
            // Less important ones are not squeezed in beside a more important one that is missing.
            let Some(rest) = left.checked_sub(needs + SPACE) else { break };
            left = rest;
            chosen.push((column, needs));
        }
        let mut grow = |column: Column, to: u16| {
            if let Some((_, width)) = chosen.iter_mut().find(|(of, _)| *of == column) {
                let more = to.saturating_sub(*width).min(left);
                *width += more;
                left -= more;
            }
        };
        grow(Column::Name, longest.min(*NAME.end()));
        grow(Column::History, *HISTORY.end());
        grow(Column::Name, longest);
        let place = |column: Column| ORDER.iter().position(|&of| of == column);
        chosen.sort_by_key(|&(column, _)| place(column));
        Self(chosen)
    }

    /// With no name cut, and without what takes more than one frame, for text.
    pub(crate) fn of_text(rows: &[Row<'_>]) -> Self {
        let Self(mut columns) = Self::of(rows, u16::MAX);
        columns.retain(|&(column, _)| !matches!(column, Column::Peak | Column::History));
        Self(columns)
    }

    pub(crate) fn width(&self) -> u16 {
        self.0.iter().fold(0, |sum, &(_, width)| sum.saturating_add(width).saturating_add(SPACE))
    }

    fn places(&self, area: Rect) -> impl Iterator<Item = (Column, Rect)> {
        let mut x = area.x;
        self.0.iter().map(move |&(column, width)| {
            let place = Rect { x, width, height: 1, ..area }.intersection(area);
            x = x.saturating_add(width).saturating_add(SPACE);
            (column, place)
        })
    }

    pub(crate) fn head(&self, buffer: &mut Buffer, area: Rect) {
        let style = Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED);
        for (column, place) in self.places(area) {
            let text = match column {
                Column::Name => "account, tag".into(),
                Column::Bytes => right("bytes", place),
                Column::Peak => right("most", place),
                Column::Level => "L".into(),
                Column::Gauge => "of the limit".into(),
                Column::Limit => right("limit", place),
                Column::Refused => right("refused", place),
                Column::Worst => right("worst, in frame", place),
                Column::History => "frames, newest right".into(),
            };
            put(buffer, place, &text, style);
        }
    }

    pub(crate) fn row(&self, buffer: &mut Buffer, area: Rect, row: &Row<'_>) {
        let Standing { hard, level, worst, worst_frame, refused, over, .. } = row.standing;
        for (column, place) in self.places(area) {
            match column {
                Column::Name => {
                    let inset = u16::try_from(2 * row.depth).unwrap_or(u16::MAX).min(place.width / 2);
                    let place = Rect { x: place.x + inset, width: place.width - inset, ..place };
                    put(buffer, place, row.name, Style::new());
                }
                Column::Bytes => put(buffer, place, &right(&amount(row.figures.last()), place), Style::new()),
                Column::Peak => put(buffer, place, &right(&amount(row.figures.max()), place), Style::new()),
                Column::Level => {
                    if row.limit().is_some() {
                        put(buffer, place, letter(level), color(level));
                    }
                }
                Column::Gauge => {
                    if let Some(share) = row.share() {
                        put(buffer, place, &gauge(share, &row.standing), color(level));
                    }
                }
                Column::Limit => {
                    if let Some(limit) = row.limit() {
                        // A soft limit is not one that nothing passes.
                        let soft = if hard.is_none() { "~" } else { "" };
                        let text = format!("{soft}{}", amount(limit as u64));
                        put(buffer, place, &right(&text, place), Style::new());
                    }
                }
                Column::Refused => {
                    if refused != 0 || over != 0 {
                        let text = if refused != 0 { refused.to_string() } else { "over".into() };
                        put(buffer, place, &right(&text, place), color(Level::Hard));
                    }
                }
                Column::Worst => {
                    if worst != 0 {
                        let text = format!("{} {worst_frame:>9}", amount(worst as u64));
                        put(buffer, place, &right(&text, place), Style::new());
                    }
                }
                Column::History => history(buffer, place, row.figures, color(level)),
            }
        }
    }
}

/// Writes what there is room for in a place of the buffer.
pub(crate) fn put(buffer: &mut Buffer, place: Rect, text: &str, style: Style) {
    if !place.is_empty() {
        buffer.set_stringn(place.x, place.y, text, place.width.into(), style);
    }
}

pub(crate) fn amount(bytes: u64) -> String {
    bytes::display(usize::try_from(bytes).unwrap_or(usize::MAX)).to_string()
}

fn right(text: &str, place: Rect) -> String {
    format!("{text:>0$}", usize::from(place.width))
}

/// For who cannot tell the colours apart.
fn letter(level: Level) -> &'static str {
    match level {
        Level::Normal => "n",
        Level::Soft => "S",
        Level::Hard => "H",
    }
}

pub(crate) fn color(level: Level) -> Style {
    match level {
        Level::Normal => Style::new().fg(Color::Green),
        Level::Soft => Style::new().fg(Color::Yellow),
        Level::Hard => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
    }
}

/// A bar with a mark where the soft limit is, and the part as a number.
fn gauge(share: f64, standing: &Standing) -> String {
    let filled = (share * BAR as f64).round().clamp(0.0, BAR as f64) as usize;
    let mut bar: Vec<char> = (0..BAR).map(|at| if at < filled { '█' } else { '░' }).collect();
    if let (Some(soft), Some(hard @ 1..)) = (standing.soft, standing.hard) {
        let at = (soft as f64 / hard as f64 * BAR as f64) as usize;
        bar[at.min(BAR - 1)] = '|';
    }
    let percent = 100.0 * share;
    let percent = if percent < 1000.0 { format!("{percent:>4.0} %") } else { "  >10x".into() };
    bar.into_iter().collect::<String>() + &percent
}

const LEVELS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// Its last frames, the newest at the right.
fn history(buffer: &mut Buffer, place: Rect, figures: &Ring, style: Style) {
    let columns = figures.columns(place.width.into());
    let most = figures.max();
    for (x, value) in (place.left()..place.right()).rev().zip(columns) {
        // What is not nothing is seen.
        let level = if most == 0 { 0 } else { (value as f64 / most as f64 * 8.0).ceil() as usize };
        if let Some(cell) = buffer.cell_mut(Position::new(x, place.y)) {
            cell.set_symbol(LEVELS[level.min(8)]).set_style(style);
        }
    }
}
