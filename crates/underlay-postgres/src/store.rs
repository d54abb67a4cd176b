use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinHandle;
use underlay_core::adapter::WakeupHub;
use underlay_core::{
    Clock, Commit, CommitId, Error, StoreId, TenantId, Underway, Wakeup, Wakeups, WorkWakeup,
};

use crate::config::{Listen, PostgresConfig};
use crate::connections::address::Address;
use crate::connections::doctor;
use crate::connections::link::Link;
use crate::connections::session::Sessions;
use crate::error::Failure;
use crate::event_store;
use crate::log::committer::Committer;
use crate::log::intake::Intake;
use crate::log::listener::Listener;
use crate::log::notifier::{Notifier, Untold};
use crate::units::entity_table::EntityTables;

/// A store in a PostgreSQL database. Clones share it; the last one dropped closes it.
#[derive(Clone)]
pub struct PostgresStore(pub(crate) Arc<Open>);

/// What the handles share.
pub(crate) struct Open {
    pub(crate) id: StoreId,
    intake: Arc<Intake>,
    /// Of the commits that change entities: one that waits for an entity keeps no other from the log.
    intake_with_entities: Arc<Intake>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) wakeups: Arc<WakeupHub>,
    pub(crate) untold: Arc<Untold>,
    /// What stamps commits and leases; none leaves it to the server.
    clock: Option<Arc<dyn Clock>>,
    pub(crate) entity_tables: EntityTables,
    pub(crate) views_schema: String,
    pub(crate) reader_role: String,
    pub(crate) worker_role: String,
    committing: Mutex<Vec<JoinHandle<()>>>,
    /// Tasks without an end of their own.
    others: Vec<JoinHandle<()>>,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("id", &self.0.id).finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Connects to a database that was migrated. It changes nothing there; see
    /// [`migrate`](crate::migrate). Its tasks run on the runtime it is called in.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the schema is missing, old or newer than this program, where a setting
    /// of the server would break a guarantee, or where the login passes over row-level security and
    /// the configuration does not allow it; [`Error::Denied`] where it may not log in or lacks a role;
    /// [`Error::Unavailable`] where the server cannot be reached.
    pub async fn connect(address: &str, config: PostgresConfig) -> Result<Self, Error> {
        Ok(Self(Arc::new(Open::connect(address, &config).await?)))
    }

    /// Closes the store for every handle: takes nothing more, does what waits, closes the connections.
    /// Later calls are [`Error::Unavailable`].
    ///
    /// # Errors
    /// [`Error::Backend`] where a committer had ended by a panic.
    pub async fn close(&self) -> Result<(), Error> {
        self.0.close_intakes();
        let committing =
            std::mem::take(&mut *self.0.committing.lock().unwrap_or_else(PoisonError::into_inner));
        for task in committing {
            task.await.map_err(|error| Error::backend("closing the store", error))?;
        }
        self.0.end();
        Ok(())
    }
}

impl Wakeups for PostgresStore {
    fn subscribe(&self) -> Wakeup {
        self.0.wakeups.subscribe()
    }

    fn subscribe_work(&self) -> WorkWakeup {
        self.0.wakeups.subscribe_work()
    }
}

impl Open {
    async fn connect(address: &str, config: &PostgresConfig) -> Result<Self, Error> {
        config.validate()?;
        let place = Address::parse(address, config)?;
        let listen = match &config.listen {
            Listen::Store => Some(place.clone()),
            Listen::At(address) => Some(Address::parse(address, config)?),
            Listen::Off => None,
        };
        let link = Link::connect(&place, |_| {}).await.map_err(Failure::at_the_start)?;
        let examining = tokio::time::timeout(config.transaction_timeout, doctor::examine(&link, config));
        let id = examining.await.map_err(|_| {
            let limit = config.transaction_timeout;
            Error::unavailable(format!("PostgreSQL does not answer in {limit:?} (transaction_timeout)"))
        })??;
        let sessions = Arc::new(Sessions::new(&place, config)?);
        let end = event_store::end(&sessions).await?;
        let intake = || Arc::new(Intake::new(config.limits.clone()));
        let (intake, intake_with_entities) = (intake(), intake());
        let (wakeups, untold): (Arc<WakeupHub>, Arc<Untold>) = Default::default();
        let committer = |intake: &Arc<Intake>| {
            let (intake, sessions) = (intake.clone(), sessions.clone());
            Committer::new(place.clone(), config, intake, sessions, wakeups.clone(), untold.clone())
        };
        let committing = vec![
            tokio::spawn(committer(&intake).run(Some(link))),
            tokio::spawn(committer(&intake_with_entities).run(None)),
        ];
        let hints = Notifier {
            sessions: sessions.clone(),
            untold: untold.clone(),
            channel: config.channel(),
            interval: config.notify_interval,
            timer: config.timer.clone(),
        };
        let listener = Listener {
            sessions: sessions.clone(),
            address: listen,
            channel: config.channel(),
            end,
            interval: config.poll_interval,
            wakeups: wakeups.clone(),
            timer: config.timer.clone(),
        };
        Ok(Self {
            id,
            intake,
            intake_with_entities,
            sessions,
            wakeups,
            untold,
            clock: config.clock.clone(),
            entity_tables: EntityTables::new(config),
            views_schema: config.views_schema(),
            reader_role: config.role("reader"),
            worker_role: config.role("worker"),
            committing: Mutex::new(committing),
            others: vec![tokio::spawn(hints.run()), tokio::spawn(listener.run())],
        })
    }

    /// Where a commit is left.
    pub(crate) fn intake_of(&self, commit: &Commit) -> &Intake {
        if commit.entities.is_empty() { &self.intake } else { &self.intake_with_entities }
    }

    /// What is noted of a commit that has no answer.
    pub(crate) fn underway(&self, tenant: &TenantId, id: CommitId) -> Option<Underway> {
        let intakes = [&self.intake, &self.intake_with_entities];
        intakes.into_iter().find_map(|intake| intake.unanswered.find(tenant, id))
    }

    fn close_intakes(&self) {
        self.intake.close();
        self.intake_with_entities.close();
    }

    /// The time in microseconds; none leaves it to the server.
    pub(crate) fn stamp(&self) -> Option<i64> {
        self.clock.as_ref().map(|clock| clock.now().as_microsecond())
    }

    /// Ends the tasks. Doing it again changes nothing.
    fn end(&self) {
        self.others.iter().for_each(JoinHandle::abort);
        self.sessions.close();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // The committers still do what waits, then end by themselves.
        self.close_intakes();
        self.others.iter().for_each(JoinHandle::abort);
    }
}
