//! What the commits of a batch send on, as arrays of one call.

use tokio_postgres::types::Type;
use underlay_core::adapter::{Request, payload_columns};
use underlay_core::{Shard, WorkId};
use uuid::Uuid;

use crate::connections::session::Parameter;
use crate::log::given::{given_where, small};

/// Pieces of work, one entry for each.
#[derive(Default)]
pub(crate) struct SentArrays<'a> {
    commits: Vec<i32>,
    numbers: Vec<i32>,
    shards: Vec<i16>,
    lanes: Vec<i16>,
    ids: Vec<Uuid>,
    kinds: Vec<&'static str>,
    receivers: Vec<&'a str>,
    keys: Vec<&'a str>,
    names: Vec<&'a str>,
    versions: Vec<i64>,
    payloads: Vec<&'a str>,
    /// `None` where every payload is plain.
    encodings: Option<Vec<Option<&'a str>>>,
    key_ids: Option<Vec<Option<&'a str>>>,
    /// `None` where all is due at once.
    due: Option<Vec<Option<i64>>>,
}

impl<'a> SentArrays<'a> {
    pub(crate) fn of(batch: &'a [Request]) -> Self {
        let mut arrays = Self::default();
        for (commit, request) in (1..).zip(batch) {
            arrays.push(commit, request);
        }
        let sent = || batch.iter().flat_map(|request| &request.commit.work);
        if sent().any(|work| !work.payload.is_plain()) {
            let columns = sent().map(|work| payload_columns(&work.payload));
            let (encodings, key_ids) = columns.unzip();
            (arrays.encodings, arrays.key_ids) = (Some(encodings), Some(key_ids));
        }
        if sent().any(|work| work.due_at.is_some()) {
            arrays.due = Some(sent().map(|work| work.due_at.map(|due_at| due_at.as_microsecond())).collect());
        }
        arrays
    }

    fn push(&mut self, commit: i32, request: &'a Request) {
        for (number, work) in (0..).zip(&request.commit.work) {
            self.commits.push(commit);
            self.numbers.push(small(number as usize));
            self.shards.push(stored_shard(Shard::of(&request.tenant, &work.key)));
            self.lanes.push(work.lane.number().into());
            self.ids.push(WorkId::of(&request.tenant, request.commit.id, number).0);
            self.kinds.push(work.kind.name());
            self.receivers.push(&work.receiver);
            self.keys.push(&work.key);
            self.names.push(&work.name);
            self.versions.push(work.version.0.into());
            self.payloads.push(work.payload.text().as_str());
        }
    }

    /// As the function takes them, in its order; NULL where nothing is sent on.
    pub(crate) fn parameters(&self) -> [Parameter<'_>; 14] {
        let is_given = !self.ids.is_empty();
        [
            (given_where(&self.commits, is_given), Type::INT4_ARRAY),
            (given_where(&self.numbers, is_given), Type::INT4_ARRAY),
            (given_where(&self.shards, is_given), Type::INT2_ARRAY),
            (given_where(&self.lanes, is_given), Type::INT2_ARRAY),
            (given_where(&self.ids, is_given), Type::UUID_ARRAY),
            (given_where(&self.kinds, is_given), Type::TEXT_ARRAY),
            (given_where(&self.receivers, is_given), Type::TEXT_ARRAY),
            (given_where(&self.keys, is_given), Type::TEXT_ARRAY),
            (given_where(&self.names, is_given), Type::TEXT_ARRAY),
            (given_where(&self.versions, is_given), Type::INT8_ARRAY),
            (given_where(&self.payloads, is_given), Type::TEXT_ARRAY),
            (&self.encodings, Type::TEXT_ARRAY),
            (&self.key_ids, Type::TEXT_ARRAY),
            (&self.due, Type::INT8_ARRAY),
        ]
    }
}

/// A shard as PostgreSQL holds it: there are few.
pub(crate) fn stored_shard(shard: Shard) -> i16 {
    i16::try_from(shard.number()).unwrap_or(i16::MAX)
}
