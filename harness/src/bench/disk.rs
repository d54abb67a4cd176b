//! Where the data of a benchmark lies.

use std::path::{Path, PathBuf};

use figures::{file_system, flush_microseconds, is_in_memory, load, processors};
use tempfile::TempDir;

use crate::Result;

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
        if is_in_memory(&file_system) {
            let folder = folder.display();
            return Err(format!("{folder} is in memory ({file_system}): a flush there costs nothing").into());
        }
        Ok(Self { folder: tempfile::Builder::new().prefix("bench-").tempdir_in(folder)?, file_system })
    }

    /// What the figures depend on: the disk and the processors.
    pub(crate) fn describe(&self) -> Result<String> {
        let load = load();
        let load = load.split(' ').next().unwrap_or_default();
        Ok(format!(
            "{} processors, load {load}, data on {}, a flush of 4 KiB takes {:.0} µs",
            processors(),
            self.file_system,
            flush_microseconds(self.folder.path())?
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
}
