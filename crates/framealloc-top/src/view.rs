//! What is drawn: into a buffer of any size, from what is known. Nothing here knows of a terminal.

use std::net::SocketAddr;
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Span;
use ratatui::widgets::{Block, Clear, Paragraph, RenderDirection, Sparkline, Widget};

use crate::client::State;
use crate::model::{Model, Ring};
use crate::table::{Columns, Sort, amount, put, rows};

/// What the keys have set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) sort: Sort,
    /// The first row that is shown. More than there are is the last page.
    pub(crate) scroll: usize,
    pub(crate) help: bool,
    pub(crate) paused: bool,
}

/// What is known when it is drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) state: &'a State,
    /// Until it is tried again.
    pub(crate) retry: Option<Duration>,
    pub(crate) model: &'a Model,
}

const HELP: &str = "\
q      quit
p      pause, and go on
s      sort tags by bytes, name, share of their limit
↑ ↓    scroll; also k j, PgUp PgDn, Home End
?      this, and away with it

Of each account: bytes in the last frame, the most of the
frames that are kept, its level (n normal, S above the soft
limit, H at the hard one), how much of its limit that is
(| is where the soft one lies; ~ a limit that is only soft),
requests refused since the start (over: granted beyond it),
and the worst since the start, with its frame.
Tags have those inside of them with them.";

/// Draws all of it, and sets `scroll` to where it is; how many rows a page has.
pub(crate) fn draw(buffer: &mut Buffer, area: Rect, view: &View<'_>, settings: &mut Settings) -> usize {
    let mut left = area.intersection(buffer.area);
    let height = left.height;
    if left.is_empty() {
        return 1;
    }
    // From the top and the bottom, as long as there is room for the table.
    let mut take = |lines: u16| {
        let taken = Rect { height: lines.min(left.height), ..left };
        left = Rect { y: left.y + taken.height, height: left.height - taken.height, ..left };
        taken
    };
    title(buffer, take(1), view, settings);
    if let State::Gone(why) = view.state {
        let when =
            view.retry.map_or_else(String::new, |retry| format!("; trying again in {:.1} s", retry.as_secs_f64()));
        let style = Style::new().fg(Color::Black).bg(Color::Yellow);
        let place = take(1);
        buffer.set_style(place, style);
        put(buffer, place, &format!(" {why}{when}"), style);
    }
    if height >= 5 {
        line(buffer, take(1), &figures(view.model));
    }
    if height >= 9 {
        line(buffer, take(1), &worst(view.model));
    }
    if height >= 16 {
        let place = take(4);
        let half = if place.width >= 60 { place.width / 2 } else { place.width };
        let bytes = &view.model.accounts[Model::FRAME];
        let title = format!("bytes, at most {}", amount(bytes.max()));
        sparkline(buffer, Rect { width: half.saturating_sub(1), ..place }, &title, bytes, Color::Cyan);
        let interval = &view.model.interval;
        let title = format!("time, at most {:.1} ms", interval.max() as f64 / 1e6);
        let place = Rect { x: place.x + half, width: place.width - half, ..place };
        sparkline(buffer, place, &title, interval, Color::Magenta);
    }

    let rows = rows(view.model, settings.sort);
    let columns = Columns::of(&rows, left.width);
    let foot = u16::from(height >= 6);
    let place = Rect { height: left.height.saturating_sub(foot), ..left };
    let page = usize::from(place.height.saturating_sub(1));
    settings.scroll = settings.scroll.min(rows.len().saturating_sub(page));
    let shown = rows.iter().skip(settings.scroll).take(page);
    if place.height > 0 {
        if rows.is_empty() {
            put(buffer, place, " waiting for a frame", Style::new().add_modifier(Modifier::DIM));
        } else {
            columns.head(buffer, place);
        }
    }
    let last = settings.scroll + shown.len();
    for (y, row) in (place.y + 1..place.bottom()).zip(shown) {
        columns.row(buffer, Rect { y, height: 1, ..place }, row);
    }
    if matches!(view.state, State::Gone(_)) {
        buffer.set_style(place, Style::new().add_modifier(Modifier::DIM));
    }
    if foot != 0 {
        let place = Rect { y: left.bottom() - 1, height: 1, ..left };
        let sort = format!("s sort: {}", settings.sort.name());
        let places = format!("{}-{last} of {}", (settings.scroll + 1).min(last), rows.len());
        let keys = [places, "q quit".into(), "? help".into(), sort, "p pause".into(), "↑↓ scroll".into()];
        line(buffer, place, &keys.map(|text| (text, Style::new().add_modifier(Modifier::DIM))));
    }
    if settings.help {
        help(buffer, area.intersection(buffer.area));
    }
    page.max(1)
}

type Part = (String, Style);

/// As many parts as fit, the most important first.
fn line(buffer: &mut Buffer, place: Rect, parts: &[Part]) {
    let mut place = place;
    for (text, style) in parts {
        let width = u16::try_from(Span::raw(text).width()).unwrap_or(u16::MAX);
        if width >= place.width {
            return;
        }
        put(buffer, Rect { x: place.x + 1, width, ..place }, text, *style);
        let used = width.saturating_add(3).min(place.width);
        place = Rect { x: place.x + used, width: place.width - used, ..place };
    }
}

fn title(buffer: &mut Buffer, place: Rect, view: &View<'_>, settings: &Settings) {
    let style = Style::new().add_modifier(Modifier::REVERSED);
    buffer.set_style(place, style);
    let (state, color) = match view.state {
        _ if settings.paused => ("PAUSED", style.fg(Color::Yellow)),
        State::Connecting => ("connecting", style),
        State::Attached => ("attached", style.fg(Color::Green)),
        State::Gone(_) => ("GONE", style.fg(Color::Red)),
    };
    let name = if view.model.title.is_empty() { "framealloc-top" } else { &*view.model.title };
    line(buffer, place, &[(state.into(), color), (name.into(), style), (view.address.to_string(), style)]);
}

/// The last frame, the most important first.
pub(crate) fn figures(model: &Model) -> Vec<Part> {
    let Some(last) = &model.last else { return Vec::new() };
    let record = &last.record;
    let plain = |text: String| (text, Style::new());
    let alarm = |text: String, is_one: bool| {
        (text, if is_one { Style::new().fg(Color::Red).add_modifier(Modifier::BOLD) } else { Style::new() })
    };
    let refused = record.refused.saturating_add(record.refused_memory);
    let mut parts = vec![plain(format!("frame {}", record.frame))];
    if let Some(rate) = model.rate() {
        parts.push(plain(format!("{rate:.1} a second")));
        parts.push(plain(format!("{:.1} ms", model.interval.last() as f64 / 1e6)));
    }
    parts.extend([
        plain(format!("bytes {}", amount(record.bytes as u64))),
        plain(format!("committed {}", amount(record.committed as u64))),
        plain(format!("pools {}", amount(record.pools as u64))),
        alarm(format!("heap {}", amount(record.heap as u64)), record.heap != 0),
        plain(format!("sealed {}", amount(record.sealed as u64))),
        alarm(format!("refused {refused}"), refused != 0),
    ]);
    if model.left_out != 0 {
        parts.push(plain(format!("not shown {}", model.left_out)));
    }
    parts
}

/// The worst frame since the start, and of those that are kept.
pub(crate) fn worst(model: &Model) -> Vec<Part> {
    let (Some(last), Some(worst)) = (&model.last, model.worst()) else { return Vec::new() };
    let frame = &last.accounts.frame;
    let kept = model.accounts[Model::FRAME].len();
    let tags = worst.tags.iter().take(3).map(|&(tag, bytes)| format!("{} {}", model.name(tag), amount(bytes)));
    let tags: Vec<_> = tags.collect();
    let colon = if tags.is_empty() { "" } else { ": " };
    let style = Style::new();
    vec![
        (format!("worst frame {}, {}", frame.worst_frame, amount(frame.worst as u64)), style),
        (format!("of the last {kept}: {}, {}{colon}{}", worst.frame, amount(worst.bytes), tags.join(", ")), style),
    ]
}

fn sparkline(buffer: &mut Buffer, place: Rect, title: &str, figures: &Ring, color: Color) {
    let style = Style::new().add_modifier(Modifier::DIM);
    if place.is_empty() {
        return;
    }
    put(buffer, Rect { x: place.x + 1, width: place.width - 1, height: 1, ..place }, title, style);
    let below = Rect { y: place.y + 1, height: place.height - 1, ..place };
    // In eighths of a line, since the widget multiplies what it is given, and may be given anything.
    let (most, eighths) = (figures.max().max(1) as f64, u64::from(below.height) * 8);
    let heights = figures
        .columns(below.width.into())
        .into_iter()
        .map(|value| (value as f64 / most * eighths as f64).ceil() as u64);
    let widget = Sparkline::default().data(heights).direction(RenderDirection::RightToLeft);
    widget.max(eighths.max(1)).style(Style::new().fg(color)).render(below, buffer);
}

fn help(buffer: &mut Buffer, area: Rect) {
    let lines = HELP.lines().count() as u16 + 2;
    let width = HELP.lines().map(|line| Span::raw(line).width()).max().unwrap_or(0) as u16 + 4;
    let (width, height) = (width.min(area.width), lines.min(area.height));
    let place = Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    Clear.render(place, buffer);
    let block = Block::bordered().title(" framealloc-top ");
    Paragraph::new(HELP).block(block).render(place, buffer);
}

#[cfg(test)]
mod tests {
    use framealloc_budget::live::Message;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::model::tests::{frame, hello, played};

    fn view<'a>(model: &'a Model, state: &'a State) -> View<'a> {
        View { address: framealloc_budget::live::ADDRESS, state, retry: Some(Duration::from_millis(1600)), model }
    }

    /// What a terminal of this size shows.
    fn shown(width: u16, height: u16, view: &View<'_>, settings: &mut Settings) -> (Vec<String>, Buffer) {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal
            .draw(|frame| {
                let area = frame.area();
                draw(frame.buffer_mut(), area, view, settings);
            })
            .unwrap();
        let buffer = terminal.backend().buffer().clone();
        let lines = buffer.content().chunks(usize::from(width.max(1)));
        let line =
            |cells: &[ratatui::buffer::Cell]| cells.iter().map(ratatui::buffer::Cell::symbol).collect::<String>();
        (lines.map(|cells| line(cells).trim_end().to_owned()).collect(), buffer)
    }

    fn row<'a>(lines: &'a [String], name: &str) -> &'a str {
        let found = lines.iter().find(|line| line.trim_start().starts_with(name));
        found.unwrap_or_else(|| panic!("no {name} in\n{}", lines.join("\n")))
    }

    #[test]
    fn a_wide_terminal_shows_all_columns() {
        let model = played(320);
        let (lines, buffer) = shown(150, 24, &view(&model, &State::Attached), &mut Settings::default());
        assert!(lines[0].starts_with(" attached   a game   127.0.0.1:4627"), "{}", lines[0]);
        let figures = &lines[1];
        assert!(figures.starts_with(" frame 320   59.6 a second   16.7 ms   bytes 2.04 MiB"), "{figures}");
        assert!(
            figures.contains("committed 14.0 MiB   pools 1.50 MiB   heap 4.00 KiB   sealed 0 B   refused 0"),
            "{figures}"
        );
        let worst =
            "worst frame 301, 8.95 MiB   of the last 320: 301, 8.95 MiB: particles 8.00 MiB, physics 969 KiB, overlay";
        assert!(lines[2].contains(worst), "{}", lines[2]);
        assert!(lines[3].contains("bytes, at most 8.95 MiB") && lines[3].contains("time, at most 33.2 ms"));
        assert!(lines[4].contains('█') && lines[6].contains('▆'), "{}\n{}", lines[4], lines[6]);
        assert_eq!(
            row(&lines, "account"),
            "account, tag        bytes       most  L  of the limit           limit  refused       worst, in frame  frames, newest right"
        );
        let physics = row(&lines, "physics");
        let limited =
            "physics          1.04 MiB   1.04 MiB  S  ███████|█░  89 %    1.17 MiB             1.04 MiB       160";
        assert!(physics.starts_with(limited) && physics.ends_with("▆▇▇▇█████"), "{physics}");
        let particles = row(&lines, "particles");
        assert!(particles.contains(" H  █░░░░░░░░░  12 %    8.00 MiB       12    8.00 MiB       301"), "{particles}");
        assert!(particles.contains('█') && particles.ends_with('▂'), "{particles}");
        assert!(row(&lines, "committed").contains(" n  ████░░░|░░  44 %    32.0 MiB"), "{}", row(&lines, "committed"));
        assert!(row(&lines, "overlay").contains(" ~64.0 KiB"), "a limit that is only soft");
        assert!(row(&lines, "contacts").starts_with("  contacts"), "inside of physics");
        assert!(lines[23].starts_with(" 1-11 of 11   q quit"), "{}", lines[23]);
        let (lines, _) = shown(150, 24, &view(&played(301), &State::Attached), &mut Settings::default());
        assert!(lines[1].contains("refused 12"), "{}", lines[1]);

        // Levels have a colour beside their letter.
        let colors = |name: &str, letter: &str| {
            let y = lines.iter().position(|line| line.trim_start().starts_with(name)).unwrap();
            let x = (0..150).find(|&x| buffer[(x, y as u16)].symbol() == letter).unwrap();
            buffer[(x, y as u16)].fg
        };
        assert_eq!(colors("physics", "S"), Color::Yellow);
        assert_eq!(colors("particles", "H"), Color::Red);
    }

    #[test]
    fn a_narrow_terminal_keeps_name_bytes_and_level() {
        let model = played(320);
        let (lines, _) = shown(30, 20, &view(&model, &State::Attached), &mut Settings::default());
        assert_eq!(row(&lines, "physics").split_whitespace().collect::<Vec<_>>(), ["physics", "1.04", "MiB", "S"]);
        // What is less important than a gauge does not come instead of one.
        let (wider, _) = shown(45, 20, &view(&model, &State::Attached), &mut Settings::default());
        assert_eq!(row(&wider, "physics").split_whitespace().collect::<Vec<_>>(), ["physics", "1.04", "MiB", "S"]);
        assert_eq!(row(&lines, "particles").split_whitespace().collect::<Vec<_>>(), ["particles", "1.00", "MiB", "H"]);
        assert!(lines.iter().all(|line| line.chars().count() <= 30));
        let (lines, _) = shown(60, 20, &view(&model, &State::Attached), &mut Settings::default());
        assert!(row(&lines, "physics").contains("89 %") && !row(&lines, "account").contains("worst"));
    }

    #[test]
    fn no_size_is_too_small() {
        let states = [State::Connecting, State::Attached, State::Gone("the program has gone".into())];
        for model in [Model::default(), played(3)] {
            for state in &states {
                for (width, height) in (0..24).flat_map(|width| (0..24).map(move |height| (width, height))) {
                    for help in [false, true] {
                        let mut settings = Settings { help, scroll: usize::MAX, ..Settings::default() };
                        shown(width, height, &view(&model, state), &mut settings);
                    }
                }
                shown(400, 1, &view(&model, state), &mut Settings::default());
                shown(1, 400, &view(&model, state), &mut Settings::default());
            }
        }
        // An area that is not the buffer's, as a terminal's that has just become smaller.
        let mut buffer = Buffer::empty(Rect::new(0, 0, 10, 3));
        draw(&mut buffer, Rect::new(5, 1, 100, 50), &view(&played(3), &State::Attached), &mut Settings::default());
    }

    #[test]
    fn five_hundred_tags_scroll() {
        let paths: Vec<String> = (0..500).map(|at| format!("tag {at:03}")).collect();
        let mut model = Model::default();
        model.apply(hello(&paths)).unwrap();
        model.apply(frame(1, 500, |tag, record, _| record.peak = 1000 - tag)).unwrap();
        let mut settings = Settings::default();
        let mut seen = std::collections::BTreeSet::new();
        loop {
            let before = settings.scroll;
            let (lines, _) = shown(80, 30, &view(&model, &State::Attached), &mut settings);
            assert_eq!(settings.scroll, before.min(506 - 21), "no further than to the last page");
            seen.extend(lines.iter().filter_map(|line| line.split("tag ").nth(1)?.get(..3)?.parse::<usize>().ok()));
            if settings.scroll < before {
                break;
            }
            settings.scroll += 21;
        }
        assert_eq!(seen.len(), 500, "each was on some page");
        settings.scroll = usize::MAX;
        let (lines, _) = shown(80, 30, &view(&model, &State::Attached), &mut settings);
        assert!(lines[28].starts_with("in no tag") || lines[28].starts_with("tag 499"), "{}", lines[28]);
        assert!(lines[29].starts_with(" 486-506 of 506"), "{}", lines[29]);
    }

    #[test]
    fn a_program_that_is_gone_is_said_to_be_and_its_last_frame_stays() {
        let model = played(10);
        let gone = State::Gone("the program has gone".into());
        let (lines, _) = shown(100, 24, &view(&model, &gone), &mut Settings::default());
        assert!(lines[0].starts_with(" GONE") && lines[1] == " the program has gone; trying again in 1.6 s");
        assert!(row(&lines, "physics").contains("1014 KiB"));
        let (lines, _) = shown(100, 24, &view(&Model::default(), &State::Connecting), &mut Settings::default());
        assert!(lines[0].contains("connecting") && lines.iter().any(|line| line.contains("waiting for a frame")));
        let mut paused = Settings { paused: true, ..Settings::default() };
        assert!(shown(100, 24, &view(&model, &State::Attached), &mut paused).0[0].starts_with(" PAUSED"));
        let mut help = Settings { help: true, ..Settings::default() };
        let (lines, _) = shown(100, 24, &view(&model, &State::Attached), &mut help);
        assert!(lines.iter().any(|line| line.contains("q      quit")));
    }

    #[test]
    fn tags_are_sorted_beside_their_like() {
        let model = played(320);
        let names = |sort| {
            let names: Vec<_> = rows(&model, sort).iter().skip(5).map(|row| row.name.to_owned()).collect();
            names
        };
        assert_eq!(names(Sort::Bytes), ["particles", "physics", "contacts", "joints", "overlay", "in no tag"]);
        assert_eq!(names(Sort::Name), ["in no tag", "overlay", "particles", "physics", "contacts", "joints"]);
        assert_eq!(names(Sort::Share), ["physics", "joints", "contacts", "particles", "overlay", "in no tag"]);
        let order = [Sort::Bytes, Sort::Name, Sort::Share, Sort::Bytes];
        assert!(order.windows(2).all(|two| two[0].next() == two[1]));
    }

    #[test]
    fn figures_without_measure_are_drawn() {
        let mut model = Model::default();
        model.apply(hello(&["a".into()])).unwrap();
        for at in [0, u64::MAX, 1, u64::MAX - 1] {
            let mut message = frame(at, 1, |_, record, standing| {
                record.peak = usize::MAX;
                record.own = isize::MIN;
                (standing.soft, standing.hard) = (Some(usize::MAX - 1), Some(0));
                (standing.worst, standing.worst_frame, standing.refused) = (usize::MAX, u64::MAX, usize::MAX);
            });
            let Message::Frame(snapshot) = &mut message else { panic!() };
            snapshot.record.bytes = usize::MAX;
            snapshot.record.refused = usize::MAX;
            snapshot.record.refused_memory = usize::MAX;
            snapshot.record.interval = Duration::from_nanos(u64::MAX);
            snapshot.accounts.committed.hard = Some(1);
            snapshot.history = usize::MAX;
            model.apply(message).unwrap();
        }
        let (lines, _) = shown(150, 24, &view(&model, &State::Attached), &mut Settings::default());
        assert!(row(&lines, "a ").contains(">10x"), "{}", row(&lines, "a "));
    }

    /// The picture in the documentation is what a terminal shows. Printed where it is not.
    #[test]
    fn the_picture_is_what_is_shown() {
        let model = played(320);
        let (lines, _) = shown(132, 20, &view(&model, &State::Attached), &mut Settings::default());
        let picture = lines.join("\n") + "\n";
        assert!(picture == include_str!("picture.txt"), "{picture}");
    }
}
