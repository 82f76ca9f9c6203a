//! That nothing is missing: what the tests claim to cover is compared with the sources.

#![cfg(not(miri))]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn read(path: impl AsRef<Path>) -> String {
    let path = Path::new(ROOT).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All Rust files below a folder, with their texts.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let (mut folders, mut found) = (vec![Path::new(ROOT).join(folder)], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push((path.clone(), read(path)));
            }
        }
    }
    found.sort();
    found
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

// ---- the matrix of traits and variance -----------------------------------------------------------------------------

/// The types and traits that a file offers at its outermost level: those it declares, and those it re-exports by name.
fn offered_by(text: &str) -> BTreeSet<String> {
    // Neither functions nor constants.
    let is_type =
        |name: &&str| name.trim_start_matches('_').starts_with(char::is_uppercase) && name.contains(char::is_lowercase);
    let mut found = BTreeSet::new();
    let mut rest = text;
    while let Some(at) = rest.find("\npub ") {
        rest = &rest[at + 1..];
        // A list over several lines is one item.
        let item = rest.split([';', '{', '(']).next().unwrap();
        if item.starts_with("pub use ") {
            let list = rest.split(';').next().unwrap().rsplit("::").next().unwrap();
            // The last part of a path, or each of a list; `A as B` is B.
            found.extend(list.split(',').filter_map(|part| words(part).last()).filter(is_type).map(String::from));
        } else {
            let declared = |kind| words(item).skip_while(|word| word != kind).nth(1).filter(is_type);
            let name = ["struct", "enum", "union", "trait", "type"].iter().find_map(declared);
            found.extend(name.map(String::from));
        }
        rest = &rest[4..];
    }
    found
}

/// The text of a module's own file.
fn module(name: &str) -> String {
    let path = format!("src/{name}.rs");
    if Path::new(ROOT).join(&path).exists() { read(path) } else { read(format!("src/{name}/mod.rs")) }
}

/// The generic parameters of a type by the line that declares it.
fn parameters(declaration: &str) -> (bool, bool) {
    let list = declaration.split_once('<').map_or("", |(_, rest)| rest.split_once("> ").map_or(rest, |(list, _)| list));
    let list = list.split(">(").next().unwrap();
    let mut has = (false, false);
    for parameter in list.split(',').map(str::trim).filter(|parameter| !parameter.is_empty()) {
        match parameter {
            lifetime if lifetime.starts_with('\'') => has.0 = true,
            constant if constant.starts_with("const ") => {}
            _ => has.1 = true,
        }
    }
    has
}

/// What is wrong with the matrix, given what is public and how it is declared.
fn gaps(public: &BTreeSet<String>, texts: &[String], matrix: &str) -> Vec<String> {
    // Made by macros: the declaration does not bear the name.
    let by_macro: BTreeMap<_, _> = [
        ("FrameMap", (true, true)),
        ("FrameSet", (true, true)),
        ("PoolBox", (false, true)),
        ("HeapBox", (false, true)),
    ]
    .into_iter()
    .chain([("__PoolBrand", (false, false)), ("__HeapBrand", (false, false))])
    .collect();
    let mut gaps = Vec::new();
    let rows: Vec<_> = matrix.lines().map(str::trim).collect();
    for name in public {
        let declared = |kind: &str| {
            texts.iter().flat_map(|text| text.lines()).find(|line| {
                let code = line.trim_start();
                let named = code.split_once(&format!("{kind} ")).filter(|(before, _)| before.starts_with("pub "));
                named.and_then(|(_, rest)| words(rest).next()) == Some(name)
            })
        };
        if declared("trait").is_some() {
            continue;
        }
        let declaration = ["struct", "enum", "union", "type"].iter().find_map(|kind| declared(kind));
        let Some((lifetime, value)) = declaration.map(parameters).or_else(|| by_macro.get(name.as_str()).copied())
        else {
            gaps.push(format!("{name} is declared nowhere"));
            continue;
        };
        // `Name: Send;` or `Name<..>: Send;`, perhaps in the module `bump`.
        let of_name: Vec<_> = rows
            .iter()
            .filter(|row| {
                let row = row.strip_prefix("bump::").unwrap_or(row);
                row.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with(':') || rest.starts_with('<'))
            })
            .collect();
        if of_name.is_empty() {
            gaps.push(format!("{name} has no row"));
        }
        if value {
            for inside in ["Cell<", "Guard", "Rc<"] {
                if !of_name.iter().any(|row| row.contains(inside)) {
                    gaps.push(format!("{name} has no row with {inside} inside"));
                }
            }
        }
        let variance: Vec<_> = rows.iter().filter(|row| row.contains(&format!("= {name}<"))).collect();
        let invariant = matrix.contains(&format!("(\"{name}\", &["));
        if lifetime && !invariant && !variance.iter().any(|row| row.contains(&format!("{name}<'a"))) {
            gaps.push(format!("nothing tells the variance of {name} in its lifetime"));
        }
        if value && !invariant && !variance.iter().any(|row| row.contains("&'a ")) {
            gaps.push(format!("nothing tells the variance of {name} in its values"));
        }
    }
    gaps
}

fn public_types() -> BTreeSet<String> {
    let lib = read("src/lib.rs");
    let mut public = offered_by(&lib);
    for line in lib.lines() {
        let all_of = line.strip_prefix("pub use ").and_then(|rest| rest.strip_suffix("::*;"));
        let open = line.strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(';'));
        if let Some(name) = all_of.or(open) {
            let text = module(name);
            let whole = |line: &str| line.starts_with("pub use ") && line.ends_with("::*;");
            assert!(!text.lines().any(whole), "{name} re-exports all of a module: follow that, too");
            public.extend(offered_by(&text));
        }
    }
    public
}

#[test]
fn every_public_type_is_in_the_matrix_of_traits_and_variance() {
    let public = public_types();
    assert!(public.len() > 50 && public.contains("SmartAlloc") && public.contains("Bump"), "{public:?}");
    let texts: Vec<_> = sources("src").into_iter().map(|(_, text)| text).collect();
    let gaps = gaps(&public, &texts, &read("tests/auto_traits.rs"));
    assert!(gaps.is_empty(), "{gaps:#?}");
}

#[test]
fn a_new_public_type_would_be_missed() {
    let (texts, matrix) =
        (sources("src").into_iter().map(|(_, text)| text).collect::<Vec<_>>(), read("tests/auto_traits.rs"));
    let new = "\npub struct New<'a, T: ?Sized> {\n}\npub use inner::{Other,\n    Third as Renamed};\npub use one::Single;\npub enum Plain {}\npub fn make(of: struct_of) -> u8 {}\n";
    let found = offered_by(new);
    assert_eq!(found.iter().collect::<Vec<_>>(), ["New", "Other", "Plain", "Renamed", "Single"]);
    let mut texts = texts;
    texts.push("pub struct New<'a, T: ?Sized> {".to_owned());
    let gaps = gaps(&BTreeSet::from(["New".to_owned(), "Other".to_owned()]), &texts, &matrix);
    assert_eq!(gaps.len(), 7, "{gaps:#?}");
}

// ---- programs that must not compile --------------------------------------------------------------------------------

#[test]
fn sixty_programs_and_more_must_not_compile_each_with_its_error_and_a_twin() {
    let twins = read("tests/compile/twins.rs");
    let run: BTreeSet<_> = words(twins.split_once("twins! {").unwrap().1).collect();
    let (mut programs, mut errors) = (0, BTreeSet::new());
    for entry in fs::read_dir(Path::new(ROOT).join("tests/compile")).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_dir() {
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap();
        let (fail, text) = (read(path.join("fail.rs")), read(path.join("fail.stderr")));
        let meant = fail.lines().next().and_then(|line| line.strip_prefix("// error: ")).unwrap_or_default();
        let code = words(meant).next().unwrap_or_default();
        // Lifetimes in closures and functions are the one error of the compiler without a code.
        let is_code = code.len() == 5 && code.starts_with('E') && code[1..].bytes().all(|byte| byte.is_ascii_digit());
        assert!(is_code || meant == "lifetime may not live long enough", "{name} checks no error code: {meant:?}");
        let first = if is_code { format!("error[{code}]") } else { format!("error: {meant}") };
        assert!(text.lines().any(|line| line.starts_with(&first)), "{name}: {first} was meant:\n{text}");
        assert!(path.join("pass.rs").exists() && run.contains(name), "{name} has no twin that is run");
        programs += 1;
        errors.insert(code.to_owned());
    }
    assert!(programs >= 60, "{programs} programs");
    assert!(errors.len() >= 10, "{errors:?}");
}

// ---- defects -------------------------------------------------------------------------------------------------------

#[test]
fn every_defect_of_the_page_has_a_test_and_every_such_test_stands_on_the_page() {
    let tests: BTreeMap<String, String> = sources("tests")
        .into_iter()
        .chain(sources("src"))
        .flat_map(|(path, text)| {
            let file = path.strip_prefix(ROOT).unwrap().display().to_string();
            let names = text.split("\nfn defect_").skip(1).filter_map(|rest| rest.split('(').next().map(String::from));
            names.map(move |name| (name.replace('_', " "), file.clone())).collect::<Vec<_>>()
        })
        .collect();
    let page = read("../../docs/soundness.md");
    let table = page.split("| defect | test in |\n|---|---|\n").nth(1).unwrap().lines();
    let rows: BTreeMap<String, String> = table
        .map_while(|line| line.strip_prefix("| ")?.strip_suffix("` |")?.split_once(" | `"))
        .map(|(name, file)| (name.into(), file.into()))
        .collect();
    assert!(rows.len() > 40);
    assert_eq!(rows, tests);
}
