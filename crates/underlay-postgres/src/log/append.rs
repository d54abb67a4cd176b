//! A batch of commits as one call, and the answers in what comes back: of many commits arrays, of one
//! that is alone its values.

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};
use underlay_core::adapter::{
    Answer, At, FaultHook, Request, payload_columns, recorded_time, refusal_columns, stored_number,
};
use underlay_core::{
    Committed, Conflict, Error, ExpectedVersion, NewEvent, Outcome, Position, StreamName, StreamVersion,
    Version,
};
use uuid::Uuid;

use crate::config::{PostgresConfig, milliseconds};
use crate::connections::session::{Parameter, Sessions};
use crate::error::{Failure, raised};
use crate::fault::FaultPoint;
use crate::log::append_entities::EntityCalls;
use crate::log::seen::Place;
use crate::migrate::filled;
use crate::work::sent::SentArrays;

/// Who appends: what a lost attempt is declared void by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    pub(crate) writer: Uuid,
    pub(crate) number: i64,
}

/// What became of a commit.
pub(crate) enum Verdict {
    /// It has its answer.
    Answered(Answer),
    /// Its id was stored before, or the one it names was and stops it: what was stored is to be looked up.
    Known,
}

/// What a batch is written with: the calls of the functions, in the schema of the store.
pub(crate) struct Calls {
    batch: String,
    sending: String,
    single: String,
    pub(super) with_entities: EntityCalls,
    /// How long a transaction may stay that the server cannot end by itself, in milliseconds.
    longest: i64,
    faults: FaultHook<FaultPoint>,
}

impl Calls {
    pub(crate) fn new(config: &PostgresConfig) -> Self {
        Self {
            batch: filled(include_str!("../sql/append_commits.sql"), config),
            sending: filled(include_str!("../sql/append_commits_and_work.sql"), config),
            single: filled(include_str!("../sql/append_commit.sql"), config),
            with_entities: EntityCalls::new(config),
            longest: milliseconds(config.commit_timeout),
            faults: config.faults.clone(),
        }
    }

    /// Writes a batch in one transaction, on a log that holds the last event this process has seen. A commit that changes
    /// entities is alone in its batch.
    ///
    /// # Errors
    /// Where one commit cannot be stored none is; where the connection is lost, all may be.
    pub(crate) async fn append(
        &self,
        sessions: &Sessions,
        client: &Client,
        attempt: Attempt,
        stamp: Option<i64>,
        batch: &[Request],
    ) -> Result<Vec<Verdict>, Failure> {
        let seen = &sessions.seen;
        let last = seen.last();
        let single = match batch {
            [request] if !self.faults.asks(FaultPoint::Alone) => Single::of(request),
            _ => None,
        };
        let appended = match (&single, batch) {
            (Some(single), _) => {
                self.append_one(client, attempt, stamp, last, single).await.map(|verdict| vec![verdict])
            }
            (None, [request]) if !request.commit.entities.is_empty() => {
                let given = Given::of(batch, attempt, stamp, last);
                self.with_entities.append(sessions, client, request, given).await.map(|verdict| vec![verdict])
            }
            (None, _) => self.append_all(client, attempt, stamp, last, batch).await,
        };
        appended.map_err(|failure| match last {
            Some(last) if failure.is_raised(raised::OTHER_LOG) => seen.missing(last),
            _ => failure,
        })
    }

    async fn append_one(
        &self,
        client: &Client,
        attempt: Attempt,
        stamp: Option<i64>,
        seen: Option<Place>,
        single: &Single<'_>,
    ) -> Result<Verdict, Failure> {
        let Single { request, stream, expected, event } = single;
        let (seen_position, seen_event) = (seen.map(|place| place.position), seen.map(|place| place.event));
        let schema_version = i64::from(event.schema_version.0);
        let (encoding, key_id) = payload_columns(&event.payload);
        let parameters: [Parameter<'_>; 18] = [
            (&attempt.writer, Type::UUID),
            (&attempt.number, Type::INT8),
            (&stamp, Type::INT8),
            (&request.tenant.as_str(), Type::TEXT),
            (&request.commit.id.0, Type::UUID),
            (&&request.reply.fingerprint.0[..], Type::BYTEA),
            (&request.reply.metadata.as_str(), Type::TEXT),
            (&stream.as_str(), Type::TEXT),
            (&expected_number(*expected), Type::INT8),
            (&event.event_id.0, Type::UUID),
            (&event.event_type.as_str(), Type::TEXT),
            (&schema_version, Type::INT8),
            (&event.payload.text().as_str(), Type::TEXT),
            (&seen_position, Type::INT8),
            (&seen_event, Type::UUID),
            (&encoding, Type::TEXT),
            (&key_id, Type::TEXT),
            (&self.longest, Type::INT8),
        ];
        let row = client.query_typed_one(&self.single, &parameters).await?;
        verdict(request, row.try_get(0)?, row.try_get(1)?, &[row.try_get(2)?])
    }

    async fn append_all(
        &self,
        client: &Client,
        attempt: Attempt,
        stamp: Option<i64>,
        seen: Option<Place>,
        batch: &[Request],
    ) -> Result<Vec<Verdict>, Failure> {
        let given = Given::of(batch, attempt, stamp, seen);
        let mut parameters = given.parameters();
        // A batch that sends nothing on and names no other commit is written as if there were neither.
        let sql = if given.sent.is_empty() && given.naming.is_none() {
            &self.batch
        } else {
            parameters.extend(given.more_parameters());
            &self.sending
        };
        parameters.push((&self.longest, Type::INT8));
        let row = client.query_typed_one(sql, &parameters).await?;
        drop(parameters);
        verdicts(&row, batch, given.arrays.ends)
    }
}

/// A batch as the functions take it.
pub(super) struct Given<'a> {
    attempt: Attempt,
    stamp: Option<i64>,
    seen_position: Option<i64>,
    seen_event: Option<Uuid>,
    arrays: Arrays<'a>,
    has_refusals: bool,
    is_plain: bool,
    sent: SentArrays<'a>,
    naming: Option<NamingArrays>,
}

impl<'a> Given<'a> {
    fn of(batch: &'a [Request], attempt: Attempt, stamp: Option<i64>, seen: Option<Place>) -> Self {
        let arrays = Arrays::of(batch);
        Self {
            attempt,
            stamp,
            seen_position: seen.map(|place| place.position),
            seen_event: seen.map(|place| place.event),
            has_refusals: arrays.codes.iter().any(Option::is_some),
            is_plain: arrays.encodings.iter().all(Option::is_none)
                && arrays.key_ids.iter().all(Option::is_none),
            arrays,
            sent: SentArrays::of(batch),
            naming: NamingArrays::of(batch),
        }
    }

    /// Those of `append`.
    pub(super) fn parameters(&self) -> Vec<Parameter<'_>> {
        let arrays = &self.arrays;
        vec![
            (&self.attempt.writer, Type::UUID),
            (&self.attempt.number, Type::INT8),
            (&self.stamp, Type::INT8),
            (&arrays.tenants, Type::TEXT_ARRAY),
            (&arrays.ids, Type::UUID_ARRAY),
            (&arrays.fingerprints, Type::BYTEA_ARRAY),
            (&arrays.event_counts, Type::INT4_ARRAY),
            (&arrays.ends, Type::INT4_ARRAY),
            (given_where(&arrays.codes, self.has_refusals), Type::TEXT_ARRAY),
            (given_where(&arrays.messages, self.has_refusals), Type::TEXT_ARRAY),
            (given_where(&arrays.bodies, self.has_refusals), Type::TEXT_ARRAY),
            (&arrays.metadata, Type::TEXT_ARRAY),
            (&arrays.expected_commits, Type::INT4_ARRAY),
            (&arrays.expected_streams, Type::TEXT_ARRAY),
            (&arrays.expected_versions, Type::INT8_ARRAY),
            (&arrays.event_commits, Type::INT4_ARRAY),
            (&arrays.event_expectations, Type::INT4_ARRAY),
            (&arrays.event_steps, Type::INT4_ARRAY),
            (&arrays.event_tails, Type::INT4_ARRAY),
            (&arrays.event_ids, Type::UUID_ARRAY),
            (&arrays.event_types, Type::TEXT_ARRAY),
            (&arrays.event_schema_versions, Type::INT8_ARRAY),
            (&arrays.event_payloads, Type::TEXT_ARRAY),
            (&self.seen_position, Type::INT8),
            (&self.seen_event, Type::UUID),
            (given_where(&arrays.encodings, !self.is_plain), Type::TEXT_ARRAY),
            (given_where(&arrays.key_ids, !self.is_plain), Type::TEXT_ARRAY),
        ]
    }

    /// Those that `append_work` takes beside them.
    pub(super) fn more_parameters(&self) -> Vec<Parameter<'_>> {
        let mut parameters: Vec<Parameter<'_>> = self.sent.parameters().into();
        parameters.extend(NamingArrays::parameters(self.naming.as_ref()));
        parameters
    }

    /// What became of the only commit of the batch.
    pub(super) fn verdict(self, row: &Row, request: &Request) -> Result<Verdict, Failure> {
        let verdicts = verdicts(row, std::slice::from_ref(request), self.arrays.ends)?;
        verdicts.into_iter().next().ok_or_else(torn)
    }
}

/// An array, or NULL where all of its elements are.
fn given_where<A: ToSql + Sync>(array: &A, is_given: bool) -> &(dyn ToSql + Sync) {
    if is_given { array } else { &None::<Vec<&str>> }
}

/// A commit of one event that expects nothing else, sends nothing on, names no other and changes no entity: most commits
/// are, and alone in a batch it needs no arrays.
struct Single<'a> {
    request: &'a Request,
    stream: &'a StreamName,
    expected: ExpectedVersion,
    event: &'a NewEvent,
}

impl<'a> Single<'a> {
    fn of(request: &'a Request) -> Option<Self> {
        let commit = &request.commit;
        let ([write], [], Outcome::Accepted) =
            (&commit.writes[..], &commit.expectations[..], &commit.outcome)
        else {
            return None;
        };
        let [event] = &write.events[..] else { return None };
        if !commit.work.is_empty() || commit.agreement.is_some() || !commit.entities.is_empty() {
            return None;
        }
        Some(Self { request, stream: &write.stream, expected: write.expected, event })
    }
}

/// An expected version as the function takes it.
fn expected_number(version: ExpectedVersion) -> i64 {
    match version {
        ExpectedVersion::Any => -1,
        ExpectedVersion::Exists => -2,
        ExpectedVersion::NoStream => 0,
        ExpectedVersion::Exact(version) => stored_number(version.0),
    }
}

/// A count that a limit of the core keeps far below the end of the type.
pub(crate) fn small(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[derive(Default)]
struct Arrays<'a> {
    tenants: Vec<&'a str>,
    ids: Vec<Uuid>,
    fingerprints: Vec<&'a [u8]>,
    event_counts: Vec<i32>,
    ends: Vec<i32>,
    codes: Vec<Option<&'a str>>,
    messages: Vec<Option<&'a str>>,
    bodies: Vec<Option<&'a str>>,
    metadata: Vec<&'a str>,
    expected_commits: Vec<i32>,
    expected_streams: Vec<&'a str>,
    expected_versions: Vec<i64>,
    event_commits: Vec<i32>,
    event_expectations: Vec<i32>,
    event_steps: Vec<i32>,
    event_tails: Vec<i32>,
    event_ids: Vec<Uuid>,
    event_types: Vec<&'a str>,
    event_schema_versions: Vec<i64>,
    event_payloads: Vec<&'a str>,
    encodings: Vec<Option<&'a str>>,
    key_ids: Vec<Option<&'a str>>,
}

impl<'a> Arrays<'a> {
    fn of(batch: &'a [Request]) -> Self {
        let mut arrays = Self::default();
        for request in batch {
            arrays.push(request);
        }
        arrays
    }

    fn push(&mut self, request: &'a Request) {
        let commit = &request.commit;
        let (code, message, body) = refusal_columns(&commit.outcome);
        self.tenants.push(request.tenant.as_str());
        self.ids.push(commit.id.0);
        self.fingerprints.push(&request.reply.fingerprint.0);
        let mut tail = small(commit.event_count());
        self.event_counts.push(tail);
        self.codes.push(code);
        self.messages.push(message);
        self.bodies.push(body);
        self.metadata.push(request.reply.metadata.as_str());
        let number = small(self.ids.len());
        for write in &commit.writes {
            self.expect(number, write.stream.as_str(), write.expected);
            let expectation = small(self.expected_streams.len());
            for (step, event) in (1..).zip(&write.events) {
                tail -= 1;
                self.event_commits.push(number);
                self.event_expectations.push(expectation);
                self.event_steps.push(step);
                self.event_tails.push(tail);
                self.event_ids.push(event.event_id.0);
                self.event_types.push(event.event_type.as_str());
                self.event_schema_versions.push(event.schema_version.0.into());
                self.event_payloads.push(event.payload.text().as_str());
                let (encoding, key_id) = payload_columns(&event.payload);
                self.encodings.push(encoding);
                self.key_ids.push(key_id);
            }
        }
        for expectation in &commit.expectations {
            self.expect(number, expectation.stream.as_str(), expectation.expected);
        }
        self.ends.push(small(self.event_ids.len()));
    }

    fn expect(&mut self, commit: i32, stream: &'a str, version: ExpectedVersion) {
        self.expected_commits.push(commit);
        self.expected_streams.push(stream);
        self.expected_versions.push(expected_number(version));
    }
}

/// The commits that name another, one entry for each.
#[derive(Default)]
struct NamingArrays {
    commits: Vec<i32>,
    named: Vec<Uuid>,
    yields: Vec<bool>,
}

impl NamingArrays {
    /// `None` where no commit names another.
    fn of(batch: &[Request]) -> Option<Self> {
        let mut arrays = Self::default();
        for (number, request) in (1..).zip(batch) {
            if let Some(agreement) = request.commit.agreement {
                arrays.commits.push(number);
                arrays.named.push(agreement.with.0);
                arrays.yields.push(agreement.yields);
            }
        }
        (!arrays.commits.is_empty()).then_some(arrays)
    }

    /// As the function takes them, in its order.
    fn parameters(arrays: Option<&Self>) -> [Parameter<'_>; 3] {
        match arrays {
            Some(arrays) => [
                (&arrays.commits, Type::INT4_ARRAY),
                (&arrays.named, Type::UUID_ARRAY),
                (&arrays.yields, Type::BOOL_ARRAY),
            ],
            None => [
                (&None::<Vec<i32>>, Type::INT4_ARRAY),
                (&None::<Vec<Uuid>>, Type::UUID_ARRAY),
                (&None::<Vec<bool>>, Type::BOOL_ARRAY),
            ],
        }
    }
}

fn torn() -> Failure {
    Failure::damaged("a function answered for another batch")
}

/// The answers of `append`; `ends` are those of a batch that was stored whole.
fn verdicts(row: &Row, batch: &[Request], ends: Vec<i32>) -> Result<Vec<Verdict>, Failure> {
    let (head, recorded_at): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    let ends = row.try_get::<_, Option<Vec<i32>>>(2)?.unwrap_or(ends);
    let versions: Vec<i64> = row.try_get::<_, Option<_>>(3)?.unwrap_or_default();
    // Those of commits that others stop are at the end, where nobody looks.
    let mut rest = versions.as_slice();
    let mut verdicts = Vec::with_capacity(batch.len());
    for (at, request) in batch.iter().enumerate() {
        let end = i64::from(*ends.get(at).ok_or_else(torn)?);
        let (own, others) = rest.split_at_checked(request.commit.streams().count()).ok_or_else(torn)?;
        rest = others;
        let end = if end < 0 { end } else { head + end };
        verdicts.push(verdict(request, end, recorded_at, own)?);
    }
    Ok(verdicts)
}

/// The answer to one commit: where it ends or why it was not stored, and the versions before it.
fn verdict(request: &Request, end: i64, recorded_at: i64, versions: &[i64]) -> Result<Verdict, Failure> {
    Ok(match end {
        -1 => Verdict::Known,
        -2 => Verdict::Answered(Err(conflict(request, versions).ok_or_else(torn)?.into())),
        end => Verdict::Answered(Ok(committed(request, end, recorded_at, versions)?)),
    })
}

/// The first expectation that does not hold.
fn conflict(request: &Request, versions: &[i64]) -> Option<Conflict> {
    request.commit.streams().zip(versions).find_map(|((stream, expected), actual)| {
        let actual = Version(actual.unsigned_abs());
        (!expected.allows(actual)).then(|| Conflict { stream: stream.clone(), expected, actual })
    })
}

fn committed(request: &Request, end: i64, recorded_at: i64, before: &[i64]) -> Result<Committed, Failure> {
    let commit = &request.commit;
    let versions = commit.writes.iter().zip(before).map(|(write, before)| StreamVersion {
        stream: write.stream.clone(),
        version: Version(before.unsigned_abs()).plus(write.events.len()),
    });
    let position = Position::from_number(end.unsigned_abs());
    let recorded_at = recorded_time(recorded_at, At(end))?;
    Ok(Committed::new(commit.id, position, versions.collect(), commit, recorded_at))
}

/// As the answer to a commit that could not be stored, alone in its batch.
pub(crate) fn poison(failure: &Failure, request: &Request) -> Error {
    if let Failure::Postgres(error) = failure
        && let Some(db) = error.as_db_error()
        && db.constraint() == Some("events_by_id")
    {
        // Which one PostgreSQL does not say where row-level security is on.
        let mut ids =
            request.commit.writes.iter().flat_map(|write| &write.events).map(|event| event.event_id);
        return match (ids.next(), ids.next()) {
            (Some(id), None) => Error::invalid(format!("event id {id} is already in the log")),
            _ => Error::invalid("an event id of the commit is already in the log"),
        };
    }
    failure.nothing_stored()
}
