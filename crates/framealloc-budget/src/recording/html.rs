//! A recording as a page: the data as JSON inside of it, and a script that draws it.

use super::Recording;

const PAGE: &str = include_str!("page.html");
const DATA: &str = "/*DATA*/null";

pub(super) fn page(recording: &Recording) -> String {
    // No text of the data ends the script, or begins a comment in it.
    let data =
        recording.to_json().replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    let (before, after) = PAGE.split_once(DATA).expect("the page has a place for its data");
    format!("{before}{data}{after}")
}
