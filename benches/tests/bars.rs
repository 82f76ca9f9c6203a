//! A bar is about contenders of its row: a name that nobody has would take the bar off the page without a word.

use std::collections::BTreeSet;

#[test]
fn bars_name_contenders_of_their_rows() {
    for row in benches::rows() {
        let names: BTreeSet<&str> = row.contenders.iter().map(|contender| contender.name).collect();
        assert_eq!(names.len(), row.contenders.len(), "{}: two contenders of one name", row.id);
        for bar in &row.bars {
            for name in bar.rivals.iter().chain([&bar.ours]) {
                assert!(names.contains(name), "{}: no contender is called \"{name}\"", row.id);
            }
        }
    }
}

#[test]
fn rows_have_names_of_their_own() {
    let mut seen = BTreeSet::new();
    for row in benches::rows() {
        assert!(seen.insert(row.id), "two rows are called {}", row.id);
    }
}
