//! The program as its users run it.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use framealloc::live::{Message, greeting};

fn game(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_game")).args(words).output().expect("the game starts")
}

#[test]
fn all_variants_read_back_the_same_data() {
    let path = std::env::temp_dir().join(format!("game-{}.json", std::process::id()));
    let output = game(&["--frames", "4", "--bodies", "60", "--json", path.to_str().unwrap()]);
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
fn a_budget_file_is_held_and_reported() {
    let path = std::env::temp_dir().join(format!("game-{}.toml", std::process::id()));
    let play = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let words = ["--frames", "4", "--bodies", "60", "--variant", "framealloc", "--budget"];
        let output = Command::new(env!("CARGO_BIN_EXE_game")).args(words).arg(&path).output().expect("the game starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, said, errors) = play("frame = { soft = '8 MiB' }\n[tags]\nparticles = { hard = '4 MiB' }");
    assert_eq!(code, Some(0), "{errors}");
    for part in ["render/visibility", "render/draws", "tag particles", "4.00 MiB"] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    // A limit that the game does not keep ends it, with the reason.
    let (code, _, errors) = play("[tags]\nparticles = { hard = '1 KiB' }");
    assert!(code == Some(1) && errors.contains("bytes left of its grant"), "{code:?}: {errors}");
    let (code, said, errors) = play("[tags]\nparticles = { hard = '1 KB' }");
    assert_eq!((code, said.as_str(), errors.lines().count()), (Some(2), "", 1));
    assert!(errors.contains(".toml:2: tags.particles.hard: `1 KB`"), "{errors}");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_page_about_the_frames_is_written() {
    let path = std::env::temp_dir().join(format!("game-{}.html", std::process::id()));
    let output =
        game(&["--frames", "6", "--bodies", "60", "--variant", "framealloc", "--html", path.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let page = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(
        page.starts_with("<!doctype html>") && page.contains("render/visibility") && page.contains("\"all_frames\":6")
    );
}

#[test]
fn frames_can_be_watched_while_it_is_played() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let words = ["--frames", "1000000", "--bodies", "60", "--variant", "framealloc", "--live", &address];
    let output = game(&words);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && errors.contains(&format!("cannot be shown at {address}")), "{errors}");
    drop(taken);

    let mut command = Command::new(env!("CARGO_BIN_EXE_game"));
    let mut game = command.args(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the game starts");
    let start = Instant::now();
    let mut stream = loop {
        if let Ok(stream) = TcpStream::connect(&address) {
            break stream;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "nobody listens");
        std::thread::sleep(Duration::from_millis(10));
    };
    stream.write_all(greeting().as_bytes()).unwrap();
    let (mut tags, mut last, mut frames) = (Vec::new(), 0, 0);
    for line in BufReader::new(stream).lines() {
        match Message::read(&line.unwrap()).unwrap() {
            Message::Hello(hello) => {
                assert_eq!(hello.title, "The headless game: 60 bodies, 2 workers");
                tags = hello.tags;
            }
            Message::Tags(new) => tags.extend(new.paths),
            Message::Frame(frame) => {
                assert!(frame.record.frame > last && frame.record.bytes > 0);
                (last, frames) = (frame.record.frame, frames + 1);
            }
            other => panic!("{other:?}"),
        }
        if frames == 20 {
            break;
        }
    }
    assert!(frames == 20 && tags.iter().any(|tag| tag == "render/visibility"), "{frames} {tags:?}");
    game.kill().unwrap();
    game.wait().unwrap();
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
