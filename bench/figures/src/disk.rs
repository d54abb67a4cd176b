use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use crate::{Result, median};

/// Flushes that are timed.
const FLUSHES: usize = 200;

/// How many processors there are.
#[must_use]
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The load of the machine, over one, five and fifteen minutes.
#[must_use]
pub fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').take(3).collect::<Vec<_>>().join(" ");
    if load.is_empty() { "unknown".to_owned() } else { load }
}

/// How long a flush of 4 KiB takes, in a file that is made in a folder for this.
///
/// # Errors
/// Where nothing can be written there.
pub fn flush_microseconds(folder: &Path) -> Result<f64> {
    let path = folder.join("flush");
    let mut file = File::create(&path)?;
    let mut times = Vec::new();
    for _ in 0..FLUSHES {
        file.write_all(&[1; 4096])?;
        let start = Instant::now();
        file.sync_data()?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    fs::remove_file(path)?;
    Ok(median(times.into_iter()))
}

/// Whether a file system keeps its files in memory, where a flush costs nothing.
#[must_use]
pub fn is_in_memory(file_system: &str) -> bool {
    ["tmpfs", "ramfs"].iter().any(|memory| file_system.starts_with(memory))
}

/// The kind and device of the file system a folder lies on, where the system tells.
#[must_use]
pub fn file_system(folder: &Path) -> String {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    find_mount(&mounts, folder).unwrap_or_else(|| "an unknown file system".to_owned())
}

/// Of several mounts above a folder the deepest counts, of several at one place the last.
fn find_mount(mounts: &str, folder: &Path) -> Option<String> {
    let parse = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let point = before.split(' ').nth(4)?.to_owned();
        let mut after = after.split(' ');
        Some((point, after.next()?.to_owned(), after.next()?.to_owned()))
    };
    mounts
        .lines()
        .filter_map(parse)
        .filter(|(point, ..)| folder.starts_with(point))
        .max_by_key(|(point, ..)| point.len())
        .map(|(_, kind, device)| format!("{kind} ({device})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_mount_counts() {
        let mounts = "21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
                      30 21 0:25 / /data rw - tmpfs tmpfs rw\n\
                      31 21 0:26 / /database rw - xfs /dev/vdb rw\n";
        let kind = |folder| find_mount(mounts, Path::new(folder)).unwrap();
        assert_eq!(kind("/data/target"), "tmpfs (tmpfs)");
        assert_eq!(kind("/database"), "xfs (/dev/vdb)");
        assert_eq!(kind("/home"), "ext4 (/dev/vda)");
        assert!(find_mount("", Path::new("/")).is_none());
    }
}
