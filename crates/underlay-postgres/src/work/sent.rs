//! What the commits of a batch send on, as arrays of one call.

use tokio_postgres::types::Type;
use underlay_core::adapter::{Request, payload_columns};
use underlay_core::{Shard, WorkId};
use uuid::Uuid;

use crate::connections::session::Parameter;
use crate::log::given::small;

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

    pub(crate) fn is_empty(&self) -> bool {
        self.ids.is_empty()
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

    /// As the function takes them, in its order.
    pub(crate) fn parameters(&self) -> [Parameter<'_>; 14] {
        [
            (&self.commits, Type::INT4_ARRAY),
            (&self.numbers, Type::INT4_ARRAY),
            (&self.shards, Type::INT2_ARRAY),
            (&self.lanes, Type::INT2_ARRAY),
            (&self.ids, Type::UUID_ARRAY),
            (&self.kinds, Type::TEXT_ARRAY),
            (&self.receivers, Type::TEXT_ARRAY),
            (&self.keys, Type::TEXT_ARRAY),
            (&self.names, Type::TEXT_ARRAY),
            (&self.versions, Type::INT8_ARRAY),
            (&self.payloads, Type::TEXT_ARRAY),
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
