//! The load of a fault: callers that each write a stream of their own as fast as they are answered,
//! and note what they are told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::task::JoinSet;
use underlay_core::{
    Commit, CommitId, Error, EventStore, EventType, ExpectedVersion, Json, Metadata, NewEvent, SchemaVersion,
    StreamName, TenantId, Version,
};
use uuid::Uuid;

use super::told::{Acknowledged, Told};
use crate::Result;

/// The pause after an answer that was no acknowledgement.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a commit may stay uncertain.
const UNCERTAIN_MAX: Duration = Duration::from_secs(60);

/// An event that a caller wants at the end of its stream.
#[derive(Clone, Debug)]
pub(crate) struct Errand {
    /// Tells it from every other errand, and a repeat of it by that.
    pub(crate) key: Uuid,
    pub(crate) caller: usize,
    /// The version the stream has, as far as the caller was told.
    pub(crate) version: u64,
    /// Whether it was asked for before and nobody knew what became of it.
    pub(crate) in_doubt: bool,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Stored(Acknowledged),
    /// Nothing was stored.
    Declined,
    Uncertain,
    /// What can never be the answer.
    Wrong(String),
}

/// Whom callers ask: a store by its port, or a service over HTTP.
#[async_trait]
pub(crate) trait Counter: Send + Sync + 'static {
    /// The commit an errand leads to.
    fn commit_id(&self, errand: &Errand) -> CommitId;

    async fn ask(&self, errand: &Errand) -> Answer;
}

/// Callers at work.
pub(crate) struct Callers {
    tasks: JoinSet<Told>,
    stop: watch::Sender<bool>,
}

impl Callers {
    /// Starts `count` callers at each counter.
    pub(crate) fn start(counters: &[Arc<dyn Counter>], count: usize) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for caller in 0..count * counters.len() {
            let counter = counters[caller % counters.len()].clone();
            tasks.spawn(call(counter, caller, stopped.clone()));
        }
        Self { tasks, stop }
    }

    /// Lets every caller hear the end of its last commit; what each was told.
    pub(crate) async fn finish(mut self) -> Result<Vec<Told>> {
        self.stop.send_replace(true);
        let mut told = Vec::new();
        while let Some(ended) = self.tasks.join_next().await {
            told.push(ended?);
        }
        Ok(told)
    }
}

async fn call(counter: Arc<dyn Counter>, caller: usize, stopped: watch::Receiver<bool>) -> Told {
    let mut told = Told::default();
    let mut version = 0;
    while !*stopped.borrow() {
        let mut errand = Errand { key: Uuid::now_v7(), caller, version, in_doubt: false };
        let id = counter.commit_id(&errand);
        let since = Instant::now();
        loop {
            let asked = Instant::now();
            let answer = counter.ask(&errand).await;
            told.longest_answer = told.longest_answer.max(asked.elapsed());
            match answer {
                Answer::Stored(acknowledged) => {
                    if acknowledged.version != version + 1 {
                        told.wrong.push(format!("{acknowledged:?} after version {version}"));
                    }
                    version = acknowledged.version;
                    told.acknowledged.push(acknowledged);
                    told.times.push(Instant::now());
                }
                Answer::Declined if !errand.in_doubt => {
                    told.declined.push(id.0);
                    tokio::time::sleep(PAUSE).await;
                }
                // Once it was uncertain, a repeat that stored nothing says nothing of the first time.
                Answer::Uncertain | Answer::Declined if since.elapsed() < UNCERTAIN_MAX => {
                    told.uncertain += u64::from(!errand.in_doubt);
                    errand.in_doubt = true;
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Answer::Uncertain | Answer::Declined => {
                    told.wrong.push(format!("{id} stays uncertain for {UNCERTAIN_MAX:?}"));
                }
                Answer::Wrong(what) => {
                    told.wrong.push(format!("caller {caller}: {what}"));
                    tokio::time::sleep(PAUSE).await;
                }
            }
            break;
        }
    }
    told
}

/// A store, asked by its port.
pub(crate) struct StoreCounter<S> {
    pub(crate) store: S,
    pub(crate) tenant: TenantId,
}

impl<S: EventStore> StoreCounter<S> {
    fn commit(errand: &Errand) -> std::result::Result<(StreamName, Commit), Error> {
        let stream = StreamName::new("caller", errand.caller)?;
        let event =
            NewEvent::new(EventType::new("called")?, SchemaVersion(1), Json::encode(&errand.version)?);
        let id = CommitId(errand.key);
        let commit = Commit::new(id)
            .with_metadata(Metadata { command_id: Some(id), ..Metadata::default() })
            .append(stream.clone(), ExpectedVersion::Exact(Version(errand.version)), vec![event]);
        Ok((stream, commit))
    }
}

#[async_trait]
impl<S: EventStore> Counter for StoreCounter<S> {
    fn commit_id(&self, errand: &Errand) -> CommitId {
        CommitId(errand.key)
    }

    async fn ask(&self, errand: &Errand) -> Answer {
        let (stream, commit) = match Self::commit(errand) {
            Ok(commit) => commit,
            Err(error) => return Answer::Wrong(error.to_string()),
        };
        match self.store.commit(&self.tenant, commit).await {
            Ok(committed) => Answer::Stored(Acknowledged {
                commit: errand.key,
                stream: stream.to_string(),
                version: committed.versions.first().map_or(0, |written| written.version.0),
                position: Some(committed.position.number()),
            }),
            Err(Error::Uncertain { .. }) => Answer::Uncertain,
            Err(Error::Unavailable { .. }) => Answer::Declined,
            // Nobody else writes the stream, so a conflict is wrong too.
            Err(error) => Answer::Wrong(format!("{} was answered by: {error}", errand.key)),
        }
    }
}
