//! Budgets from files: what they say, for whom, and what is wrong with them, to the line.
#![cfg(feature = "config")]

use framealloc_budget::bytes::{kib, mib};
use framealloc_budget::{Account, Budget, Format, Limit, OverLimit};
use framealloc_core::{AllocConfig, SmartAlloc};

const TOML: &str = r#"
committed = { soft = "24 MiB", hard = "32 MiB" }
pools = { hard = 1048576 }
sealed = { hard = "2 MiB" }
frame = { soft = "1 MiB" }
thread = { hard = "512 KiB" }
over = "heap"
history = 7

[pressure]
exit_ratio = 0.75
hysteresis = 5
renotify = 50

[tags]
physics = { hard = "1 KiB", over = "error" }
"physics/contacts" = { soft = 0x40 }

[platform.handheld]
committed = { hard = "16 MiB" }
pressure.hysteresis = 9

[platform.handheld.tags]
physics = { hard = "512 B", over = "error" }
"#;

const JSON: &str = r#"{
  "committed": {"soft": "24 MiB", "hard": "32 MiB"},
  "pools": {"hard": 1048576},
  "sealed": {"hard": "2 MiB"},
  "frame": {"soft": "1 MiB"},
  "thread": {"hard": "512 KiB"},
  "over": "heap",
  "history": 7,
  "pressure": {"exit_ratio": 0.75, "hysteresis": 5, "renotify": 50},
  "tags": {
    "physics": {"hard": "1 KiB", "over": "error"},
    "physics/contacts": {"soft": 64}
  },
  "platform": {
    "handheld": {
      "committed": {"hard": "16 MiB"},
      "pressure": {"hysteresis": 9},
      "tags": {"physics": {"hard": "512 B", "over": "error"}}
    }
  }
}"#;

fn limits(budget: &Budget) -> Vec<(String, Option<usize>, Option<usize>)> {
    let report = budget.metrics().report();
    report.accounts.iter().map(|row| (row.account.to_string(), row.soft, row.hard)).collect()
}

#[test]
fn toml_and_json_say_the_same() {
    for (text, format) in [(TOML, Format::Toml), (JSON, Format::Json)] {
        let budget = Budget::parse_for(text, format, "linux").unwrap();
        // Tags have rows of the history only once a frame has ended.
        let mut alloc = SmartAlloc::new(AllocConfig::default().with_governor(budget.clone()));
        // `over`: the tag's own is an error, all others' the heap.
        let fits = alloc.with_tag("physics", |a| a.frame().try_alloc([0u8; 1025]).is_ok());
        assert!(!fits && alloc.with_tag("physics", |a| a.frame().try_alloc([0u8; 1024]).is_ok()));
        assert_eq!(alloc.frame().alloc_slice_fill(kib(600), 1u8).len(), kib(600));
        for _ in 0..10 {
            alloc.end_frame();
        }
        let row = |name: &str, soft, hard| (name.to_owned(), soft, hard);
        let expected = [
            row("committed", Some(mib(24)), Some(mib(32))),
            row("pools", None, Some(mib(1))),
            row("sealed", None, Some(mib(2))),
            row("frame", Some(mib(1)), None),
            row("thread", None, Some(kib(512))),
            row("tag physics", None, Some(1024)),
            row("tag physics/contacts", Some(64), None),
        ];
        assert_eq!(limits(&budget), expected, "{format:?}");
        assert_eq!(budget.metrics().frames().len(), 7);
        let policy = budget.pressure_policy();
        assert_eq!((policy.exit_ratio, policy.hysteresis, policy.renotify), (0.75, 5, 50));

        let handheld = Budget::parse_for(text, format, "handheld").unwrap();
        let alloc = SmartAlloc::new(AllocConfig::default().with_governor(handheld.clone()));
        assert!(alloc.with_tag("physics", |a| a.frame().try_alloc([0u8; 513]).is_err()));
        assert_eq!(limits(&handheld)[0], row("committed", None, Some(mib(16))));
        assert_eq!((handheld.pressure_policy().exit_ratio, handheld.pressure_policy().hysteresis), (0.75, 9));
    }
}

#[test]
fn an_empty_file_limits_nothing() {
    for (text, format) in [("", Format::Toml), ("{}", Format::Json)] {
        let budget = Budget::parse(text, format).unwrap();
        assert_eq!(limits(&budget), []);
    }
}

#[test]
fn what_is_wrong_is_named_with_line_and_key() {
    #[rustfmt::skip]
    let toml = [
        ("frame = { hard = 'x' }", 1, "frame.hard", "`x`"),
        ("\n\n[tags]\nphysics = { hard = '1 MB' }", 4, "tags.physics.hard", "`1 MB` has no unit"),
        ("[tags]\nphysics = { hard = -1 }", 2, "tags.physics.hard", "-1 is less than 0"),
        ("[tags]\n\n'a//b' = { hard = 1 }", 3, "tags.a//b", "`a//b` is not the path of a tag"),
        ("[tags]\na = { }", 2, "tags.a", "neither `soft` nor `hard`"),
        ("[tags]\n\na = { soft = 2, hard = 1 }", 3, "tags.a", "soft limit of 2 bytes is above the hard limit of 1"),
        ("committed = 5", 1, "committed", "invalid type: integer `5`"),
        ("\ncomitted = { hard = 5 }", 2, "comitted", "unknown field `comitted`"),
        ("frame = { hrad = 5 }", 1, "frame.hrad", "unknown field `hrad`"),
        ("over = 'ignore'", 1, "over", "unknown variant `ignore`"),
        ("history = 0", 1, "history", "nonzero"),
        ("[pressure]\nexit_ratio = 1.5", 1, "pressure", "the exit ratio is 1.5"),
        ("[platform.x]\n\nframe = { hard = '1 TB' }", 3, "platform.x.frame.hard", "`1 TB`"),
        ("[platform.x.platform.y]\nhistory = 1", 1, "platform", "`x` has platforms of its own"),
        ("frame = { hard = 1 }\nframe = { hard = 2 }", 2, "", "duplicate key"),
        ("frame = {", 1, "", ""),
    ];
    for (text, line, key, message) in toml {
        let error = Budget::parse_for(text, Format::Toml, "linux").unwrap_err();
        assert_eq!((error.line, error.key.as_deref().unwrap_or_default()), (Some(line), key), "{text}: {error}");
        assert!(error.message.contains(message), "{text}: {error}");
    }
    #[rustfmt::skip]
    let json = [
        ("{\n\"frame\": {\"hard\": \"1 MB\"}}", 2, "frame.hard", "`1 MB` has no unit"),
        ("{\n\n\"frame\": {\"hard\": 1.5}}", 3, "frame.hard", "invalid type: floating point `1.5`"),
        ("{\"tags\":\n{\"a/\": {\"hard\": 1}}}", 2, "tags.a/", "`a/` is not the path"),
        ("{\"tags\": {\"a\": {\"soft\": 2,\n \"hard\": 1}}}", 2, "tags.a", "soft limit of 2 bytes"),
        ("{} {}", 1, "", "trailing characters"),
        ("{\"frame\"\n", 2, "", "EOF"),
    ];
    for (text, line, key, message) in json {
        let error = Budget::parse_for(text, Format::Json, "linux").unwrap_err();
        assert_eq!((error.line, error.key.as_deref().unwrap_or_default()), (Some(line), key), "{text}: {error}");
        assert!(error.message.contains(message) && !error.message.contains("at line"), "{text}: {error}");
    }
}

#[test]
fn files_are_read_by_their_names() {
    let folder = std::env::temp_dir().join(format!("framealloc-budget-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    assert_eq!(
        limits(&Budget::load(write("budget.toml", "frame = { hard = 1 }")).unwrap()),
        [("frame".into(), None, Some(1))]
    );
    assert!(Budget::load_for(write("budget.json", JSON), "handheld").is_ok());
    for (name, text, part) in [
        ("bad.toml", "\nframe = 1", "bad.toml:2: frame: invalid type"),
        ("budget.yaml", "frame: 1", "budget.yaml: the name ends neither"),
    ] {
        let error = Budget::load(write(name, text)).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let error = Budget::load(folder.join("none.toml")).unwrap_err().to_string();
    assert!(error.contains("none.toml: ") && error.to_lowercase().contains("no such file"), "{error}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn limits_may_be_built_upon() {
    let budget = Budget::parse("frame = { hard = 100 }", Format::Toml)
        .unwrap()
        .with_thread(Limit::hard(50).with_over(OverLimit::Panic));
    assert_eq!(limits(&budget).len(), 2);
    assert_eq!(budget.used(&Account::Frame), 0);
}

#[test]
fn what_is_checked_beside_limits_names_its_line_as_well() {
    for (text, format, words) in [
        ("\n\nhistory = 2000000", Format::Toml, ["budget:3: history:", "2000000 frames"]),
        ("{\n\"history\":\n2000000}", Format::Json, ["budget:3: history:", "2000000 frames"]),
        (
            "{\"tags\": {\"a\": {\"hard\": 1},\n\"a\": {\"hard\": 2}}}",
            Format::Json,
            ["budget:2: tags", "`a` stands there twice"],
        ),
        ("{\"platform\": {\"x\": {},\n\"x\": {}}}", Format::Json, ["budget:2: platform", "`x` stands there twice"]),
    ] {
        let error = Budget::parse(text, format).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    }
}
