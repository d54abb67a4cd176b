//! A batch of commits as the arrays of one call, and the answers in what comes back.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};
use underlay_core::{Committed, Conflict, Error, ExpectedVersion, Outcome, Position, StreamVersion, Version};
use uuid::Uuid;

use crate::error::Failure;
use crate::event_row;
use crate::intake::{Answer, Request};
use crate::session::Parameter;

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
    /// Its id was stored before: what was stored is to be looked up.
    Known,
}

/// Writes a batch in one transaction.
///
/// # Errors
/// Where one commit cannot be stored none is; where the connection is lost, all may be.
pub(crate) async fn append(
    client: &Client,
    sql: &str,
    attempt: Attempt,
    stamp: Option<i64>,
    batch: &[&Request],
) -> Result<Vec<Verdict>, Failure> {
    let arrays = Arrays::of(batch);
    let parameters: [Parameter<'_>; 25] = [
        (&attempt.writer, Type::UUID),
        (&attempt.number, Type::INT8),
        (&stamp, Type::INT8),
        (&arrays.tenants, Type::TEXT_ARRAY),
        (&arrays.ids, Type::UUID_ARRAY),
        (&arrays.fingerprints, Type::BYTEA_ARRAY),
        (&arrays.event_counts, Type::INT4_ARRAY),
        (&arrays.codes, Type::TEXT_ARRAY),
        (&arrays.messages, Type::TEXT_ARRAY),
        (&arrays.bodies, Type::TEXT_ARRAY),
        (&arrays.metadata, Type::TEXT_ARRAY),
        (&arrays.expected_commits, Type::INT4_ARRAY),
        (&arrays.expected_tenants, Type::TEXT_ARRAY),
        (&arrays.expected_streams, Type::TEXT_ARRAY),
        (&arrays.expected_versions, Type::INT8_ARRAY),
        (&arrays.event_commits, Type::INT4_ARRAY),
        (&arrays.event_expectations, Type::INT4_ARRAY),
        (&arrays.event_places, Type::INT4_ARRAY),
        (&arrays.event_steps, Type::INT4_ARRAY),
        (&arrays.event_tenants, Type::TEXT_ARRAY),
        (&arrays.event_streams, Type::TEXT_ARRAY),
        (&arrays.event_ids, Type::UUID_ARRAY),
        (&arrays.event_types, Type::TEXT_ARRAY),
        (&arrays.event_schema_versions, Type::INT8_ARRAY),
        (&arrays.event_payloads, Type::TEXT_ARRAY),
    ];
    let row = client.query_typed_one(sql, &parameters).await?;
    verdicts(&row, batch)
}

/// An expected version as the function takes it.
fn expected(version: ExpectedVersion) -> i64 {
    match version {
        ExpectedVersion::Any => -1,
        ExpectedVersion::Exists => -2,
        ExpectedVersion::NoStream => 0,
        ExpectedVersion::Exact(version) => event_row::number(version.0),
    }
}

/// Code, message and body of a refusal.
pub(crate) fn refusal(outcome: &Outcome) -> (Option<&str>, Option<&str>, Option<&str>) {
    match outcome {
        Outcome::Accepted => (None, None, None),
        Outcome::Refused { code, message, body } => (Some(code), Some(message), Some(body.as_str())),
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
    codes: Vec<Option<&'a str>>,
    messages: Vec<Option<&'a str>>,
    bodies: Vec<Option<&'a str>>,
    metadata: Vec<&'a str>,
    expected_commits: Vec<i32>,
    expected_tenants: Vec<&'a str>,
    expected_streams: Vec<&'a str>,
    expected_versions: Vec<i64>,
    event_commits: Vec<i32>,
    event_expectations: Vec<i32>,
    event_places: Vec<i32>,
    event_steps: Vec<i32>,
    event_tenants: Vec<&'a str>,
    event_streams: Vec<&'a str>,
    event_ids: Vec<Uuid>,
    event_types: Vec<&'a str>,
    event_schema_versions: Vec<i64>,
    event_payloads: Vec<&'a str>,
}

impl<'a> Arrays<'a> {
    fn of(batch: &[&'a Request]) -> Self {
        let mut arrays = Self::default();
        for request in batch {
            arrays.push(request);
        }
        arrays
    }

    fn push(&mut self, request: &'a Request) {
        let (tenant, commit) = (request.tenant.as_str(), &request.commit);
        let (code, message, body) = refusal(&commit.outcome);
        self.tenants.push(tenant);
        self.ids.push(commit.id.0);
        self.fingerprints.push(&request.reply.fingerprint.0);
        self.event_counts.push(small(commit.event_count()));
        self.codes.push(code);
        self.messages.push(message);
        self.bodies.push(body);
        self.metadata.push(request.reply.metadata.as_str());
        let number = small(self.ids.len());
        let mut place = 0;
        for write in &commit.writes {
            self.expect(number, tenant, write.stream.as_str(), write.expected);
            let expectation = small(self.expected_streams.len());
            for (step, event) in (1..).zip(&write.events) {
                place += 1;
                self.event_commits.push(number);
                self.event_expectations.push(expectation);
                self.event_places.push(place);
                self.event_steps.push(step);
                self.event_tenants.push(tenant);
                self.event_streams.push(write.stream.as_str());
                self.event_ids.push(event.event_id.0);
                self.event_types.push(event.event_type.as_str());
                self.event_schema_versions.push(event.schema_version.0.into());
                self.event_payloads.push(event.payload.as_str());
            }
        }
        for expectation in &commit.expectations {
            self.expect(number, tenant, expectation.stream.as_str(), expectation.expected);
        }
    }

    fn expect(&mut self, commit: i32, tenant: &'a str, stream: &'a str, version: ExpectedVersion) {
        self.expected_commits.push(commit);
        self.expected_tenants.push(tenant);
        self.expected_streams.push(stream);
        self.expected_versions.push(expected(version));
    }
}

fn verdicts(row: &Row, batch: &[&Request]) -> Result<Vec<Verdict>, Failure> {
    let recorded_at: i64 = row.try_get(0)?;
    let ends: Vec<i64> = row.try_get(1)?;
    let versions: Option<Vec<i64>> = row.try_get(2)?;
    let versions = versions.unwrap_or_default();
    let mut rest = versions.as_slice();
    let torn = || Failure::damaged("the function `append` answered for another batch");
    let mut verdicts = Vec::with_capacity(batch.len());
    for (at, request) in batch.iter().enumerate() {
        let end = *ends.get(at).ok_or_else(torn)?;
        let (own, others) = rest.split_at_checked(request.commit.streams().count()).ok_or_else(torn)?;
        rest = others;
        verdicts.push(match end {
            -1 => Verdict::Known,
            -2 => Verdict::Answered(Err(conflict(request, own).ok_or_else(torn)?.into())),
            end => Verdict::Answered(Ok(committed(request, end, recorded_at, own)?)),
        });
    }
    Ok(verdicts)
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
    let recorded_at = event_row::time(recorded_at, end)?;
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
