//! Work that aborts the process that does it: real processes, one after the other, on one file.
#![cfg(all(unix, feature = "sqlite"))]

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use underlay::core::limits::WORK_BEGUN_MAX;
use underlay::core::{Json, NewWork, WorkFilter, WorkInfo, WorkKind, WorkPlace};
use underlay::ports::SystemClock;
use underlay::{
    Clock, Commit, CommitId, Delivery, EngineConfig, Handled, Handler, HandlerError, Service, Store, TenantId,
};

/// The folder of the worker that a process is to be.
const FOLDER: &str = "UNDERLAY_TEST_KILLERS";
const INNOCENTS: usize = 40;

#[underlay::event]
enum Note {
    #[event(name = "note", version = 1)]
    Sent { text: String },
}

struct Doomed(PathBuf);

impl Handler for Doomed {
    const NAME: &'static str = "doomed";
    type Message = Note;

    async fn handle(&self, Note::Sent { text }: Note, _: &Delivery) -> Result<Handled, HandlerError> {
        if text == "killer" {
            std::process::abort();
        }
        let opened = OpenOptions::new().create(true).append(true).open(self.0.join("done"));
        opened.and_then(|mut file| writeln!(file, "{text}")).map_err(HandlerError::passing)?;
        Ok(Handled::done())
    }
}

async fn open(folder: &std::path::Path) -> Store {
    Store::open(&format!("sqlite:{}", folder.join("work.db").display())).await.unwrap()
}

async fn work(store: &Store, dead: bool) -> Vec<WorkInfo> {
    let filter = WorkFilter { dead, ..WorkFilter::default() };
    let queue = store.ports().unwrap().work.unwrap().queue;
    queue.list_work(&filter, WorkPlace::START, 1_000).await.unwrap().work
}

/// What [`work_that_aborts_its_process_is_given_up_and_nothing_else_is`] starts: a worker that works until nothing is
/// left. By itself it does nothing.
#[tokio::test]
async fn one_of_its_processes() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let store = open(&folder).await;
    // Each waits for the lease of the one before.
    let service = Service::new("doomed").handler(Doomed(folder));
    let service =
        service.engine_config(|config| EngineConfig { work_lease: Duration::from_secs(2), ..config });
    let running = service.open(&store).unwrap().start_work();
    while !work(&store, false).await.is_empty() {
        SystemClock.sleep(Duration::from_millis(50)).await;
    }
    running.stop().await;
    store.close().await.unwrap();
}

#[tokio::test]
async fn work_that_aborts_its_process_is_given_up_and_nothing_else_is() {
    let folder = tempfile::TempDir::new().unwrap();
    let store = open(folder.path()).await;
    let note = |key: String, text: &str| {
        let payload = Json::parse(format!(r#"{{"text":"{text}"}}"#)).unwrap();
        NewWork::new(WorkKind::Message, "doomed", key, "note", payload)
    };
    let mut commit = Commit::new(CommitId::draw()).send(note("killer".to_owned(), "killer"));
    commit = commit.send(note("killer".to_owned(), "behind the killer"));
    for number in 0..INNOCENTS {
        commit = commit.send(note(format!("k{number}"), &format!("innocent {number}")));
    }
    store.commit(&TenantId::new("acme").unwrap(), commit).await.unwrap();
    store.close().await.unwrap();

    let mut aborted = 0;
    loop {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "killers::one_of_its_processes"]).env(FOLDER, folder.path());
        let ended = tokio::task::spawn_blocking(move || child.output()).await.unwrap().unwrap();
        if ended.status.success() {
            break;
        }
        assert!(ended.status.code().is_none(), "it ended by itself: {ended:?}");
        aborted += 1;
        // Once before anybody was suspected, and then as often as may be.
        assert!(aborted <= WORK_BEGUN_MAX + 1, "it goes on");
    }
    assert!(aborted > 1, "it was tried again");

    let store = open(folder.path()).await;
    let dead = work(&store, true).await;
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert_eq!(dead[0].work.sent.key, "killer");
    let reason = dead[0].work.last_error.as_deref().unwrap();
    assert!(reason.contains("WORK_BEGUN_MAX"), "{reason}");
    let done = std::fs::read_to_string(folder.path().join("done")).unwrap();
    for number in 0..INNOCENTS {
        assert!(done.lines().any(|line| line == format!("innocent {number}")), "{number}: {done}");
    }
    assert!(done.lines().any(|line| line == "behind the killer"), "the next of its key has its turn");
    store.close().await.unwrap();
}
