//! A disk that can be full.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

/// Room for a PostgreSQL cluster with the smallest log of its own and a little data, which is more than the others need.
const DISK: &str = "size=256m";

/// A small disk in memory. Dropped, it is gone.
pub(crate) struct Disk(PathBuf);

impl Disk {
    pub(crate) fn mount(at: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&at)?;
        servers::output(Command::new("mount").args(["-t", "tmpfs", "-o", DISK, "tmpfs"]).arg(&at))?;
        Ok(Self(at))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Takes all the room that is left.
    pub(crate) fn fill(&self) -> Result<PathBuf> {
        let path = self.0.join("filler");
        let mut file = File::create(&path)?;
        for size in [1 << 20, 1 << 12, 1] {
            let block = vec![0_u8; size];
            while file.write_all(&block).is_ok() {}
        }
        Ok(path)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The server on it has ended; what fails here leaves a disk in memory behind.
        servers::output(Command::new("umount").arg("--lazy").arg(&self.0)).ok();
    }
}
