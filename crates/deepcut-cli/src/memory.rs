//! How much memory decoding may take: three quarters of what is free, unless the command line says.

use deepcut::image::Memory;
use std::sync::Arc;

/// The budget that the threads share; None if the system does not say what is free.
pub fn budget(asked: Option<u64>) -> Option<Arc<Memory>> {
    asked.or_else(|| Some(free()? / 4 * 3)).map(Memory::new)
}

/// The least that the machine has, its control groups allow, and the process may take, in bytes.
#[cfg(target_os = "linux")]
fn free() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let after =
        |text: &str, name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
    let machine = read("/proc/meminfo").and_then(|text| after(&text, "MemAvailable:")).map(|kib: u64| kib * 1024);
    let process = read("/proc/self/limits").and_then(|text| after(&text, "Max address space"));
    let group = read("/proc/self/cgroup").and_then(|text| {
        let group = text.lines().find_map(|line| line.strip_prefix("0::"))?.to_owned();
        let limits = std::path::Path::new(&group).ancestors().filter_map(|group| {
            let file = format!("/sys/fs/cgroup/{}/memory.max", group.to_string_lossy().trim_matches('/'));
            read(&file)?.trim().parse().ok()
        });
        limits.min()
    });
    let old_group = read("/sys/fs/cgroup/memory/memory.limit_in_bytes").and_then(|text| text.trim().parse().ok());
    [machine, process, group, old_group].into_iter().flatten().min()
}

#[cfg(not(target_os = "linux"))]
fn free() -> Option<u64> {
    None
}

/// Bytes as people write them: `3G`, `500MB`, `1.5 GiB`; steps of 1024.
pub fn parse(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let step = match text[digits.len()..].trim().to_ascii_lowercase().trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return Err("expected a size such as 500MB or 4GB".into()),
    };
    let bytes = digits.parse::<f64>().map_err(|_| "expected a size such as 500MB or 4GB")? * 1024f64.powi(step);
    if (1.0..1e18).contains(&bytes) { Ok(bytes as u64) } else { Err("expected a size above 0".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [("7", 7), ("2k", 2048), ("500MB", 500 << 20), ("1.5 GiB", 3 << 29), ("4g", 4 << 30)] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in ["", "GB", "-1G", "0", "many", "4 X", "NaN", "inf"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_system_says_what_is_free() {
        assert!(free().is_some_and(|bytes| bytes > 1 << 20));
        assert_eq!(budget(Some(5)).map(|memory| memory.budget()), Some(5));
    }
}
