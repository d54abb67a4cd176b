//! A crowd: more tenants than a group commit holds, all alike, each with commits that wait all the
//! time. What the log took of each while all of them waited says how turns are taken.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use underlay_core::limits::PAGE_EVENTS_MAX;
use underlay_core::{
    Commit, CommitId, Error, EventStore, EventType, ExpectedVersion, Json, LogFilter, LogScope, NewEvent,
    Position, SchemaVersion, StreamName, TenantId,
};

use crate::Result;
use crate::subject::{Subject, Way};

/// Tenants: more than a group commit holds by default.
const TENANTS: usize = 600;
/// Commits of each that wait at the same time. A group commit takes one of each tenant, so a line is
/// never empty.
const LINE: usize = 4;
/// How long it lasts.
const LASTS: Duration = Duration::from_secs(2);
/// Between two tries where the store has no room.
const PAUSE: Duration = Duration::from_millis(5);

/// Lets a crowd write into a store of its own; how many commits of each tenant were stored. Nothing
/// for a store in memory, which has no line.
pub(crate) async fn gather(subject: &dyn Subject) -> Result<Vec<u64>> {
    if subject.writing().is_empty() {
        return Ok(Vec::new());
    }
    let place = subject.place("crowd").await?;
    let open = place.address(Way::USUAL).open_when_there().await?;
    let (stop, stopped) = watch::channel(false);
    let served = Arc::new(Semaphore::new(0));
    let mut callers = JoinSet::new();
    for number in 0..TENANTS * LINE {
        let tenant = tenant(number % TENANTS)?;
        let stream = StreamName::new("crowd", number / TENANTS)?;
        callers.spawn(write(open.store.clone(), tenant, stream, served.clone(), stopped.clone()));
    }
    // Whoever came first was served before the last one came: the share is of the time in which all wait.
    tokio::select! {
        all = served.acquire_many((TENANTS * LINE) as u32) => all?.forget(),
        Some(ended) = callers.join_next() => {
            ended??;
            return Err("a caller of the crowd ended before it was told to".into());
        }
    }
    let from = open.store.head().await?;
    tokio::time::sleep(LASTS).await;
    // What is stored after this is the end of lines.
    let until = open.store.head().await?;
    stop.send_replace(true);
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    let stored = count(&*open.store, from, until).await?;
    open.close().await?;
    Ok(stored)
}

fn tenant(number: usize) -> Result<TenantId> {
    Ok(TenantId::new(format!("tenant-{number}"))?)
}

async fn write(
    store: Arc<dyn EventStore>,
    tenant: TenantId,
    stream: StreamName,
    served: Arc<Semaphore>,
    stopped: watch::Receiver<bool>,
) -> Result<()> {
    let mut is_first = true;
    while !*stopped.borrow() {
        let event = NewEvent::new(EventType::new("came")?, SchemaVersion(1), Json::encode(&())?);
        let commit = Commit::new(CommitId::draw()).append(stream.clone(), ExpectedVersion::Any, vec![event]);
        match store.commit(&tenant, commit).await {
            Err(Error::Unavailable { .. }) => tokio::time::sleep(PAUSE).await,
            stored => {
                stored?;
                if mem::take(&mut is_first) {
                    served.add_permits(1);
                }
            }
        }
    }
    Ok(())
}

/// The commits of each tenant after a position and up to another; each has one event.
async fn count(store: &dyn EventStore, from: Position, until: Position) -> Result<Vec<u64>> {
    let mut stored = vec![0; TENANTS];
    let numbers: HashMap<TenantId, usize> =
        (0..TENANTS).map(|number| Ok((tenant(number)?, number))).collect::<Result<_>>()?;
    let mut position = from;
    while position < until {
        let (every, open) = (LogScope::EveryTenant, LogFilter::default());
        let page = store.read_all(&every, position, &open, PAGE_EVENTS_MAX).await?;
        if page.scanned_to == position {
            return Err("the log of the crowd ends before its end".into());
        }
        position = page.scanned_to;
        for event in page.events.iter().filter(|event| event.position <= until) {
            if let Some(number) = numbers.get(&event.tenant) {
                stored[*number] += 1;
            }
        }
    }
    Ok(stored)
}
