use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::words::limits::{
    COMMIT_BYTES_MAX, COMMIT_EVENTS_MAX, COMMIT_ROWS_MAX, COMMIT_STREAMS_MAX, COMMIT_WORK_MAX,
    METADATA_BYTES_MAX, OUTCOME_BYTES_MAX, PAYLOAD_BYTES_MAX,
};
use crate::words::{
    EntityChange, Error, EventId, ExpectedVersion, InlineRow, Json, Metadata, NewEvent, NewWork, Outcome,
    Payload, Position, StreamName, TenantId, Timestamp, Version,
};

/// The identity of a commit within its tenant: the id of the command, or a drawn one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommitId(pub Uuid);

impl CommitId {
    /// Draws a new id, ordered by time (UUID version 7).
    #[must_use]
    pub fn draw() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id that these parts stand for, of one tenant and one origin: a UUID of version 8, the same
    /// for ever. Of another tenant, another origin or other parts it is another one.
    #[must_use]
    pub fn derived<'a>(
        tenant: &'a TenantId,
        origin: Origin,
        parts: impl IntoIterator<Item = &'a [u8]>,
    ) -> Self {
        let place = ["commit-id", origin.name(), tenant.as_str()].map(str::as_bytes);
        Self(Uuid::new_v8(Fingerprint::of(place.into_iter().chain(parts)).0))
    }

    /// The id of what a client asks under a key of its own choice. A key that looks like an id is a key
    /// too: it stands for another id than the one it looks like.
    #[must_use]
    pub fn from_key(tenant: &TenantId, key: &str) -> Self {
        Self::derived(tenant, Origin::ClientKey, [key.as_bytes()])
    }
}

/// Who derives an id. Ids of different origins are different, so nothing that a client sends takes the
/// place of what the service itself is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// A client, by the key it gave.
    ClientKey,
    /// An import, by what it read.
    Import,
    /// A schedule, by what is due when.
    Schedule,
    /// A process, by what it reacts to.
    Process,
    /// Whoever leaves a command with the store, by the id of the command.
    Submission,
    /// A piece of work, by what follows from it.
    Work,
    /// An activity of a workflow, by which it is and the number of what it asks.
    Workflow,
}

impl Origin {
    /// What is hashed of it; it never changes.
    fn name(self) -> &'static str {
        match self {
            Self::ClientKey => "client-key",
            Self::Import => "import",
            Self::Schedule => "schedule",
            Self::Process => "process",
            Self::Submission => "submission",
            Self::Work => "work",
            Self::Workflow => "workflow",
        }
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for CommitId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        Uuid::parse_str(text).map(Self).map_err(|_| Error::invalid(format!("{text:?} is not a UUID")))
    }
}

/// The first 16 bytes of a SHA-256 over length-prefixed parts: tells a repeat from a re-used id.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 16]);

impl Fingerprint {
    /// Hashes parts in order; each is prefixed by its length, so that no two lists collide by joining.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let digest = hasher.finalize();
        let mut short = [0; 16];
        short.copy_from_slice(&digest[..16]);
        Self(short)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// Events for one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamWrite {
    /// The stream.
    pub stream: StreamName,
    /// What must be true of it.
    pub expected: ExpectedVersion,
    /// At least one event, in order.
    pub events: Vec<NewEvent>,
}

/// Something that must be true of a stream which the commit does not write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The stream.
    pub stream: StreamName,
    /// What must be true of it.
    pub expected: ExpectedVersion,
}

/// Another commit of the same tenant that a commit must have the content of, where it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// The other commit.
    pub with: CommitId,
    /// Whether the other one makes this one needless: where it is stored, its answer is given and nothing is stored.
    pub yields: bool,
}

/// Everything that is stored together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Commit {
    /// Its identity within the tenant.
    pub id: CommitId,
    /// The content a repeat must match, where it is not the events themselves: the engine sets the
    /// hash of the command, since deciding it again may give other events.
    pub content: Option<Fingerprint>,
    /// The other commit it must agree with; see [`Commit::agrees_with`] and [`Commit::yields_to`].
    pub agreement: Option<Agreement>,
    /// Streams to append to, each at most once.
    pub writes: Vec<StreamWrite>,
    /// Streams only read, each at most once, none of them written.
    pub expectations: Vec<Expectation>,
    /// What is sent on with the events, in order; see [`WorkQueue`](crate::ports::WorkQueue).
    pub work: Vec<NewWork>,
    /// Rows that are stored with the events, each of a stream that the commit writes. No store keeps any yet.
    pub rows: Vec<InlineRow>,
    /// Entities that are changed with the events, each at most once. Only a store that
    /// [keeps entities](crate::ports::EventStore::keeps_entities) takes any.
    pub entities: Vec<EntityChange>,
    /// How the command ended.
    pub outcome: Outcome,
    /// Stored with every event.
    pub metadata: Metadata,
}

impl Commit {
    /// An empty commit: accepted, nothing written.
    #[must_use]
    pub fn new(id: CommitId) -> Self {
        Self {
            id,
            content: None,
            agreement: None,
            writes: Vec::new(),
            expectations: Vec::new(),
            work: Vec::new(),
            rows: Vec::new(),
            entities: Vec::new(),
            outcome: Outcome::Accepted,
            metadata: Metadata::default(),
        }
    }

    /// Adds events for a stream.
    #[must_use]
    pub fn append(mut self, stream: StreamName, expected: ExpectedVersion, events: Vec<NewEvent>) -> Self {
        self.writes.push(StreamWrite { stream, expected, events });
        self
    }

    /// Adds an expectation on a stream that is not written.
    #[must_use]
    pub fn expect(mut self, stream: StreamName, expected: ExpectedVersion) -> Self {
        self.expectations.push(Expectation { stream, expected });
        self
    }

    /// Adds a piece of work.
    #[must_use]
    pub fn send(mut self, work: NewWork) -> Self {
        self.work.push(work);
        self
    }

    /// Sets the changes of entities.
    #[must_use]
    pub fn with_entities(mut self, entities: Vec<EntityChange>) -> Self {
        self.entities = entities;
        self
    }

    /// Sets the outcome.
    #[must_use]
    pub fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// Sets the metadata.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// Sets what a repeat must match.
    #[must_use]
    pub fn with_content(mut self, content: Fingerprint) -> Self {
        self.content = Some(content);
        self
    }

    /// Names another commit of the tenant that must have the same content. Where that one is stored with other
    /// content, the store answers [`Error::IdReused`] with the id of this commit, and stores nothing. Where it is stored
    /// with the same content, or not at all, this commit goes on. The store decides it in the transaction of the commit,
    /// and only for a commit that is not stored yet: a repeat gets its first answer. An import does not look at it.
    #[must_use]
    pub fn agrees_with(mut self, other: CommitId) -> Self {
        self.agreement = Some(Agreement { with: other, yields: false });
        self
    }

    /// As [`Commit::agrees_with`], for a commit that the other one makes needless: where that is stored with the same
    /// content, the store answers with its [`Committed`] as a repeat, and stores nothing. The id in the answer tells
    /// which of the two is stored.
    #[must_use]
    pub fn yields_to(mut self, other: CommitId) -> Self {
        self.agreement = Some(Agreement { with: other, yields: true });
        self
    }

    /// Every stream the commit writes or expects something of, with what it expects.
    pub fn streams(&self) -> impl Iterator<Item = (&StreamName, ExpectedVersion)> {
        let writes = self.writes.iter().map(|write| (&write.stream, write.expected));
        writes.chain(self.expectations.iter().map(|expectation| (&expectation.stream, expectation.expected)))
    }

    /// The number of events.
    #[must_use]
    pub fn event_count(&self) -> usize {
        self.writes.iter().map(|write| write.events.len()).sum()
    }

    /// About how many bytes the commit is; what byte limits count.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let events: usize = self
            .writes
            .iter()
            .map(|write| {
                let event = |event: &NewEvent| event_bytes(&event.payload, &self.metadata);
                write.stream.as_str().len() + write.events.iter().map(event).sum::<usize>()
            })
            .sum();
        let expectations: usize =
            self.expectations.iter().map(|expectation| expectation.stream.as_str().len()).sum();
        let work: usize = self.work.iter().map(|work| work.bytes() + OVERHEAD).sum();
        let rows: usize = self.rows.iter().map(|row| row.bytes() + OVERHEAD).sum();
        let entities: usize = self.entities.iter().map(|change| change.bytes() + OVERHEAD).sum();
        events + expectations + work + rows + entities + rest_bytes(&self.outcome, &self.metadata)
    }

    /// What a repeat with the same id must match. Drawn event ids do not count.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        if let Some(content) = self.content {
            return content;
        }
        let mut parts: Vec<Vec<u8>> = Vec::new();
        for write in &self.writes {
            parts.push(b"write".to_vec());
            parts.push(write.stream.as_str().into());
            parts.push(write.expected.to_string().into());
            for event in &write.events {
                parts.push(event.event_type.as_str().into());
                parts.push(event.schema_version.0.to_le_bytes().into());
                parts.push(event.payload.text().as_str().into());
                if !event.payload.is_plain() {
                    parts.push(event.payload.encoding().into());
                    parts.push(event.payload.key_id().unwrap_or_default().into());
                }
            }
        }
        for expectation in &self.expectations {
            parts.push(b"expect".to_vec());
            parts.push(expectation.stream.as_str().into());
            parts.push(expectation.expected.to_string().into());
        }
        for work in &self.work {
            parts.push(b"work".to_vec());
            parts.extend(work.fingerprint_parts());
        }
        for change in &self.entities {
            parts.push(b"entity".to_vec());
            parts.extend(change.fingerprint_parts());
        }
        parts.push(self.outcome.kind().into());
        if let Outcome::Refused { code, body, .. } = &self.outcome {
            parts.push(code.as_str().into());
            parts.push(body.as_str().into());
        }
        Fingerprint::of(parts.iter().map(Vec::as_slice))
    }

    /// Checks everything that can be checked without a store. Adapters call it first.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the name of the limit, or the stream named twice; where there is an inline
    /// row, since a store that kept the events alone would lose it without a word.
    pub fn validate(&self) -> Result<(), Error> {
        if self.agreement.is_some_and(|agreement| agreement.with == self.id) {
            return Err(Error::invalid(format!(
                "commit {} names itself as the one to agree with; name another commit, or none",
                self.id
            )));
        }
        let mut seen: HashSet<&StreamName> = HashSet::new();
        for (stream, _) in self.streams() {
            if !seen.insert(stream) {
                return Err(Error::invalid(format!(
                    "{stream} is named twice in one commit; give its events together"
                )));
            }
        }
        check_counts(seen.len(), self.event_count(), self.bytes())?;
        let mut ids = EventIds::default();
        for write in &self.writes {
            if write.events.is_empty() {
                return Err(Error::invalid(format!(
                    "a write of no events to {}; use an expectation",
                    write.stream
                )));
            }
            for event in &write.events {
                check_payload(&event.payload)?;
                ids.add(event.event_id)?;
            }
        }
        self.check_work()?;
        self.check_entities()?;
        check_outcome(&self.outcome, self.event_count())
    }

    /// The order of the checks is that of what can be mended: first what is wrong in itself.
    fn check_work(&self) -> Result<(), Error> {
        check_limit("pieces of work", self.work.len(), "COMMIT_WORK_MAX", COMMIT_WORK_MAX)?;
        check_limit("inline rows", self.rows.len(), "COMMIT_ROWS_MAX", COMMIT_ROWS_MAX)?;
        self.work.iter().try_for_each(NewWork::check)?;
        let mut seen = HashSet::new();
        for row in &self.rows {
            let (view, stream) = (&row.view, &row.stream);
            if !self.writes.iter().any(|write| write.stream == *stream) {
                return Err(Error::invalid(format!(
                    "an inline row of {view} for {stream}, which the commit does not write"
                )));
            }
            if !seen.insert((view, stream)) {
                return Err(Error::invalid(format!(
                    "two inline rows of {view} for {stream} in one commit; give the last alone"
                )));
            }
        }
        if matches!(self.outcome, Outcome::Refused { .. }) && !(self.work.is_empty() && self.rows.is_empty())
        {
            return Err(Error::invalid("a refusal sends nothing on and writes no rows"));
        }
        if !self.rows.is_empty() {
            return Err(Error::invalid(
                "no store of this version keeps inline rows; nothing was stored, so that nothing of it is lost",
            ));
        }
        Ok(())
    }

    fn check_entities(&self) -> Result<(), Error> {
        EntityChange::check_all(&self.entities)?;
        if matches!(self.outcome, Outcome::Refused { .. }) && !self.entities.is_empty() {
            return Err(Error::invalid("a refusal changes no entities"));
        }
        Ok(())
    }

    /// Refuses changes of entities on behalf of a store that keeps none. Adapters of such a store call it after
    /// [`Commit::validate`].
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn check_no_entities(&self) -> Result<(), Error> {
        match self.entities.first() {
            Some(change) => Err(Error::invalid(format!(
                "the store of the log does not keep {}: entities that are changed in one commit with events live in \
                 the store of the log; nothing was stored",
                change.entity()
            ))),
            None => Ok(()),
        }
    }

    /// The metadata as it is stored with every event.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it exceeds [`METADATA_BYTES_MAX`].
    pub fn encode_metadata(&self) -> Result<Json, Error> {
        let metadata = Json::encode(&self.metadata)?;
        check_metadata(&metadata)?;
        Ok(metadata)
    }
}

/// What byte limits count beside the texts of an event, and of a commit.
const OVERHEAD: usize = 128;

/// What byte limits count of an event; its metadata is stored with it.
pub(crate) fn event_bytes(payload: &Payload, metadata: &Metadata) -> usize {
    payload.bytes() + metadata_bytes(metadata) + OVERHEAD
}

/// What byte limits count of a commit beside its streams and events.
pub(crate) fn rest_bytes(outcome: &Outcome, metadata: &Metadata) -> usize {
    outcome_bytes(outcome) + metadata_bytes(metadata) + OVERHEAD
}

fn metadata_bytes(metadata: &Metadata) -> usize {
    [&metadata.actor, &metadata.traceparent, &metadata.tracestate]
        .into_iter()
        .flatten()
        .map(String::len)
        .sum()
}

fn outcome_bytes(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Accepted => 0,
        Outcome::Refused { code, message, body } => code.len() + message.len() + body.bytes(),
    }
}

/// Holds a commit against the limits of a commit.
pub(crate) fn check_counts(streams: usize, events: usize, bytes: usize) -> Result<(), Error> {
    let limits = [
        ("streams", streams, "COMMIT_STREAMS_MAX", COMMIT_STREAMS_MAX),
        ("events", events, "COMMIT_EVENTS_MAX", COMMIT_EVENTS_MAX),
        ("bytes", bytes, "COMMIT_BYTES_MAX", COMMIT_BYTES_MAX),
    ];
    limits.into_iter().try_for_each(|(what, actual, name, limit)| check_limit(what, actual, name, limit))
}

fn check_limit(what: &str, actual: usize, name: &str, limit: usize) -> Result<(), Error> {
    if actual > limit {
        return Err(Error::invalid(format!("a commit with {actual} {what} exceeds {name} = {limit}")));
    }
    Ok(())
}

pub(crate) fn check_payload(payload: &Payload) -> Result<(), Error> {
    if payload.bytes() > PAYLOAD_BYTES_MAX {
        return Err(Error::invalid(format!(
            "a payload of {} bytes exceeds PAYLOAD_BYTES_MAX = {PAYLOAD_BYTES_MAX}",
            payload.bytes()
        )));
    }
    Ok(())
}

pub(crate) fn check_metadata(metadata: &Json) -> Result<(), Error> {
    if metadata.bytes() > METADATA_BYTES_MAX {
        return Err(Error::invalid(format!(
            "metadata of {} bytes exceeds METADATA_BYTES_MAX = {METADATA_BYTES_MAX}",
            metadata.bytes()
        )));
    }
    Ok(())
}

pub(crate) fn check_outcome(outcome: &Outcome, events: usize) -> Result<(), Error> {
    if matches!(outcome, Outcome::Refused { .. }) && events > 0 {
        return Err(Error::invalid("a refusal writes no events"));
    }
    let bytes = outcome_bytes(outcome);
    if bytes > OUTCOME_BYTES_MAX {
        return Err(Error::invalid(format!(
            "an outcome of {bytes} bytes exceeds OUTCOME_BYTES_MAX = {OUTCOME_BYTES_MAX}"
        )));
    }
    Ok(())
}

/// The event ids of a commit, each of them once.
#[derive(Default)]
pub(crate) struct EventIds(HashSet<EventId>);

impl EventIds {
    pub(crate) fn add(&mut self, id: EventId) -> Result<(), Error> {
        if self.0.insert(id) {
            return Ok(());
        }
        Err(Error::invalid(format!("event id {id} is used twice in one commit")))
    }
}

/// A stream and its version after a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamVersion {
    /// The stream.
    pub stream: StreamName,
    /// Its version.
    pub version: Version,
}

/// The acknowledgement of a commit: it is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Committed {
    /// The commit.
    pub id: CommitId,
    /// Position of its last event; of a commit without events, the head of the log when it was stored.
    pub position: Position,
    /// How many events it holds; they end at `position` without holes.
    pub event_count: u32,
    /// The streams it wrote, with their versions after it, in the order of the log.
    pub versions: Vec<StreamVersion>,
    /// How the command ended.
    pub outcome: Outcome,
    /// When it was stored.
    pub recorded_at: Timestamp,
    /// True where the id was known and this is the first answer again: what was stored, which may be
    /// other events or another outcome than this call had. Where the store lost the answer to a call
    /// and looked it up, it says so too, since it cannot know which call stored it.
    pub repeated: bool,
}

impl Committed {
    /// The acknowledgement of a commit stored just now.
    #[must_use]
    pub fn new(
        id: CommitId,
        position: Position,
        versions: Vec<StreamVersion>,
        commit: &Commit,
        recorded_at: Timestamp,
    ) -> Self {
        Self {
            id,
            position,
            // COMMIT_EVENTS_MAX is far below u32::MAX.
            event_count: commit.event_count() as u32,
            versions,
            outcome: commit.outcome.clone(),
            recorded_at,
            repeated: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::words::{EntitySchema, EventType, SchemaVersion, WorkKind};

    fn commit(events: usize) -> Commit {
        let event =
            || NewEvent::new(EventType::new("noted").unwrap(), SchemaVersion(1), Json::from_stored("1"));
        let stream = StreamName::parse("note-1").unwrap();
        let events = (0..events).map(|_| event()).collect();
        Commit::new(CommitId::draw()).append(stream, ExpectedVersion::Any, events)
    }

    #[test]
    fn metadata_counts_for_every_event_it_is_stored_with() {
        let metadata = Metadata { actor: Some("x".repeat(METADATA_BYTES_MAX / 2)), ..Metadata::default() };
        commit(1_000).with_metadata(metadata.clone()).validate().unwrap();
        let error = commit(COMMIT_EVENTS_MAX).with_metadata(metadata).validate().unwrap_err();
        assert!(error.to_string().contains("COMMIT_BYTES_MAX"), "{error}");
    }

    fn work() -> NewWork {
        NewWork::new(WorkKind::Message, "mail", "member-1", "welcome", Json::from_stored("{}"))
    }

    fn row(stream: &str) -> InlineRow {
        let stream = StreamName::parse(stream).unwrap();
        InlineRow { view: "notes".to_owned(), stream, version: Version(1), values: None }
    }

    #[test]
    fn rows_that_no_store_keeps_are_refused_and_never_dropped() {
        let mut with_row = commit(1).send(work());
        with_row.validate().unwrap();
        with_row.rows.push(row("note-1"));
        let error = with_row.validate().unwrap_err();
        assert!(error.to_string().contains("no store of this version keeps"), "{error}");
    }

    #[test]
    fn misshapen_work_and_rows_are_told_by_what_is_wrong() {
        let many = (0..=COMMIT_WORK_MAX).fold(commit(1), |commit, _| commit.send(work()));
        let long = NewWork { key: "k".repeat(256), ..work() };
        let nobody = NewWork { receiver: String::new(), ..work() };
        let refusal =
            Outcome::Refused { code: "no".into(), message: "No.".into(), body: Json::from_stored("{}") };
        let with_rows = |rows: &[&str]| {
            let mut commit = commit(1);
            commit.rows = rows.iter().map(|stream| row(stream)).collect();
            commit
        };
        let misshapen = [
            (many, "COMMIT_WORK_MAX"),
            (commit(1).send(long), "WORK_KEY_BYTES_MAX"),
            (commit(1).send(nobody), "WORK_RECEIVER_BYTES_MAX"),
            (Commit::new(CommitId::draw()).with_outcome(refusal).send(work()), "a refusal sends nothing on"),
            (with_rows(&["note-2"]), "which the commit does not write"),
            (with_rows(&["note-1", "note-1"]), "two inline rows"),
        ];
        for (commit, named) in misshapen {
            let error = commit.validate().unwrap_err();
            assert!(error.to_string().contains(named), "{error} does not name {named}");
        }
    }

    #[test]
    fn work_is_part_of_what_a_repeat_must_match() {
        let (one, mut other) = (commit(1), commit(1));
        other.id = one.id;
        assert_eq!(one.fingerprint(), other.fingerprint());
        let sent = one.clone().send(work());
        assert_ne!(sent.fingerprint(), one.fingerprint());
        assert_ne!(sent.fingerprint(), one.send(work().with_due_at(Timestamp::UNIX_EPOCH)).fingerprint());
        assert_eq!(sent.fingerprint(), other.send(work()).fingerprint());
    }

    #[test]
    fn entities_count_and_are_part_of_what_a_repeat_must_match() {
        let schema = Arc::new(EntitySchema::new("rate", 1, Vec::new()));
        let create = |id: &str| EntityChange::create(schema.clone(), id, Vec::new());
        let one = commit(1);
        let with = |changes| one.clone().with_entities(changes);
        let created = with(vec![create("eur")]);
        created.validate().unwrap();
        assert!(created.bytes() > one.bytes());
        let delete = EntityChange::delete(schema.clone(), "eur", None);
        let others = [one.clone(), with(vec![create("usd")]), with(vec![delete.clone()])];
        for other in others {
            assert_ne!(created.fingerprint(), other.fingerprint());
        }
        assert_eq!(created.fingerprint(), with(vec![create("eur")]).fingerprint());

        let refusal =
            Outcome::Refused { code: "no".into(), message: "No.".into(), body: Json::from_stored("{}") };
        let refused = Commit::new(CommitId::draw()).with_outcome(refusal).with_entities(vec![delete.clone()]);
        for (commit, named) in
            [(refused, "a refusal changes no entities"), (with(vec![create("eur"), delete]), "changed twice")]
        {
            let error = commit.validate().unwrap_err().to_string();
            assert!(error.contains(named), "{error} does not name {named}");
        }
        let elsewhere = created.check_no_entities().unwrap_err().to_string();
        assert!(elsewhere.contains("rate") && elsewhere.contains("nothing was stored"), "{elsewhere}");
        one.check_no_entities().unwrap();
    }

    #[test]
    fn an_id_is_derived_of_tenant_origin_and_every_part() {
        let (acme, other) = (TenantId::new("acme").unwrap(), TenantId::new("other").unwrap());
        let parts = |parts: &'static [&'static str]| parts.iter().map(|part| part.as_bytes());
        let all = [
            CommitId::from_key(&acme, "ab"),
            CommitId::from_key(&other, "ab"),
            CommitId::from_key(&acme, "AB"),
            CommitId::derived(&acme, Origin::ClientKey, parts(&["a", "b"])),
            CommitId::derived(&acme, Origin::ClientKey, parts(&[])),
            CommitId::derived(&acme, Origin::Import, parts(&["ab"])),
            CommitId::derived(&acme, Origin::Schedule, parts(&["ab"])),
            CommitId::derived(&acme, Origin::Process, parts(&["ab"])),
        ];
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len(), "{all:?}");
        assert_eq!(all[0], CommitId::from_key(&acme, "ab"));
        assert_eq!(all[0].0.get_version_num(), 8);
        // Whatever a client sends, it does not choose the id.
        for key in [all[0].to_string(), CommitId::draw().to_string().to_uppercase()] {
            assert_ne!(CommitId::from_key(&acme, &key), key.parse().unwrap());
        }
        // It is stored: no version of this program may give another.
        assert_eq!(all[0].to_string(), "12d0de6f-2a0c-8fca-a121-0db1485fd36c");
    }

    #[test]
    fn the_body_of_a_refusal_counts() {
        let body = Json::encode(&"x".repeat(10_000)).unwrap();
        let refusal = Outcome::Refused { code: "no".into(), message: "No.".into(), body };
        assert!(Commit::new(CommitId::draw()).with_outcome(refusal).bytes() > 10_000);
    }
}
