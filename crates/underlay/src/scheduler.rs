//! Who has the work done that commits send on: the workers of the service themselves, or a server of workflows.
//!
//! | Address | What drives attempts, pauses and timers |
//! |---|---|
//! | `embedded` | the workers, by the clock of the store |
//! | `temporal://HOST:PORT/NAMESPACE` | a Temporal server; it needs the feature `temporal` |
//!
//! Either way the store is the truth: work is stored with its commit, and is done when that is stored. Opening a scheduler
//! asks nobody, and a server that is away keeps no service from its start. One that answers and cannot be used does.

use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use underlay_core::adapter::without_password;
use underlay_core::options::{ConfigOption, Configurable, Place, TextValue};
use underlay_core::ports::Worker;
use underlay_core::{Clock, Error, Scheduler};
#[cfg(feature = "temporal")]
use underlay_runtime::EngineConfig;
#[cfg(feature = "temporal")]
use underlay_temporal::{ApiKey as TemporalKey, Temporal, TemporalAddress, TemporalOptions};

use crate::Service;
use crate::config::Settings;
use crate::suggestion::nearest;

/// The address of no server: the workers of the service drive their work themselves.
pub(crate) const EMBEDDED: &str = Worker::EMBEDDED;
/// What an address of a Temporal server begins with.
const TEMPORAL: &str = "temporal";
/// How long the scheduler may take at the start to say that it can be used.
const START_CHECK_MAX: Duration = Duration::from_secs(5);

/// Who has work done, as the configuration says.
#[derive(Clone, Debug)]
pub(crate) struct SchedulerSettings {
    /// Its address.
    pub(crate) address: String,
    /// What it lets this service in with.
    api_key: ApiKey,
}

impl Default for SchedulerSettings {
    fn default() -> Self {
        Self { address: EMBEDDED.to_owned(), api_key: ApiKey::default() }
    }
}

impl Configurable for SchedulerSettings {
    const OPTIONS: &'static [ConfigOption<Self>] = &[
        ConfigOption::<Self>::new(
            "scheduler",
            "Who drives what commits send on: embedded, which is the service itself, or with the feature `temporal` \
             temporal://HOST:PORT/NAMESPACE",
            |settings| Place::Text(&mut settings.address),
        )
        .checked(|text| Chosen::of(text).map(drop))
        .address()
        .called("ADDRESS"),
        ConfigOption::<Self>::new(
            "scheduler_api_key",
            "The key that the scheduler lets this service in with, over TLS alone",
            |settings| Place::Text(&mut settings.api_key),
        )
        .secret()
        .called("KEY"),
    ];
}

/// A key, which nobody is shown.
#[derive(Clone, Default)]
struct ApiKey(Option<String>);

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey").field("is_set", &self.0.is_some()).finish()
    }
}

impl TextValue for ApiKey {
    fn text(&self) -> Option<String> {
        self.0.clone()
    }

    fn set_text(&mut self, text: &str) -> Result<(), String> {
        if text.trim().is_empty() {
            return Err("the key is empty; leave the option out where the scheduler asks for none".to_owned());
        }
        self.0 = Some(text.to_owned());
        Ok(())
    }
}

/// The scheduler that an address names.
enum Chosen {
    Embedded,
    #[cfg(feature = "temporal")]
    Temporal(TemporalAddress),
}

impl Chosen {
    /// # Errors
    /// What is wrong with the address, and what would be right.
    fn of(text: &str) -> Result<Self, String> {
        let kind = text.split_once(':').map_or(text, |(kind, _)| kind);
        match kind {
            EMBEDDED if text == EMBEDDED => Ok(Self::Embedded),
            TEMPORAL => temporal(text),
            _ => {
                let meant = nearest(kind, [EMBEDDED, TEMPORAL]);
                let meant = meant.map_or_else(|| ";".to_owned(), |meant| format!(", did you mean {meant}?"));
                Err(format!(
                    "{:?} is no scheduler{meant} There are: {EMBEDDED}, {TEMPORAL}://HOST:PORT/NAMESPACE",
                    without_password(text)
                ))
            }
        }
    }
}

#[cfg(feature = "temporal")]
fn temporal(address: &str) -> Result<Chosen, String> {
    let address = address.parse::<TemporalAddress>();
    address.map(Chosen::Temporal).map_err(|error| error.to_string())
}

#[cfg(not(feature = "temporal"))]
fn temporal(_: &str) -> Result<Chosen, String> {
    Err("this program was built without the feature `temporal`, which a Temporal server needs; build it with it \
         (cargo build --features temporal)"
        .to_owned())
}

/// The scheduler of a service; none where its workers drive their work themselves.
///
/// # Errors
/// [`Error::Invalid`] where the address, its files or the key do not fit. Nobody is asked.
pub(crate) fn open(service: &Service, settings: &Settings) -> Result<Option<Arc<dyn Scheduler>>, Error> {
    #[cfg(not(feature = "temporal"))]
    let _ = service;
    match Chosen::of(&settings.scheduler.address).map_err(Error::invalid)? {
        Chosen::Embedded => Ok(None),
        #[cfg(feature = "temporal")]
        Chosen::Temporal(address) => on_temporal(service, settings, address).map(Some),
    }
}

#[cfg(feature = "temporal")]
fn on_temporal(
    service: &Service,
    settings: &Settings,
    mut address: TemporalAddress,
) -> Result<Arc<dyn Scheduler>, Error> {
    if !names_task_queue(&settings.scheduler.address) {
        address.task_queue.clone_from(&service.name);
    }
    let EngineConfig { process, work_running_max, work_drain, .. } = &settings.engine;
    let options = TemporalOptions {
        api_key: settings.scheduler.api_key.0.clone().map(TemporalKey::new),
        router: service.temporal_router.clone(),
        process: process.clone(),
        attempts_running_max: *work_running_max,
        stop_grace: *work_drain,
    };
    Ok(Arc::new(Temporal::open(&address, options)?))
}

/// Whether an address says whose work it is about. Services that share a namespace have a task queue each.
#[cfg(feature = "temporal")]
fn names_task_queue(address: &str) -> bool {
    let options = address.split_once('?').map_or("", |(_, options)| options);
    options.split('&').any(|option| option.starts_with("task_queue="))
}

/// The scheduler of a program that serves or works; none where it drives its work itself.
#[derive(Clone)]
pub(crate) struct SchedulerInUse(pub(crate) Option<Arc<dyn Scheduler>>);

impl fmt::Debug for SchedulerInUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SchedulerInUse").field(&self.identity()).finish()
    }
}

impl SchedulerInUse {
    /// What tells it from others.
    pub(crate) fn identity(&self) -> Option<&str> {
        self.0.as_deref().map(Scheduler::identity)
    }

    /// Asks it whether it can be used. One that cannot be reached is waited for, and meanwhile what commits send on is
    /// kept in the store.
    ///
    /// # Errors
    /// What is wrong with one that answers: its namespace is not there, say.
    pub(crate) async fn check_at_start(&self, clock: &dyn Clock) -> Result<(), Error> {
        let Some(scheduler) = &self.0 else { return Ok(()) };
        let checked = tokio::select! {
            checked = scheduler.check() => checked,
            () = clock.sleep(START_CHECK_MAX) => {
                Err(Error::unavailable(format!("it did not answer within {START_CHECK_MAX:?}")))
            }
        };
        match checked {
            Err(error @ Error::Unavailable { .. }) => {
                let identity = scheduler.identity();
                tracing::warn!(
                    "the scheduler {identity} cannot be used yet, so what commits send on waits: {error}"
                );
                Ok(())
            }
            other => other,
        }
    }

    /// Says at the start who has work done, where it is not the service itself.
    pub(crate) fn announce(&self, address: &str, out: &mut dyn Write) -> std::io::Result<()> {
        match self.identity() {
            Some(identity) => {
                writeln!(out, "  work     on {} ({identity})", without_password(address))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use underlay_core::options::Options;

    use super::*;

    fn refused(text: &str) -> String {
        SchedulerSettings::default().set("scheduler", text).unwrap_err()
    }

    #[test]
    fn a_kind_that_is_not_there_is_told_with_those_there_are() {
        for (text, part) in [
            ("temporl://me:hunter2@h", "did you mean temporal?"),
            ("embeded", "did you mean embedded?"),
            ("embedded://here", "\"embedded://here\" is no scheduler"),
            ("", "There are: embedded, temporal://HOST:PORT/NAMESPACE"),
            ("cron", "\"cron\" is no scheduler; There are"),
        ] {
            let told = refused(text);
            assert!(told.contains(part) && !told.contains("hunter2"), "{text}: {told}");
        }
    }

    #[test]
    fn nobody_is_shown_the_key() {
        let mut settings = SchedulerSettings::default();
        settings.set("scheduler_api_key", "hunter2").unwrap();
        assert_eq!(settings.api_key.0.as_deref(), Some("hunter2"));
        assert!(!format!("{settings:?}").contains("hunter2"));
        assert!(settings.set("scheduler_api_key", " ").unwrap_err().contains("leave the option out"));
    }

    #[cfg(feature = "temporal")]
    #[test]
    fn the_task_queue_is_the_name_of_the_service_where_the_address_has_none() {
        let identity = |address: &str| {
            let service = Service::new("bank").scheduler(address);
            let scheduler = service.open_scheduler(&service.settings).unwrap().unwrap();
            scheduler.identity().to_owned()
        };
        assert_eq!(identity("temporal://h/books"), "temporal books bank");
        assert_eq!(identity("temporal://h?task_queue=underlay"), "temporal default underlay");
        assert_eq!(identity("temporal://h/n?tls=true&task_queue=q"), "temporal n q");
    }

    #[cfg(feature = "temporal")]
    #[test]
    fn a_key_does_not_cross_a_network_in_the_open() {
        let mut service = Service::new("bank").scheduler("temporal://h/books");
        service.settings.scheduler.set("scheduler_api_key", "hunter2").unwrap();
        let Err(told) = service.open_scheduler(&service.settings) else { panic!("it opened") };
        assert!(told.to_string().contains("tls=true") && !told.to_string().contains("hunter2"), "{told}");
        service.settings.scheduler.address.push_str("?tls=true");
        service.open_scheduler(&service.settings).unwrap();
    }

    #[test]
    fn where_nothing_is_said_the_service_drives_its_work_itself() {
        let service = Service::new("bank");
        assert!(open(&service, &service.settings).unwrap().is_none());
    }
}
