use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use underlay_core::{
    Actor, Aggregate, Command, Error, Json, Operation, Schedule, StoredCommand, StreamName, TenantId,
    Timestamp,
};

use super::cron::{Cron, find_zone};
use crate::ExecuteNamedError;
use crate::commands::{Commands, Target};

/// What becomes of moments that came while no process did work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// The command runs once, for the last of them.
    #[default]
    One,
    /// It runs for each of them, in order.
    All,
    /// It does not run for a moment that has passed by more than a minute.
    None,
}

impl Missed {
    /// The one word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::All => "all",
            Self::None => "none",
        }
    }
}

/// A command and the moments it is due at. Its JSON form is stored: a field that is absent has its default, and one that
/// is not known is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleDefinition {
    /// When it is due, as `cron` has it: minute, hour, day of the month, month, day of the week.
    ///
    /// A field is `*`, a value, a range `1-5`, either with a step `*/15`, or a list of these. Where the hours are named, every
    /// local time happens once on its day: one that does not exist, as clocks are put forward, happens at the moment they
    /// jump, and one that exists twice happens the first time. Where the hours are `*`, times that do not exist are passed
    /// over, and times that exist twice happen twice.
    pub cron: String,
    /// The time zone, by its name in the IANA database: `Europe/Berlin`.
    pub zone: String,
    /// What becomes of moments that were missed.
    #[serde(default)]
    pub missed: Missed,
    /// The category, or the operation.
    pub receiver: String,
    /// The id of the aggregate; none of an operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The name of the command.
    pub command: String,
    /// What is asked.
    pub body: Json,
    /// Whether typed code gave the body; see [`StoredCommand::is_typed`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_typed: bool,
    /// Who asks; none asks as the schedule itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    /// Whether it goes before what is normal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub urgent: bool,
}

impl ScheduleDefinition {
    /// A command that is named: `category`, the id's text, the command's name, its body as JSON.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the body is not JSON.
    pub fn command_named(
        cron: &str,
        zone: &str,
        category: &str,
        id: &str,
        command: &str,
        body: &str,
    ) -> Result<Self, Error> {
        Ok(Self::new(cron, zone, category, Some(id.to_owned()), command, Json::parse(body)?))
    }

    /// An operation that is named, with its body as JSON.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the body is not JSON.
    pub fn operation_named(cron: &str, zone: &str, name: &str, body: &str) -> Result<Self, Error> {
        Ok(Self::new(cron, zone, name, None, name, Json::parse(body)?))
    }

    /// A command to an aggregate.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it has no JSON form.
    pub fn command<A: Aggregate>(
        cron: &str,
        zone: &str,
        id: &A::Id,
        command: &A::Command,
    ) -> Result<Self, Error> {
        let name = command.descriptor().name;
        let id = Some(id.to_string());
        Ok(Self { is_typed: true, ..Self::new(cron, zone, A::CATEGORY, id, name, command.encode()?) })
    }

    /// An operation.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it has no JSON form.
    pub fn operation<O: Operation>(cron: &str, zone: &str, operation: &O) -> Result<Self, Error> {
        let body = Json::encode(operation)?;
        Ok(Self { is_typed: true, ..Self::new(cron, zone, O::NAME, None, O::NAME, body) })
    }

    fn new(cron: &str, zone: &str, receiver: &str, id: Option<String>, command: &str, body: Json) -> Self {
        Self {
            cron: cron.to_owned(),
            zone: zone.to_owned(),
            missed: Missed::default(),
            receiver: receiver.to_owned(),
            id,
            command: command.to_owned(),
            body,
            is_typed: false,
            actor: None,
            urgent: false,
        }
    }

    /// Sets what becomes of moments that were missed.
    #[must_use]
    pub fn with_missed(mut self, missed: Missed) -> Self {
        self.missed = missed;
        self
    }

    /// Sets who asks.
    #[must_use]
    pub fn with_actor(mut self, actor: Actor) -> Self {
        self.actor = Some(actor);
        self
    }

    /// Puts the command before what is normal.
    #[must_use]
    pub fn urgent(mut self) -> Self {
        self.urgent = true;
        self
    }

    /// The moments it is due at after one, at most so many.
    ///
    /// # Errors
    /// [`Error::Invalid`] where this program does not know its times or its time zone.
    pub fn moments_after(&self, after: Timestamp, count: usize) -> Result<Vec<Timestamp>, Error> {
        let (cron, zone) = self.times()?;
        let next = |last: &Timestamp| cron.next_after(*last, &zone);
        Ok(std::iter::successors(next(&after), next).take(count).collect())
    }

    /// The moments, where cron and zone are well formed.
    pub(super) fn times(&self) -> Result<(Cron, TimeZone), Error> {
        Ok((self.cron.parse()?, find_zone(&self.zone)?))
    }

    /// The same with its id in the form that streams have, where the service knows the command.
    pub(super) fn checked(self, commands: &Commands) -> Result<Self, ExecuteNamedError> {
        let body = self.body.as_str();
        let (_, stored) = match &self.id {
            Some(id) => commands.check_command(&self.receiver, id, &self.command, body)?,
            None => commands.check_operation(&self.receiver, body)?,
        };
        Ok(Self { id: stored.id, ..self })
    }

    /// The command as it is stored at a moment.
    pub(super) fn stored(&self) -> Result<(Target, StoredCommand), Error> {
        let key = match &self.id {
            Some(id) => StoredCommand::key(&StreamName::new(&self.receiver, id)?),
            None => String::new(),
        };
        let target = Target { receiver: self.receiver.clone(), key, name: self.command.clone() };
        let stored = StoredCommand::new(self.id.clone(), self.body.clone());
        Ok((target, if self.is_typed { stored.typed() } else { stored }))
    }
}

/// A schedule and when it is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScheduleInfo {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name within the tenant.
    pub name: String,
    /// What is to be done and when; none where this program cannot read it.
    pub definition: Option<ScheduleDefinition>,
    /// Why this program cannot submit it when it is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The next moment it is due; none where it never is again.
    pub next_due_at: Option<Timestamp>,
    /// Counts how often it was put; the first has 1.
    pub revision: u64,
}

impl From<Schedule> for ScheduleInfo {
    fn from(schedule: Schedule) -> Self {
        let read = read(&schedule);
        let problem = match &read {
            Ok(definition) => definition.times().err().map(|error| error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        Self {
            tenant: schedule.tenant,
            name: schedule.name,
            definition: read.ok(),
            problem,
            next_due_at: schedule.next_due_at,
            revision: schedule.revision,
        }
    }
}

/// The definition of a stored schedule.
pub(super) fn read(schedule: &Schedule) -> Result<ScheduleDefinition, Error> {
    schedule.definition.decode().map_err(|error| {
        Error::Damaged(format!("schedule {:?} of tenant {}: {error}", schedule.name, schedule.tenant))
    })
}
