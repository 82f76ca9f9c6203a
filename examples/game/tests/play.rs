//! The program as its users run it.

use std::process::{Command, Output};

fn game(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_game")).args(words).output().expect("the game starts")
}

#[test]
fn all_variants_read_back_the_same_data() {
    let path = std::env::temp_dir().join(format!("game-{}.json", std::process::id()));
    let output = game(&["--frames", "8", "--bodies", "300", "--json", path.to_str().unwrap()]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");

    let summary: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    std::fs::remove_file(&path).unwrap();
    let variants = summary["variants"].as_array().unwrap();
    let names: Vec<&str> = variants.iter().map(|figures| figures["variant"].as_str().unwrap()).collect();
    assert_eq!(names, ["vec", "reuse", "bumpalo", "framealloc"]);
    assert!(variants.iter().all(|figures| figures["checksum"] == variants[0]["checksum"]));
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(table.contains("the same in all variants"), "{table}");
}

#[test]
fn the_seed_decides_the_game() {
    let play = |seed| {
        let output = game(&["--frames", "3", "--bodies", "60", "--variant", "reuse", "--seed", seed]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let table = String::from_utf8_lossy(&output.stdout).into_owned();
        table.lines().last().unwrap().to_owned()
    };
    assert_eq!(play("7"), play("7"));
    assert_ne!(play("7"), play("8"));
}

#[test]
fn a_bad_argument_is_one_line_and_exit_code_2() {
    for words in [["--frames", "0"], ["--threads", "65"], ["--variant", "gc"], ["--json", "no-such-folder/out.json"]] {
        let output = game(&words);
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stdout.is_empty());
        assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1);
    }
}
