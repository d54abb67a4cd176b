//! The load that most faults are done under: callers at stores and at processes of the ledger, work that
//! flows in a database beside them, and what became of all of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_postgres::Client as Admin;
use underlay_core::TenantId;
use underlay_postgres::{PostgresConfig, PostgresStore};

use super::place::{DATABASE, Place};
use crate::Result;
use crate::dice::Dice;
use crate::faults::callers::{Callers, Counter, StoreCounter};
use crate::faults::report::Measured;
use crate::faults::resumption::{longest_answer, ms, note_callers, resume_max};
use crate::faults::serving::{Client, Serving};
use crate::faults::told::{Findings, Told, compare};
use crate::subject::Address;
use crate::work::Inside;

/// Stores and processes of the ledger, and callers at each.
const STORES: usize = 2;
const SERVICES: usize = 2;
const CALLERS: usize = 3;
/// Workers in the database of the work, callers at each, and how long one keeps the others from its shards.
const WORKERS: usize = 2;
const WORK_CALLERS: usize = 2;
const WORK_LEASE: Duration = Duration::from_secs(10);
/// The database that the work flows in: the ledger knows none of it.
const WORK_DATABASE: &str = "errands";
/// How long it is waited for, so that what is late is seen and measured.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// The pause between two looks whether something goes on.
const LOOK: Duration = Duration::from_millis(20);

/// How long it took until everything went on: the longest of all moments it was looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Resumed {
    /// Reads and views.
    services: Duration,
    work: Duration,
}

impl Resumed {
    pub(crate) fn max(self, other: Self) -> Self {
        Self { services: self.services.max(other.services), work: self.work.max(other.work) }
    }
}

pub(crate) struct Load {
    pub(crate) stores: Vec<PostgresStore>,
    services: Vec<Serving>,
    callers: Callers,
    work: Inside,
}

impl Load {
    /// Starts stores and services at an address, and callers at all of them.
    pub(crate) async fn start(place: &mut Place, address: &str) -> Result<Self> {
        let mut services = Vec::new();
        for _ in 0..SERVICES {
            services.push(place.serve_at(address)?);
        }
        let mut stores = Vec::new();
        for _ in 0..STORES {
            let (address, config) = PostgresConfig::default().with_options_of(address)?;
            stores.push(PostgresStore::connect(&address, config).await?);
        }
        let counters: Vec<Arc<dyn Counter>> = services
            .iter()
            .map(|service| Arc::new(service.client()) as Arc<dyn Counter>)
            .chain(stores.iter().map(counter).collect::<Result<Vec<_>>>()?)
            .collect();
        let work = start_work(place, address).await?;
        Ok(Self { stores, services, callers: Callers::start(&counters, CALLERS), work })
    }

    pub(crate) fn clients(&self) -> Vec<Client> {
        self.services.iter().map(Serving::client).collect()
    }

    /// Waits until reads and views of every service show what was stored after `answered`, and every worker has
    /// had a command done that was submitted after it; how long that took, from then.
    pub(crate) async fn services_go_on(&self, admin: &Admin, answered: Instant) -> Result<Resumed> {
        let (services, work) =
            tokio::join!(self.services_answer(admin, answered), self.work.goes_on(WAIT_MAX));
        Ok(Resumed { services: services?, work: work?.saturating_duration_since(answered) })
    }

    async fn services_answer(&self, admin: &Admin, answered: Instant) -> Result<Duration> {
        let before = head(admin).await?;
        let began = Instant::now();
        while head(admin).await? <= before {
            if began.elapsed() > WAIT_MAX {
                return Err("nothing is stored any more".into());
            }
            tokio::time::sleep(LOOK).await;
        }
        let position = head(admin).await?;
        let mut last = answered;
        for client in self.clients() {
            for target in ["v1/events?limit=1", "readyz", &view_at(position)] {
                last = last.max(answers(&client, target).await?);
            }
        }
        Ok(last.duration_since(answered))
    }

    /// Lets the callers end; what they were told, held against the log.
    pub(crate) async fn finish(self, admin: &Admin) -> Result<(Vec<Told>, Findings)> {
        let told = self.callers.finish().await?;
        for store in &self.stores {
            store.close().await?;
        }
        let mut findings = compare(admin, &told).await?;
        findings.work = Some(self.work.finish().await?);
        Ok((told, findings))
    }
}

/// Lets work flow in a database of its own, which an address of the other is turned into.
pub(crate) async fn start_work(place: &Place, address: &str) -> Result<Inside> {
    place.create_database(WORK_DATABASE).await?;
    let directory = place.directory().join(format!("work-{}", place.server.port()));
    let address = Address::Postgres(address.replace(DATABASE, WORK_DATABASE));
    Inside::start(&directory, address, WORKERS, WORK_CALLERS, WORK_LEASE, &mut Dice::new(1)).await
}

/// A counter of a store.
pub(crate) fn counter(store: &PostgresStore) -> Result<Arc<dyn Counter>> {
    Ok(Arc::new(StoreCounter { store: store.clone(), tenant: TenantId::new("main")? }))
}

/// The rows of the view, once they show everything up to a position.
pub(crate) fn view_at(position: u64) -> String {
    format!("v1/views/balances?limit=1&min_position={position}&wait=1")
}

/// The end of the log.
pub(crate) async fn head(admin: &Admin) -> Result<u64> {
    let head = admin.query_one("SELECT coalesce(max(position), 0) FROM underlay.events", &[]).await?;
    Ok(head.try_get::<_, i64>(0)?.unsigned_abs())
}

/// When a service answered a read with what was asked for. Until then it may say that it is
/// unavailable, and nothing else.
pub(crate) async fn answers(client: &Client, target: &str) -> Result<Instant> {
    let began = Instant::now();
    loop {
        let reply = client.get(target).await?;
        if reply.status == 200 {
            return Ok(Instant::now());
        }
        if reply.status != 503 || began.elapsed() > WAIT_MAX {
            return Err(format!("{target} was answered by {reply:?}").into());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Notes how soon callers, reads and views, and work went on.
pub(crate) fn note_resumption(
    measured: &mut Measured,
    told: &[Told],
    moments: &[Instant],
    resumed: Option<Resumed>,
) {
    note_callers(measured, told, moments);
    if let Some(Resumed { services, work }) = resumed {
        let kept = services <= resume_max();
        measured.hold(kept, format!("reads and views of every process within {}", ms(services)));
        measured.hold(work <= resume_max(), format!("work of every process within {}", ms(work)));
    }
    measured.see(format!("the longest wait for an answer was {}", ms(longest_answer(told))));
}
