//! Commands that the documents tell to run: each names rows, groups or parts that there are.

use std::path::Path;

use benches::measure::Selection;

/// What follows `cargo performance` in a text, up to the end of its code.
fn names(text: &str) -> impl Iterator<Item = Vec<String>> {
    text.split("cargo performance").skip(1).map(|rest| {
        let code = rest.split(['`', '\n', '#']).next().unwrap_or_default();
        code.split_whitespace().filter(|word| !word.starts_with('-')).map(str::to_owned).collect()
    })
}

#[test]
fn commands_in_the_documents_can_be_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = 0;
    for file in ["README.md", "benches/page.md", "docs/architecture.md", "docs/performance.md"] {
        let text = std::fs::read_to_string(root.join(file)).expect("a file of this workspace");
        for mut names in names(&text) {
            found += 1;
            // Known where the heaps are built, which these are measured against.
            names.retain(|name| cfg!(feature = "heaps") || !(name.starts_with("pool") || name == "memory"));
            assert!(Selection::of(&names).is_ok(), "{file}: cargo performance {}", names.join(" "));
        }
    }
    assert!(found > 60, "only {found} commands: are they still written like this?");
}

#[test]
fn names_select_rows_groups_and_parts() {
    let select = |names: &[&str]| Selection::of(&names.iter().map(ToString::to_string).collect::<Vec<_>>());
    let ids = |names: &[&str]| -> Vec<&str> { select(names).expect("known").rows.iter().map(|row| row.id).collect() };
    assert_eq!(ids(&["scratch", "u64"]), ["u64", "scratch"]);
    assert_eq!(ids(&["nesting"]), ["scopes", "scratch"]);
    assert!(ids(&["debug"]).is_empty());
    assert_eq!(select(&["debug"]).expect("known").parts, [benches::measure::Part::Debug]);
    assert!(select(&["u64"]).expect("known").parts.is_empty());
    assert!(select(&["u65"]).is_err());
    assert_eq!(ids(&[]).len(), benches::rows().len());
}

#[test]
fn rows_of_more_threads_say_how_many() {
    let threads = |id: &str| benches::rows().iter().find(|row| row.id == id).map(benches::Row::threads);
    assert_eq!(threads("u64"), Some(1));
    assert_eq!(threads("threads-8"), Some(8));
    assert_eq!(threads("frame-threads-16"), Some(16));
    assert_eq!(threads("hand-over"), Some(2));
}
