use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use crate::Result;

/// The directory a run works in: removed at its end, kept where something was found.
#[derive(Debug)]
pub(crate) struct RunFolder {
    directory: TempDir,
}

impl RunFolder {
    /// Makes a directory below `parent`, or where the system keeps temporary files.
    pub(crate) fn new(parent: Option<&Path>, name: &str) -> Result<Self> {
        let mut builder = tempfile::Builder::new();
        let prefix = format!("harness-{name}-");
        builder.prefix(&prefix);
        let directory = match parent {
            Some(parent) => {
                std::fs::create_dir_all(parent)?;
                builder.tempdir_in(parent.canonicalize()?)?
            }
            None => builder.tempdir()?,
        };
        Ok(Self { directory })
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Removes the directory, or says where it stays.
    pub(crate) fn leave(self, good: bool) -> Result<()> {
        if good {
            return Ok(self.directory.close()?);
        }
        eprintln!("kept: {}", self.directory.keep().display());
        Ok(())
    }
}

/// The seed that was given, or one of this moment.
pub(crate) fn seed(given: Option<u64>) -> u64 {
    given.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // A short number is easier to type again.
        u64::from(now.subsec_micros()) + 1_000_000 * (now.as_secs() % 1_000)
    })
}
