//! The headless game, as it prints its own figures.

use serde::{Deserialize, Serialize};

/// What is read of the game's summary.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// The game's settings, as it prints them.
    pub settings: Settings,
    /// The figures of each variant.
    pub variants: Vec<Figures>,
}

/// What was played.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// Frames of each variant.
    pub frames: u32,
}

/// One variant. Times are nanoseconds of a frame's memory-using stages.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figures {
    /// `vec`, `reuse`, `bumpalo` or `framealloc`.
    pub variant: String,
    /// Half of the frames are faster.
    pub p50_ns: u64,
    /// Nine of ten.
    pub p90_ns: u64,
    /// All but one of a hundred.
    pub p99_ns: u64,
    /// All but one of a thousand.
    pub p999_ns: u64,
    /// The slowest.
    pub worst_ns: u64,
    /// Time on a processor, of half of the frames at most. Giving memory back is not in it.
    pub cpu_p50_ns: u64,
    /// Of all but one of a hundred.
    pub cpu_p99_ns: u64,
    /// Calls of the system's heap.
    pub heap_calls_per_frame: f64,
}

/// Plays it.
///
/// # Errors
///
/// If it does not build, run, or agree with itself.
pub fn play(frames: u32) -> Result<Summary, String> {
    let file = std::env::temp_dir().join(format!("framealloc-game-{}.json", std::process::id()));
    let mut cargo = super::cargo();
    cargo.args(["run", "--quiet", "--release", "--package", "game", "--", "--frames", &frames.to_string(), "--json"]);
    super::run(cargo.arg(&file))?;
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    std::fs::remove_file(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("the game's summary: {error}"))
}
