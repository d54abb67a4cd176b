//! Where the data of a benchmark lies.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tempfile::TempDir;

use crate::Result;

use super::figure::median;

/// A folder of its own on the file system the program was built on. It goes when this does.
pub(crate) struct Disk {
    folder: TempDir,
    file_system: String,
}

impl Disk {
    /// A folder beside this program.
    pub(crate) fn beside_program() -> Result<Self> {
        let program = std::env::current_exe()?.canonicalize()?;
        let folder = program.parent().unwrap_or(Path::new("."));
        let file_system = file_system(folder);
        if ["tmpfs", "ramfs"].iter().any(|memory| file_system.starts_with(memory)) {
            let folder = folder.display();
            return Err(format!("{folder} is in memory ({file_system}): a flush there costs nothing").into());
        }
        Ok(Self { folder: tempfile::Builder::new().prefix("bench-").tempdir_in(folder)?, file_system })
    }

    /// What the figures depend on: the disk and the processors.
    pub(crate) fn describe(&self) -> Result<String> {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("unknown");
        Ok(format!(
            "{processors} processors, load {load}, data on {}, a flush of 4 KiB takes {:.0} µs",
            self.file_system,
            self.flush_microseconds()?
        ))
    }

    /// A new folder for one run.
    pub(crate) fn fresh(&self) -> Result<TempDir> {
        Ok(TempDir::new_in(self.folder.path())?)
    }

    /// The path of a file that stays for the whole of the benchmarks.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn flush_microseconds(&self) -> Result<f64> {
        let mut file = File::create(self.file("flush"))?;
        let mut times = Vec::new();
        for _ in 0..200 {
            file.write_all(&[1; 4096])?;
            let start = Instant::now();
            file.sync_data()?;
            times.push(start.elapsed().as_secs_f64() * 1e6);
        }
        Ok(median(times.into_iter()))
    }
}

/// The kind and device of the file system a folder lies on, where the system tells.
fn file_system(folder: &Path) -> String {
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
