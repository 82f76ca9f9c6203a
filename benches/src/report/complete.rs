//! Whether a page that was written has all there is to be on it.

use std::path::Path;

use crate::row::{Group, Row};

/// Looks at the page and at its plots.
///
/// # Errors
///
/// A line for each row, plot or line of a plot that is missing, and for each place on the page that was not filled.
pub(super) fn check(folder: &Path, rows: &[Row]) -> Result<(), String> {
    let mut faults = of_page(&super::read(&folder.join("performance.md"))?, rows);
    for group in Group::ALL {
        let ids: Vec<&str> = rows.iter().filter(|row| row.group == group).map(|row| row.id).collect();
        if !ids.is_empty() {
            let plot = super::read(&folder.join("performance").join(format!("{}.svg", group.name())))?;
            faults.extend(of_plot(group.name(), &plot, &ids));
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}

fn of_page(page: &str, rows: &[Row]) -> Vec<String> {
    let open = page.lines().filter(|line| line.contains("{{")).map(|line| format!("the page has {line}"));
    // Head and rule of a table, and a line for each contender: what follows the row's heading.
    let has_all = |row: &&Row| {
        let (_, table) = page.split_once(&format!("(`cargo performance {}`)\n", row.id))?;
        let lines = table.trim_start().lines().take_while(|line| line.starts_with('|')).count();
        (lines == row.contenders.len() + 2).then_some(())
    };
    let missing = rows.iter().filter(|row| has_all(row).is_none());
    open.chain(missing.map(|row| format!("the page has no whole table of {}", row.id))).collect()
}

fn of_plot(name: &str, plot: &str, ids: &[&str]) -> Vec<String> {
    let mut faults = Vec::new();
    if !plot.trim_end().ends_with("</svg>") {
        faults.push(format!("the plot {name} has no end"));
    }
    let titles: Vec<&str> = plot.lines().map(str::trim).collect();
    let missing = ids.iter().filter(|id| !titles.contains(id));
    faults.extend(missing.map(|id| format!("the plot {name} has no line for {id}")));
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        crate::rows().into_iter().take(1).collect()
    }

    fn page(rows: &[Row]) -> String {
        let table = "| line |\n".repeat(rows[0].contenders.len() + 2);
        format!("**work** (`cargo performance {}`)\n\n{table}\nText.\n", rows[0].id)
    }

    #[test]
    fn whatever_the_page_lacks_is_found() {
        let rows = rows();
        let page = page(&rows);
        assert!(of_page(&page, &rows).is_empty());
        assert_eq!(of_page(&format!("{page}{{{{bars}}}}\n"), &rows), ["the page has {{bars}}"]);
        assert_eq!(of_page("", &rows).len(), 1);
        assert_eq!(of_page(&page.replacen("| line |\n", "", 1), &rows).len(), 1, "a contender is missing");
    }

    #[test]
    fn whatever_a_plot_lacks_is_found() {
        let plot = "<svg>\n<text>\nu64\n</text>\n</svg>\n";
        assert!(of_plot("values", plot, &["u64"]).is_empty());
        assert_eq!(of_plot("values", plot, &["u64", "u32"]), ["the plot values has no line for u32"]);
        assert_eq!(of_plot("values", "<svg>\nu64\n", &["u64"]), ["the plot values has no end"]);
    }
}
