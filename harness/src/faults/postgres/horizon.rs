//! A transaction stays open for minutes, so that no dead row can be cleaned away, while the head of the
//! log, checkpoints and hot rows of a view change all the time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_postgres::Client as Admin;
use underlay_postgres::{PostgresConfig, PostgresStore};

use super::load::{answers, counter, head, start_work, view_at};
use super::place::Place;
use crate::Result;
use crate::faults::callers::{Callers, Counter};
use crate::faults::fault::Means;
use crate::faults::report::Measured;
use crate::faults::resumption::ms;
use crate::faults::serving::{Client, Serving};
use crate::faults::told::compare;
use crate::work::Inside;

pub(crate) const PROMISED: &str = "throughput stays within 20 % of before, and so do views and work";

/// Callers at the store, and at the ledger over HTTP: accounts whose rows are hot.
const CALLERS: usize = 6;
/// The least of the throughput that is left.
const RATIO_MIN: f64 = 0.8;
/// How often it is looked at how long a view takes.
const SAMPLES: usize = 30;

pub(crate) async fn run(means: &Means) -> Result<Measured> {
    let (window, pinned) = if means.quick { (10, 60) } else { (60, 600) };
    let (window, pinned) = (Duration::from_secs(window), Duration::from_secs(pinned));
    let mut measured = Measured::default();
    // A machine has its moods: the same load runs beside it on a server without such a transaction.
    let (subject, control) = (Subject::start(means).await?, Subject::start(means).await?);
    let watch = async || -> Result<(Window, Window)> {
        let (subject, control) = tokio::join!(subject.watch(window), control.watch(window));
        Ok((subject?, control?))
    };
    // Plans, caches and files are warm.
    tokio::time::sleep(window / 2).await;
    let before = watch().await?;
    let pin = subject.place.admin().await?;
    pin.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM underlay.commits").await?;
    tokio::time::sleep(pinned.saturating_sub(window)).await;
    let at_the_end = watch().await?;
    let dead = dead_rows(&subject.admin).await?;
    pin.batch_execute("COMMIT").await?;
    let after = watch().await?;

    for (what, rate) in [
        ("commits", (|window: &Window| window.commits) as fn(&Window) -> f64),
        ("events into the view", |window: &Window| window.folded),
        ("deliveries of work", |window: &Window| window.delivered),
    ] {
        let ratio = |(subject, control): &(Window, Window)| rate(subject) / rate(control);
        let left = ratio(&at_the_end) / ratio(&before);
        let rates = [&before, &at_the_end, &after]
            .map(|(subject, control)| format!("{:.0} beside {:.0}", rate(subject), rate(control)));
        measured.hold(
            left >= RATIO_MIN,
            format!("{what} at the end of {pinned:?}: {left:.2} of before, held against a server without it"),
        );
        measured.see(format!("{what} a second before, at the end and afterwards: {}", rates.join(", ")));
    }
    let views = [&before, &at_the_end, &after]
        .map(|(subject, control)| format!("{} beside {}", ms(subject.view), ms(control.view)));
    measured.see(format!("a commit is in the view after {}", views.join(", ")));
    measured.see(format!("dead rows at the end: {dead}"));
    for part in [subject, control] {
        let told = part.callers.finish().await?;
        part.store.close().await?;
        let mut findings = compare(&part.admin, &told).await?;
        findings.work = Some(part.work.finish().await?);
        measured.compare(&findings);
    }
    Ok(measured)
}

/// A server under load.
struct Subject {
    callers: Callers,
    work: Inside,
    client: Client,
    store: PostgresStore,
    admin: Admin,
    _serving: Serving,
    place: Place,
}

impl Subject {
    async fn start(means: &Means) -> Result<Self> {
        let mut place = Place::new(means, &[]).await?;
        let serving = place.serve()?;
        let (client, admin) = (serving.client(), place.admin().await?);
        let store = place.open(PostgresConfig::default()).await?;
        let counters: Vec<Arc<dyn Counter>> = vec![counter(&store)?, Arc::new(client.clone())];
        Ok(Self {
            work: start_work(&place, &place.address()).await?,
            callers: Callers::start(&counters, CALLERS),
            client,
            store,
            admin,
            _serving: serving,
            place,
        })
    }

    async fn watch(&self, window: Duration) -> Result<Window> {
        Window::watch(&self.admin, &self.client, &self.work, window).await
    }
}

/// What was seen of the load for a time.
struct Window {
    /// A second.
    commits: f64,
    /// Events the view came on by, a second.
    folded: f64,
    /// Messages that came to their receiver, a second.
    delivered: f64,
    /// From a commit to the view that shows it: the middle of the samples.
    view: Duration,
}

impl Window {
    async fn watch(admin: &Admin, client: &Client, work: &Inside, window: Duration) -> Result<Self> {
        let began = Instant::now();
        let (commits, folded) = (head(admin).await?, folded(admin).await?);
        let delivered = work.delivered() as u64;
        let mut views = Vec::new();
        for sample in 1..=SAMPLES {
            let (position, stored) = (head(admin).await?, Instant::now());
            views.push(answers(client, &view_at(position)).await?.duration_since(stored));
            let due = window.mul_f64(sample as f64 / SAMPLES as f64);
            tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
        }
        views.sort_unstable();
        let seconds = began.elapsed().as_secs_f64();
        let a_second = |from: u64, to: u64| (to - from) as f64 / seconds;
        Ok(Self {
            commits: a_second(commits, head(admin).await?),
            folded: a_second(folded, self::folded(admin).await?),
            delivered: a_second(delivered, work.delivered() as u64),
            view: views.get(SAMPLES / 2).copied().unwrap_or_default(),
        })
    }
}

/// How far the view has come. What it is promised by: a slower batch takes more events, so batches
/// are no measure.
async fn folded(admin: &Admin) -> Result<u64> {
    let position = "SELECT coalesce(max(position), 0) FROM underlay.view_checkpoints";
    Ok(admin.query_one(position, &[]).await?.try_get::<_, i64>(0)?.unsigned_abs())
}

/// The tables with the most dead rows.
async fn dead_rows(admin: &Admin) -> Result<String> {
    let most = "SELECT relname || ' ' || n_dead_tup FROM pg_stat_user_tables WHERE n_dead_tup > 0 \
                ORDER BY n_dead_tup DESC LIMIT 4";
    let rows = admin.query(most, &[]).await?;
    let rows = rows.iter().map(|row| row.try_get(0)).collect::<std::result::Result<Vec<String>, _>>()?;
    Ok(rows.join(", "))
}
