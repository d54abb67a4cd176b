use std::collections::BTreeSet;
use std::time::Duration;

use underlay_core::ports::Job;
use underlay_core::words::TenantId;

use crate::line::{LINE_EVENTS_MAX, LINE_IDLE};

/// Which jobs go where. Rules that fit a job are followed in the order they were given; what a later one says of a
/// [`Route`] replaces what an earlier one said.
///
/// ```
/// use underlay_temporal::{Route, Router};
///
/// let router = Router::new()
///     .kind("message", Route::new().task_queue("mail"))
///     .receiver("statements", Route::new().task_queue("reports").activity());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Router {
    rules: Vec<(Whose, Route)>,
}

/// What a rule is for.
#[derive(Clone, Debug)]
enum Whose {
    Kind(String),
    Receiver(String),
    Tenant(TenantId),
}

impl Whose {
    fn fits(&self, job: &Job) -> bool {
        match self {
            Self::Kind(kind) => job.kind() == kind,
            Self::Receiver(receiver) => job.receiver == *receiver,
            Self::Tenant(tenant) => job.tenant == *tenant,
        }
    }
}

/// Where a job goes, and as what. What is not said stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    task_queue: Option<String>,
    is_local: Option<bool>,
    task_timeout: Option<Duration>,
    is_per_key: Option<bool>,
    line_events_max: Option<u32>,
    line_idle: Option<Duration>,
}

impl Route {
    /// Says nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// To a task queue of its own. Every process of the installation serves it.
    #[must_use]
    pub fn task_queue(self, name: impl Into<String>) -> Self {
        Self { task_queue: Some(name.into()), ..self }
    }

    /// As an activity with heartbeats: for what takes long. Messages are done so.
    #[must_use]
    pub fn activity(self) -> Self {
        Self { is_local: Some(false), ..self }
    }

    /// As a local activity, which costs the server half as much: for what takes less than some minutes. All but messages
    /// is done so.
    #[must_use]
    pub fn local_activity(self) -> Self {
        Self { is_local: Some(true), ..self }
    }

    /// How long the server waits until it gives what a process had in hand to another.
    #[must_use]
    pub fn task_timeout(self, timeout: Duration) -> Self {
        Self { task_timeout: Some(timeout), ..self }
    }

    /// One workflow for all jobs of a tenant, a receiver and a key: people see one row for each key, and its history tells the jobs one
    /// after another. It costs throughput.
    #[must_use]
    pub fn per_key(self) -> Self {
        Self { is_per_key: Some(true), ..self }
    }

    /// How long a line with nothing to do waits for somebody to ask until it ends: [`LINE_IDLE`] where nothing is said.
    #[must_use]
    pub fn line_idle(self, idle: Duration) -> Self {
        Self { line_idle: Some(idle), ..self }
    }

    /// A workflow for each job, as it is where nothing is said.
    #[must_use]
    pub fn per_job(self) -> Self {
        Self { is_per_key: Some(false), ..self }
    }

    /// How many events the history of a line may have before it goes on in a new run: [`LINE_EVENTS_MAX`] where nothing is said.
    #[must_use]
    pub fn line_events_max(self, events: u32) -> Self {
        Self { line_events_max: Some(events), ..self }
    }

    fn over(self, earlier: Self) -> Self {
        Self {
            task_queue: self.task_queue.or(earlier.task_queue),
            is_local: self.is_local.or(earlier.is_local),
            task_timeout: self.task_timeout.or(earlier.task_timeout),
            is_per_key: self.is_per_key.or(earlier.is_per_key),
            line_events_max: self.line_events_max.or(earlier.line_events_max),
            line_idle: self.line_idle.or(earlier.line_idle),
        }
    }
}

/// A route with nothing left open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub task_queue: String,
    pub is_local: bool,
    pub task_timeout: Option<Duration>,
    /// Whether it is done by the line of its key.
    pub is_per_key: bool,
    pub line_events_max: u32,
    pub line_idle: Duration,
}

impl Router {
    /// No rules.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A rule for jobs of a kind: `command`, `message`, `input`, `timer` or `schedule`.
    #[must_use]
    pub fn kind(self, kind: impl Into<String>, route: Route) -> Self {
        self.rule(Whose::Kind(kind.into()), route)
    }

    /// A rule for the jobs of a category, an operation, a handler or a process.
    #[must_use]
    pub fn receiver(self, name: impl Into<String>, route: Route) -> Self {
        self.rule(Whose::Receiver(name.into()), route)
    }

    /// A rule for the jobs of a tenant.
    #[must_use]
    pub fn tenant(self, tenant: TenantId, route: Route) -> Self {
        self.rule(Whose::Tenant(tenant), route)
    }

    fn rule(mut self, whose: Whose, route: Route) -> Self {
        self.rules.push((whose, route));
        self
    }

    pub(crate) fn way(&self, job: &Job, task_queue: &str) -> Way {
        let fitting = self.rules.iter().filter(|(whose, _)| whose.fits(job));
        let route = fitting.fold(Route::new(), |route, (_, rule)| rule.clone().over(route));
        Way {
            task_queue: route.task_queue.unwrap_or_else(|| task_queue.to_owned()),
            is_local: route.is_local.unwrap_or(job.kind() != "message"),
            task_timeout: route.task_timeout,
            // A schedule has no line.
            is_per_key: route.is_per_key.unwrap_or_default() && job.kind() != "schedule",
            line_events_max: route.line_events_max.unwrap_or(LINE_EVENTS_MAX),
            line_idle: route.line_idle.unwrap_or(LINE_IDLE),
        }
    }

    /// Every task queue that jobs may go to.
    pub(crate) fn task_queues(&self, task_queue: &str) -> BTreeSet<String> {
        let named = self.rules.iter().filter_map(|(_, route)| route.task_queue.clone());
        named.chain([task_queue.to_owned()]).collect()
    }
}

#[cfg(test)]
mod tests {
    use underlay_core::ports::JobTask;
    use underlay_core::words::{CommitId, Lane, WorkKind};

    use super::*;

    fn job(tenant: &str, kind: WorkKind, receiver: &str) -> Job {
        Job {
            tenant: TenantId::new(tenant).unwrap(),
            task: JobTask::Work { kind, commit: CommitId::draw(), number: 0 },
            receiver: receiver.to_owned(),
            key: "k".to_owned(),
            name: "n".to_owned(),
            lane: Lane::Normal,
            correlation_id: None,
            due_at: None,
        }
    }

    #[test]
    fn a_job_without_a_rule_goes_to_the_queue_of_the_address() {
        let (router, command) = (Router::new(), job("acme", WorkKind::Command, "account"));
        let way = router.way(&command, "q");
        assert_eq!((way.task_queue.as_str(), way.is_local, way.is_per_key), ("q", true, false));
        assert!(!router.way(&job("acme", WorkKind::Message, "mail"), "q").is_local, "mail takes long");
        assert_eq!(router.task_queues("q"), ["q".to_owned()].into());
    }

    #[test]
    fn a_later_rule_replaces_what_an_earlier_one_said() {
        let router = Router::new()
            .kind("command", Route::new().task_queue("commands").activity())
            .receiver("account", Route::new().local_activity())
            .tenant(TenantId::new("acme").unwrap(), Route::new().task_queue("acme"));
        let way = router.way(&job("acme", WorkKind::Command, "account"), "q");
        assert_eq!((way.task_queue.as_str(), way.is_local), ("acme", true));
        let way = router.way(&job("other", WorkKind::Command, "transfer"), "q");
        assert_eq!((way.task_queue.as_str(), way.is_local), ("commands", false));
        assert_eq!(router.task_queues("q"), ["acme", "commands", "q"].map(str::to_owned).into());
    }
}
