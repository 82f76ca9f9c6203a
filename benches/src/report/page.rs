//! The page: a text with places for figures, `{{what which}}` on a line of its own.

use super::{tables, verdicts};
use crate::measure::Data;
use crate::row::{Group, Row};

/// The text with its places filled.
///
/// # Errors
///
/// Names the place that nothing fits.
pub(super) fn fill(text: &str, rows: &[Row], data: &Data) -> Result<String, String> {
    let mut page = String::new();
    for line in text.lines() {
        match line.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")) {
            Some(place) => page.push_str(place_holder(place, rows, data)?.trim_end()),
            None => page.push_str(line),
        }
        page.push('\n');
    }
    Ok(page)
}

fn place_holder(place: &str, rows: &[Row], data: &Data) -> Result<String, String> {
    let group = |name: &str| Group::ALL.into_iter().find(|group| group.name() == name);
    match place.split_once(' ') {
        None => match place {
            "machine" => Ok(machine(data)),
            "bars" => Ok(tables::bars(&verdicts::all(rows, data))),
            "misses" => Ok(tables::misses(&verdicts::all(rows, data))),
            "debug" if data.debug.is_empty() => Err("debug builds were not measured".to_owned()),
            "debug" => Ok(tables::debug(rows, data)),
            #[cfg(feature = "heaps")]
            "resident" if data.resident.is_empty() => Err("the memory of pools was not measured".to_owned()),
            #[cfg(feature = "heaps")]
            "resident" => Ok(tables::resident(data)),
            // A short run does not play it, and its page is read by nobody.
            "game" => Ok(data.game.as_ref().map_or_else(|| "It was not played.\n".to_owned(), tables::game)),
            "scaling" => {
                let of = |scaling| tables::scaling(rows, data, scaling);
                data.scaling.as_ref().map(of).ok_or_else(|| "scaling was not measured".to_owned())
            }
            "counting" => {
                let of = |counting| tables::counting(rows, counting);
                data.counting.as_ref().map(of).ok_or_else(|| "the feature count was not measured".to_owned())
            }
            _ => Err(format!("the page has a place \"{place}\", for which there is nothing")),
        },
        Some(("group", name)) => match group(name) {
            Some(group) => Ok(format!(
                "`cargo performance {name}`\n\n![{name}](performance/{name}.svg)\n\n<details><summary>Every figure</summary>\n\n{}\n</details>",
                tables::group(group, rows, data)
            )),
            None => Err(format!("there is no group \"{name}\"")),
        },
        Some(_) => Err(format!("the page has a place \"{place}\", for which there is nothing")),
    }
}

fn machine(data: &Data) -> String {
    let machine = &data.machine;
    format!(
        "| | |\n|---|---|\n| date | {} |\n| processor | {}, {} cores, {} |\n| system | {} |\n| compiler | {} |\n| the heaps' compilers | {} |\n| C library | {} |\n| with | {} |\n| processes | {} for each row |\n",
        machine.date,
        machine.processor,
        machine.cores,
        machine.caches,
        machine.kernel,
        machine.rustc,
        machine.cc.join(", "),
        machine.libc,
        machine.peers.join(", "),
        data.times.len()
    )
}
