use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{Actor, Aggregate, Asked, Command, Event, Handler, Operation};
use crate::words::limits::WORK_KEY_BYTES_MAX;
use crate::words::{
    CommitId, Error, Fingerprint, Json, NewWork, Origin, SchemaVersion, StreamName, TenantId, Timestamp,
    Version, WorkId, WorkKind,
};

/// The code of the outcome of a command that was cancelled before it ran. No declared refusal has a `:` in its
/// code, so none is taken for it.
pub const CANCELLED: &str = "underlay:cancelled";

/// The code of the outcome of a stored command whose stream was not at the version that whoever gave it expects. That
/// is an answer, as it is to a command that is executed directly: the command has ended, and nobody waits behind it. Its
/// body names the `stream`, and what was `expected` and `actual`.
pub const CONFLICT: &str = "underlay:conflict";

/// The code of the outcome of a command that was given up, where a process waits for it. The process is told that it
/// failed, and the command never runs.
pub const GIVEN_UP: &str = "underlay:given-up";

/// Something to be sent on with a commit. That it cannot be written down fails the commit, not the function
/// that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing(Result<NewWork, String>);

impl Outgoing {
    /// A message for a handler. Messages of one key arrive in order.
    #[must_use]
    pub fn message<H: Handler>(key: impl Into<String>, message: &H::Message) -> Self {
        let descriptor = message.descriptor();
        let work = message.encode().map(|body| {
            NewWork::new(WorkKind::Message, H::NAME, key, descriptor.name, body)
                .with_version(SchemaVersion(descriptor.version))
        });
        work.into()
    }

    /// A command for an aggregate. Commands for one stream are run in order.
    #[must_use]
    pub fn command<A: Aggregate>(id: &A::Id, command: &A::Command) -> Self {
        let stored = command.encode().and_then(|body| {
            let key = StoredCommand::key(&A::stream(id)?);
            let stored = StoredCommand::new(Some(id.to_string()), body).typed();
            stored.work(A::CATEGORY, &key, command.descriptor().name)
        });
        stored.into()
    }

    /// An operation. Operations are run side by side.
    #[must_use]
    pub fn operation<O: Operation>(operation: &O) -> Self {
        let stored = Json::encode(operation).and_then(|body| {
            let key = Fingerprint::of([body.as_str().as_bytes()]).to_string();
            StoredCommand::new(None, body).typed().work(O::NAME, &key, O::NAME)
        });
        stored.into()
    }

    /// Sets the moment before which nobody begins it.
    #[must_use]
    pub fn due_at(self, due_at: Timestamp) -> Self {
        Self(self.0.map(|work| work.with_due_at(due_at)))
    }

    /// Puts it before what is normal.
    #[must_use]
    pub fn urgent(self) -> Self {
        Self(self.0.map(NewWork::urgent))
    }

    /// For the engine: what is stored.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it could not be written down.
    pub fn into_work(self) -> Result<NewWork, Error> {
        self.0.map_err(Error::Invalid)
    }
}

impl From<NewWork> for Outgoing {
    fn from(work: NewWork) -> Self {
        Self(Ok(work))
    }
}

impl From<Result<NewWork, Error>> for Outgoing {
    fn from(work: Result<NewWork, Error>) -> Self {
        Self(work.map_err(|error| error.to_string()))
    }
}

/// A command that waits in a store: the payload of work of the kind [`WorkKind::Command`]. Its JSON form is
/// stored: a field that is absent is none, and one that is not known is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredCommand {
    /// The id of the aggregate; none where it is an operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What is asked.
    pub body: Json,
    /// Whether typed code gave the body. A member of it that is null is then as if it was not there; see
    /// [`Asked::typed`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_typed: bool,
    /// Who asks. The roles were looked at when it was stored.
    #[serde(default)]
    pub actor: Actor,
    /// The identity of the command; none derives it from that of the work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<CommitId>,
    /// The version the caller has seen of the stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Version>,
    /// One id for everything that follows from the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<Uuid>,
    /// What led to the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<Uuid>,
    /// The W3C trace context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The process that is told how it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<ReplyTo>,
}

/// Who is told how a command ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplyTo {
    /// The process.
    pub process: String,
    /// The instance.
    pub instance: String,
    /// What the process calls the command.
    pub name: String,
}

impl StoredCommand {
    /// A command of the product itself.
    #[must_use]
    pub fn new(id: Option<String>, body: Json) -> Self {
        Self {
            id,
            body,
            is_typed: false,
            actor: Actor::default(),
            command_id: None,
            expected: None,
            correlation_id: None,
            causation_id: None,
            traceparent: None,
            reply_to: None,
        }
    }

    /// Says that typed code gave the body.
    #[must_use]
    pub fn typed(mut self) -> Self {
        self.is_typed = true;
        self
    }

    /// The key of commands for a stream: the name of the stream, or where that is longer than
    /// [`WORK_KEY_BYTES_MAX`] its beginning and a fingerprint of it.
    #[must_use]
    pub fn key(stream: &StreamName) -> String {
        let name = stream.as_str();
        if name.len() <= WORK_KEY_BYTES_MAX {
            return name.to_owned();
        }
        let fingerprint = Fingerprint::of([name.as_bytes()]).to_string();
        let end = name.floor_char_boundary(WORK_KEY_BYTES_MAX - 1 - fingerprint.len());
        format!("{}#{fingerprint}", &name[..end])
    }

    /// The identity of the command: the one it was given, or one that derives from that of its work.
    #[must_use]
    pub fn identity(&self, tenant: &TenantId, work: WorkId) -> CommitId {
        let derived = || CommitId::derived(tenant, Origin::Work, [work.0.as_bytes().as_slice(), b"command"]);
        self.command_id.unwrap_or_else(derived)
    }

    /// What a repeat of the command must match, however it is given. `receiver` and `name` are those of its work.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the body or the id is not well formed.
    pub fn content(&self, receiver: &str, name: &str) -> Result<Fingerprint, Error> {
        let asked = match self.is_typed {
            true => Asked::typed(&self.body)?,
            false => Asked::by_name(self.body.as_str())?,
        };
        match &self.id {
            Some(id) => Ok(asked.of_command(&StreamName::new(receiver, id)?, name)),
            None => Ok(asked.of_operation(receiver)),
        }
    }

    /// The piece of work that stores it.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it has no JSON form.
    pub fn work(&self, receiver: &str, key: &str, name: &str) -> Result<NewWork, Error> {
        Ok(NewWork::new(WorkKind::Command, receiver, key, name, Json::encode(self)?))
    }
}

/// All that drawing a message from an event may know beside the event.
#[derive(Clone, Copy, Debug)]
pub struct Drawing<'a> {
    /// Whose event it is.
    pub tenant: &'a TenantId,
    /// The stream it is appended to.
    pub stream: &'a StreamName,
    /// The time of the command.
    pub now: Timestamp,
    /// The identity of the command.
    pub command_id: CommitId,
}

/// Draws messages and commands from events, before the commit that stores both. Its function is pure.
///
/// So an aggregate gives events only, and what is sent on stands beside them in the same transaction.
#[diagnostic::on_unimplemented(
    message = "`{Self}` draws no messages from events",
    label = "implement `Draw`: `Event` and `draw`"
)]
pub trait Draw: Send + Sync + 'static {
    /// The events it draws from.
    type Event: Event;

    /// What follows from an event, in order.
    fn draw(&self, event: &Self::Event, drawing: Drawing<'_>) -> Vec<Outgoing>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_long_stream_is_short_and_its_own() {
        let stream = |id: &str| StreamName::new("account", id).unwrap();
        assert_eq!(StoredCommand::key(&stream("42")), "account-42");
        let long = |end: char| StoredCommand::key(&stream(&format!("{}{end}", "ä".repeat(126))));
        assert!(long('a').len() <= WORK_KEY_BYTES_MAX, "{}", long('a').len());
        assert_eq!(long('a'), long('a'));
        assert_ne!(long('a'), long('b'));
    }

    #[test]
    fn what_typed_code_gave_is_the_same_with_one_more_field_that_is_none() {
        let content = |body: &str, is_typed| {
            let stored = StoredCommand { is_typed, ..StoredCommand::new(None, Json::parse(body).unwrap()) };
            stored.content("transfer", "transfer").unwrap()
        };
        assert_eq!(content(r#"{"a":1,"b":null}"#, true), content(r#"{ "a": 1 }"#, true));
        assert_eq!(content(r#"{"a":1}"#, true), content(r#"{"a":1}"#, false));
        assert_ne!(content(r#"{"a":1,"b":null}"#, false), content(r#"{"a":1}"#, false));
    }

    #[test]
    fn a_command_that_was_stored_before_a_field_was_added_can_be_read() {
        let old = Json::parse(r#"{"id":"1","body":{"cents":5}}"#).unwrap();
        let read: StoredCommand = old.decode().unwrap();
        assert_eq!(read, StoredCommand::new(Some("1".to_owned()), Json::parse(r#"{"cents":5}"#).unwrap()));
        assert!(Json::parse(r#"{"body":{},"priority":1}"#).unwrap().decode::<StoredCommand>().is_err());
    }
}
