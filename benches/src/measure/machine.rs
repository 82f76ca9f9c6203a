//! Where, when and with what was measured.

use std::process::Command;

use serde::{Deserialize, Serialize};

/// A machine and its tools.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Machine {
    /// The day, as year-month-day.
    pub date: String,
    /// The processor's model.
    pub processor: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Cache sizes as the system tells them.
    pub caches: String,
    /// The kernel.
    pub kernel: String,
    /// The compiler.
    pub rustc: String,
    /// The compilers that the heaps of the peers are built with, C and C++.
    #[serde(default)]
    pub cc: Vec<String>,
    /// The C library, whose heap is one of the contenders.
    #[serde(default)]
    pub libc: String,
    /// Name and version of each dependency of this package.
    pub peers: Vec<String>,
}

impl Machine {
    /// Looks around.
    ///
    /// # Errors
    ///
    /// If a tool is missing.
    pub fn look() -> Result<Self, String> {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").map_err(|error| format!("/proc/cpuinfo: {error}"))?;
        let processor = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
        let tree = [
            "tree",
            "--package",
            "benches",
            "--depth",
            "1",
            "--prefix",
            "none",
            "--edges",
            "normal",
            "--format",
            "{p}",
        ];
        let peers = text(super::cargo().args(tree))?;
        Ok(Self {
            date: text(Command::new("date").args(["-u", "+%Y-%m-%d"]))?,
            processor: processor.trim_start_matches([' ', '\t', ':']).to_owned(),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            caches: caches(),
            kernel: text(Command::new("uname").arg("-sr"))?,
            rustc: text(Command::new("rustc").arg("--version"))?,
            cc: [("CC", "cc"), ("CXX", "c++")].map(version).into_iter().collect::<Result<_, _>>()?,
            libc: text(Command::new("getconf").arg("GNU_LIBC_VERSION"))?,
            peers: peers.lines().skip(1).map(short_name).collect(),
        })
    }
}

/// `bumpalo v3.20.3 (…)` without what is in brackets.
fn short_name(line: &str) -> String {
    let mut words = line.split(' ');
    let name = words.next().unwrap_or_default();
    let version = words.next().unwrap_or_default().trim_start_matches('v');
    format!("{name} {version}")
}

/// What a compiler says of itself: the one that a variable names, or else the system's.
fn version((variable, usual): (&str, &str)) -> Result<String, String> {
    let compiler = std::env::var(variable).unwrap_or_else(|_| usual.to_owned());
    // By the shell, since such a variable may hold a compiler's first arguments as well.
    let said = text(Command::new("sh").arg("-c").arg(format!("{compiler} --version")))?;
    Ok(said.lines().next().unwrap_or_default().to_owned())
}

fn caches() -> String {
    let level = |index: u32| {
        let read =
            |what| std::fs::read_to_string(format!("/sys/devices/system/cpu/cpu0/cache/index{index}/{what}")).ok();
        let (level, kind, size) = (read("level")?, read("type")?, read("size")?);
        (kind.trim() != "Instruction").then(|| format!("L{} {}", level.trim(), size.trim()))
    };
    (0..5).filter_map(level).collect::<Vec<_>>().join(", ")
}

fn text(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
