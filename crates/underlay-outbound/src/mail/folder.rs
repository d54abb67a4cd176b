//! Mail as files in a folder, for development: one `.eml` file a mail, which every mail program opens.
//!
//! A mail is written beside its place and renamed, so whoever looks sees all of it. A repeat replaces the file
//! of the first. A write that was given up goes on to its end; one that fails leaves nothing at the place.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use underlay_core::{Clock, Email, Error, Mail, MailError, Mailbox, check_mail_key};

use super::{MailConfig, message};

/// Numbers the files of this process that are being written.
static WRITES: AtomicU64 = AtomicU64::new(0);

/// A folder that takes every mail.
#[derive(Clone)]
pub struct FolderMail {
    folder: PathBuf,
    sender: Mailbox,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for FolderMail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FolderMail")
            .field("folder", &self.folder)
            .field("sender", &self.sender)
            .finish_non_exhaustive()
    }
}

impl FolderMail {
    /// Takes a folder. Where it is missing, the first mail makes it.
    ///
    /// # Errors
    /// [`Error::Invalid`] where no sender is set, or there is something else in the place of the folder.
    pub fn open(folder: impl Into<PathBuf>, config: &MailConfig) -> Result<Self, Error> {
        let folder = folder.into();
        let sender = config.sender()?;
        if let Some(file) = folder.ancestors().find(|above| above.exists()).filter(|above| !above.is_dir()) {
            return Err(Error::invalid(format!(
                "no mail can be written into {}: {} is no folder",
                folder.display(),
                file.display()
            )));
        }
        Ok(Self { folder, sender, clock: config.clock.clone() })
    }
}

#[async_trait]
impl Mail for FolderMail {
    async fn send(&self, key: &str, mail: &Email) -> Result<(), MailError> {
        check_mail_key(key)?;
        let text = message::written(key, mail, &self.sender, self.clock.now());
        let (folder, name) = (self.folder.clone(), message::file_name(key));
        let shown = folder.join(&name).display().to_string();
        let writing = tokio::task::spawn_blocking(move || write(&folder, &name, &text)).await;
        let written = writing.map_err(io::Error::other).and_then(|written| written);
        written.map_err(|error| MailError::Unavailable(format!("{shown} was not written: {error}")))
    }
}

fn write(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    // It may be the first mail, and who develops may have removed it meanwhile.
    fs::create_dir_all(folder)?;
    let number = WRITES.fetch_add(1, Ordering::Relaxed);
    let beside = folder.join(format!(".{name}.{}-{number}", std::process::id()));
    let written = write_whole(&beside, text).and_then(|()| fs::rename(&beside, folder.join(name)));
    if written.is_err() {
        fs::remove_file(&beside).ok();
    }
    written
}

fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
