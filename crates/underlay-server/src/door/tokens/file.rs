use std::fs::{self, File, Metadata, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use underlay_core::{Clock, Error, Timestamp};

use super::list::TokenList;
use super::secret::{hex, random};
use crate::private_file;

/// Bytes in a file of tokens.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// How long to wait for another program that changes the file.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(5);
/// Between two looks at whether it has ended.
const LOCK_PAUSE: Duration = Duration::from_millis(25);
/// A file that was changed so shortly before it was read may be changed again within the same tick of
/// the file system's clock.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// A file of tokens on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFile {
    path: PathBuf,
}

/// What tells one content of a file from the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    modified: Option<SystemTime>,
    length: u64,
    /// A file that was renamed into its place is another one.
    inode: u64,
}

impl Mark {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(metadata);
        #[cfg(not(unix))]
        let inode = 0;
        Self { modified: metadata.modified().ok(), length: metadata.len(), inode }
    }

    /// Whether a later change would show in the mark, at a file read at this time.
    pub(super) fn is_settled(&self, read_at: Timestamp) -> bool {
        let modified = self.modified.and_then(|modified| Timestamp::try_from(modified).ok());
        let age = modified.map(|modified| read_at.duration_since(modified));
        age.and_then(|age| Duration::try_from(age).ok()).is_some_and(|age| age > SETTLED_AFTER)
    }
}

impl TokenFile {
    /// The file of this path. Nothing is read yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The tokens in it.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such file, [`Error::Invalid`] with what is wrong where it is
    /// damaged or others may write it, and [`Error::Backend`] where it cannot be read.
    pub fn read(&self) -> Result<TokenList, Error> {
        self.read_marked().map(|(list, _)| list)
    }

    pub(super) fn mark(&self) -> Result<Mark, Error> {
        let metadata = fs::metadata(&self.path).map_err(|error| self.unreadable(error))?;
        Ok(Mark::of(&metadata))
    }

    pub(super) fn read_marked(&self) -> Result<(TokenList, Mark), Error> {
        let file = File::open(&self.path).map_err(|error| self.unreadable(error))?;
        let metadata = file.metadata().map_err(|error| self.unreadable(error))?;
        if !metadata.is_file() {
            return Err(self.wrong("it is no file"));
        }
        #[cfg(unix)]
        if std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o022 != 0 {
            return Err(self.wrong("others may write it, and so let themselves in; `chmod 600` ends that"));
        }
        let mut text = Vec::new();
        let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text);
        read.map_err(|error| self.unreadable(error))?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(self.wrong(format!("it exceeds FILE_BYTES_MAX = {FILE_BYTES_MAX}")));
        }
        let list = TokenList::parse(&text).map_err(|error| self.wrong(error))?;
        Ok((list, Mark::of(&metadata)))
    }

    /// Changes the file, or makes it. Of two that change it at once one waits for the other. Whoever reads
    /// it meanwhile finds it as it was or as it is, never in between; a power cut leaves one of the two.
    ///
    /// # Errors
    /// As [`TokenFile::read`], but where there is no file; what `change` says; [`Error::Unavailable`] where
    /// another program does not end changing it. The file is then as it was.
    pub async fn change<T>(
        &self,
        clock: &dyn Clock,
        change: impl FnOnce(&mut TokenList) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let lock = self.lock(clock).await?;
        let mut list = match self.read() {
            Err(Error::NotFound(_)) => TokenList::default(),
            read => read?,
        };
        let changed = change(&mut list)?;
        self.write(&list.to_text()?)?;
        drop(lock);
        Ok(changed)
    }

    /// Keeps others from changing the file until the answer is dropped.
    pub(super) async fn lock(&self, clock: &dyn Clock) -> Result<File, Error> {
        let target = self.followed();
        let path = target.beside("lock");
        let failed = |error| Error::backend("locking the file of tokens", error);
        let file = private_file::open_or_create(&path).map_err(failed)?;
        #[cfg(unix)]
        if let (Ok(owned), Ok(lock)) = (fs::metadata(&target.path), file.metadata()) {
            use std::os::unix::fs::MetadataExt;
            if owned.uid() != lock.uid() {
                // Of root's, its owner could not lock it. Whoever is not root cannot give theirs away.
                std::os::unix::fs::fchown(&file, Some(owned.uid()), Some(owned.gid())).ok();
            }
        }
        let mut left = LOCK_WAIT_MAX;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if !left.is_zero() => {
                    clock.sleep(LOCK_PAUSE).await;
                    left = left.saturating_sub(LOCK_PAUSE);
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::unavailable(format!(
                        "{}: another program has been changing it for {LOCK_WAIT_MAX:?}",
                        self.path.display()
                    )));
                }
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
    }

    fn write(&self, text: &[u8]) -> Result<(), Error> {
        // A link goes on leading to the file, which stays where it is.
        let target = self.followed();
        let number = hex(&random::<8>()?);
        let temporary = target.beside(&format!("{number}.tmp"));
        let written = replace(&temporary, &target.path, text);
        if written.is_err() {
            private_file::remove(&temporary);
        }
        written.map_err(|error| Error::backend(format!("writing the file of tokens: {error}"), error))
    }

    /// The file that a link leads to: whatever it is called by, it is one file with one lock.
    fn followed(&self) -> Self {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let in_folder = || {
            let folder = fs::canonicalize(folder.unwrap_or(Path::new("."))).ok()?;
            Some(folder.join(self.path.file_name()?))
        };
        let path = fs::canonicalize(&self.path).ok().or_else(in_folder);
        Self { path: path.unwrap_or_else(|| self.path.clone()) }
    }

    /// The path of a file that goes with this one.
    fn beside(&self, ending: &str) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        self.path.with_file_name(format!("{name}.{ending}"))
    }

    fn unreadable(&self, error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::NotFound => Error::NotFound(format!("file of tokens {}", self.path.display())),
            _ => {
                Error::backend(format!("reading the file of tokens {}: {error}", self.path.display()), error)
            }
        }
    }

    fn wrong(&self, what: impl std::fmt::Display) -> Error {
        Error::invalid(format!("file of tokens {}: {what}", self.path.display()))
    }
}

/// Puts a text in the place of a file, in one step.
fn replace(temporary: &Path, target: &Path, text: &[u8]) -> io::Result<()> {
    let file = private_file::create(temporary)?;
    #[cfg(unix)]
    if let Ok(before) = fs::metadata(target) {
        use std::os::unix::fs::MetadataExt;
        if before.uid() != file.metadata()?.uid() {
            let told = "it belongs to another user, who could not read it afterwards; run this as that user";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, told));
        }
        // A service that reads it as one of a group would otherwise never hear of this change.
        if before.gid() != file.metadata()?.gid() {
            std::os::unix::fs::fchown(&file, None, Some(before.gid())).map_err(|error| {
                let told = "its group could not read it afterwards; run this as a member of that group";
                io::Error::new(error.kind(), format!("{told} ({error})"))
            })?;
        }
        file.set_permissions(before.permissions())?;
    }
    private_file::fill(file, text)?;
    fs::rename(temporary, target)?;
    private_file::keep_name(target)
}
