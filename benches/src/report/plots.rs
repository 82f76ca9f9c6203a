//! A plot a group: every contender's time against framealloc's, row by row.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::measure::{Data, time};
use crate::row::{Group, Row};

/// Writes `<group>.svg` for every group that was measured.
///
/// # Errors
///
/// If a file cannot be written.
pub(super) fn write(folder: &Path, rows: &[Row], data: &Data) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for group in Group::ALL {
        let rows: Vec<&Row> = rows.iter().filter(|row| row.group == group).collect();
        let lines = lines(&rows, data);
        if !lines.is_empty() {
            let file = folder.join(format!("{}.svg", group.name()));
            draw(&file, &lines).map_err(|error| format!("{}: {error}", file.display()))?;
        }
    }
    Ok(())
}

/// A row of dots: each contender's name and ratio.
struct Line {
    title: String,
    dots: Vec<(&'static str, f64)>,
}

fn lines(rows: &[&Row], data: &Data) -> Vec<Line> {
    let line = |row: &&Row| {
        let first = row.contenders[0].name;
        let ratio = |name| Some((name, time::ratio(&data.times, row.id, name, first)?.median));
        let dots: Vec<_> = row.contenders.iter().filter_map(|contender| ratio(contender.name)).collect();
        (!dots.is_empty()).then(|| Line { title: row.id.to_owned(), dots })
    };
    rows.iter().filter_map(line).collect()
}

const WIDTH: u32 = 900;
const LEFT: i32 = 170;
const RIGHT: i32 = 30;
const LINE: i32 = 26;
const TOP: i32 = 40;

/// What is farther away is drawn at the edge.
const FARTHEST: f64 = 16.0;
const NEAREST: f64 = 0.25;

/// Colours that are told apart on white and by the colour-blind (Okabe and Ito), framealloc's first.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0x33, 0x33, 0x33),
    RGBColor(0x99, 0x99, 0x99),
];

fn draw(file: &Path, lines: &[Line]) -> Result<(), Box<dyn std::error::Error>> {
    let mut names: Vec<&'static str> = Vec::new();
    for (name, _) in lines.iter().flat_map(|line| &line.dots) {
        if !names.contains(name) {
            names.push(name);
        }
    }
    let legend = LINE * (names.len() as i32).div_euclid(4) + LINE;
    let height = TOP + LINE * lines.len() as i32 + 40 + legend;
    let root = SVGBackend::new(file, (WIDTH, height as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let bottom = TOP + LINE * lines.len() as i32;
    axis(&root, bottom)?;
    for (line, y) in lines.iter().zip((TOP..).step_by(LINE as usize)) {
        let y = y + LINE / 2;
        text(&root, &line.title, (LEFT - 12, y), HPos::Right)?;
        root.draw(&PathElement::new(vec![(LEFT, y), (WIDTH as i32 - RIGHT, y)], RGBColor(0xee, 0xee, 0xee)))?;
        // Framealloc's last, so that it lies on top.
        for (name, ratio) in line.dots.iter().rev() {
            mark(&root, &names, name, (x(*ratio), y))?;
        }
    }
    for (at, name) in names.iter().enumerate() {
        let (column, line) = (at as i32 % 4, at as i32 / 4);
        let place = (30 + column * 215, bottom + 46 + line * LINE);
        mark(&root, &names, name, place)?;
        text(&root, name, (place.0 + 12, place.1), HPos::Left)?;
    }
    root.present()?;
    Ok(())
}

fn axis(root: &DrawingArea<SVGBackend<'_>, Shift>, bottom: i32) -> Result<(), Box<dyn std::error::Error>> {
    for (ratio, label) in [
        (0.25, "1/4"),
        (0.5, "1/2"),
        (1.0, "framealloc"),
        (2.0, "2 times"),
        (4.0, "4"),
        (8.0, "8"),
        (16.0, "16 or more"),
    ] {
        let colour = if ratio == 1.0 { COLOURS[0] } else { RGBColor(0xcc, 0xcc, 0xcc) };
        root.draw(&PathElement::new(vec![(x(ratio), TOP - 4), (x(ratio), bottom)], colour))?;
        text(root, label, (x(ratio), TOP - 16), HPos::Center)?;
    }
    text(root, "slower than framealloc →", (WIDTH as i32 - RIGHT, bottom + 14), HPos::Right)?;
    Ok(())
}

fn x(ratio: f64) -> i32 {
    let part = (ratio.clamp(NEAREST, FARTHEST) / NEAREST).log2() / (FARTHEST / NEAREST).log2();
    LEFT + 30 + (part * f64::from(WIDTH as i32 - RIGHT - LEFT - 60)) as i32
}

fn mark(
    root: &DrawingArea<SVGBackend<'_>, Shift>,
    names: &[&str],
    name: &str,
    place: (i32, i32),
) -> Result<(), Box<dyn std::error::Error>> {
    let at = names.iter().position(|known| *known == name).unwrap_or_default();
    let colour = COLOURS[at % COLOURS.len()];
    match at / COLOURS.len() {
        0 => root.draw(&Circle::new(place, 5, colour.filled()))?,
        1 => root.draw(&TriangleMarker::new(place, 6, colour.filled()))?,
        _ => root.draw(&Cross::new(place, 5, colour.stroke_width(2)))?,
    }
    Ok(())
}

fn text(
    root: &DrawingArea<SVGBackend<'_>, Shift>,
    text: &str,
    place: (i32, i32),
    side: HPos,
) -> Result<(), Box<dyn std::error::Error>> {
    let style =
        ("sans-serif", 13).into_text_style(root).color(&RGBColor(0x33, 0x33, 0x33)).pos(Pos::new(side, VPos::Center));
    root.draw(&Text::new(text.to_owned(), place, style))?;
    Ok(())
}
