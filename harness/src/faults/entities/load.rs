//! Callers and readers at several stores of one server, and what became of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use underlay_core::adapter::Backend;
use underlay_core::{Entities, Error, Query, TenantId};

use super::caller::EntityCounter;
use super::heard::Heard;
use super::judge::compare;
use super::schema::{counters, marks, shared_ids, tenant};
use super::stand::{Stand, Times};
use crate::Result;
use crate::faults::callers::{Callers, Counter};
use crate::faults::progress::Progress;
use crate::faults::report::Measured;
use crate::faults::resumption::{longest_answer, ms, note_callers, resume_max};
use crate::faults::told::Told;

/// Stores, and callers at each.
const STORES: usize = 2;
const CALLERS: usize = 4;
/// How long reads are waited for, so that what is late is seen and measured.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// The pause between two looks, and between two reads.
const LOOK: Duration = Duration::from_millis(20);

pub(crate) struct Load {
    stores: Vec<Backend>,
    tenant: TenantId,
    callers: Callers,
    heard: Arc<Heard>,
    progress: Arc<Progress>,
    readers: JoinSet<ReaderTold>,
    stop: watch::Sender<bool>,
}

/// What a reader was told.
#[derive(Debug, Default)]
struct ReaderTold {
    read: u64,
    longest: Duration,
    wrong: Vec<String>,
}

impl Load {
    /// Opens stores at a port that leads to the server, and starts callers and a reader at each.
    pub(crate) async fn start<S: Stand>(stand: &S, port: u16, times: Times) -> Result<Self> {
        let tenant = tenant()?;
        let mut stores = Vec::new();
        for _ in 0..STORES {
            stores.push(stand.open(port, times).await?);
        }
        let (heard, progress) = (Arc::new(Heard::default()), Arc::new(Progress::default()));
        let (stop, stopped) = watch::channel(false);
        let (mut counting, mut readers) = (Vec::new(), JoinSet::new());
        for store in &stores {
            let entities = entities_of(store)?;
            entities.prepare(&counters()).await?;
            entities.prepare(&marks()).await?;
            let caller = EntityCounter {
                entities: entities.clone(),
                tenant: tenant.clone(),
                heard: heard.clone(),
                progress: progress.clone(),
            };
            counting.push(Arc::new(caller) as Arc<dyn Counter>);
            readers.spawn(read(entities, tenant.clone(), heard.clone(), stopped.clone()));
        }
        let callers = Callers::start(&counting, CALLERS);
        Ok(Self { stores, tenant, callers, heard, progress, readers, stop })
    }

    /// What callers and readers have heard so far.
    pub(crate) fn heard(&self) -> &Heard {
        &self.heard
    }

    /// Waits until every store answers reads, as [`Load::reads`] says, and every caller has stored something since
    /// `answered`; how long the reads took from then.
    pub(crate) async fn goes_on(&self, answered: Instant) -> Result<Duration> {
        let reads = self.reads(answered).await?;
        self.progress.all_since(answered, STORES * CALLERS).await;
        Ok(reads)
    }

    /// Waits until every store answers a load, a page and a count; how long that took, from `answered`.
    pub(crate) async fn reads(&self, answered: Instant) -> Result<Duration> {
        for store in &self.stores {
            let entities = entities_of(store)?;
            let began = Instant::now();
            while let Err(error) = read_once(&*entities, &self.tenant).await {
                if !matches!(error, Error::Unavailable { .. }) || began.elapsed() > WAIT_MAX {
                    return Err(format!("a read does not go on: {error}").into());
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(answered.elapsed())
    }

    /// Lets the callers end, and notes what they were told, held against what is stored.
    ///
    /// `moments` is when the server answered again, and `reads` how long reads took from then.
    pub(crate) async fn finish<S: Stand>(
        mut self,
        stand: &S,
        moments: &[Instant],
        reads: Duration,
        measured: &mut Measured,
    ) -> Result<Vec<Told>> {
        let told = self.callers.finish().await?;
        self.stop.send_replace(true);
        while let Some(reader) = self.readers.join_next().await {
            let ReaderTold { read, longest, wrong } = reader?;
            measured.see(format!(
                "a reader read {read} times, and waited for an answer for {} at most",
                ms(longest)
            ));
            measured.broken.extend(wrong);
        }
        for store in &self.stores {
            store.close().await?;
        }
        note_callers(measured, &told, moments);
        measured.hold(reads <= resume_max(), format!("reads of every store within {}", ms(reads)));
        measured.see(format!("the longest wait of a caller for an answer was {}", ms(longest_answer(&told))));
        self.heard.sentences().into_iter().for_each(|sentence| measured.see(sentence));
        // Past everything that stood between the stores and the server.
        let direct = stand.open(stand.port(), Times::Usual).await?;
        let entities = entities_of(&direct)?;
        entities.prepare(&counters()).await?;
        entities.prepare(&marks()).await?;
        measured.compare(&compare(&*entities, &self.tenant, &told).await?);
        direct.close().await?;
        Ok(told)
    }
}

fn entities_of(store: &Backend) -> Result<Arc<dyn Entities>> {
    store.entities.clone().ok_or_else(|| "a store of entities keeps some".into())
}

/// Reads for as long as it may.
async fn read(
    entities: Arc<dyn Entities>,
    tenant: TenantId,
    heard: Arc<Heard>,
    stopped: watch::Receiver<bool>,
) -> ReaderTold {
    let mut told = ReaderTold::default();
    while !*stopped.borrow() {
        let asked = Instant::now();
        match read_once(&*entities, &tenant).await {
            Ok(()) => told.read += 1,
            Err(error) => {
                if !matches!(error, Error::Unavailable { .. }) {
                    told.wrong.push(format!("a read was answered by: {error}"));
                }
                heard.note(&error);
            }
        }
        told.longest = told.longest.max(asked.elapsed());
        tokio::time::sleep(LOOK).await;
    }
    told
}

/// A load, a page along an index, and a count.
async fn read_once(entities: &dyn Entities, tenant: &TenantId) -> std::result::Result<(), Error> {
    entities.load(&counters(), tenant, &shared_ids()).await?;
    let page = Query::default().limit(20);
    entities.query(&marks(), tenant, &page).await?;
    entities.count(&counters(), tenant, &Query::default()).await?;
    Ok(())
}
