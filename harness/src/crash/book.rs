//! What the outside world knows after a kill: what was sent, and what was promised.

use std::collections::HashMap;

use underlay_core::CommitId;

use super::errand::{Answer, Errand};
use super::teller::TellerLine;
use crate::dice::Dice;

/// Errands that are sent again, given to the next process or sent by this one.
const PAST_MAX: usize = 200;

/// An errand, with the first promise it got.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) errand: Errand,
    pub(crate) answer: Option<Answer>,
}

/// Everything that was sent to one database.
#[derive(Debug, Default)]
pub(crate) struct Book {
    entries: HashMap<CommitId, Entry>,
    /// The ids, in the order they were first sent.
    order: Vec<CommitId>,
    /// How many were first sent before the last process.
    before_last: usize,
    /// What got its promise since the last [`Book::due`].
    recent: Vec<CommitId>,
    /// Answers that were repeats.
    pub(crate) repeats: u64,
    /// Promises.
    pub(crate) acknowledged: u64,
}

impl Book {
    /// Takes in a journal; returns what is wrong in it.
    pub(crate) fn absorb(&mut self, lines: Vec<TellerLine>) -> Vec<String> {
        let mut wrong = Vec::new();
        self.before_last = self.order.len();
        for line in lines {
            match line {
                TellerLine::Sent(errand) => self.note(&errand),
                TellerLine::Answered(errand, answer) => wrong.extend(self.answered(&errand, answer)),
                TellerLine::Wrong(what) => wrong.push(what),
            }
        }
        wrong
    }

    /// Notes that an errand was sent.
    fn note(&mut self, errand: &Errand) {
        let order = &mut self.order;
        self.entries.entry(errand.id).or_insert_with(|| {
            order.push(errand.id);
            Entry { errand: errand.clone(), answer: None }
        });
    }

    /// Notes an answer; returns what is wrong with it.
    pub(crate) fn answered(&mut self, errand: &Errand, answer: Answer) -> Option<String> {
        self.note(errand);
        let entry = self.entries.get_mut(&errand.id)?;
        match (&entry.answer, answer) {
            (_, Answer::Broken(reason)) => Some(format!("{errand:?} was answered by: {reason}")),
            (_, Answer::Open(_)) => None,
            (None, answer) => {
                entry.answer = Some(answer);
                self.recent.push(errand.id);
                self.acknowledged += 1;
                None
            }
            (Some(first), again) => {
                self.repeats += 1;
                (*first != again).then(|| format!("{errand:?} got {again:?}, and {first:?} before"))
            }
        }
    }

    /// An errand that was sent.
    pub(crate) fn find(&self, id: CommitId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// The entries that got their promise since the last call, and some of the others.
    pub(crate) fn due(&mut self, others: usize, dice: &mut Dice) -> Vec<Entry> {
        let mut ids = std::mem::take(&mut self.recent);
        ids.extend((0..others).filter_map(|_| dice.pick(&self.order).copied()));
        ids.iter().filter_map(|id| self.entries.get(id)).cloned().collect()
    }

    /// Errands to be sent again: what the last process left open, in the order it was sent, and some of
    /// all.
    pub(crate) fn past(&self, dice: &mut Dice) -> Vec<Errand> {
        let open = self.order.iter().skip(self.before_last).filter_map(|id| self.entries.get(id));
        let open = open.filter(|entry| entry.answer.is_none()).take(PAST_MAX);
        let mut past: Vec<Errand> = open.map(|entry| entry.errand.clone()).collect();
        while past.len() < PAST_MAX.min(self.order.len()) {
            let entry = dice.pick(&self.order).and_then(|id| self.entries.get(id));
            past.extend(entry.map(|entry| entry.errand.clone()));
        }
        past
    }
}
