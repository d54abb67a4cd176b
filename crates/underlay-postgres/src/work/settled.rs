//! What became of pieces of work, as arrays of one call.

use std::collections::HashMap;

use tokio_postgres::types::Type;
use underlay_core::adapter::stored_number;
use underlay_core::limits::WORK_ERROR_BYTES_MAX;
use underlay_core::{Settled, Settlement, ShardTerm};
use uuid::Uuid;

use crate::connections::session::Parameter;
use crate::log::append::small;
use crate::work::sent::stored_shard;

const DONE: &str = "done";
const LATER: &str = "later";
const HELD: &str = "held";
const DEAD: &str = "dead";

/// Terms, and of each piece once what became of it in the end.
#[derive(Default)]
pub(crate) struct SettledArrays {
    term_shards: Vec<i16>,
    term_numbers: Vec<i64>,
    term_workers: Vec<Uuid>,
    terms: Vec<i32>,
    places: Vec<i64>,
    /// `None` where all is done, as the function takes them.
    ends: Option<Ends>,
}

#[derive(Default)]
struct Ends {
    outcomes: Vec<&'static str>,
    due_ats: Vec<Option<i64>>,
    failures: Vec<i32>,
    errors: Vec<Option<String>>,
    finals: Vec<Option<bool>>,
    holds: Vec<Option<bool>>,
}

/// What became of one piece.
#[derive(Default)]
struct End {
    outcome: &'static str,
    due_at: Option<i64>,
    failures: i32,
    error: Option<String>,
    is_final: Option<bool>,
    holds: Option<bool>,
}

impl SettledArrays {
    pub(crate) fn of(settlements: &[Settlement]) -> Self {
        let mut arrays = Self::default();
        let mut terms: HashMap<ShardTerm, i32> = HashMap::new();
        let mut known: HashMap<(i32, i64), usize> = HashMap::new();
        let mut ends: Vec<End> = Vec::with_capacity(settlements.len());
        for Settlement { term, place, settled } in settlements {
            let next = small(terms.len() + 1);
            let number = *terms.entry(*term).or_insert_with(|| {
                arrays.term_shards.push(stored_shard(term.shard));
                arrays.term_numbers.push(stored_number(term.term));
                arrays.term_workers.push(term.worker.0);
                next
            });
            let place = stored_number(place.number());
            let at = *known.entry((number, place)).or_insert_with(|| {
                arrays.terms.push(number);
                arrays.places.push(place);
                ends.push(End::default());
                ends.len() - 1
            });
            if let Some(end) = ends.get_mut(at) {
                end.take_in(settled);
            }
        }
        if ends.iter().any(|end| end.outcome != DONE) {
            arrays.ends = Some(ends.into_iter().fold(Ends::default(), Ends::with));
        }
        arrays
    }

    /// Whether settling them twice is the same as once: an attempt that failed would be counted twice.
    pub(crate) fn may_be_repeated(&self) -> bool {
        self.ends.as_ref().is_none_or(|ends| ends.outcomes.iter().all(|outcome| *outcome != LATER))
    }

    /// As the function takes them, in its order.
    pub(crate) fn parameters(&self) -> Vec<Parameter<'_>> {
        let terms: [Parameter<'_>; 5] = [
            (&self.term_shards, Type::INT2_ARRAY),
            (&self.term_numbers, Type::INT8_ARRAY),
            (&self.term_workers, Type::UUID_ARRAY),
            (&self.terms, Type::INT4_ARRAY),
            (&self.places, Type::INT8_ARRAY),
        ];
        let ends: [Parameter<'_>; 6] = match &self.ends {
            Some(ends) => [
                (&ends.outcomes, Type::TEXT_ARRAY),
                (&ends.due_ats, Type::INT8_ARRAY),
                (&ends.failures, Type::INT4_ARRAY),
                (&ends.errors, Type::TEXT_ARRAY),
                (&ends.finals, Type::BOOL_ARRAY),
                (&ends.holds, Type::BOOL_ARRAY),
            ],
            None => [
                (&None::<Vec<&str>>, Type::TEXT_ARRAY),
                (&None::<Vec<i64>>, Type::INT8_ARRAY),
                (&None::<Vec<i32>>, Type::INT4_ARRAY),
                (&None::<Vec<&str>>, Type::TEXT_ARRAY),
                (&None::<Vec<bool>>, Type::BOOL_ARRAY),
                (&None::<Vec<bool>>, Type::BOOL_ARRAY),
            ],
        };
        terms.into_iter().chain(ends).collect()
    }
}

impl End {
    /// Takes in what became of it, after what became of it before in the same call.
    fn take_in(&mut self, settled: &Settled) {
        // It is gone then, or a person's.
        if self.outcome == DONE || self.outcome == DEAD {
            return;
        }
        let (failures, error) = (self.failures, self.error.take());
        *self = match settled {
            Settled::Done => Self { outcome: DONE, ..Self::default() },
            Settled::Held => Self { outcome: HELD, failures, error, ..Self::default() },
            Settled::Retry { due_at, error } => Self {
                outcome: LATER,
                due_at: Some(due_at.as_microsecond()),
                failures: failures + 1,
                error: Some(stored_error(error)),
                ..Self::default()
            },
            Settled::Dead { error, is_final, holds } => Self {
                outcome: DEAD,
                failures: failures + 1,
                error: Some(stored_error(error)),
                is_final: Some(*is_final),
                holds: Some(*holds),
                ..Self::default()
            },
        };
    }
}

impl Ends {
    fn with(mut self, end: End) -> Self {
        self.outcomes.push(end.outcome);
        self.due_ats.push(end.due_at);
        self.failures.push(end.failures);
        self.errors.push(end.error);
        self.finals.push(end.is_final);
        self.holds.push(end.holds);
        self
    }
}

/// A reason as it is kept: PostgreSQL holds no NUL, and nobody may keep work from being settled by one.
fn stored_error(error: &str) -> String {
    let mut error = error.replace('\0', "\u{fffd}");
    error.truncate(error.floor_char_boundary(WORK_ERROR_BYTES_MAX));
    error
}

#[cfg(test)]
mod tests {
    use underlay_core::{Shard, Timestamp, WorkPlace, WorkerId};

    use super::*;

    fn settlement(place: u64, settled: Settled) -> Settlement {
        let shard = Shard::from_number(3).unwrap();
        let term = ShardTerm { shard, term: 1, worker: WorkerId(Uuid::nil()) };
        Settlement { term, place: WorkPlace::from_number(place), settled }
    }

    fn retry(error: &str) -> Settled {
        Settled::Retry { due_at: Timestamp::UNIX_EPOCH, error: error.to_owned() }
    }

    #[test]
    fn a_place_is_named_once_with_what_became_of_it_in_the_end() {
        let arrays = SettledArrays::of(&[
            settlement(1, retry("first")),
            settlement(2, Settled::Done),
            settlement(1, retry("second")),
            settlement(2, retry("never")),
        ]);
        assert_eq!((arrays.places.as_slice(), arrays.term_shards.as_slice()), ([1, 2].as_slice(), &[3_i16][..]));
        assert!(!arrays.may_be_repeated());
        let ends = arrays.ends.unwrap();
        assert_eq!(ends.outcomes, [LATER, DONE]);
        assert_eq!(ends.failures, [2, 0]);
        assert_eq!(ends.errors, [Some("second".to_owned()), None]);
    }

    #[test]
    fn what_is_all_done_names_nothing_else() {
        let arrays = SettledArrays::of(&[settlement(1, Settled::Done), settlement(2, Settled::Done)]);
        assert!(arrays.ends.is_none() && arrays.may_be_repeated());
    }

    #[test]
    fn a_reason_is_kept_whatever_it_holds() {
        let long = format!("\0{}", "é".repeat(WORK_ERROR_BYTES_MAX));
        let kept = stored_error(&long);
        assert!(kept.starts_with("\u{fffd}é") && kept.len() <= WORK_ERROR_BYTES_MAX, "{}", kept.len());
    }
}
