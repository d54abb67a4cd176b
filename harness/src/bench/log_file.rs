//! The logs that are read: written through the store, as a service would have.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use underlay_core::{EventStore, ExpectedVersion};
use underlay_runtime::{Engine, EngineConfig, Ports, Registry};

use crate::Result;
use crate::subject::{Address, OpenStore};

use super::account::{Account, Balances, Bookings, stream, tenant};
use super::disk::Disk;

/// Streams of the log that is read from end to end.
const ACCOUNTS: u64 = 10_000;
/// Callers that write it.
const WRITERS: u64 = 256;

/// Opens a store as a service would.
pub(crate) async fn open(path: &Path) -> Result<OpenStore> {
    Address::Sqlite { path: path.to_owned(), wal_bytes_max: None }.open().await
}

/// An engine with nothing in its caches.
pub(crate) fn engine(ports: Ports) -> Result<Engine> {
    let registry = Registry::default().aggregate::<Account>().snapshots::<Account>().view(Balances);
    Ok(Engine::new(ports, registry, EngineConfig::default())?)
}

/// The ports of a store that one process has for itself.
pub(crate) fn ports(store: &OpenStore) -> Ports {
    Ports { leases: None, ..store.ports() }
}

/// Reads a file once, so that a run finds it in the memory of the system and not on the disk: some
/// machines give that memory away at any time.
pub(crate) fn warm(path: &Path) -> Result<()> {
    std::io::copy(&mut File::open(path)?, &mut std::io::sink())?;
    Ok(())
}

/// The path of a log of this many events, spread over ten thousand streams and committed one by one;
/// written where it is not there yet.
pub(crate) async fn numbered(disk: &Disk, events: u64) -> Result<PathBuf> {
    let path = disk.file(&format!("log-{events}.db"));
    if path.exists() {
        return Ok(path);
    }
    eprintln!("  writing a log of {events} events");
    let store = open(&path).await?;
    write(&store.store, events).await?;
    store.close().await?;
    Ok(path)
}

/// Writes such a log.
pub(crate) async fn write(store: &Arc<dyn EventStore>, events: u64) -> Result<()> {
    let bookings = Arc::new(Bookings::new()?);
    let tasks: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write_share(store.clone(), bookings.clone(), writer, events)))
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

/// Every event whose number leaves `writer` over, to the accounts that do.
async fn write_share(
    store: Arc<dyn EventStore>,
    bookings: Arc<Bookings>,
    writer: u64,
    events: u64,
) -> Result<()> {
    let tenant = tenant()?;
    let accounts: Vec<u64> = (writer..ACCOUNTS).step_by(WRITERS as usize).collect();
    for (turn, number) in (writer..events).step_by(WRITERS as usize).enumerate() {
        // A stride that has no factor in common with most lengths: neighbours in time are not
        // neighbours in name.
        let account = accounts[turn * 17 % accounts.len()];
        let commit = bookings.commit(&stream(account)?, ExpectedVersion::Any, number, 1);
        store.commit(&tenant, commit).await?;
    }
    Ok(())
}
