//! What arrived at the receiver, held against what was sent and against what happened to those who brought it.
//!
//! What can be told from outside: the next of a key begins only once it is stored what became of the one before. So
//!
//! - a parcel that comes before the one before it has ended is out of order, whatever happened;
//! - one that comes again after the next has come was done again after it was settled. Only a process that was
//!   stopped or lost its terms, and had begun it before that, may bring it so late;
//! - one that comes again before the next has come may not have been settled: its process was killed or stopped, or
//!   lost its terms. Or its attempt failed after it had arrived, since what follows from it could not be stored: then
//!   the failure was counted, and the number of the attempt says so. Or a scheduler that drives attempts was stopped, or
//!   gave way to another one. Where nothing of that happened it was done twice.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::findings::{Fault, Findings};
use super::receiver::Arrival;

/// How long a process that is killed may have kept to itself that it had lost its terms, in microseconds.
const UNTOLD: u64 = 2_000_000;
/// How long an attempt may go on, and the process that makes it be stopped, in microseconds.
const UNENDED: u64 = 10_000_000;

/// Parcels of one tenant, handler and key.
pub(crate) type Line = (String, String, String);

/// What happened to a process, in microseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    pub(crate) killed: Option<u64>,
    /// When it was stopped, to go on later.
    pub(crate) stopped: Vec<u64>,
    /// When it said that it had lost terms.
    pub(crate) lost_terms: Vec<u64>,
}

impl Account {
    /// Whether an attempt of it may have gone on after its term: it was stopped, or lost its terms, between two
    /// moments.
    fn was_late(&self, from: u64, to: u64) -> bool {
        let from = from.saturating_sub(UNENDED);
        self.stopped.iter().any(|stopped| (from..=to).contains(stopped))
            || self.lost_terms.iter().any(|lost| (from..=to + UNTOLD).contains(lost))
    }

    /// Whether it may have left unsettled what it brought at the first of two moments and was brought again at the
    /// second.
    fn was_disturbed(&self, from: u64, to: u64) -> bool {
        self.was_late(from, to) || self.killed.is_some_and(|killed| killed <= to + UNTOLD)
    }
}

/// All that is known of deliveries.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deliveries {
    /// The numbers that were sent, in order.
    pub(crate) sent: BTreeMap<Line, Vec<u64>>,
    pub(crate) arrivals: Vec<Arrival>,
    /// What happened to those who brought them.
    pub(crate) accounts: HashMap<Uuid, Account>,
    /// When a scheduler was stopped or started, or another one began, in microseconds: it may have forgotten what had
    /// ended and was not settled.
    pub(crate) breaks: Vec<u64>,
}

impl Deliveries {
    /// Looks at all of it.
    pub(crate) fn audit(&self, findings: &mut Findings) {
        let mut lines: BTreeMap<Line, Vec<&Arrival>> = BTreeMap::new();
        for arrival in &self.arrivals {
            let parcel = &arrival.parcel;
            let line = (parcel.tenant.clone(), parcel.handler.clone(), parcel.key.clone());
            lines.entry(line).or_default().push(arrival);
        }
        for line in lines.keys().filter(|line| !self.sent.contains_key(*line)) {
            findings.add(Fault::Untrue, || format!("{line:?} had parcels, and none was sent"));
        }
        findings.delivered += self.arrivals.len() as u64;
        for (line, sent) in &self.sent {
            let arrivals = lines.get(line).map_or(&[][..], Vec::as_slice);
            self.audit_line(line, sent, arrivals, findings);
        }
    }

    fn audit_line(&self, line: &Line, sent: &[u64], arrivals: &[&Arrival], findings: &mut Findings) {
        let places: HashMap<u64, usize> =
            sent.iter().zip(0..).map(|(number, place)| (*number, place)).collect();
        let mut ended: Vec<Option<&Arrival>> = vec![None; sent.len()];
        let mut keys: HashMap<usize, &str> = HashMap::new();
        // The first that has not ended, and the last that has come.
        let (mut next, mut last) = (0, 0);
        for arrival in arrivals {
            let parcel = &arrival.parcel;
            let Some(&place) = places.get(&parcel.number) else {
                findings.add(Fault::Untrue, || format!("{parcel:?} came, and was never sent"));
                continue;
            };
            let key = *keys.entry(place).or_insert(&parcel.idempotency_key);
            if key != parcel.idempotency_key {
                findings.add(Fault::Twice, || format!("{parcel:?} came under another key before, {key}"));
            }
            if place > next {
                findings.add(Fault::Reordered, || {
                    format!("{parcel:?} came before {} of {line:?} had ended", sent[next])
                });
            }
            if place < next {
                findings.repeats += 1;
                self.audit_repeat(arrival, ended[place], place < last, findings);
            }
            last = last.max(place);
            if arrival.answer.is_final() {
                ended[place] = Some(arrival);
            }
            while ended.get(next).is_some_and(Option::is_some) {
                next += 1;
            }
        }
        for (number, _) in sent.iter().zip(&ended).filter(|(_, ended)| ended.is_none()) {
            findings.add(Fault::Lost, || format!("{number} of {line:?} was never brought to its end"));
        }
    }

    /// A parcel that had ended came again; `after_next` where the next of its key has come meanwhile.
    fn audit_repeat(
        &self,
        again: &Arrival,
        first: Option<&Arrival>,
        after_next: bool,
        findings: &mut Findings,
    ) {
        let account = |worker| self.accounts.get(&worker).cloned().unwrap_or_default();
        let is_late = account(again.parcel.worker).was_late(again.at, again.at);
        if after_next {
            findings.late += 1;
            if !is_late {
                findings.add(Fault::Twice, || format!("{:?} came again after the next", again.parcel));
            }
            return;
        }
        let may_be_open = first.is_some_and(|first| {
            let has_failed = first.parcel.attempt < again.parcel.attempt;
            has_failed
                || account(first.parcel.worker).was_disturbed(first.at, again.at)
                || self.breaks.iter().any(|at| (first.at.saturating_sub(UNTOLD)..=again.at).contains(at))
        });
        if !may_be_open && !is_late {
            findings.add(Fault::Twice, || {
                format!("{:?} came again, and nothing had happened to {first:?}", again.parcel)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::receiver::{Answer, Parcel};

    const SECOND: u64 = 1_000_000;

    /// Arrivals of one key, each by its worker, number and answer, a second after the other.
    fn deliveries(arrivals: &[(u128, u64, Answer)]) -> Deliveries {
        let line = ("north".to_owned(), "courier".to_owned(), "1".to_owned());
        let arrival = |(at, (worker, number, answer)): (u64, &(u128, u64, Answer))| Arrival {
            parcel: Parcel {
                worker: Uuid::from_u128(*worker),
                tenant: line.0.clone(),
                handler: line.1.clone(),
                key: line.2.clone(),
                number: *number,
                idempotency_key: format!("key-{number}"),
                attempt: 1,
            },
            answer: *answer,
            at: at * 10 * SECOND,
        };
        let arrivals = (1..).zip(arrivals).map(arrival).collect();
        Deliveries {
            sent: BTreeMap::from([(line.clone(), vec![1, 2, 3])]),
            arrivals,
            ..Deliveries::default()
        }
    }

    fn found(deliveries: &Deliveries) -> [u64; 4] {
        let mut findings = Findings::default();
        deliveries.audit(&mut findings);
        Fault::ALL.map(|fault| findings.count(fault))
    }

    use Answer::{Again, Refused, Silence, Taken};

    #[test]
    fn what_comes_in_order_once_and_again_where_it_was_asked_for_is_clean() {
        let good = [(1, 1, Again), (1, 1, Silence), (1, 1, Taken), (1, 2, Refused), (2, 3, Taken)];
        assert_eq!(found(&deliveries(&good)), [0; 4]);
    }

    #[test]
    fn what_never_comes_to_an_end_is_lost() {
        assert_eq!(found(&deliveries(&[(1, 1, Taken), (1, 2, Taken), (1, 3, Again)])), [1, 0, 0, 0]);
    }

    #[test]
    fn a_repeat_is_explained_by_what_happened_to_the_one_who_was_answered() {
        let mut twice = deliveries(&[(1, 1, Taken), (2, 1, Taken), (2, 2, Taken), (2, 3, Taken)]);
        assert_eq!(found(&twice), [0, 1, 0, 0]);
        twice.accounts.entry(Uuid::from_u128(1)).or_default().killed = Some(15 * SECOND);
        assert_eq!(found(&twice), [0; 4]);
        twice.accounts.clear();
        twice.breaks = vec![15 * SECOND];
        assert_eq!(found(&twice), [0; 4], "a scheduler forgot it");
        twice.breaks = vec![25 * SECOND];
        assert_eq!(found(&twice), [0, 1, 0, 0]);
        // Long after the repeat.
        twice.accounts.entry(Uuid::from_u128(1)).or_default().killed = Some(25 * SECOND);
        assert_eq!(found(&twice), [0, 1, 0, 0]);
        twice.accounts.entry(Uuid::from_u128(1)).or_default().lost_terms = vec![20 * SECOND];
        assert_eq!(found(&twice), [0; 4]);
    }

    #[test]
    fn an_attempt_that_failed_after_it_had_arrived_is_made_again_and_counted() {
        let mut again = deliveries(&[(1, 1, Taken), (1, 1, Taken), (1, 2, Taken), (1, 3, Taken)]);
        again.arrivals[1].parcel.attempt = 2;
        assert_eq!(found(&again), [0; 4]);
        again.arrivals.swap(1, 2);
        assert_eq!(found(&again), [0, 1, 0, 0], "the next had come, so it was settled");
    }

    #[test]
    fn no_kill_explains_what_comes_again_after_the_next() {
        let mut late = deliveries(&[(1, 1, Taken), (2, 2, Taken), (1, 1, Taken), (2, 3, Taken)]);
        late.accounts.entry(Uuid::from_u128(1)).or_default().killed = Some(SECOND);
        assert_eq!(found(&late), [0, 1, 0, 0]);
        late.accounts.entry(Uuid::from_u128(1)).or_default().stopped = vec![25 * SECOND];
        assert_eq!(found(&late), [0; 4]);
        // It had gone on long before.
        late.accounts.entry(Uuid::from_u128(1)).or_default().stopped = vec![15 * SECOND];
        assert_eq!(found(&late), [0, 1, 0, 0]);
    }

    #[test]
    fn what_comes_before_the_one_before_has_ended_is_out_of_order() {
        let overtaken = [(1, 1, Again), (1, 2, Taken), (1, 1, Taken), (1, 3, Taken)];
        assert_eq!(found(&deliveries(&overtaken)), [0, 0, 1, 0]);
    }

    #[test]
    fn what_was_never_sent_and_what_has_two_keys_is_found() {
        let mut untrue = deliveries(&[(1, 1, Taken), (1, 2, Taken), (1, 3, Taken), (1, 4, Taken)]);
        assert_eq!(found(&untrue), [0, 0, 0, 1]);
        untrue.arrivals.pop();
        untrue.arrivals[1].answer = Again;
        untrue.arrivals.insert(2, untrue.arrivals[1].clone());
        untrue.arrivals[2].answer = Taken;
        untrue.arrivals[2].parcel.idempotency_key = "another".to_owned();
        assert_eq!(found(&untrue), [0, 1, 0, 0]);
    }
}
