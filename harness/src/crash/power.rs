//! A power cut, on a machine that keeps its power: a library loaded into the child keeps a second
//! directory with what was flushed, and after the kill the database is put back to that.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use servers::Missing;

use crate::Result;
use crate::dice::Dice;

const SHIM: &str = include_str!("../../shim/durable.c");
/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// The library, and the second directory.
#[derive(Debug)]
pub(crate) struct PowerCut {
    library: PathBuf,
    durable: PathBuf,
    broken_sync: bool,
}

impl PowerCut {
    /// Why there can be none here, or how to make them.
    pub(crate) fn prepare(directory: &Path, broken_sync: bool) -> Result<std::result::Result<Self, Missing>> {
        let missing = |reason: String| Ok(Err(Missing::new("power-loss", reason)));
        if !cfg!(all(target_os = "linux", target_pointer_width = "64")) {
            return missing("it needs 64-bit Linux".to_owned());
        }
        let source = directory.join("durable.c");
        let library = directory.join("durable.so");
        fs::write(&source, SHIM)?;
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let mut compile = Command::new(&compiler);
        compile.args(["-O2", "-shared", "-fPIC", "-pthread", "-o"]).arg(&library).arg(&source);
        match compile.stdin(Stdio::null()).output() {
            Err(error) => return missing(format!("{} did not start: {error}", compiler.display())),
            Ok(output) if !output.status.success() => {
                return Err(
                    format!("{}: {}", source.display(), String::from_utf8_lossy(&output.stderr)).into()
                );
            }
            Ok(_) => {}
        }
        let durable = directory.join("durable");
        Ok(Ok(Self { library, durable, broken_sync }))
    }

    /// Sets a child up to be cut off. All there is counts as flushed; but where the power was kept
    /// after the last kill, only what was.
    pub(crate) fn begin(&self, command: &mut Command, database: &Path, kept_power: bool) -> Result<()> {
        if !kept_power {
            self.flush_all(database)?;
        }
        command.env("LD_PRELOAD", &self.library);
        command.env("HARNESS_DURABLE_FROM", database.canonicalize()?);
        command.env("HARNESS_DURABLE_TO", self.durable.canonicalize()?);
        if self.broken_sync {
            command.env("HARNESS_SYNC", "broken");
        }
        Ok(())
    }

    fn flush_all(&self, database: &Path) -> Result<()> {
        if self.durable.exists() {
            fs::remove_dir_all(&self.durable)?;
        }
        fs::create_dir(&self.durable)?;
        for name in names(database)? {
            fs::copy(database.join(&name), self.durable.join(&name))?;
        }
        Ok(())
    }

    /// Puts the files back to what was flushed; in half of the cases with some of the sectors that
    /// were written since, as a disk may have got to them in any order.
    pub(crate) fn cut(&self, database: &Path, dice: &mut Dice) -> Result<()> {
        let kept_percent = if dice.chance(50) { 0 } else { 1 + dice.below(99) };
        let files: BTreeSet<OsString> = names(database)?.into_iter().chain(names(&self.durable)?).collect();
        for name in files {
            let path = database.join(&name);
            let written = read(&path)?;
            let flushed = read(&self.durable.join(&name))?;
            match after_cut(written, flushed, kept_percent, dice) {
                Some(bytes) => fs::write(&path, bytes)?,
                None => fs::remove_file(&path)?,
            }
        }
        // It lies in memory that is gone.
        for entry in fs::read_dir(database)? {
            let entry = entry?;
            if is_index(&entry.file_name()) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

/// What a file holds after the cut; none where it is gone.
fn after_cut(
    written: Option<Vec<u8>>,
    flushed: Option<Vec<u8>>,
    kept_percent: u64,
    dice: &mut Dice,
) -> Option<Vec<u8>> {
    let Some(written) = written else { return flushed };
    if kept_percent == 0 {
        return flushed;
    }
    let mut bytes = flushed.unwrap_or_default();
    for (sector, new) in written.chunks(SECTOR_BYTES).enumerate() {
        let start = sector * SECTOR_BYTES;
        let end = start + new.len();
        if bytes.get(start..end) == Some(new) || !dice.chance(kept_percent) {
            continue;
        }
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[start..end].copy_from_slice(new);
    }
    Some(bytes)
}

/// The files of a directory that a disk keeps.
fn names(directory: &Path) -> Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        if !is_index(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Whether it is the index of a WAL: shared memory, in the form of a file.
fn is_index(name: &OsString) -> bool {
    name.to_string_lossy().ends_with("-shm")
}

fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_leaves_what_was_flushed_and_whole_sectors_of_the_rest() {
        let flushed = vec![1; 2 * SECTOR_BYTES];
        let written = vec![2; 5 * SECTOR_BYTES];
        let mut dice = Dice::new(1);
        let none = after_cut(Some(written.clone()), Some(flushed.clone()), 0, &mut dice);
        assert_eq!(none, Some(flushed.clone()));
        let mut lengths = BTreeSet::new();
        for _ in 0..50 {
            let some = after_cut(Some(written.clone()), Some(flushed.clone()), 50, &mut dice).unwrap();
            lengths.insert(some.len());
            for sector in some.chunks(SECTOR_BYTES) {
                assert!(sector.iter().all(|byte| *byte == sector[0]), "a torn sector");
            }
        }
        assert!(lengths.len() > 1, "{lengths:?}");
    }

    #[test]
    fn a_file_that_was_removed_and_not_flushed_is_back() {
        let mut dice = Dice::new(1);
        assert_eq!(after_cut(None, Some(vec![1]), 50, &mut dice), Some(vec![1]));
        assert_eq!(after_cut(Some(vec![1]), None, 0, &mut dice), None);
    }
}
