//! Budgets from files: limits as data, with overrides for platforms.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use crate::budget::check_history;
use crate::bytes;
use crate::limit::{Account, Limit, OverLimit};
use crate::pressure::PressurePolicy;
use crate::{Budget, BudgetError, tree};

/// What a budget's text is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// TOML 1.0.
    Toml,
    /// JSON.
    Json,
}

/// Why a budget could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigError {
    /// The file, if it was one.
    pub file: Option<PathBuf>,
    /// The line, from 1, if it is known.
    pub line: Option<usize>,
    /// The key, such as `tags.physics.hard`, if there is one.
    pub key: Option<String>,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}", file.display())?,
            None => f.write_str("budget")?,
        }
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ": {key}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for ConfigError {}

/// A number of bytes, or text such as `64 KiB`.
#[derive(Clone, Copy)]
struct Size(usize);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Amount;
        impl Visitor<'_> for Amount {
            type Value = Size;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of bytes from 0, or text such as \"64 KiB\"")
            }
            fn visit_u64<E: serde::de::Error>(self, bytes: u64) -> Result<Size, E> {
                usize::try_from(bytes).map(Size).map_err(|_| {
                    E::custom(format!("{bytes} is more than the {} bytes of the address space", usize::MAX))
                })
            }
            fn visit_i64<E: serde::de::Error>(self, bytes: i64) -> Result<Size, E> {
                match u64::try_from(bytes) {
                    Ok(bytes) => self.visit_u64(bytes),
                    Err(_) => Err(E::custom(format!("{bytes} is less than 0 bytes"))),
                }
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Size, E> {
                bytes::parse(text).map(Size).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Amount)
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Over {
    Error,
    Heap,
    Panic,
}

impl From<Over> for OverLimit {
    fn from(over: Over) -> Self {
        match over {
            Over::Error => Self::Error,
            Over::Heap => Self::Heap,
            Over::Panic => Self::Panic,
        }
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimit {
    soft: Option<Size>,
    hard: Option<Size>,
    over: Option<Over>,
}

/// A limit that is checked where it stands, so that an error names the line.
#[derive(Clone, Copy)]
struct FileLimit(Limit);

impl<'de> Deserialize<'de> for FileLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = RawLimit::deserialize(deserializer)?;
        let mut limit = Limit::NONE;
        if let Some(Size(soft)) = raw.soft {
            limit = limit.with_soft(soft);
        }
        if let Some(Size(hard)) = raw.hard {
            limit = limit.with_hard(hard);
        }
        if let Some(over) = raw.over {
            limit = limit.with_over(over.into());
        }
        match (limit.soft_bytes(), limit.hard_bytes()) {
            (None, None) => Err(D::Error::custom("a limit has neither `soft` nor `hard`")),
            (Some(soft), Some(hard)) if soft > hard => {
                Err(D::Error::custom(format!("the soft limit of {soft} bytes is above the hard limit of {hard}")))
            }
            _ => Ok(Self(limit)),
        }
    }
}

/// Frames that are kept.
#[derive(Clone, Copy)]
struct FileHistory(usize);

impl<'de> Deserialize<'de> for FileHistory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let frames = NonZeroUsize::deserialize(deserializer)?.get();
        check_history(frames).map_err(D::Error::custom)?;
        Ok(Self(frames))
    }
}

/// A table of which no key stands twice: in JSON the last one would count.
fn unique<'de, D, K, V>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord + fmt::Display,
    V: Deserialize<'de>,
{
    struct Table<K, V>(PhantomData<(K, V)>);
    impl<'de, K: Deserialize<'de> + Ord + fmt::Display, V: Deserialize<'de>> Visitor<'de> for Table<K, V> {
        type Value = BTreeMap<K, V>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a table")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut table = BTreeMap::new();
            while let Some(key) = entries.next_key::<K>()? {
                if table.contains_key(&key) {
                    return Err(A::Error::custom(format!("`{key}` stands there twice")));
                }
                table.insert(key, entries.next_value()?);
            }
            Ok(table)
        }
    }
    deserializer.deserialize_map(Table(PhantomData))
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPressure {
    exit_ratio: Option<f64>,
    hysteresis: Option<u32>,
    renotify: Option<u32>,
}

#[derive(Clone, Copy)]
struct FilePressure(RawPressure);

impl FilePressure {
    fn over(self, base: PressurePolicy) -> PressurePolicy {
        PressurePolicy {
            exit_ratio: self.0.exit_ratio.unwrap_or(base.exit_ratio),
            hysteresis: self.0.hysteresis.unwrap_or(base.hysteresis),
            renotify: self.0.renotify.unwrap_or(base.renotify),
        }
    }
}

impl<'de> Deserialize<'de> for FilePressure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pressure = Self(RawPressure::deserialize(deserializer)?);
        pressure.over(PressurePolicy::default()).check().map_err(D::Error::custom)?;
        Ok(pressure)
    }
}

#[cfg(feature = "sample")]
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSampling {
    interval: Size,
    seed: Option<u64>,
    #[cfg(feature = "backtrace")]
    #[serde(default)]
    backtraces: bool,
}

#[cfg(feature = "sample")]
#[derive(Clone, Copy)]
struct FileSampling(crate::Sampling);

#[cfg(feature = "sample")]
impl<'de> Deserialize<'de> for FileSampling {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = RawSampling::deserialize(deserializer)?;
        let mut sampling = crate::Sampling::every(raw.interval.0);
        if let Some(seed) = raw.seed {
            sampling = sampling.with_seed(seed);
        }
        #[cfg(feature = "backtrace")]
        if raw.backtraces {
            sampling = sampling.with_backtraces();
        }
        sampling.check().map_err(D::Error::custom)?;
        Ok(Self(sampling))
    }
}

/// The path of a tag, as a key.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct TagPath(String);

impl fmt::Display for TagPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TagPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = String::deserialize(deserializer)?;
        tree::check_path(&path).map_err(D::Error::custom)?;
        Ok(Self(path))
    }
}

/// The whole file, and what it says for one platform.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    committed: Option<FileLimit>,
    pools: Option<FileLimit>,
    sealed: Option<FileLimit>,
    frame: Option<FileLimit>,
    thread: Option<FileLimit>,
    over: Option<Over>,
    history: Option<FileHistory>,
    pressure: Option<FilePressure>,
    #[cfg(feature = "sample")]
    sampling: Option<FileSampling>,
    #[serde(deserialize_with = "unique")]
    tags: BTreeMap<TagPath, FileLimit>,
    #[serde(deserialize_with = "platforms")]
    platform: BTreeMap<String, Self>,
}

/// Platforms have no platforms of their own.
fn platforms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, File>, D::Error> {
    let platforms: BTreeMap<String, File> = unique(deserializer)?;
    match platforms.iter().find(|(_, limits)| !limits.platform.is_empty()) {
        Some((name, _)) => Err(D::Error::custom(format!("`{name}` has platforms of its own"))),
        None => Ok(platforms),
    }
}

impl File {
    fn read(text: &str, format: Format) -> Result<Self, ConfigError> {
        let line_at = |at: usize| text.get(..at).map(|before| before.matches('\n').count() + 1);
        let fail = |line, path: Option<&serde_path_to_error::Path>, message: &str| {
            let key = path.map(ToString::to_string).filter(|key| key != ".");
            ConfigError { file: None, line, key, message: message.trim().to_owned() }
        };
        match format {
            Format::Toml => {
                let of = |error: &toml::de::Error| error.span().and_then(|span| line_at(span.start));
                let document =
                    toml::Deserializer::parse(text).map_err(|error| fail(of(&error), None, error.message()))?;
                serde_path_to_error::deserialize(document)
                    .map_err(|error| fail(of(error.inner()), Some(error.path()), error.inner().message()))
            }
            Format::Json => {
                // Its line is a field, and part of its text.
                let bare = |error: &serde_json::Error| {
                    let text = error.to_string();
                    text.rsplit_once(" at line ").map_or(text.clone(), |(message, _)| message.to_owned())
                };
                let of = |error: &serde_json::Error| Some(error.line()).filter(|&line| line != 0);
                let mut document = serde_json::Deserializer::from_str(text);
                let file = serde_path_to_error::deserialize(&mut document)
                    .map_err(|error| fail(of(error.inner()), Some(error.path()), &bare(error.inner())))?;
                document.end().map_err(|error| fail(of(&error), None, &bare(&error)))?;
                Ok(file)
            }
        }
    }

    fn apply(&self, budget: &Budget) -> Result<(), BudgetError> {
        let plain = [
            (Account::Committed, self.committed),
            (Account::Pools, self.pools),
            (Account::Sealed, self.sealed),
            (Account::Frame, self.frame),
            (Account::Thread, self.thread),
        ];
        for (account, limit) in plain {
            if let Some(FileLimit(limit)) = limit {
                budget.set_limit(account, limit)?;
            }
        }
        for (TagPath(path), FileLimit(limit)) in &self.tags {
            budget.set_limit(Account::tag(path), *limit)?;
        }
        if let Some(over) = self.over {
            budget.set_over(over.into());
        }
        if let Some(FileHistory(frames)) = self.history {
            budget.set_history(frames)?;
        }
        if let Some(pressure) = self.pressure {
            budget.set_pressure(pressure.over(budget.pressure_policy()))?;
        }
        #[cfg(feature = "sample")]
        if let Some(FileSampling(sampling)) = self.sampling {
            budget.set_sampling(Some(sampling))?;
        }
        Ok(())
    }
}

impl Budget {
    /// A budget from a file: `.toml` or `.json` by its name, with what it says for this operating system
    /// ([`std::env::consts::OS`]).
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or is none: the text names file, line and key.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        Self::load_for(path, std::env::consts::OS)
    }

    /// The same, with what it says for a platform of this name.
    ///
    /// # Errors
    ///
    /// As for [`load`](Self::load).
    pub fn load_for(path: impl AsRef<Path>, platform: &str) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let fail = |message: String| ConfigError { file: Some(path.into()), line: None, key: None, message };
        let format = match path.extension().and_then(|extension| extension.to_str()) {
            Some("toml") => Format::Toml,
            Some("json") => Format::Json,
            _ => return Err(fail("the name ends neither in `.toml` nor in `.json`".into())),
        };
        let text = std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
        Self::parse_for(&text, format, platform).map_err(|error| ConfigError { file: Some(path.into()), ..error })
    }

    /// A budget from a text, with what it says for this operating system. What may stand in it:
    ///
    /// ```
    /// use framealloc_budget::{Account, Budget, Format, bytes::mib};
    /// let text = r#"
    ///     committed = { soft = "24 MiB", hard = "32 MiB" }   # also: pools, sealed, frame, thread
    ///     over = "heap"                                      # or "error", as by default, or "panic"
    ///     history = 600                                      # frames
    ///
    ///     [pressure]
    ///     exit_ratio = 0.85
    ///     hysteresis = 60                                    # frames
    ///     renotify = 600                                     # frames
    ///
    ///     [tags]
    ///     physics = { hard = "1 MiB", over = "error" }
    ///     "physics/contacts" = { soft = 262144 }
    ///
    ///     [platform.handheld]
    ///     committed = { hard = "16 MiB" }
    ///     tags.physics = { hard = "512 KiB" }
    /// "#;
    /// let budget = Budget::parse_for(text, Format::Toml, "handheld").unwrap();
    /// let report = budget.metrics().report();
    /// assert_eq!(report.account(&Account::Committed).unwrap().hard, Some(mib(16)));
    /// assert_eq!(report.account(&Account::tag("physics/contacts")).unwrap().soft, Some(262_144));
    /// let error = Budget::parse_for("\nframe = { hard = '1 MB' }", Format::Toml, "linux").unwrap_err();
    /// assert!(error.to_string().starts_with("budget:2: frame.hard: `1 MB`"), "{error}");
    /// ```
    ///
    /// # Errors
    ///
    /// If it is no such text: the error names line and key. What stands for other platforms is checked, too.
    pub fn parse(text: &str, format: Format) -> Result<Self, ConfigError> {
        Self::parse_for(text, format, std::env::consts::OS)
    }

    /// The same, with what it says for a platform of this name.
    ///
    /// # Errors
    ///
    /// As for [`parse`](Self::parse).
    pub fn parse_for(text: &str, format: Format, platform: &str) -> Result<Self, ConfigError> {
        let file = File::read(text, format)?;
        let budget = Self::new();
        let whole = |error: BudgetError| ConfigError { file: None, line: None, key: None, message: error.to_string() };
        file.apply(&budget).map_err(whole)?;
        if let Some(limits) = file.platform.get(platform) {
            limits.apply(&budget).map_err(whole)?;
        }
        Ok(budget)
    }
}
