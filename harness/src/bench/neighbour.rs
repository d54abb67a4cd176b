//! A small tenant beside another whose queries look at all it has: what its calls cost, against alone.
//!
//! One tenant has a view of many rows. Two hundred callers ask it, again and again, for what no index finds:
//! a page that must be sorted, and a count of everything. Meanwhile another tenant books, decides on what
//! was booked, and reads its balance.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use tokio::task::JoinHandle;
use underlay_core::{
    Checkpoint, Comparison, Error, EventId, ExpectedVersion, Position, Query, RowAddress, RowChange,
    StreamName, TenantId, Value, ViewBatch,
};
use underlay_runtime::{Engine, ExecuteError, Ports, Request};

use crate::Result;

use super::account::{Account, AccountCommand, Bookings, stream};
use super::disk::Disk;
use super::figure::{Figure, Latency, Sample};
use super::{Scale, log_file};

/// Callers whose queries are broad.
const FLOOD: usize = 200;
/// Rounds of calls of the small tenant in a run.
const CALLS: usize = 100;
/// Rows stored in one batch.
const BATCH_ROWS: u64 = 10_000;

pub(crate) async fn measure(disk: &Disk, scale: &Scale) -> Result<Vec<Figure>> {
    let folder = disk.fresh()?;
    let store = log_file::open(&folder.path().join("log.db")).await?;
    let figures = figures(log_file::ports(&store), scale).await?;
    store.close().await?;
    Ok(figures)
}

/// The figures of a store.
pub(super) async fn figures(ports: Ports, scale: &Scale) -> Result<Vec<Figure>> {
    let neighbours = Neighbours::fill(ports, scale.log_events).await?;
    let (mut beside, mut alone, mut served) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        alone.push(neighbours.small_calls(CALLS).await?.0);
        let flood = neighbours.flood()?;
        let (sample, between) = neighbours.small_calls_counting(CALLS, &flood.served).await?;
        flood.stop().await?;
        beside.push(sample);
        served.push(Sample::of(between as f64));
    }
    let rows = scale.log_events;
    Ok(vec![
        Figure::new(
            format!("a booking and its balance beside {FLOOD} broad queries, {rows} rows"),
            "calls/s",
            beside,
        )
        .with_baseline("alone", alone),
        Figure::new("broad queries served before one balance, at most", "queries", served),
    ])
}

/// A store with the rows of one tenant, and another beside it.
struct Neighbours {
    engine: Engine,
    bookings: Bookings,
    large: TenantId,
    small: TenantId,
    account: StreamName,
}

/// Queries that go on until they are told to stop.
struct Flood {
    served: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
    callers: Vec<JoinHandle<Result<()>>>,
}

impl Neighbours {
    async fn fill(ports: Ports, rows: u64) -> Result<Self> {
        let engine = log_file::engine(ports)?;
        let (large, small) = (TenantId::new("large")?, TenantId::new("small")?);
        eprintln!("  writing a view of {rows} rows");
        let read_models = engine.read_models("balances");
        let start = Checkpoint::start(engine.store().store_id());
        let schema = engine.registry().views().into_iter().find(|schema| schema.name == "balances");
        let table = read_models.prepare(&schema.ok_or("there is no view balances")?, start).await?;
        let mut from = start;
        for first in (0..rows).step_by(BATCH_ROWS as usize) {
            let row = |tenant: &TenantId, number: u64| {
                let address = RowAddress { tenant: tenant.clone(), key: format!("{number:09}") };
                // A stride: neighbours by key are not neighbours by balance.
                let cents = number as i64 * 7_919 % 1_000_003;
                RowChange::Upsert(address, vec![Value::Integer(cents), Value::Integer(1)])
            };
            let mut changes: Vec<RowChange> =
                (first..rows.min(first + BATCH_ROWS)).map(|number| row(&large, number)).collect();
            if first == 0 {
                changes.push(row(&small, 1));
            }
            let position = Position::from_number(from.position.number() + 1);
            let to = Checkpoint { position, event_id: Some(EventId::draw()), ..start };
            read_models.apply(&table, ViewBatch::new(from, to, changes)).await?;
            from = to;
        }
        Ok(Self { engine, bookings: Bookings::new()?, large, small, account: stream(1)? })
    }

    fn flood(&self) -> Result<Flood> {
        let (served, stopped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let callers = (0..FLOOD).map(|caller| {
            let (engine, tenant) = (self.engine.clone(), self.large.clone());
            let (served, stopped) = (served.clone(), stopped.clone());
            tokio::spawn(async move {
                let broad = Query::default().filter("cents", Comparison::Ge, Value::Integer(1));
                while !stopped.load(Ordering::Relaxed) {
                    let answer = if caller % 2 == 0 {
                        engine.query(&tenant, "balances", &broad).await.map(drop)
                    } else {
                        engine.count(&tenant, "balances", &Query::default()).await.map(drop)
                    };
                    served.fetch_add(1, Ordering::Relaxed);
                    match answer {
                        Ok(()) | Err(Error::TooBroad(_) | Error::Unavailable { overloaded: true, .. }) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Ok(())
            })
        });
        Ok(Flood { callers: callers.collect(), served, stopped })
    }

    async fn small_calls(&self, rounds: usize) -> Result<(Sample, usize)> {
        self.small_calls_counting(rounds, &AtomicUsize::new(0)).await
    }

    /// Books, decides and reads so often; how fast that was, and how many broad queries were served while
    /// one balance was read, at most.
    async fn small_calls_counting(&self, rounds: usize, served: &AtomicUsize) -> Result<(Sample, usize)> {
        let request = Request::new(self.small.clone());
        let (mut times, mut most) = (Vec::new(), 0);
        let began = Instant::now();
        for round in 0..rounds {
            let start = Instant::now();
            let commit = self.bookings.commit(&self.account, ExpectedVersion::Any, round as u64, 1);
            self.engine.store().commit(&self.small, commit).await?;
            match self.engine.execute::<Account>(&request, &1, AccountCommand::Look).await {
                Ok(_) => {}
                Err(ExecuteError::Refused(refusal)) => return Err(refusal.to_string().into()),
                Err(ExecuteError::Ended(ended)) => return Err(ended.to_string().into()),
                Err(ExecuteError::Failed(error)) => return Err(error.into()),
            }
            let before = served.load(Ordering::Relaxed);
            self.engine.row(&self.small, "balances", "000000001").await?;
            most = most.max(served.load(Ordering::Relaxed) - before);
            times.push(u64::try_from(start.elapsed().as_nanos())?);
        }
        let value = rounds as f64 / began.elapsed().as_secs_f64();
        Ok((Sample { latency: Latency::of(times), ..Sample::of(value) }, most))
    }
}

impl Flood {
    async fn stop(self) -> Result<()> {
        self.stopped.store(true, Ordering::Relaxed);
        for caller in self.callers {
            caller.await??;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use underlay_core::limits::QUERY_ROWS_SCANNED_MAX;

    use super::*;
    use crate::subject::{StoreKind, Way};

    /// Commands and queries of a small tenant go through while another floods the engine with queries.
    async fn goes_through(kind: StoreKind) {
        let folder = tempfile::tempdir().unwrap();
        let subject = match kind.start(folder.path()) {
            Ok(subject) => subject,
            Err(missing) => return missing.skip_test(),
        };
        let place = subject.place("neighbours").await.unwrap();
        let store = place.address(Way::USUAL).open().await.unwrap();
        let neighbours =
            Neighbours::fill(store.ports(), QUERY_ROWS_SCANNED_MAX as u64 + 10_000).await.unwrap();
        let flood = neighbours.flood().unwrap();
        // From here on more queries wait than may run.
        while flood.served.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        let (_, most) = neighbours.small_calls_counting(10, &flood.served).await.unwrap();
        flood.stop().await.unwrap();
        // A turn of its own comes after one of the other tenant; before, it stood behind all of them.
        assert!(most < FLOOD / 2, "{most} queries of another tenant came before one");
        store.close().await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_small_tenant_goes_through_beside_a_flood_of_queries_on_sqlite() {
        goes_through(StoreKind::Sqlite).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_small_tenant_goes_through_beside_a_flood_of_queries_on_postgres() {
        goes_through(StoreKind::Postgres).await;
    }
}
