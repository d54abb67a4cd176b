//! Files that their owner alone reads and writes, such as those of tokens and keys.
//!
//! On a system that knows no modes of files, they are as the folder makes them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// How such a file is opened for writing. Whether one that is there is taken is for the caller to say.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes a file, and opens it for writing.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] where there is one; what the system says.
pub fn create(path: &Path) -> io::Result<File> {
    options().create_new(true).open(path)
}

/// Opens a file for writing, as it is, or makes one.
///
/// # Errors
/// What the system says.
pub fn open_or_create(path: &Path) -> io::Result<File> {
    options().create(true).truncate(false).open(path)
}

/// Writes all that a new file is to hold, and waits until it is on the disk.
///
/// # Errors
/// What the system says.
pub fn fill(mut file: File, text: &[u8]) -> io::Result<()> {
    file.write_all(text)?;
    file.sync_all()
}

/// Waits until the name of a file is on the disk, which is in its folder: a power cut would take it back.
///
/// # Errors
/// What the system says.
pub fn keep_name(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Removes a file that is of no use to anybody. What was wrong with it was said.
pub fn remove(path: &Path) {
    fs::remove_file(path).ok();
}
