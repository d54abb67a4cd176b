//! A batch of commits as one call, and the answers in what comes back: of many commits arrays, of one
//! that is alone its values.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};
use underlay_core::adapter::{Answer, At, FaultHook, Request, payload_columns, recorded_time};
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
use crate::log::given::{Given, expected_number};
use crate::log::seen::Place;
use crate::log::stream_heads::Known;
use crate::migrate::filled;

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
        known: Known,
        batch: &[Request],
    ) -> Result<Vec<Verdict>, Failure> {
        let seen = known.seen;
        let single = match batch {
            [request] if !self.faults.asks(FaultPoint::Alone) => Single::of(request),
            _ => None,
        };
        let appended = match (&single, batch) {
            (Some(single), _) => {
                self.append_one(client, attempt, stamp, seen, single).await.map(|verdict| vec![verdict])
            }
            (None, [request]) if !request.commit.entities.is_empty() => {
                let given = Given::of(batch, attempt, stamp, known);
                self.with_entities.append(sessions, client, request, given).await.map(|verdict| vec![verdict])
            }
            (None, _) => self.append_all(client, attempt, stamp, known, batch).await,
        };
        appended.map_err(|failure| match seen {
            Some(place) if failure.is_raised(raised::OTHER_LOG) => sessions.seen.missing(place),
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
        known: Known,
        batch: &[Request],
    ) -> Result<Vec<Verdict>, Failure> {
        let given = Given::of(batch, attempt, stamp, known);
        let mut parameters = given.parameters();
        parameters.push((&self.longest, Type::INT8));
        let row = client.query_typed_one(&self.batch, &parameters).await?;
        drop(parameters);
        verdicts(&row, batch, given.into_ends())
    }
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

fn torn() -> Failure {
    Failure::damaged("a function answered for another batch")
}

/// The answers of `append_batch`; `ends` are those of a batch that was stored whole.
fn verdicts(row: &Row, batch: &[Request], ends: Vec<i32>) -> Result<Vec<Verdict>, Failure> {
    let (head, recorded_at): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    let ends = row.try_get::<_, Option<Vec<i32>>>(2)?.unwrap_or(ends);
    let versions: Vec<i64> = row.try_get::<_, Option<_>>(3)?.unwrap_or_default();
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

/// The answer to a commit that is alone, as [`verdicts`].
pub(super) fn only_verdict(row: &Row, request: &Request, ends: Vec<i32>) -> Result<Verdict, Failure> {
    let verdicts = verdicts(row, std::slice::from_ref(request), ends)?;
    verdicts.into_iter().next().ok_or_else(torn)
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
