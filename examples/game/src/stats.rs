//! Exact figures from per-frame samples.

/// The smallest sample that at least `percent` of all samples do not exceed (nearest rank); 0 without samples.
pub fn percentile(samples: &[u64], percent: u64) -> u64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() as u64 * percent).div_ceil(100).max(1) as usize;
    sorted.get(rank - 1).copied().unwrap_or(0)
}

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
    use super::{mean, percentile, resident_bytes};

    #[test]
    fn percentiles_are_nearest_rank() {
        let samples: Vec<u64> = (1..=600).rev().collect();
        assert_eq!(percentile(&samples, 50), 300);
        assert_eq!(percentile(&samples, 99), 594);
        assert_eq!(percentile(&samples, 100), 600);
    }

    #[test]
    fn one_sample_is_every_percentile_and_none_is_zero() {
        assert_eq!((percentile(&[7], 1), percentile(&[7], 99)), (7, 7));
        assert_eq!(percentile(&[], 50), 0);
        assert_eq!(mean(std::iter::empty()), 0.0);
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
