//! Disks that are full, files that cannot be written, and things that are no file.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use underlay_core::{
    Commit, CommitId, Error, EventStore, EventStoreExt, EventType, ExpectedVersion, Json, LogFilter,
    LogScope, NewEvent, Position, SchemaVersion, Version,
};
use underlay_sqlite::{SqliteConfig, SqliteStore};

use crate::sample::{Place, append, stream, tenant};

/// A small disk of its own. Dropping it takes it away.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// Mounts it; `None`, with a line that says so, where this user may not.
    fn mount(test: &str, mebibytes: u32) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let size = format!("size={mebibytes}m");
        if runs("mount", ["-t", "tmpfs", "-o", &size, "underlay-test"].map(OsStr::new), folder.path()) {
            return Some(Self(folder));
        }
        skipped(test, "mounting a small disk takes the rights of root");
        None
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("store.db")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        runs("umount", [OsStr::new("--lazy")], self.0.path());
    }
}

/// Written past the capture of passing tests: nobody should take a skipped test for a passed one.
fn skipped(test: &str, reason: &str) {
    writeln!(std::io::stderr(), "SKIP {test}: {reason}").ok();
}

/// Whether a program of the system does its work on a path.
fn runs<'a>(program: &str, arguments: impl IntoIterator<Item = &'a OsStr>, path: &Path) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).arg(path).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A commit of 24 KiB.
fn large(number: usize) -> Commit {
    let payload = Json::encode(&format!("{number:024576}")).unwrap();
    let event = NewEvent::new(EventType::new("noted").unwrap(), SchemaVersion(1), payload);
    Commit::new(CommitId::draw()).append(
        stream(&format!("a-{number}")),
        ExpectedVersion::NoStream,
        vec![event],
    )
}

async fn log_length(store: &SqliteStore) -> u64 {
    let page = store.read_all(&LogScope::EveryTenant, Position::START, &LogFilter::default(), 10_000).await;
    let page = page.unwrap();
    assert!(page.at_head);
    assert_eq!(page.scanned_to, store.head().await.unwrap());
    page.events.len() as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_nothing_acknowledged_and_the_store_goes_on_once_there_is_room() {
    let Some(disk) = SmallDisk::mount("a_full_disk_loses_nothing_acknowledged", 8) else { return };
    // Without it there is room for all of the WAL twice: closing moves it into the database.
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![1; 5 << 20]).unwrap();
    let store = SqliteStore::open(disk.file(), SqliteConfig::default()).unwrap();
    let (mut stored, mut failed): (Vec<Commit>, Vec<Commit>) = (Vec::new(), Vec::new());
    let mut told = false;
    while failed.len() < 20 {
        let commit = large(stored.len() + failed.len());
        match store.commit(&tenant(), commit.clone()).await {
            Ok(_) => stored.push(commit),
            Err(Error::Unavailable { reason, .. }) => {
                told |= reason.contains("disk is full");
                assert!(store.find_commit(&tenant(), commit.id).await.unwrap().is_none(), "{reason}");
                failed.push(commit);
            }
            // Where there is no room for the fence either, a repeat finds out.
            Err(Error::Uncertain { id, .. }) => {
                assert_eq!(id, commit.id);
                failed.push(commit);
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(told, "somebody is told that the disk is full");
    assert!(!stored.is_empty(), "the disk was full before anything was stored");
    for commit in &stored {
        let found = store.find_commit(&tenant(), commit.id).await.unwrap();
        assert!(found.is_some(), "an acknowledged commit is gone from a full disk");
    }

    std::fs::remove_file(ballast).unwrap();
    for commit in &failed {
        loop {
            match store.commit(&tenant(), commit.clone()).await {
                Err(Error::Unavailable { .. } | Error::Uncertain { .. }) => tokio::task::yield_now().await,
                answer => break drop(answer.unwrap()),
            }
        }
    }
    let all = (stored.len() + failed.len()) as u64;
    assert_eq!(log_length(&store).await, all, "each is stored once");
    store.close().await.unwrap();
    let store = SqliteStore::open(disk.file(), SqliteConfig::default()).unwrap();
    assert_eq!(log_length(&store).await, all, "after reopening too");
    for commit in stored.iter().chain(&failed) {
        assert!(store.commit(&tenant(), commit.clone()).await.unwrap().repeated);
    }
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_was_full_before_the_first_commit_is_said_to_be() {
    let Some(disk) = SmallDisk::mount("a_disk_that_was_full_before_the_first_commit", 1) else { return };
    std::fs::write(disk.0.path().join("ballast"), vec![1; 1_000 << 10]).unwrap();
    let error = SqliteStore::open(disk.file(), SqliteConfig::default()).unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. } | Error::Backend { .. }), "{error:?}");
    assert!(text_of(&error).contains("store.db"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_cannot_be_written_is_named_and_left_as_it_is() {
    let Some(disk) = SmallDisk::mount("a_disk_that_cannot_be_written", 4) else { return };
    let store = SqliteStore::open(disk.file(), SqliteConfig::default()).unwrap();
    store.commit(&tenant(), append("a-1", ExpectedVersion::Any)).await.unwrap();
    store.close().await.unwrap();
    let before = std::fs::read(disk.file()).unwrap();
    assert!(runs("mount", ["-o", "remount,ro"].map(OsStr::new), disk.0.path()));
    let error = SqliteStore::open(disk.file(), SqliteConfig::default()).unwrap_err();
    assert!(error.to_string().contains("store.db") && !error.is_retryable(), "{error:?}");
    let missing = SqliteStore::open(disk.0.path().join("new.db"), SqliteConfig::default()).unwrap_err();
    assert!(missing.to_string().contains("new.db"), "{missing}");
    assert!(runs("mount", ["-o", "remount,rw"].map(OsStr::new), disk.0.path()));
    assert_eq!(std::fs::read(disk.file()).unwrap(), before);
    let store = SqliteStore::open(disk.file(), SqliteConfig::default()).unwrap();
    assert_eq!(log_length(&store).await, 1);
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_written_is_named_and_left_as_it_is() {
    let place = Place::new();
    let store = place.open();
    store.commit(&tenant(), append("a-1", ExpectedVersion::Any)).await.unwrap();
    store.close().await.unwrap();
    let before = std::fs::read(place.path()).unwrap();
    let Some(protection) = Protection::of(place.path()) else {
        skipped("a_file_that_cannot_be_written", "root writes every file here");
        return;
    };
    let error = SqliteStore::open(place.path(), SqliteConfig::default()).unwrap_err();
    assert!(error.to_string().contains("store.db") && !error.is_retryable(), "{error:?}");
    drop(protection);
    assert_eq!(std::fs::read(place.path()).unwrap(), before);
    let store = place.open();
    assert_eq!(log_length(&store).await, 1);
}

/// Keeps a file from being written, also by root, until it is dropped.
struct Protection<'a>(&'a Path);

impl<'a> Protection<'a> {
    fn of(path: &'a Path) -> Option<Self> {
        let writable = || std::fs::OpenOptions::new().append(true).open(path).is_ok();
        runs("chmod", [OsStr::new("0444")], path);
        if writable() {
            runs("chattr", [OsStr::new("+i")], path);
        }
        let protection = Self(path);
        (!writable()).then_some(protection)
    }
}

impl Drop for Protection<'_> {
    fn drop(&mut self) {
        runs("chattr", [OsStr::new("-i")], self.0);
        runs("chmod", [OsStr::new("0644")], self.0);
    }
}

#[test]
fn what_is_no_file_is_named() {
    let place = Place::new();
    std::fs::create_dir(place.path()).unwrap();
    let error = SqliteStore::open(place.path(), SqliteConfig::default()).unwrap_err();
    assert!(error.to_string().contains("store.db"), "{error}");
    for path in ["", "/", ".."] {
        let error = SqliteStore::open(path, SqliteConfig::default()).unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{path:?}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_a_file_is_taken_as_it_is() {
    let folder = TempDir::new().unwrap();
    for name in
        [":memory:", "file:a.db?mode=memory", "a?mode=ro", "100%41.db", " blanks ", "ä 'quoted\" \\.db"]
    {
        let path = folder.path().join(name);
        let store = SqliteStore::open(&path, SqliteConfig::default()).unwrap();
        store.commit(&tenant(), append("a-1", ExpectedVersion::NoStream)).await.unwrap();
        store.close().await.unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() > 0, "{name:?} is the name of the file");
        let store = SqliteStore::open(&path, SqliteConfig::default()).unwrap();
        let events = store.read_stream_whole(&tenant(), &stream("a-1"), Version::NONE).await.unwrap();
        assert_eq!(events.len(), 1, "{name:?}");
        store.close().await.unwrap();
    }
}

/// An error with everything that led to it.
fn text_of(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
