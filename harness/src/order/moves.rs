//! Where the attacked log is, and by which ways it is come to.

use std::path::Path;
use std::sync::Arc;

use servers::{output, postgres_program};

use crate::Result;
use crate::address::Address;
use crate::database::{Database, Hearing, Server};

/// A store that is attacked.
#[derive(Clone, Debug)]
pub(crate) enum Ground {
    Memory,
    /// A file.
    Sqlite(Address),
    Postgres(Arc<Server>, Database),
}

/// How a process comes to the store. Only PostgreSQL has several ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Direct(Hearing),
    /// Through a pooler, where there is one.
    Pooled(Hearing),
}

impl Ground {
    pub(crate) fn address(&self, way: Way) -> Address {
        match self {
            Self::Memory => Address::Memory,
            Self::Sqlite(address) => address.clone(),
            Self::Postgres(_, database) => match way {
                Way::Direct(hearing) => database.address(hearing),
                Way::Pooled(hearing) => {
                    database.pooled_address(hearing).unwrap_or_else(|| database.address(hearing))
                }
            },
        }
    }

    /// Whether other processes come to it.
    pub(crate) fn is_shared(&self) -> bool {
        !matches!(self, Self::Memory)
    }
}

/// Dumps a database, as it is at one moment, and restores it into a new one.
pub(crate) async fn copy(server: &Server, from: &Database, directory: &Path) -> Result<Database> {
    let copy = server.create_empty().await?;
    let file = directory.join(format!("{}.dump", copy.name()));
    let (source, target) = (from.admin_address(), copy.admin_address());
    let copying = tokio::task::spawn_blocking(move || {
        let mut dump = postgres_program("pg_dump")?;
        output(dump.arg("--format=custom").arg("--file").arg(&file).arg("--dbname").arg(source))?;
        let mut restore = postgres_program("pg_restore")?;
        output(restore.arg("--exit-on-error").arg("--dbname").arg(target).arg(&file))
    });
    copying.await??;
    Ok(copy)
}
