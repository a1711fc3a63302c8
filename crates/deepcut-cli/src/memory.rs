//! The memory that is free: what the machine says, and less where a container or a service is given less. And what people call it.

use std::path::Path;

/// Bytes that can be taken without harm to others; None where the system does not tell.
pub fn available() -> Option<u64> {
    available_below(Path::new("/"))
}

/// As [`available`], of the system whose `proc` and `sys` lie in a folder.
fn available_below(root: &Path) -> Option<u64> {
    let machine =
        read(&root.join("proc/meminfo")).and_then(|text| field(&text, "MemAvailable:")).map(|kilobytes| kilobytes * 1024);
    let groups = read(&root.join("proc/self/cgroup")).unwrap_or_default();
    // Version 2: `0::/path`; version 1: `4:memory:/path`.
    let groups = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, kinds, path) = (parts.next()?, parts.next()?, parts.next()?);
        Some(if kinds.is_empty() {
            ("sys/fs/cgroup", path, ["memory.max", "memory.current"], ["inactive_file", "active_file"])
        } else if kinds.split(',').any(|kind| kind == "memory") {
            (
                "sys/fs/cgroup/memory",
                path,
                ["memory.limit_in_bytes", "memory.usage_in_bytes"],
                ["total_inactive_file", "total_active_file"],
            )
        } else {
            return None;
        })
    });
    let limits = groups.flat_map(|(folder, path, [limit, used], caches)| {
        // A group has no more than those around it. In a container the path may be the host's, and the folder the container's own.
        let folders =
            Path::new(path.trim_start_matches('/')).ancestors().map(|group| root.join(folder).join(group)).collect::<Vec<_>>();
        folders.into_iter().filter_map(move |folder| {
            let number = |file: &str| read(&folder.join(file))?.trim().parse::<u64>().ok();
            // What is read from files can be read again.
            let statistics = read(&folder.join("memory.stat")).unwrap_or_default();
            let reclaimable = caches.iter().filter_map(|name| field(&statistics, &format!("{name} "))).sum();
            Some(number(limit)?.saturating_sub(number(used)?.saturating_sub(reclaimable)))
        })
    });
    machine.into_iter().chain(limits).min()
}

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// The number behind a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

/// What the command line says of memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MemoryArg {
    /// No limit.
    Unlimited,
    /// So many.
    Bytes(u64),
}

/// Bytes as people write them: `3G`, `500MB`, `1.5 GiB`, in steps of 1024; or `none`.
pub fn parse(text: &str) -> Result<MemoryArg, String> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(MemoryArg::Unlimited);
    }
    let expected = || "expected a size such as 500MB or 4GB, or `none`".to_owned();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let step = match text[digits.len()..].trim().to_ascii_lowercase().trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return Err(expected()),
    };
    let bytes = digits.parse::<f64>().map_err(|_| expected())? * 1024f64.powi(step);
    if (1.0..1e18).contains(&bytes) { Ok(MemoryArg::Bytes(bytes as u64)) } else { Err(expected()) }
}

/// Bytes that one step of the work may take, all threads together: what the command line says, or this share of what is free.
pub fn limit(asked: Option<MemoryArg>, share: f64) -> Option<u64> {
    match asked {
        Some(MemoryArg::Unlimited) => None,
        Some(MemoryArg::Bytes(bytes)) => Some(bytes),
        None => available().map(|bytes| (bytes as f64 * share) as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [("7", 7), ("2k", 2048), ("500MB", 500 << 20), ("1.5 GiB", 3 << 29), ("4g", 4 << 30)] {
            assert_eq!(parse(text), Ok(MemoryArg::Bytes(bytes)), "{text}");
        }
        assert_eq!(parse("none"), Ok(MemoryArg::Unlimited));
        for text in ["", "GB", "-1G", "0", "many", "4 X", "NaN", "inf"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!((limit(Some(MemoryArg::Bytes(5)), 0.5), limit(Some(MemoryArg::Unlimited), 0.5)), (Some(5), None));
    }

    #[test]
    fn the_least_of_machine_and_groups_counts() {
        let write = |root: &Path, files: &[(&str, &str)]| {
            for (path, text) in files {
                let path = root.join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
        };
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        assert_eq!(available_below(root), None);
        write(root, &[("proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    8000 kB\n")]);
        assert_eq!(available_below(root), Some(8_192_000));
        // Version 2, limited in a group around this one.
        write(
            root,
            &[
                ("proc/self/cgroup", "0::/a/b\n"),
                ("sys/fs/cgroup/a/memory.max", "5000000\n"),
                ("sys/fs/cgroup/a/memory.current", "3000000\n"),
                ("sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file 600000\nactive_file 400000\n"),
                ("sys/fs/cgroup/a/b/memory.max", "max\n"),
                ("sys/fs/cgroup/a/b/memory.current", "1\n"),
            ],
        );
        assert_eq!(available_below(root), Some(3_000_000));
        // Version 1, in a container whose path is the host's.
        write(
            root,
            &[
                ("proc/self/cgroup", "12:cpu:/x\n4:memory:/docker/0123\n"),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "2000000\n"),
                ("sys/fs/cgroup/memory/memory.usage_in_bytes", "2500000\n"),
                ("sys/fs/cgroup/memory/memory.stat", "total_inactive_file 1500000\ntotal_active_file 0\n"),
            ],
        );
        assert_eq!(available_below(root), Some(1_000_000));
    }
}
