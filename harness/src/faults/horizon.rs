//! A transaction stays open for minutes, so that no dead row can be cleaned away, while the head of the
//! log, checkpoints and hot rows of a view change all the time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_postgres::Client as Admin;
use underlay_postgres::PostgresConfig;

use super::callers::{Callers, Counter};
use super::load::{answers, counter, head, ms, view_at};
use super::report::Measured;
use super::serving::Client;
use super::site::{Setting, Site};
use super::told::compare;
use crate::Result;

pub(crate) const PROMISED: &str = "throughput stays within 20 % of before, and so do views";

/// Callers at the store, and at the ledger over HTTP: accounts whose rows are hot.
const CALLERS: usize = 6;
/// The least of the throughput before and after that is left.
const RATIO_MIN: f64 = 0.8;
/// How often it is looked at how long a view takes.
const SAMPLES: usize = 30;

pub(crate) async fn run(setting: &Setting) -> Result<Measured> {
    let (window, pinned) = if setting.quick { (8, 60) } else { (30, 600) };
    let (window, pinned) = (Duration::from_secs(window), Duration::from_secs(pinned));
    let mut measured = Measured::default();
    let mut site = Site::new(setting, &[]).await?;
    let serving = site.serve()?;
    let client = serving.client();
    let store = site.open(PostgresConfig::default()).await?;
    let counters: Vec<Arc<dyn Counter>> = vec![counter(&store)?, Arc::new(client.clone())];
    let callers = Callers::start(&counters, CALLERS);
    let admin = site.admin().await?;
    // Plans, caches and files are warm.
    tokio::time::sleep(window / 2).await;
    let before = Window::watch(&admin, &client, window).await?;

    let pin = site.admin().await?;
    pin.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM underlay.commits").await?;
    tokio::time::sleep(pinned.saturating_sub(window)).await;
    let while_pinned = Window::watch(&admin, &client, window).await?;
    let dead = dead_rows(&admin).await?;
    pin.batch_execute("COMMIT").await?;
    let after = Window::watch(&admin, &client, window).await?;

    let told = callers.finish().await?;
    store.close().await?;
    let usual = f64::midpoint(before.commits, after.commits);
    let ratio = while_pinned.commits / usual;
    measured.hold(
        ratio >= RATIO_MIN,
        format!(
            "commits at the end of {pinned:?}: {ratio:.2} of the mean of before and after ({:.0}, {:.0}, {:.0} a \
             second)",
            before.commits, while_pinned.commits, after.commits
        ),
    );
    let moves = while_pinned.moves / f64::midpoint(before.moves, after.moves);
    measured.hold(
        moves >= RATIO_MIN,
        format!(
            "batches of the view: {moves:.2} ({:.0}, {:.0}, {:.0} a second)",
            before.moves, while_pinned.moves, after.moves
        ),
    );
    measured.see(format!(
        "a commit is in the view after {} before, {} at the end, {} afterwards",
        ms(before.view),
        ms(while_pinned.view),
        ms(after.view)
    ));
    measured.see(format!("dead rows at the end: {dead}"));
    measured.compare(&compare(&admin, &told).await?);
    Ok(measured)
}

/// What was seen of the load for a time.
struct Window {
    /// A second.
    commits: f64,
    /// Of the checkpoint of the view, a second.
    moves: f64,
    /// From a commit to the view that shows it: the middle of the samples.
    view: Duration,
}

impl Window {
    async fn watch(admin: &Admin, client: &Client, window: Duration) -> Result<Self> {
        let began = Instant::now();
        let (commits, moves) = (head(admin).await?, moves(admin).await?);
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
            moves: a_second(moves, self::moves(admin).await?),
            view: views.get(SAMPLES / 2).copied().unwrap_or_default(),
        })
    }
}

/// How often the checkpoint of the view was moved.
async fn moves(admin: &Admin) -> Result<u64> {
    let moves = "SELECT coalesce(max(move), 0) FROM underlay.view_checkpoints";
    Ok(admin.query_one(moves, &[]).await?.try_get::<_, i64>(0)?.unsigned_abs())
}

/// The tables with the most dead rows.
async fn dead_rows(admin: &Admin) -> Result<String> {
    let most = "SELECT relname || ' ' || n_dead_tup FROM pg_stat_user_tables WHERE n_dead_tup > 0 \
                ORDER BY n_dead_tup DESC LIMIT 4";
    let rows = admin.query(most, &[]).await?;
    let rows = rows.iter().map(|row| row.try_get(0)).collect::<std::result::Result<Vec<String>, _>>()?;
    Ok(rows.join(", "))
}
