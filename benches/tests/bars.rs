//! A bar is about contenders of its row, and a row has a name of its own.

use std::collections::BTreeSet;

#[test]
fn bars_name_contenders_of_their_rows() {
    for mut row in benches::rows() {
        assert_eq!(row.check(), Ok(()));
        if let Some(bar) = row.bars.first_mut() {
            bar.ours = "nobody";
            assert_eq!(row.check(), Err(format!("{}: no contender is called \"nobody\"", row.id)));
        }
        row.contenders.push(row.contenders[0]);
        assert!(row.check().is_err(), "{}: the first one is there twice", row.id);
    }
}

#[test]
fn rows_have_names_of_their_own() {
    let mut seen = BTreeSet::new();
    for row in benches::rows() {
        assert!(seen.insert(row.id), "two rows are called {}", row.id);
    }
}
