//! The folder of a new package: it is there as a whole or not at all.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::Failure;
use crate::package::File;

/// Writes the files into a folder of this name.
///
/// # Errors
/// Where there is something of this name, or where it cannot be written. Nothing is there then that was not before.
pub(crate) fn make(parent: &Path, name: &str, files: &[File]) -> Result<(), Failure> {
    let folder = parent.join(name);
    let taken =
        || Failure::wrong(format!("{name} is there already; nothing in it was changed, choose another name"));
    // What a link that leads nowhere is called is taken, too.
    if folder.symlink_metadata().is_ok() {
        return Err(taken());
    }
    let draft = Draft::new(parent, name)?;
    for File { path, text } in files {
        draft.write(path, text)?;
    }
    draft.rename(&folder).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory => taken(),
        _ => failed(&folder, &error),
    })
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format!("{} cannot be written: {error}", path.display()))
}

/// A folder beside the one that is to be. It is removed unless it is renamed.
struct Draft(PathBuf);

impl Draft {
    fn new(parent: &Path, name: &str) -> Result<Self, Failure> {
        let path = parent.join(format!(".{name}.{}", std::process::id()));
        // Whoever makes it removes it: what is there of another is not taken.
        fs::create_dir(&path).map_err(|error| failed(&path, &error))?;
        Ok(Self(path))
    }

    fn write(&self, path: &str, text: &str) -> Result<(), Failure> {
        let path = self.0.join(path);
        let folder = path.parent().unwrap_or(&self.0);
        fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
        fs::write(&path, text).map_err(|error| failed(&path, &error))
    }

    fn rename(self, folder: &Path) -> Result<(), std::io::Error> {
        fs::rename(&self.0, folder)?;
        // It has another name now, so nothing is removed.
        std::mem::forget(self);
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // It failed, and what is left is of no use.
        let _left = fs::remove_dir_all(&self.0);
    }
}

/// The manifest of a workspace whose folder lies above. Cargo would ask of a package below whether it is a member.
pub(crate) fn workspace_above(folder: &Path) -> Option<PathBuf> {
    let manifests = folder.ancestors().map(|folder| folder.join("Cargo.toml"));
    let is_workspace = |manifest: &PathBuf| {
        let text = fs::read_to_string(manifest).unwrap_or_default();
        text.lines()
            .map(str::trim)
            .any(|line| line.starts_with("[workspace]") || line.starts_with("[workspace."))
    };
    manifests.into_iter().find(is_workspace)
}
