use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::ports::{
    Archive, Cache, Checkpoints, Clock, Entities, EventStore, Health, Leases, ReadModels, Retention,
    Schedules, Snapshots, Wakeups, WorkQueue,
};
use crate::words::Error;

/// What opening an address gives: the ports that are there, and what closes them.
///
/// Every port is optional, since stores differ: a store of documents may offer rows and no log. Whoever
/// composes a service asks for what it needs, and takes the rest from another backend.
#[derive(Clone, Default)]
pub struct Backend {
    /// The log.
    pub store: Option<Arc<dyn EventStore>>,
    /// Hints that the log may have grown. Without them it is polled.
    pub wakeups: Option<Arc<dyn Wakeups>>,
    /// Moves whole commits out of the log, and into it.
    pub archive: Option<Arc<dyn Archive>>,
    /// Forgets what is no longer owed.
    pub retention: Option<Arc<dyn Retention>>,
    /// Work that commits of `store` sent on.
    pub work: Option<Arc<dyn WorkQueue>>,
    /// What is due again and again.
    pub schedules: Option<Arc<dyn Schedules>>,
    /// How far processes and pumps have come.
    pub checkpoints: Option<Arc<dyn Checkpoints>>,
    /// The leases that `checkpoints` are moved under; none where every process follows the log for itself.
    pub work_leases: Option<Arc<dyn Leases>>,
    /// Stored states.
    pub snapshots: Option<Arc<dyn Snapshots>>,
    /// The rows of views.
    pub read_models: Option<Arc<dyn ReadModels>>,
    /// The leases that `read_models` stores batches under; none where every process folds every view.
    pub leases: Option<Arc<dyn Leases>>,
    /// Entities. Beside a log they are kept where the log is: commits change them.
    pub entities: Option<Arc<dyn Entities>>,
    /// Copies of what is stored elsewhere.
    pub cache: Option<Arc<dyn Cache>>,
    /// The time the store goes by; none takes the system's.
    pub clock: Option<Arc<dyn Clock>>,
    /// Whether what has the log can be used, or all of it where there is no log. None where it is never away.
    pub health: Option<Arc<dyn Health>>,
    /// Whether what has `read_models` can be used, where another has the log.
    pub rows_health: Option<Arc<dyn Health>>,
    /// What has to be closed at the end, in this order.
    pub closing: Vec<Arc<dyn Close>>,
}

/// Ends what was opened.
#[async_trait]
pub trait Close: Send + Sync + 'static {
    /// Answers what still waits, then gives back files, threads and connections. Doing it again changes
    /// nothing.
    ///
    /// # Errors
    /// What the store says.
    async fn close(&self) -> Result<(), Error>;
}

/// A log that says where it ends can be used. A store of a log loses nothing that it has answered.
struct HealthOfLog(Arc<dyn EventStore>);

#[async_trait]
impl Health for HealthOfLog {
    async fn check(&self) -> Result<(), Error> {
        self.0.head().await.map(drop)
    }

    async fn weaknesses(&self) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }
}

impl Backend {
    /// A store that has every port but a cache and a clock of its own, and is closed at the end.
    #[must_use]
    pub fn of<S>(store: S) -> Self
    where
        S: EventStore
            + Wakeups
            + Archive
            + Retention
            + WorkQueue
            + Schedules
            + Checkpoints
            + Snapshots
            + ReadModels
            + Leases
            + Entities
            + Close,
    {
        let store = Arc::new(store);
        Self {
            store: Some(store.clone()),
            wakeups: Some(store.clone()),
            archive: Some(store.clone()),
            retention: Some(store.clone()),
            work: Some(store.clone()),
            schedules: Some(store.clone()),
            checkpoints: Some(store.clone()),
            work_leases: Some(store.clone()),
            snapshots: Some(store.clone()),
            read_models: Some(store.clone()),
            leases: Some(store.clone()),
            entities: Some(store.clone()),
            cache: None,
            clock: None,
            health: Some(Arc::new(HealthOfLog(store.clone()))),
            rows_health: None,
            closing: vec![store],
        }
    }

    /// Adds what has to be closed at the end.
    #[must_use]
    pub fn closed_by(mut self, closing: impl Close) -> Self {
        self.closing.push(Arc::new(closing));
        self
    }

    /// Takes the rows of views, with their leases, from another backend. Both are closed together.
    #[must_use]
    pub fn with_rows_of(mut self, rows: Self) -> Self {
        self.read_models = rows.read_models;
        self.leases = rows.leases;
        self.rows_health = rows.health;
        // Rows are made of the log, so what writes them is closed first.
        let log = std::mem::replace(&mut self.closing, rows.closing);
        self.closing.extend(log);
        self
    }

    /// Closes everything, in order, whatever one of them says.
    ///
    /// # Errors
    /// The first error of a store.
    pub async fn close(&self) -> Result<(), Error> {
        let mut closed = Ok(());
        for closing in &self.closing {
            closed = closed.and(closing.close().await);
        }
        closed
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend")
            .field("store", &self.store.as_ref().map(|store| store.store_id()))
            .field("wakeups", &self.wakeups.is_some())
            .field("archive", &self.archive.is_some())
            .field("retention", &self.retention.is_some())
            .field("work", &self.work.is_some())
            .field("schedules", &self.schedules.is_some())
            .field("checkpoints", &self.checkpoints.is_some())
            .field("snapshots", &self.snapshots.is_some())
            .field("read_models", &self.read_models.is_some())
            .field("leases", &self.leases.is_some())
            .field("entities", &self.entities.is_some())
            .field("cache", &self.cache.is_some())
            .field("clock", &self.clock.is_some())
            .field("health", &self.health.is_some())
            .field("rows_health", &self.rows_health.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    struct Told(&'static str, Arc<Mutex<Vec<&'static str>>>, bool);

    #[async_trait]
    impl Close for Told {
        async fn close(&self) -> Result<(), Error> {
            self.1.lock().unwrap().push(self.0);
            if self.2 { Err(Error::backend("closing", self.0)) } else { Ok(()) }
        }
    }

    #[async_trait]
    impl Health for Told {
        async fn check(&self) -> Result<(), Error> {
            self.close().await
        }

        async fn weaknesses(&self) -> Result<Vec<String>, Error> {
            Ok(Vec::new())
        }
    }

    #[tokio::test]
    async fn health_goes_along_with_the_rows() {
        let told: Arc<Mutex<Vec<&str>>> = Arc::default();
        let of =
            |name| Backend { health: Some(Arc::new(Told(name, told.clone(), false))), ..Backend::default() };
        let both = of("log").with_rows_of(of("rows"));
        for health in [both.health, both.rows_health] {
            health.unwrap().check().await.unwrap();
        }
        assert_eq!(*told.lock().unwrap(), ["log", "rows"]);
    }

    #[tokio::test]
    async fn rows_are_closed_before_the_log_and_one_failure_keeps_nothing_open() {
        let told: Arc<Mutex<Vec<&str>>> = Arc::default();
        let log = Backend::default().closed_by(Told("log", told.clone(), false));
        let rows = Backend::default().closed_by(Told("rows", told.clone(), true));
        let both = log.with_rows_of(rows);
        assert!(both.close().await.unwrap_err().to_string().contains("rows"));
        assert_eq!(*told.lock().unwrap(), ["rows", "log"]);
    }
}
