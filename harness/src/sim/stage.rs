//! What a run of one seed has only once: time, the outside, the trace, and what was found.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{DefaultHasher, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use underlay_core::{CommitId, HeldShard, LeaseTerm, Shard, ShardTerm, TenantId, Timestamp, Work, WorkPlace};

use super::agenda::Agenda;
use super::mistakes::Mistake;
use super::outside::Outside;
use super::world::Happening;

/// What the engine promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Promise {
    /// A command is decided once, however often and by whatever way it is given.
    Once,
    /// Every event is folded into every row once.
    ViewsExactlyOnce,
    /// What was sent arrives, or is a dead letter.
    NothingDropped,
    /// What belongs to one key arrives in its order.
    Order,
    /// Whoever lost a term stores nothing under it.
    Terms,
    /// No cent is made or lost.
    Money,
    /// Everything comes to its end.
    NotStuck,
    /// A scheduled moment is submitted once, and none is left out.
    Schedules,
    /// Nobody gets an answer that is not true.
    Answers,
}

impl Promise {
    fn sentence(self) -> &'static str {
        match self {
            Self::Once => "a command is decided once (G5)",
            Self::ViewsExactlyOnce => "views reflect every event once (G6)",
            Self::NothingDropped => "what was sent arrives, or is a dead letter (G7)",
            Self::Order => "what belongs to one key arrives in order (G7)",
            Self::Terms => "nothing is stored under a term that is over (G7)",
            Self::Money => "no money is made or lost",
            Self::NotStuck => "everything comes to its end",
            Self::Schedules => "every scheduled moment is submitted once",
            Self::Answers => "answers are true",
        }
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    pub(crate) promise: Promise,
    pub(crate) what: String,
}

/// A term, and until when it holds, in microseconds.
type Held<T> = (T, i64);

#[derive(Default)]
struct Seen {
    lines: Vec<String>,
    hasher: DefaultHasher,
    breaches: Vec<Breach>,
    faults: u64,
    shards: BTreeMap<Shard, Held<ShardTerm>>,
    leases: BTreeMap<String, Held<LeaseTerm>>,
    /// Commits in the order in which the store took them.
    commits: Vec<(TenantId, CommitId)>,
    /// Dead letters that the operator saw, by tenant and key: so many.
    letters: BTreeMap<(String, String), BTreeSet<WorkPlace>>,
}

/// What there is once.
pub(crate) struct Stage {
    pub(crate) agenda: Arc<Agenda<Happening>>,
    pub(crate) outside: Outside,
    pub(crate) mistake: Option<Mistake>,
    /// Nothing fails any more.
    is_calm: AtomicBool,
    began: i64,
    seen: Mutex<Seen>,
}

impl Stage {
    pub(crate) fn new(now: Timestamp, mistake: Option<Mistake>) -> Self {
        Self {
            agenda: Arc::new(Agenda::new(now)),
            outside: Outside::default(),
            mistake,
            is_calm: AtomicBool::new(false),
            began: now.as_microsecond(),
            seen: Mutex::default(),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a line in the trace.
    pub(crate) fn tell(&self, who: impl fmt::Display, what: impl fmt::Display) {
        let passed = self.agenda.now() - self.began;
        let line = format!("{:>4}.{:06} {who} {what}", passed / 1_000_000, passed % 1_000_000);
        let mut seen = self.seen();
        seen.hasher.write(line.as_bytes());
        seen.hasher.write_u8(b'\n');
        seen.lines.push(line);
    }

    /// Something failed on purpose.
    pub(crate) fn fault(&self, who: impl fmt::Display, what: impl fmt::Display) {
        self.seen().faults += 1;
        self.tell(who, what);
    }

    /// A promise was broken.
    pub(crate) fn breach(&self, promise: Promise, what: impl fmt::Display) {
        let what = what.to_string();
        self.tell("!", format_args!("{promise}: {what}"));
        self.seen().breaches.push(Breach { promise, what });
    }

    pub(crate) fn has_breach(&self) -> bool {
        !self.seen().breaches.is_empty()
    }

    pub(crate) fn calm_down(&self) {
        self.is_calm.store(true, Ordering::SeqCst);
        self.tell("-", "nothing fails any more");
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.is_calm.load(Ordering::SeqCst)
    }

    /// A commit was stored for the first time.
    pub(crate) fn committed(&self, tenant: &TenantId, id: CommitId) {
        self.seen().commits.push((tenant.clone(), id));
    }

    /// The commits, in the order in which the store took them.
    pub(crate) fn commits(&self) -> Vec<(TenantId, CommitId)> {
        self.seen().commits.clone()
    }

    /// The operator saw a dead letter.
    pub(crate) fn letter(&self, work: &Work) {
        let line = (work.tenant.as_str().to_owned(), format!("{} {}", work.sent.receiver, work.sent.key));
        self.seen().letters.entry(line).or_default().insert(work.place);
    }

    /// How many pieces of a receiver and key the operator saw as dead letters.
    pub(crate) fn letters(&self, tenant: &str, receiver: &str, key: &str) -> usize {
        let line = (tenant.to_owned(), format!("{receiver} {key}"));
        self.seen().letters.get(&line).map_or(0, BTreeSet::len)
    }

    /// The store has said what a worker holds.
    pub(crate) fn shared(&self, held: &[HeldShard], until: i64) {
        let now = self.agenda.now();
        let mut seen = self.seen();
        let mut doubled = Vec::new();
        for HeldShard { term, .. } in held {
            let before = seen.shards.insert(term.shard, (*term, until));
            if let Some((before, ends)) = before
                && before != *term
                && (ends > now || before.term >= term.term)
            {
                doubled.push((before, *term));
            }
        }
        drop(seen);
        for (before, term) in doubled {
            let what = format!(
                "shard {} was given away in term {} and again in {}",
                term.shard, before.term, term.term
            );
            self.breach(Promise::Terms, what);
        }
    }

    /// A worker has given a shard back.
    pub(crate) fn released(&self, gives_back: impl Fn(&ShardTerm) -> bool) {
        for (term, until) in self.seen().shards.values_mut() {
            if gives_back(term) {
                *until = i64::MIN;
            }
        }
    }

    /// Something was settled under a term.
    pub(crate) fn settled_under(&self, term: ShardTerm) {
        let now = self.agenda.now();
        let holds =
            self.seen().shards.get(&term.shard).is_some_and(|(held, until)| *held == term && *until > now);
        if !holds {
            let (shard, number) = (term.shard, term.term);
            self.breach(
                Promise::Terms,
                format!("work of shard {shard} was settled under term {number}, which is over"),
            );
        }
    }

    /// A lease was taken or renewed.
    pub(crate) fn leased(&self, term: LeaseTerm, until: i64) {
        self.seen().leases.insert(term.name.clone(), (term, until));
    }

    /// A lease was given back.
    pub(crate) fn lease_released(&self, term: &LeaseTerm) {
        if let Some((held, until)) = self.seen().leases.get_mut(&term.name)
            && held == term
        {
            *until = i64::MIN;
        }
    }

    /// Something was stored under a lease.
    pub(crate) fn stored_under(&self, term: &LeaseTerm) {
        let now = self.agenda.now();
        let holds =
            self.seen().leases.get(&term.name).is_some_and(|(held, until)| held == term && *until > now);
        if !holds {
            let LeaseTerm { name, term, .. } = term;
            self.breach(Promise::Terms, format!("{name} was stored under term {term}, which is over"));
        }
    }

    /// What there is to tell of the run.
    pub(crate) fn take(&self) -> (Vec<String>, u64, Vec<Breach>, u64) {
        let mut seen = self.seen();
        let hash = seen.hasher.finish();
        (std::mem::take(&mut seen.lines), hash, std::mem::take(&mut seen.breaches), seen.faults)
    }
}
