//! What became of pieces of work, as arrays of one call.

use std::collections::HashMap;
use std::time::Duration;

use tokio_postgres::types::Type;
use underlay_core::adapter::stored_number;
use underlay_core::{Settled, Settlement, ShardTerm, Timestamp, WorkPlace, kept_work_error};
use uuid::Uuid;

use crate::connections::session::Parameter;
use crate::log::given::small;
use crate::work::sent::stored_shard;

const DONE: &str = "done";
const LATER: &str = "later";
const HELD: &str = "held";
const DEAD: &str = "dead";

/// Terms, and pieces with the numbers of their terms.
#[derive(Default)]
pub(crate) struct TermArrays {
    term_shards: Vec<i16>,
    term_numbers: Vec<i64>,
    term_workers: Vec<Uuid>,
    terms: Vec<i32>,
    places: Vec<i64>,
}

/// Terms, and of each piece what became of it.
pub(crate) struct SettledArrays {
    pieces: TermArrays,
    /// `None` where all is done.
    ends: Option<Ends>,
}

#[derive(Default)]
struct Ends {
    outcomes: Vec<&'static str>,
    delays: Vec<Option<i64>>,
    errors: Vec<Option<String>>,
    finals: Vec<Option<bool>>,
    holds: Vec<Option<bool>>,
}

impl TermArrays {
    pub(crate) fn of(pieces: impl Iterator<Item = (ShardTerm, WorkPlace)>) -> Self {
        let mut arrays = Self::default();
        let mut terms: HashMap<ShardTerm, i32> = HashMap::new();
        for (term, place) in pieces {
            let next = small(terms.len() + 1);
            let number = *terms.entry(term).or_insert_with(|| {
                arrays.term_shards.push(stored_shard(term.shard));
                arrays.term_numbers.push(stored_number(term.term));
                arrays.term_workers.push(term.worker.0);
                next
            });
            arrays.terms.push(number);
            arrays.places.push(stored_number(place.number()));
        }
        arrays
    }

    /// As functions take them, in their order.
    pub(crate) fn parameters(&self) -> [Parameter<'_>; 5] {
        [
            (&self.term_shards, Type::INT2_ARRAY),
            (&self.term_numbers, Type::INT8_ARRAY),
            (&self.term_workers, Type::UUID_ARRAY),
            (&self.terms, Type::INT4_ARRAY),
            (&self.places, Type::INT8_ARRAY),
        ]
    }
}

impl SettledArrays {
    pub(crate) fn of(settlements: &[Settlement]) -> Self {
        let pieces = TermArrays::of(settlements.iter().map(|one| (one.term, one.place)));
        let ends = settlements.iter().any(|settlement| settlement.settled != Settled::Done).then(|| {
            let mut ends = Ends::default();
            settlements.iter().for_each(|settlement| ends.push(&settlement.settled));
            ends
        });
        Self { pieces, ends }
    }

    /// Whether settling them twice is the same as once: an attempt that failed would be counted twice.
    pub(crate) fn may_be_repeated(&self) -> bool {
        self.ends.as_ref().is_none_or(|ends| !ends.outcomes.contains(&LATER))
    }

    /// As the statement takes them, in its order.
    pub(crate) fn parameters(&self) -> Vec<Parameter<'_>> {
        let ends: [Parameter<'_>; 5] = match &self.ends {
            Some(ends) => [
                (&ends.outcomes, Type::TEXT_ARRAY),
                (&ends.delays, Type::INT8_ARRAY),
                (&ends.errors, Type::TEXT_ARRAY),
                (&ends.finals, Type::BOOL_ARRAY),
                (&ends.holds, Type::BOOL_ARRAY),
            ],
            None => [
                (&None::<Vec<&str>>, Type::TEXT_ARRAY),
                (&None::<Vec<i64>>, Type::INT8_ARRAY),
                (&None::<Vec<&str>>, Type::TEXT_ARRAY),
                (&None::<Vec<bool>>, Type::BOOL_ARRAY),
                (&None::<Vec<bool>>, Type::BOOL_ARRAY),
            ],
        };
        self.pieces.parameters().into_iter().chain(ends).collect()
    }
}

impl Ends {
    fn push(&mut self, settled: &Settled) {
        let (outcome, delay, error, is_final, holds) = match settled {
            Settled::Done => (DONE, None, None, None, None),
            Settled::Held => (HELD, None, None, None, None),
            Settled::Retry { delay, error } => (LATER, Some(microseconds(*delay)), Some(error), None, None),
            Settled::Dead { error, is_final, holds } => {
                (DEAD, None, Some(error), Some(*is_final), Some(*holds))
            }
        };
        self.outcomes.push(outcome);
        self.delays.push(delay);
        self.errors.push(error.map(|error| kept_work_error(error)));
        self.finals.push(is_final);
        self.holds.push(holds);
    }
}

/// A delay, of which no more is kept than there is time: the statement adds it to a moment.
fn microseconds(delay: Duration) -> i64 {
    let longest = Timestamp::MAX.as_microsecond();
    i64::try_from(delay.as_micros()).map_or(longest, |delay| delay.min(longest))
}
