//! A batch of commits as the functions of the log take it: arrays that run in parallel.

use tokio_postgres::types::{ToSql, Type};
use underlay_core::ExpectedVersion;
use underlay_core::adapter::{Request, payload_columns, refusal_columns, stored_number};
use uuid::Uuid;

use crate::connections::session::Parameter;
use crate::log::append::Attempt;
use crate::log::stream_heads::Known;
use crate::work::sent::SentArrays;

/// A batch as the functions take it.
pub(super) struct Given<'a> {
    attempt: Attempt,
    stamp: Option<i64>,
    seen_position: Option<i64>,
    seen_event: Option<Uuid>,
    known_versions: Option<Vec<Option<i64>>>,
    arrays: Arrays<'a>,
    has_refusals: bool,
    is_plain: bool,
    sent: SentArrays<'a>,
    naming: NamingArrays,
}

impl<'a> Given<'a> {
    pub(super) fn of(
        batch: &'a [Request],
        attempt: Attempt,
        stamp: Option<i64>,
        Known { seen, versions }: Known,
    ) -> Self {
        let arrays = Arrays::of(batch);
        Self {
            attempt,
            stamp,
            seen_position: seen.map(|place| place.position),
            seen_event: seen.map(|place| place.event),
            known_versions: versions,
            has_refusals: arrays.codes.iter().any(Option::is_some),
            is_plain: arrays.encodings.iter().all(Option::is_none)
                && arrays.key_ids.iter().all(Option::is_none),
            arrays,
            sent: SentArrays::of(batch),
            naming: NamingArrays::of(batch),
        }
    }

    /// The parameters of `append_batch`, in its order.
    pub(super) fn parameters(&self) -> Vec<Parameter<'_>> {
        let arrays = &self.arrays;
        let mut parameters: Vec<Parameter<'_>> = vec![
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
            (given_where(&arrays.encodings, !self.is_plain), Type::TEXT_ARRAY),
            (given_where(&arrays.key_ids, !self.is_plain), Type::TEXT_ARRAY),
            (&self.seen_position, Type::INT8),
            (&self.seen_event, Type::UUID),
            (&self.known_versions, Type::INT8_ARRAY),
        ];
        parameters.extend(self.naming.parameters());
        parameters.extend(self.sent.parameters());
        parameters
    }

    /// How many events there are up to the end of each commit.
    pub(super) fn into_ends(self) -> Vec<i32> {
        self.arrays.ends
    }
}

/// An array, or NULL where it says nothing.
pub(crate) fn given_where<A: ToSql + Sync>(array: &A, is_given: bool) -> &(dyn ToSql + Sync) {
    if is_given { array } else { &None::<A> }
}

/// An expected version as the function takes it.
pub(super) fn expected_number(version: ExpectedVersion) -> i64 {
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
    fn of(batch: &[Request]) -> Self {
        let mut arrays = Self::default();
        for (number, request) in (1..).zip(batch) {
            if let Some(agreement) = request.commit.agreement {
                arrays.commits.push(number);
                arrays.named.push(agreement.with.0);
                arrays.yields.push(agreement.yields);
            }
        }
        arrays
    }

    /// As the function takes them, in its order; NULL where no commit names another.
    fn parameters(&self) -> [Parameter<'_>; 3] {
        let is_given = !self.commits.is_empty();
        [
            (given_where(&self.commits, is_given), Type::INT4_ARRAY),
            (given_where(&self.named, is_given), Type::UUID_ARRAY),
            (given_where(&self.yields, is_given), Type::BOOL_ARRAY),
        ]
    }
}
