use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use super::{Address, Hearing, Place, StoreKind, Subject, Way};
use crate::Result;
use crate::dice::Dice;

/// All of them lead to the file; three processes are more than one.
const WRITING: &[Way] = &[Way::USUAL, Way::Direct(Hearing::Polls), Way::Pooled(Hearing::Polls)];
const READING: &[Way] = &[Way::USUAL, Way::USUAL];
/// Sizes past which the WAL begins again: small ones, so that kills hit that too.
const WAL_BYTES_MAX: [u64; 3] = [64 << 10, 512 << 10, 64 << 20];

/// SQLite, with every store in a folder of its own.
#[derive(Debug)]
pub(super) struct Sqlite {
    folder: PathBuf,
}

/// The only database in its folder.
#[derive(Debug)]
pub(super) struct SqlitePlace {
    folder: PathBuf,
}

impl Sqlite {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }
}

impl SqlitePlace {
    fn file(&self) -> PathBuf {
        self.folder.join("store.db")
    }
}

#[async_trait]
impl Subject for Sqlite {
    fn kind(&self) -> StoreKind {
        StoreKind::Sqlite
    }

    async fn place(&self, name: &str) -> Result<Arc<dyn Place>> {
        let folder = self.folder.join(name);
        std::fs::create_dir(&folder)?;
        Ok(Arc::new(SqlitePlace { folder }))
    }

    fn writing(&self) -> &'static [Way] {
        WRITING
    }

    fn reading(&self) -> &'static [Way] {
        READING
    }
}

impl Place for SqlitePlace {
    fn address(&self, _: Way) -> Address {
        Address::Sqlite { path: self.file(), wal_bytes_max: None }
    }

    fn any_address(&self, dice: &mut Dice) -> Address {
        Address::Sqlite { path: self.file(), wal_bytes_max: dice.pick(&WAL_BYTES_MAX).copied() }
    }

    fn files(&self) -> Option<&Path> {
        Some(&self.folder)
    }

    fn remove(&self) -> Result<()> {
        Ok(std::fs::remove_dir_all(&self.folder)?)
    }
}
