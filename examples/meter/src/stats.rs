//! Exact figures from per-frame samples.

/// What is told of many samples. Nearest rank: a quantile is the smallest sample that at least this part of all samples do
/// not exceed; 0 without samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quantiles {
    /// What half of the samples do not exceed.
    pub p50: u64,
    /// What nine tenths do not exceed.
    pub p90: u64,
    /// What 99 of 100 do not exceed.
    pub p99: u64,
    /// What 999 of 1000 do not exceed.
    pub p999: u64,
    /// The largest.
    pub worst: u64,
}

impl Quantiles {
    /// The quantiles of these samples.
    pub fn of(samples: impl IntoIterator<Item = u64>) -> Self {
        let mut sorted: Vec<u64> = samples.into_iter().collect();
        sorted.sort_unstable();
        let rank = |per_mille: u64| {
            let rank = (sorted.len() as u64 * per_mille).div_ceil(1000).max(1) as usize;
            sorted.get(rank - 1).copied().unwrap_or(0)
        };
        Self { p50: rank(500), p90: rank(900), p99: rank(990), p999: rank(999), worst: rank(1000) }
    }
}

/// What half of the samples do not exceed; 0 without any.
pub fn median(samples: impl IntoIterator<Item = u64>) -> u64 {
    Quantiles::of(samples).p50
}

/// The average; 0 without samples.
pub fn mean(samples: impl Iterator<Item = u64>) -> f64 {
    let (sum, count) = samples.fold((0.0, 0u64), |(sum, count), sample| (sum + sample as f64, count + 1));
    if count == 0 { 0.0 } else { sum / count as f64 }
}

/// Bytes of this process that are in memory now.
///
/// The second figure of `/proc/self/statm` counts pages; the same figure in `/proc/self/status` is in KiB whatever the
/// page size is. Zero where there is no such file.
pub fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::{Quantiles, mean, median, resident_bytes};

    #[test]
    fn quantiles_are_nearest_rank() {
        let quantiles = Quantiles::of((1..=600).rev());
        assert_eq!(quantiles, Quantiles { p50: 300, p90: 540, p99: 594, p999: 600, worst: 600 });
        assert_eq!(Quantiles::of(1..=10_000).p999, 9_990);
    }

    #[test]
    fn one_sample_is_every_quantile_and_none_is_zero() {
        assert_eq!(Quantiles::of([7]), Quantiles { p50: 7, p90: 7, p99: 7, p999: 7, worst: 7 });
        assert_eq!(Quantiles::of([]), Quantiles::default());
        assert_eq!((median([]), mean(std::iter::empty())), (0, 0.0));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn resident_memory_is_seen_to_grow() {
        let before = resident_bytes();
        let block = std::hint::black_box(vec![1u8; 64 << 20]);
        assert!(resident_bytes() >= before + (32 << 20));
        drop(block);
    }
}
