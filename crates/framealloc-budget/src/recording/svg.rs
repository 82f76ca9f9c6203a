//! A recording as a picture for documents: bytes of tags over frames, drawn by `plotters`.

use plotters::prelude::*;
use plotters::style::RGBColor;

use super::Recording;
use crate::bytes;

/// Tags that have an area of their own; those that used least share one.
const MOST_TAGS: usize = 8;

/// Sides of a picture, in pixels.
const SIDES: std::ops::RangeInclusive<u32> = 160..=8192;

/// Okabe and Ito's colours, which people who see fewer of them tell apart; the last one is of all other tags.
const COLOURS: [RGBColor; MOST_TAGS + 1] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
    RGBColor(240, 228, 66),
    RGBColor(110, 110, 110),
    RGBColor(190, 190, 190),
];

const LIMIT: RGBColor = RGBColor(197, 48, 48);

/// An area of the picture: its name, and its height at each column.
struct Layer {
    name: String,
    heights: Vec<usize>,
}

impl Recording {
    /// As a picture: the bytes of each tag, without those of tags inside, stacked over the frames, and the limits of frames. Where
    /// frames are more than pixels, each column shows the fullest of its frames. Text is black on white.
    ///
    /// # Errors
    ///
    /// If a side is not from 160 to 8192 pixels; the text names both.
    pub fn to_svg(&self, width: u32, height: u32) -> Result<String, String> {
        if !SIDES.contains(&width) || !SIDES.contains(&height) {
            return Err(format!(
                "a picture of {width} x {height} pixels: sides are from {} to {}",
                SIDES.start(),
                SIDES.end()
            ));
        }
        let mut svg = String::new();
        self.draw(&SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area())
            .map_err(|error| error.to_string())?;
        Ok(svg)
    }

    fn draw<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, plotters::coord::Shift>,
    ) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        area.fill(&WHITE)?;
        let columns = self.columns(area.dim_in_pixel().0 as usize);
        let layers = self.layers(&columns);
        let highest =
            (0..columns.len()).map(|at| layers.iter().map(|layer| layer.heights[at]).sum()).max().unwrap_or(0usize);
        let limits: Vec<_> = self
            .accounts
            .iter()
            .filter(|account| account.account == "frame")
            .flat_map(|account| [("soft limit", account.soft), ("hard limit", account.hard)])
            .filter_map(|(name, limit)| Some((name, limit?)))
            // One that is far above would leave no height for what is below.
            .filter(|&(_, limit)| limit <= highest.saturating_mul(4))
            .collect();
        let top = limits.iter().map(|&(_, limit)| limit).chain([highest]).max().unwrap_or(0).max(1);
        let first = columns.first().map_or(0, |&at| self.frames[at].frame) as f64;
        let last = columns.last().map_or(0, |&at| self.frames[at].frame) as f64;

        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, ("sans-serif", 16))
            .margin(8)
            .x_label_area_size(32)
            .y_label_area_size(72)
            .build_cartesian_2d(first..last.max(first + 1.0), 0.0..top as f64 * 1.05)?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .x_desc("frame")
            .x_label_formatter(&|frame| format!("{frame:.0}"))
            .y_label_formatter(&|&height| bytes::display(height as usize).to_string())
            .draw()?;
        // From the outside in, so that each one covers what lies below it.
        let mut outline: Vec<usize> = vec![0; columns.len()];
        let mut areas = Vec::new();
        for layer in &layers {
            outline.iter_mut().zip(&layer.heights).for_each(|(height, more)| *height += more);
            areas.push((&layer.name, outline.clone()));
        }
        for ((name, outline), colour) in areas.into_iter().zip(COLOURS).rev() {
            let points = columns.iter().zip(outline).map(|(&at, height)| (self.frames[at].frame as f64, height as f64));
            chart
                .draw_series(AreaSeries::new(points, 0.0, colour.filled()))?
                .label(name)
                .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 10, y + 5)], colour.filled()));
        }
        for (name, limit) in limits {
            let ends = [first, last.max(first + 1.0)].map(|frame| (frame, limit as f64));
            chart
                .draw_series(LineSeries::new(ends, LIMIT.stroke_width(2)))?
                .label(format!("{name}: {}", bytes::display(limit)))
                .legend(|(x, y)| PathElement::new([(x, y), (x + 10, y)], LIMIT.stroke_width(2)));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.8))
            .border_style(RGBColor(214, 218, 224))
            .draw()?;
        area.present()
    }

    /// The frames that are shown: all, or the fullest one of each of so many groups.
    fn columns(&self, most: usize) -> Vec<usize> {
        let group = self.frames.len().div_ceil(most.max(1)).max(1);
        let starts = (0..self.frames.len()).step_by(group);
        starts
            .filter_map(|start| (start..self.frames.len().min(start + group)).max_by_key(|&at| self.frames[at].bytes))
            .collect()
    }

    /// The tags, those first that used most in all frames.
    fn layers(&self, columns: &[usize]) -> Vec<Layer> {
        let own = |at: usize, tag: usize| {
            self.frames[at].tags.get(tag).map_or(0, |figures| figures.own.max(0).unsigned_abs())
        };
        let sum = |tag: usize| (0..self.frames.len()).map(|at| own(at, tag) as u128).sum::<u128>();
        let mut tags: Vec<_> = (0..self.tags.len()).map(|tag| (sum(tag), tag)).filter(|&(sum, _)| sum > 0).collect();
        tags.sort_by_key(|&(sum, tag)| (std::cmp::Reverse(sum), tag));
        let (shown, others) = tags.split_at(tags.len().min(MOST_TAGS));
        let mut layers: Vec<_> = shown
            .iter()
            .map(|&(_, tag)| Layer {
                name: match self.tags[tag].path.as_str() {
                    "" => "in no tag".to_owned(),
                    path => path.to_owned(),
                },
                heights: columns.iter().map(|&at| own(at, tag)).collect(),
            })
            .collect();
        if !others.is_empty() {
            let heights = columns.iter().map(|&at| others.iter().map(|&(_, tag)| own(at, tag)).sum());
            layers.push(Layer { name: format!("{} other tags", others.len()), heights: heights.collect() });
        }
        layers
    }
}
