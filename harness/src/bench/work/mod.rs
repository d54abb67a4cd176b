//! The benchmarks of what follows a commit: messages and stored commands, on workers as a service has them.
//!
//! Workers of one run share this process, each with a store of its own. Where it is not said otherwise they have the
//! limits that every engine has, and messages belong to eight tenants: one tenant alone would be held back so that
//! others find room.

mod backlog;
mod bare_file;
mod bare_table;
mod carried;
mod courier;
mod crew;
mod drain;
mod flow;
mod graphile;
mod horizon;
mod latency;
mod stored_commands;
mod turns;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

use super::Scale;
use super::disk::Disk;
use super::figure::Figure;
use crate::Result;
use crate::subject::{Place, Postgres, StoreKind, Subject};

/// The parts on every store.
pub(super) const PARTS: &[&str] = &["work-drain", "work-commands", "work-latency", "work-cost", "work-turns"];
/// On PostgreSQL alone: dead rows that cannot be cleaned away are its own.
pub(super) const HORIZON: &str = "work-horizon";

/// Connections of the private server: each of eight workers has a pool.
const SETTINGS: &[&str] = &["max_connections=300"];

/// A store's subject, with a name for each place.
struct Ground {
    subject: Box<dyn Subject>,
    places: AtomicU64,
    _folder: TempDir,
}

impl Ground {
    fn new(kind: StoreKind, disk: &Disk) -> Result<Self> {
        let folder = disk.fresh()?;
        let subject: Box<dyn Subject> = match kind {
            StoreKind::Postgres => Box::new(Postgres::start_with(SETTINGS)?),
            kind => kind.start(folder.path())?,
        };
        Ok(Self { subject, places: AtomicU64::new(0), _folder: folder })
    }

    fn kind(&self) -> StoreKind {
        self.subject.kind()
    }

    /// An empty store that nobody uses.
    async fn place(&self) -> Result<Arc<dyn Place>> {
        let number = self.places.fetch_add(1, Ordering::Relaxed);
        self.subject.place(&format!("work-{number}")).await
    }
}

pub(super) async fn measure(part: &str, kind: StoreKind, disk: &Disk, scale: &Scale) -> Result<Vec<Figure>> {
    let ground = Ground::new(kind, disk)?;
    match part {
        "work-drain" => drain::measure(&ground, scale).await,
        "work-commands" => stored_commands::measure(&ground, scale).await,
        "work-latency" => latency::measure(&ground, scale).await,
        "work-cost" => carried::measure(&ground, scale).await,
        "work-turns" => turns::measure(&ground, scale).await,
        _ => horizon::measure(&ground, scale).await,
    }
}
