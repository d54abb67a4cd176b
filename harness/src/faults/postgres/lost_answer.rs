//! The answer to a group commit is lost, at every place where it can be; and a network that is silent.

use std::sync::Arc;
use std::time::{Duration, Instant};

use underlay_core::{Error, EventStore, EventStoreExt, StreamName, TenantId, Version};
use underlay_postgres::{Listen, PostgresConfig, PostgresStore};

use super::load::{counter, head, note_resumption, start_work};
use super::place::{Place, address_at};
use super::proxy::{Fate, Proxy};
use crate::Result;
use crate::faults::callers::{Answer, Callers, Counter, Errand};
use crate::faults::fault::Means;
use crate::faults::report::Measured;
use crate::faults::resumption::{longest_answer, ms, resume_max};
use crate::faults::told::compare;

pub(crate) const PROMISED: &str = "each caller is told the truth: stored and acknowledged, not stored and \
                                   declined, or uncertain until the repeat finds out";
pub(crate) const PROMISED_OF_A_HANG: &str = "a network that is silent ends every wait in the time of its \
                                             means, with the truth; it goes on within 5 s when it is back";

/// Short, so that a silent network is given up soon.
const COMMIT_TIMEOUT: Duration = Duration::from_millis(700);
const DOUBT_TIMEOUT: Duration = Duration::from_secs(2);
const SHORT: Duration = Duration::from_secs(1);
const CALLERS: usize = 6;
/// How long it is waited for work to go on.
const UNCERTAIN_MAX: Duration = Duration::from_secs(60);
const FATES: [Fate; 6] =
    [Fate::CutBefore, Fate::CutAfter, Fate::Held, Fate::CutOnTheWay, Fate::CutShort, Fate::Silence];

fn config() -> PostgresConfig {
    PostgresConfig::default()
        .with_listen(Listen::Off)
        .with_commit_timeout(COMMIT_TIMEOUT)
        .with_doubt_timeout(DOUBT_TIMEOUT)
        .with_connect_timeout(SHORT)
        .with_transaction_timeout(SHORT)
}

/// The address of a store for work, with the same times.
fn work_address(proxy: &Proxy) -> String {
    let times =
        [("commit", COMMIT_TIMEOUT), ("doubt", DOUBT_TIMEOUT), ("connect", SHORT), ("transaction", SHORT)];
    let options = times.map(|(what, time)| format!("&underlay_{what}_timeout={}ms", time.as_millis()));
    format!("{}&underlay_listen=off{}", address_at(proxy.port()), options.concat())
}

async fn open(proxy: &Proxy) -> Result<PostgresStore> {
    Ok(PostgresStore::connect(&address_at(proxy.port()), config()).await?)
}

pub(crate) async fn run(means: &Means) -> Result<Measured> {
    let mut measured = Measured::default();
    let place = Place::new(means, &[]).await?;
    let proxy = Proxy::start(place.server.port()).await?;
    let rounds = if means.quick { 2 } else { 10 };
    // Alone, what each fate comes to is known.
    let store = open(&proxy).await?;
    let mut alone = Alone { counter: counter(&store)?, store, caller: 1_000 };
    for fate in FATES {
        let mut answers = Vec::new();
        for _ in 0..rounds {
            proxy.arm(fate);
            answers.push(alone.commit().await?);
            proxy.let_go();
        }
        let stored = answers.iter().filter(|answer| **answer == Verdict::Stored).count();
        let right = match fate {
            Fate::CutBefore | Fate::Held => stored == 0,
            Fate::CutAfter | Fate::Silence | Fate::CutShort => stored == answers.len(),
            Fate::CutOnTheWay => true,
        };
        let true_to_the_log = answers.iter().all(|answer| *answer != Verdict::Untrue);
        measured.hold(
            right && true_to_the_log,
            format!("{fate:?}: {stored} of {rounds} acknowledged as stored, the others declined"),
        );
    }
    alone.store.close().await?;
    // Among others, all fates in turn; the commits of work meet them too.
    let store = open(&proxy).await?;
    let counters: Vec<Arc<dyn Counter>> = vec![counter(&store)?];
    let work = start_work(&place, &work_address(&proxy)).await?;
    let callers = Callers::start(&counters, CALLERS);
    for _ in 0..rounds {
        for fate in FATES {
            proxy.arm(fate);
            proxy.met().await;
            // It is given up, and the log goes on without it; then the held one arrives.
            let before = head(&place.admin().await?).await?;
            let patience = Instant::now();
            while head(&place.admin().await?).await? <= before + CALLERS as u64 {
                if patience.elapsed() > Duration::from_secs(30) {
                    return Err(format!("nothing is stored any more after {fate:?}").into());
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            proxy.let_go();
        }
    }
    let told = callers.finish().await?;
    store.close().await?;
    measured.see(format!("{} times among {CALLERS} callers", FATES.len() * rounds));
    let mut findings = compare(&place.admin().await?, &told).await?;
    findings.work = Some(work.finish().await?);
    measured.compare(&findings);
    Ok(measured)
}

/// What a single caller was told, held against the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Stored,
    NotStored,
    Untrue,
}

/// A caller without others: its batch holds its commit alone.
struct Alone {
    store: PostgresStore,
    counter: Arc<dyn Counter>,
    caller: usize,
}

impl Alone {
    /// Commits the first event of a new stream.
    async fn commit(&mut self) -> Result<Verdict> {
        self.caller += 1;
        let errand = Errand { key: uuid::Uuid::now_v7(), caller: self.caller, version: 0, in_doubt: false };
        let answer = self.counter.ask(&errand).await;
        let stream = StreamName::new("caller", self.caller)?;
        let stored = self.store.read_stream_whole(&TenantId::new("main")?, &stream, Version::NONE).await?;
        Ok(match (answer, stored.len()) {
            (Answer::Stored(_), 1) => Verdict::Stored,
            (Answer::Declined, 0) => Verdict::NotStored,
            _ => Verdict::Untrue,
        })
    }
}

/// Nothing moves between the store and its server, for longer than anything may wait.
pub(crate) async fn hang(means: &Means) -> Result<Measured> {
    let mut measured = Measured::default();
    let place = Place::new(means, &[]).await?;
    let proxy = Proxy::start(place.server.port()).await?;
    let store = open(&proxy).await?;
    let counters: Vec<Arc<dyn Counter>> = vec![counter(&store)?];
    let callers = Callers::start(&counters, CALLERS);
    let work = start_work(&place, &work_address(&proxy)).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    proxy.freeze(true);
    let silent = Instant::now();
    let bound = COMMIT_TIMEOUT + DOUBT_TIMEOUT + Duration::from_secs(2);
    let tenant = TenantId::new("main")?;
    let stream = StreamName::new("caller", 0)?;
    let mut longest_read = Duration::ZERO;
    while silent.elapsed() < Duration::from_secs(if means.quick { 8 } else { 20 }) {
        let asked = Instant::now();
        let read = store.read_stream(&tenant, &stream, Version::NONE, 10);
        match tokio::time::timeout(bound * 3, read).await {
            Ok(Err(Error::Unavailable { .. })) => longest_read = longest_read.max(asked.elapsed()),
            Ok(Ok(_)) => return Err("a read was answered through a silent network".into()),
            Ok(Err(error)) => measured.hold(false, format!("a read was answered by: {error}")),
            Err(_) => {
                measured.hold(false, format!("a read waits for more than {}", ms(bound * 3)));
                break;
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    proxy.freeze(false);
    let back = Instant::now();
    let worked = work.goes_on(UNCERTAIN_MAX).await?.duration_since(back);
    tokio::time::sleep(Duration::from_secs(6).saturating_sub(worked)).await;
    let told = tokio::time::timeout(Duration::from_secs(120), callers.finish());
    let told = told.await.map_err(|_| "a caller waits for ever")??;
    let longest = longest_answer(&told);
    measured.hold(
        longest <= bound,
        format!("every commit was answered within {}, of {}", ms(longest), ms(bound)),
    );
    measured.hold(longest_read <= bound, format!("every read within {}", ms(longest_read)));
    measured.hold(worked <= resume_max(), format!("work goes on within {}", ms(worked)));
    note_resumption(&mut measured, &told, &[back], None);
    store.close().await?;
    let mut findings = compare(&place.admin().await?, &told).await?;
    findings.work = Some(work.finish().await?);
    measured.compare(&findings);
    Ok(measured)
}
