//! Which waiting commits go into the next group commit. Pure: no clock, no thread, no I/O; every
//! adapter with a committer drives one [`BatchQueue`] behind its own lock and signal.
//!
//! The rules:
//! - A batch is whatever waits, up to [`BatchLimits`]; there is no timer.
//! - Tenants take turns, one commit each: whose last turn is longest ago has the next one, and a batch
//!   goes on where the one before it was full. Of two tenants that always have something that may join,
//!   neither gets more than one commit ahead; of n tenants each has its turn within n commits.
//! - Of a tenant's commits that touch one stream, a batch holds one, unless none of them writes it;
//!   a later one waits for the next batch, in order. The same goes for a commit id: the repeat is
//!   answered from the table of outcomes by the next batch, and so is a commit that names another one.
//! - One that expects a version a stream is known to be past stores nothing: it is a repeat or a
//!   conflict, whatever is beside it. All of those join at once, so that many who wanted to be the next
//!   on a stream hear within one batch that somebody else was.
//! - Where a queue tells them in turns, a batch holds one of those for each stream, in order. The one that was told
//!   comes again with the version that counts, while the others need not: told at once, all of them would come
//!   again for the same version, and all but one would conflict once more. While nobody writes the stream
//!   each batch tells twice as many as the one before, and of a tenant at most 64 are kept waiting.
//! - A full queue refuses at once, with the name of the limit; nothing grows.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::words::{Commit, CommitId, Committed, Error, ExpectedVersion, StreamName, TenantId, Version};

/// Commits of a tenant that can only conflict and that one batch keeps waiting for their turns.
const KEPT_WAITING_MAX: usize = 64;
/// Streams whose versions are remembered because commits wait for each other there.
const CONTENDED_STREAMS_MAX: usize = 1_024;

/// The bounds of a [`BatchQueue`].
#[derive(Clone, Debug)]
pub struct BatchLimits {
    /// Commits that may wait.
    pub queue_items_max: usize,
    /// Bytes that may wait.
    pub queue_bytes_max: usize,
    /// Commits of one tenant that may wait: the rest is kept for the others.
    pub tenant_items_max: usize,
    /// Bytes of one tenant that may wait.
    pub tenant_bytes_max: usize,
    /// Commits in one batch; there is always one.
    pub batch_items_max: usize,
    /// Bytes in one batch, past the first commit.
    pub batch_bytes_max: usize,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self {
            queue_items_max: 8_192,
            queue_bytes_max: 128 << 20,
            tenant_items_max: 4_096,
            tenant_bytes_max: 64 << 20,
            batch_items_max: 512,
            batch_bytes_max: 16 << 20,
        }
    }
}

/// A commit that waits, with the place to send its answer to.
#[derive(Debug)]
pub struct Queued<T> {
    /// Whose commit it is.
    pub tenant: TenantId,
    /// The commit.
    pub commit: Commit,
    /// Where the answer goes.
    pub reply: T,
    bytes: usize,
}

#[derive(Debug)]
struct Line<T> {
    waiting: VecDeque<Queued<T>>,
    bytes: usize,
}

/// Commits that wait, by tenant.
#[derive(Debug)]
pub struct BatchQueue<T> {
    limits: BatchLimits,
    lines: HashMap<TenantId, Line<T>>,
    /// The tenants that have a line, who has waited longest for a turn first.
    turns: VecDeque<TenantId>,
    items: usize,
    bytes: usize,
    contended: Contended,
}

impl<T> BatchQueue<T> {
    /// An empty queue.
    #[must_use]
    pub fn new(limits: BatchLimits) -> Self {
        Self {
            limits,
            lines: HashMap::new(),
            turns: VecDeque::new(),
            items: 0,
            bytes: 0,
            contended: Contended::default(),
        }
    }

    /// This one, telling conflicts in turns. Who was told comes again with the version in the conflict, so it is for
    /// whoever puts the newest there: see [`BatchQueue::version`].
    #[must_use]
    pub fn telling_in_turns(mut self) -> Self {
        self.contended.in_turns = true;
        self
    }

    /// How far a stream is at least that commits have waited for.
    #[must_use]
    pub fn version(&self, tenant: &TenantId, stream: &StreamName) -> Option<Version> {
        self.contended.version(tenant, stream)
    }

    /// How many commits wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items == 0
    }

    /// Puts a commit at the end of its tenant's line.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where a limit is reached, with the reply place given back.
    pub fn push(&mut self, tenant: TenantId, commit: Commit, reply: T) -> Result<(), (Error, T)> {
        let bytes = commit.bytes();
        let (line_items, line_bytes) =
            self.lines.get(&tenant).map_or((0, 0), |line| (line.waiting.len(), line.bytes));
        let limits = &self.limits;
        let reached = [
            ("queue_items_max", self.items + 1, limits.queue_items_max),
            ("queue_bytes_max", self.bytes + bytes, limits.queue_bytes_max),
            ("tenant_items_max", line_items + 1, limits.tenant_items_max),
            ("tenant_bytes_max", line_bytes + bytes, limits.tenant_bytes_max),
        ]
        .into_iter()
        .find(|(_, actual, limit)| actual > limit);
        if let Some((name, _, limit)) = reached {
            let reason = format!("the commit queue is full ({name} = {limit})");
            return Err((Error::overloaded(reason, std::time::Duration::from_secs(1)), reply));
        }
        self.items += 1;
        self.bytes += bytes;
        let line = self.lines.entry(tenant.clone()).or_insert_with(|| {
            self.turns.push_back(tenant.clone());
            Line { waiting: VecDeque::new(), bytes: 0 }
        });
        line.bytes += bytes;
        line.waiting.push_back(Queued { tenant, commit, reply, bytes });
        Ok(())
    }

    /// Takes the next batch; empty only where nothing waits. It looks at the tenants that may join, and
    /// not at those who wait behind a batch that is full.
    pub fn take(&mut self) -> Vec<Queued<T>> {
        let mut batch: Vec<Queued<T>> = Vec::new();
        let mut batch_bytes = 0;
        self.contended.batches += 1;
        let mut rounds: HashMap<TenantId, Round<T>> = HashMap::new();
        // Tenants whose lines hold nothing more that may join, in the order of their turns. Each was
        // served, longer ago than whoever stands in `turns` by then.
        let mut considered: VecDeque<TenantId> = VecDeque::new();
        // One always fits, or what waits would wait for ever.
        while batch.is_empty()
            || (batch.len() < self.limits.batch_items_max && batch_bytes < self.limits.batch_bytes_max)
        {
            let Some(tenant) = self.turns.pop_front() else { break };
            let Some(line) = self.lines.get_mut(&tenant) else { continue };
            let round = rounds.entry(tenant.clone()).or_default();
            match next_joinable(line, &mut self.contended, round, self.limits.batch_items_max.max(1)) {
                Some(queued) => {
                    batch_bytes += queued.bytes;
                    batch.push(queued);
                    if !(line.waiting.is_empty() && round.passed.is_empty()) {
                        self.turns.push_back(tenant);
                    }
                }
                None => considered.push_back(tenant),
            }
        }
        for (tenant, round) in rounds {
            round.passed.iter().for_each(|queued| self.contended.watch(queued));
            let Some(line) = self.lines.get_mut(&tenant) else { continue };
            for queued in round.passed.into_iter().rev() {
                line.bytes += queued.bytes;
                line.waiting.push_front(queued);
            }
            if line.waiting.is_empty() {
                self.lines.remove(&tenant);
            }
        }
        if !considered.is_empty() {
            considered.append(&mut self.turns);
            self.turns = considered;
        }
        self.items -= batch.len();
        self.bytes -= batch_bytes;
        batch
    }

    /// Takes in what commits were answered: it tells how far streams are that others wait for.
    pub fn learn<'a>(
        &mut self,
        answers: impl IntoIterator<Item = (&'a TenantId, &'a Result<Committed, Error>)>,
    ) {
        for (tenant, answer) in answers {
            match answer {
                Ok(committed) => {
                    for written in &committed.versions {
                        self.contended.learn(tenant, &written.stream, written.version);
                    }
                }
                Err(Error::Conflict(conflict)) => {
                    self.contended.learn(tenant, &conflict.stream, conflict.actual);
                }
                Err(_) => {}
            }
        }
    }

    /// Takes everything that waits, batch rules aside: a committer that ends answers them all.
    pub fn drain(&mut self) -> Vec<Queued<T>> {
        self.items = 0;
        self.bytes = 0;
        self.turns.clear();
        self.lines.drain().flat_map(|(_, line)| line.waiting).collect()
    }
}

/// What a batch has come to of one tenant's line.
struct Round<T> {
    touched: Touched,
    /// What was passed over, to be put back in order.
    passed: Vec<Queued<T>>,
    /// How many of those only wait for their turn to be told a conflict.
    kept_waiting: usize,
}

impl<T> Default for Round<T> {
    fn default() -> Self {
        Self { touched: Touched::default(), passed: Vec::new(), kept_waiting: 0 }
    }
}

/// Streams and ids of one tenant that the batch, or a commit passed over, has touched.
#[derive(Default)]
struct Touched {
    ids: HashSet<CommitId>,
    /// Ids that commits must agree with.
    named: HashSet<CommitId>,
    written: HashSet<StreamName>,
    expected: HashSet<StreamName>,
}

impl Touched {
    fn allows(&self, commit: &Commit) -> bool {
        self.allows_id(commit)
            && commit
                .writes
                .iter()
                .all(|write| !self.written.contains(&write.stream) && !self.expected.contains(&write.stream))
            && commit.expectations.iter().all(|expectation| !self.written.contains(&expectation.stream))
    }

    /// Whether neither the commit nor the one it names is there, nor any that names it.
    fn allows_id(&self, commit: &Commit) -> bool {
        !self.ids.contains(&commit.id)
            && !self.named.contains(&commit.id)
            && commit.agreement.is_none_or(|agreement| !self.ids.contains(&agreement.with))
    }

    fn add_id(&mut self, commit: &Commit) {
        self.ids.insert(commit.id);
        self.named.extend(commit.agreement.map(|agreement| agreement.with));
    }

    fn add(&mut self, commit: &Commit) {
        self.add_id(commit);
        self.written.extend(commit.writes.iter().map(|write| write.stream.clone()));
        self.expected.extend(commit.expectations.iter().map(|expectation| expectation.stream.clone()));
    }
}

/// How far streams are at least that commits have waited for; versions only grow.
#[derive(Debug, Default)]
struct Contended {
    tenants: HashMap<TenantId, HashMap<StreamName, Watched>>,
    streams: usize,
    /// Whether those that can only conflict are told in turns.
    in_turns: bool,
    /// Batches that were begun.
    batches: u64,
}

/// A stream that commits have waited for.
#[derive(Debug, Default)]
struct Watched {
    version: Version,
    /// The last batch that had to do with it, and the version then.
    batch: u64,
    version_then: Version,
    /// In how many of those, one after the other, the version was the same.
    quiet: u32,
    /// How many that batch may still tell.
    turns: usize,
}

impl Watched {
    /// Whether this batch tells one more.
    fn has_turn(&mut self, batch: u64) -> bool {
        if self.batch != batch {
            self.quiet = if self.version > self.version_then { 0 } else { self.quiet.saturating_add(1) };
            (self.batch, self.version_then) = (batch, self.version);
            // Who was told in the batch before comes with this one, and writes at its end.
            self.turns = 1 << self.quiet.saturating_sub(1).min(KEPT_WAITING_MAX.ilog2());
        }
        let has_turn = self.turns > 0;
        self.turns = self.turns.saturating_sub(1);
        has_turn
    }
}

impl Contended {
    /// Remembers the streams of a commit that was passed over, where what it expects can be outdated.
    fn watch<T>(&mut self, queued: &Queued<T>) {
        for (stream, expected) in queued.commit.streams() {
            if last_allowed(expected).is_none() || self.version(&queued.tenant, stream).is_some() {
                continue;
            }
            if self.streams == CONTENDED_STREAMS_MAX {
                // Those that still matter come again with the next batch.
                self.tenants.clear();
                self.streams = 0;
            }
            self.streams += 1;
            let streams = self.tenants.entry(queued.tenant.clone()).or_default();
            streams.insert(stream.clone(), Watched::default());
        }
    }

    fn learn(&mut self, tenant: &TenantId, stream: &StreamName, version: Version) {
        let known = self.tenants.get_mut(tenant).and_then(|streams| streams.get_mut(stream));
        if let Some(known) = known {
            known.version = version.max(known.version);
        }
    }

    fn version(&self, tenant: &TenantId, stream: &StreamName) -> Option<Version> {
        Some(self.tenants.get(tenant)?.get(stream)?.version)
    }

    /// The first stream that is past the version a commit expects of it.
    fn outdated(&mut self, tenant: &TenantId, commit: &Commit) -> Option<&mut Watched> {
        let streams = self.tenants.get_mut(tenant)?;
        let (outdated, _) = commit.streams().find(|(stream, expected)| {
            let (last, known) = (last_allowed(*expected), streams.get(*stream));
            last.zip(known).is_some_and(|(last, known)| last < known.version)
        })?;
        streams.get_mut(outdated)
    }
}

/// The last version an expectation allows; `None` where every later one is allowed too.
fn last_allowed(expected: ExpectedVersion) -> Option<Version> {
    match expected {
        ExpectedVersion::Exact(version) => Some(version),
        ExpectedVersion::NoStream => Some(Version::NONE),
        ExpectedVersion::Any | ExpectedVersion::Exists => None,
    }
}

/// The first commit of a line that may join, looking past at most `look_max` that may not.
fn next_joinable<T>(
    line: &mut Line<T>,
    contended: &mut Contended,
    Round { touched, passed, kept_waiting }: &mut Round<T>,
    look_max: usize,
) -> Option<Queued<T>> {
    let (in_turns, batch) = (contended.in_turns, contended.batches);
    while passed.len() < look_max {
        let queued = line.waiting.pop_front()?;
        line.bytes -= queued.bytes;
        let allowed = if let Some(stream) = contended.outdated(&queued.tenant, &queued.commit) {
            let has_turn = !in_turns || *kept_waiting >= KEPT_WAITING_MAX || stream.has_turn(batch);
            *kept_waiting += usize::from(!has_turn);
            let allowed = has_turn && touched.allows_id(&queued.commit);
            touched.add_id(&queued.commit);
            allowed
        } else {
            let allowed = touched.allows(&queued.commit);
            touched.add(&queued.commit);
            allowed
        };
        if allowed {
            return Some(queued);
        }
        passed.push(queued);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{EventType, ExpectedVersion, Json, NewEvent, SchemaVersion};

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    fn write(stream: &str) -> Commit {
        let event =
            NewEvent::new(EventType::new("noted").unwrap(), SchemaVersion(1), Json::encode(&1).unwrap());
        Commit::new(CommitId::draw()).append(
            StreamName::parse(stream).unwrap(),
            ExpectedVersion::Any,
            vec![event],
        )
    }

    fn queue(pushed: Vec<(&str, Commit)>) -> BatchQueue<usize> {
        let mut queue = BatchQueue::new(BatchLimits::default());
        for (number, (owner, commit)) in pushed.into_iter().enumerate() {
            queue.push(tenant(owner), commit, number).unwrap();
        }
        queue
    }

    fn numbers(batch: &[Queued<usize>]) -> Vec<usize> {
        batch.iter().map(|queued| queued.reply).collect()
    }

    #[test]
    fn a_stream_is_written_once_a_batch_and_in_order() {
        let mut queue =
            queue(vec![("t", write("a-1")), ("t", write("a-1")), ("t", write("a-2")), ("t", write("a-1"))]);
        assert_eq!(numbers(&queue.take()), [0, 2]);
        assert_eq!(numbers(&queue.take()), [1]);
        assert_eq!(numbers(&queue.take()), [3]);
        assert!(queue.is_empty() && queue.take().is_empty());
    }

    #[test]
    fn a_commit_passed_over_holds_back_later_ones_on_its_streams() {
        let both = write("a-1").expect(StreamName::parse("a-2").unwrap(), ExpectedVersion::Any);
        let mut queue = queue(vec![("t", write("a-1")), ("t", both), ("t", write("a-2"))]);
        assert_eq!(numbers(&queue.take()), [0], "the third writes what the second, still waiting, expects");
        assert_eq!(numbers(&queue.take()), [1]);
        assert_eq!(numbers(&queue.take()), [2]);
    }

    #[test]
    fn streams_only_read_are_shared() {
        let reading = |stream| write(stream).expect(StreamName::parse("s-1").unwrap(), ExpectedVersion::Any);
        let mut queue = queue(vec![("t", reading("a-1")), ("t", reading("a-2"))]);
        assert_eq!(numbers(&queue.take()), [0, 1]);
    }

    #[test]
    fn an_id_is_in_a_batch_once() {
        let commit = write("a-1");
        let mut repeat = write("a-2");
        repeat.id = commit.id;
        let mut queue = queue(vec![("t", commit), ("t", repeat)]);
        assert_eq!(numbers(&queue.take()), [0]);
        assert_eq!(numbers(&queue.take()), [1]);
    }

    #[test]
    fn commits_that_must_agree_are_not_in_one_batch() {
        for named_first in [true, false] {
            let named = write("a-1");
            let naming = [write("a-2").agrees_with(named.id), write("a-3").yields_to(named.id)];
            let [first, second] = naming;
            let (pushed, batches): (_, [&[usize]; 2]) = match named_first {
                true => {
                    (vec![("t", named), ("t", first), ("u", write("a-1")), ("t", second)], [&[0, 2], &[1, 3]])
                }
                false => {
                    (vec![("t", first), ("t", second), ("t", named), ("u", write("a-1"))], [&[0, 3, 1], &[2]])
                }
            };
            let mut queue = queue(pushed);
            for batch in batches {
                assert_eq!(numbers(&queue.take()), batch, "named first: {named_first}");
            }
            assert!(queue.is_empty());
        }
    }

    fn expecting(version: ExpectedVersion) -> Commit {
        let mut commit = write("a-1");
        commit.writes[0].expected = version;
        commit
    }

    fn conflict(actual: u64) -> Result<Committed, Error> {
        let (stream, expected) = (StreamName::parse("a-1").unwrap(), ExpectedVersion::NoStream);
        Err(crate::words::Conflict { stream, expected, actual: Version(actual) }.into())
    }

    #[test]
    fn all_that_can_only_conflict_join_one_batch() {
        let exact = |version| expecting(ExpectedVersion::Exact(Version(version)));
        let mut queue = queue(vec![
            ("t", exact(3)),
            ("t", exact(3)),
            ("t", expecting(ExpectedVersion::NoStream)),
            ("t", exact(3)),
            ("t", expecting(ExpectedVersion::Any)),
            ("u", exact(3)),
            ("u", exact(3)),
        ]);
        assert_eq!(numbers(&queue.take()), [0, 5], "nothing is known yet");
        queue.learn([(&tenant("t"), &conflict(4))]);
        queue.push(tenant("t"), exact(4), 7).unwrap();
        let mut taken = numbers(&queue.take());
        taken.sort_unstable();
        assert_eq!(taken, [1, 2, 3, 4, 6], "one that may be stored among them; the other tenant's by itself");
        assert_eq!(numbers(&queue.take()), [7], "it waits for the one before");
        assert!(queue.is_empty());
    }

    /// A queue that tells in turns, where one commit made the stream known and was told to conflict with version 4.
    fn waiting_for(outdated: usize) -> BatchQueue<usize> {
        let exact = |version| expecting(ExpectedVersion::Exact(Version(version)));
        let mut queue = BatchQueue::new(BatchLimits::default()).telling_in_turns();
        for number in 0..=outdated {
            queue.push(tenant("t"), exact(3), number).unwrap();
        }
        assert_eq!(numbers(&queue.take()), [0]);
        queue.learn([(&tenant("t"), &conflict(4))]);
        queue
    }

    #[test]
    fn in_turns_one_is_told_a_batch_while_the_stream_grows() {
        let mut queue = waiting_for(40);
        for round in 1..=40 {
            // Whoever was told comes again, and is stored beside the next who is told.
            let next = expecting(ExpectedVersion::Exact(Version(3 + round)));
            queue.push(tenant("t"), next, 100).unwrap();
            assert_eq!(numbers(&queue.take()), [round as usize, 100]);
            queue.learn([(&tenant("t"), &conflict(4 + round))]);
        }
        assert_eq!(numbers(&queue.take()), Vec::<usize>::new());
        assert!(queue.is_empty());
    }

    #[test]
    fn in_turns_all_are_told_soon_where_nobody_writes() {
        let mut queue = waiting_for(60);
        let mut told = Vec::new();
        while !queue.is_empty() {
            told.push(queue.take().len());
        }
        assert_eq!(told, [1, 1, 2, 4, 8, 16, 28]);
    }

    #[test]
    fn in_turns_few_are_kept_waiting_and_others_never_are() {
        let mut queue = waiting_for(KEPT_WAITING_MAX + 30);
        for number in 0..3 {
            queue.push(tenant("t"), write(&format!("b-{number}")), 200 + number).unwrap();
        }
        queue.push(tenant("u"), expecting(ExpectedVersion::Exact(Version(3))), 300).unwrap();
        let taken = numbers(&queue.take());
        assert_eq!(taken.len(), 30 + 3 + 1, "{taken:?}");
        assert!([200, 201, 202, 300].iter().all(|number| taken.contains(number)), "{taken:?}");
        assert_eq!(queue.len(), KEPT_WAITING_MAX);
        assert_eq!(queue.version(&tenant("t"), &StreamName::parse("a-1").unwrap()), Some(Version(4)));
    }

    #[test]
    fn in_turns_each_stream_has_its_own() {
        let exact = |stream: &str| {
            let mut commit = write(stream);
            commit.writes[0].expected = ExpectedVersion::Exact(Version(3));
            commit
        };
        let mut queue = BatchQueue::new(BatchLimits::default()).telling_in_turns();
        for (number, stream) in ["a-1", "a-2", "a-1", "a-1", "a-2", "a-2"].into_iter().enumerate() {
            queue.push(tenant("t"), exact(stream), number).unwrap();
        }
        assert_eq!(numbers(&queue.take()), [0, 1]);
        for stream in ["a-1", "a-2"] {
            let stream = StreamName::parse(stream).unwrap();
            let expected = ExpectedVersion::Exact(Version(3));
            let told = Err(crate::words::Conflict { stream, expected, actual: Version(4) }.into());
            queue.learn([(&tenant("t"), &told)]);
        }
        assert_eq!(numbers(&queue.take()), [2, 4]);
        assert_eq!(numbers(&queue.take()), [3, 5]);
    }

    #[test]
    fn one_that_can_only_conflict_is_in_a_batch_once_by_its_id() {
        let first = expecting(ExpectedVersion::NoStream);
        let mut queue = queue(vec![("t", write("a-1")), ("t", first.clone()), ("t", first)]);
        assert_eq!(numbers(&queue.take()), [0]);
        queue.learn([(&tenant("t"), &conflict(1))]);
        assert_eq!(numbers(&queue.take()), [1]);
        assert_eq!(numbers(&queue.take()), [2]);
    }

    #[test]
    fn what_is_known_only_grows_and_is_bounded() {
        let mut queue =
            queue(vec![("t", write("a-1")), ("t", expecting(ExpectedVersion::Exact(Version(3))))]);
        queue.learn([(&tenant("t"), &conflict(9))]);
        assert_eq!(queue.contended.streams, 0, "nobody has waited for it");
        assert_eq!(numbers(&queue.take()), [0]);
        for actual in [4, 2] {
            queue.learn([(&tenant("t"), &conflict(actual))]);
            let known = queue.contended.version(&tenant("t"), &StreamName::parse("a-1").unwrap());
            assert_eq!(known, Some(Version(4)));
        }
        for number in 0..2 * CONTENDED_STREAMS_MAX {
            let mut commit = write(&format!("b-{number}"));
            commit.writes[0].expected = ExpectedVersion::NoStream;
            queue.contended.watch(&Queued { tenant: tenant("t"), commit, reply: 0, bytes: 0 });
            assert!(queue.contended.streams <= CONTENDED_STREAMS_MAX);
        }
        let kept: usize = queue.contended.tenants.values().map(HashMap::len).sum();
        assert_eq!(kept, queue.contended.streams);
    }

    #[test]
    fn tenants_take_turns_and_the_turn_moves_on() {
        let limits = BatchLimits { batch_items_max: 3, ..BatchLimits::default() };
        let mut queue = BatchQueue::new(limits);
        for number in 0..6 {
            queue.push(tenant("flood"), write(&format!("a-{number}")), number).unwrap();
        }
        queue.push(tenant("small"), write("a-1"), 100).unwrap();
        queue.push(tenant("small"), write("a-2"), 101).unwrap();
        assert_eq!(numbers(&queue.take()), [0, 100, 1]);
        assert_eq!(numbers(&queue.take()), [101, 2, 3]);
        assert_eq!(numbers(&queue.take()), [4, 5]);
    }

    /// Takes batches until every tenant was served `rounds` times at least, all of them waiting all the
    /// time; gives how often each was served, and in which batch it was served first.
    fn served(queue: &mut BatchQueue<usize>, tenants: usize, batches: usize) -> (Vec<u32>, Vec<usize>) {
        let (mut counts, mut first) = (vec![0; tenants], vec![usize::MAX; tenants]);
        for batch in 0..batches {
            for queued in queue.take() {
                let at = queued.reply;
                counts[at] += 1;
                first[at] = first[at].min(batch);
                // The line is as long as before.
                queue.push(queued.tenant, queued.commit, at).unwrap();
            }
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(most - least <= 1, "after batch {batch} one was served {most} times, one {least}");
        }
        (counts, first)
    }

    fn crowd(tenants: usize, limits: BatchLimits, line: usize) -> BatchQueue<usize> {
        let mut queue = BatchQueue::new(limits);
        for number in 0..line {
            for at in 0..tenants {
                queue.push(tenant(&format!("t{at}")), write(&format!("a-{number}")), at).unwrap();
            }
        }
        queue
    }

    #[test]
    fn equal_tenants_are_served_equally_also_where_a_batch_does_not_hold_them_all() {
        for (batch_items_max, batches) in [(512, 40), (599, 20), (600, 20), (7, 300), (1, 1_300)] {
            let mut queue = crowd(600, BatchLimits { batch_items_max, ..BatchLimits::default() }, 3);
            let (counts, first) = served(&mut queue, 600, batches);
            assert_eq!(counts.iter().sum::<u32>() as usize, batch_items_max * batches, "full batches");
            let last_first = first.iter().max().unwrap() + 1;
            assert!(last_first <= 600_usize.div_ceil(batch_items_max), "{batch_items_max}: {last_first}");
        }
        // More tenants in a batch than there are: what two may take beyond the others is one commit.
        served(&mut crowd(5, BatchLimits { batch_items_max: 7, ..BatchLimits::default() }, 9), 5, 50);
    }

    #[test]
    fn equal_tenants_are_served_equally_where_bytes_end_a_batch() {
        let bytes = write("a-1").bytes();
        for batch_bytes_max in [0, 1, 3 * bytes, 100 * bytes] {
            let mut queue = crowd(60, BatchLimits { batch_bytes_max, ..BatchLimits::default() }, 3);
            served(&mut queue, 60, 200);
        }
    }

    #[test]
    fn who_waits_for_itself_is_served_once_a_batch_and_no_less() {
        // One tenant writes a single stream, the others any: it misses turns by its own doing.
        let mut queue = BatchQueue::new(BatchLimits { batch_items_max: 5, ..BatchLimits::default() });
        for number in 0..40 {
            queue.push(tenant("hot"), write("a-1"), 0).unwrap();
            queue.push(tenant("b"), write(&format!("a-{number}")), 1).unwrap();
            queue.push(tenant("c"), write(&format!("a-{number}")), 2).unwrap();
        }
        for _ in 0..15 {
            let batch = numbers(&queue.take());
            assert_eq!(batch.len(), 5);
            assert_eq!(batch.iter().filter(|owner| **owner == 0).count(), 1, "{batch:?}");
        }
    }

    #[test]
    fn tenants_that_come_and_go_take_no_turn_of_those_who_stay() {
        let limits = BatchLimits { batch_items_max: 4, ..BatchLimits::default() };
        let mut queue = crowd(10, limits, 2);
        let mut counts = [0_u32; 10];
        for batch in 0..200 {
            // A new tenant with every batch, and one that leaves and comes back.
            queue.push(tenant(&format!("new{batch}")), write("a-1"), 10).unwrap();
            if batch % 3 == 0 {
                queue.push(tenant("guest"), write("a-1"), 10).unwrap();
            }
            let taken = queue.take();
            assert_eq!(taken.len(), 4);
            for queued in taken {
                if queued.reply < 10 {
                    counts[queued.reply] += 1;
                    queue.push(queued.tenant, queued.commit, queued.reply).unwrap();
                }
            }
            assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
        }
        assert!(counts.iter().min().unwrap() > &20, "{counts:?}");
        assert!(queue.turns.len() <= queue.lines.len() + 1 && queue.lines.len() < 100);
    }

    #[test]
    fn turns_and_lines_hold_the_same_tenants() {
        let mut dice = 7_u64;
        let mut below = |bound: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (dice >> 33) % bound
        };
        let limits = BatchLimits { batch_items_max: 3, ..BatchLimits::default() };
        let mut queue = BatchQueue::new(limits);
        let (mut pushed, mut taken) = (0, 0);
        for number in 0..3_000 {
            if below(3) > 0 {
                let name = format!("t{}", below(9));
                queue.push(tenant(&name), write(&format!("a-{}", below(3))), number).unwrap();
                pushed += 1;
            }
            if below(2) == 0 {
                taken += queue.take().len();
            }
            let mut turns: Vec<_> = queue.turns.iter().map(TenantId::as_str).collect();
            let mut lines: Vec<_> = queue.lines.keys().map(TenantId::as_str).collect();
            turns.sort_unstable();
            lines.sort_unstable();
            assert_eq!(turns, lines);
            assert_eq!(queue.items, queue.lines.values().map(|line| line.waiting.len()).sum::<usize>());
            assert_eq!(queue.len(), pushed - taken);
        }
    }

    #[test]
    fn a_full_line_names_its_limit_and_leaves_room_for_others() {
        let limits = BatchLimits { tenant_items_max: 1, ..BatchLimits::default() };
        let mut queue = BatchQueue::new(limits);
        queue.push(tenant("flood"), write("a-1"), 0).unwrap();
        let (error, reply) = queue.push(tenant("flood"), write("a-2"), 7).unwrap_err();
        assert_eq!(reply, 7);
        assert!(error.to_string().contains("tenant_items_max = 1"), "{error}");
        queue.push(tenant("small"), write("a-2"), 1).unwrap();
        assert_eq!(queue.len(), 2);
    }

    #[test]
    fn a_batch_holds_one_commit_whatever_its_limits() {
        for (items, bytes) in [(0, 1_000), (8, 0)] {
            let limits =
                BatchLimits { batch_items_max: items, batch_bytes_max: bytes, ..BatchLimits::default() };
            let mut queue = BatchQueue::new(limits);
            queue.push(tenant("t"), write("a-1"), 0).unwrap();
            queue.push(tenant("t"), write("a-1"), 1).unwrap();
            assert_eq!(numbers(&queue.take()), [0], "items {items}, bytes {bytes}");
            assert_eq!(numbers(&queue.take()), [1], "items {items}, bytes {bytes}");
        }
    }

    #[test]
    fn bytes_are_counted_and_given_back() {
        let mut queue = queue(vec![("t", write("a-1")), ("t", write("a-1"))]);
        assert!(queue.bytes > 0);
        queue.take();
        queue.take();
        assert_eq!((queue.bytes, queue.items, queue.turns.len()), (0, 0, 0));
    }
}
