//! Short ways to make what the tests are about.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::mpsc::{Sender, channel};
use std::task::{Context, Poll, Waker};

use tempfile::TempDir;
use tokio::runtime::Builder;
use tokio::task::spawn_blocking;
use underlay_core::{
    Commit, CommitId, EventType, ExpectedVersion, Json, NewEvent, SchemaVersion, StreamName, TenantId,
};
use underlay_sqlite::{SqliteConfig, SqliteStore};

/// A folder with the path of a store in it.
pub(crate) struct Place {
    _folder: TempDir,
    path: PathBuf,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("store.db");
        Self { _folder: folder, path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn open(&self) -> SqliteStore {
        self.open_with(SqliteConfig::default())
    }

    pub(crate) fn open_with(&self, config: SqliteConfig) -> SqliteStore {
        SqliteStore::open(&self.path, config).unwrap()
    }

    /// A connection beside the store, as another program has it.
    pub(crate) fn connect(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(&self.path).unwrap()
    }

    /// Database and WAL as they lie there: a store that is open has not closed them in order.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::new();
        for end in ["", "-wal"] {
            let name = |place: &Self| format!("{}{end}", place.path.display());
            std::fs::copy(name(self), name(&copy)).unwrap();
        }
        copy
    }

    pub(crate) fn wal_bytes(&self) -> u64 {
        let mut path = self.path.clone().into_os_string();
        path.push("-wal");
        std::fs::metadata(path).map_or(0, |metadata| metadata.len())
    }
}

pub(crate) fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

pub(crate) fn stream(text: &str) -> StreamName {
    StreamName::parse(text).unwrap()
}

pub(crate) fn event(number: u64) -> NewEvent {
    let payload = Json::encode(&serde_json::json!({ "number": number })).unwrap();
    NewEvent::new(EventType::new("noted").unwrap(), SchemaVersion(1), payload)
}

/// Begins a call and gives the rest of it: a commit is then in the queue. Where nothing holds the call
/// up, it may have been answered already.
pub(crate) fn begin<'a, F>(call: F) -> Pin<Box<dyn Future<Output = F::Output> + Send + 'a>>
where
    F: Future<Output: Send> + Send + 'a,
{
    let mut call = Box::pin(call);
    match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Box::pin(std::future::ready(answer)),
        Poll::Pending => call,
    }
}

/// Runs a test with one thread for blocking work, which [`busy`] can take.
pub(crate) fn with_one_blocking_thread(test: impl Future<Output = ()>) {
    let mut runtime = Builder::new_multi_thread();
    runtime.enable_all().max_blocking_threads(1).build().expect("a runtime").block_on(test);
}

/// Keeps the thread for blocking work busy until what it gives is dropped: a read that has its turn keeps it so long.
pub(crate) fn busy() -> Sender<()> {
    let (free, until) = channel();
    drop(spawn_blocking(move || until.recv()));
    free
}

/// A commit of one event to a stream.
pub(crate) fn append(to: &str, expected: ExpectedVersion) -> Commit {
    append_many(to, expected, 1)
}

pub(crate) fn append_many(to: &str, expected: ExpectedVersion, events: u64) -> Commit {
    Commit::new(CommitId::draw()).append(stream(to), expected, (1..=events).map(event).collect())
}
