//! Random endings of the work of a few lines: whatever happens, each line keeps its order, nothing is in two
//! states, and nothing is stuck.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use underlay_core::limits::{LEASE_SECONDS_MAX, WORK_PAGE_MAX};
use underlay_core::{ReadWork, Settled, Shard, Work, WorkFilter, WorkId, WorkPlace, WorkStanding};

use super::Subject;
use super::subject::{Hand, dead, key_in, piece};
use crate::dice::Dice;

/// Runs lines to their end under several seeds.
pub(super) async fn lines_end_well(subject: &Subject) {
    for seed in 0..4 {
        Run { subject: subject.seen_by(&format!("dice-{seed}")), dice: Dice(seed), done: Vec::new() }
            .play()
            .await;
    }
}

struct Run {
    subject: Subject,
    dice: Dice,
    /// What was done, in that order.
    done: Vec<Work>,
}

impl Run {
    async fn play(mut self) {
        let hand = self.subject.hand_for("player", Duration::from_secs(LEASE_SECONDS_MAX)).await;
        let shard = Shard::all().nth(7).expect("an eighth shard");
        let keys = [0, 1, 2].map(|number| key_in(shard, &self.subject.tenant, number));
        let mut sent = 0;
        for round in 0..40 {
            if round < 20 {
                let count = self.dice.below(4);
                let mut pieces = Vec::new();
                for _ in 0..count {
                    sent += 1;
                    pieces.push(piece(&keys[self.dice.below(3) as usize], &format!("{sent}")));
                }
                self.subject.send(pieces).await;
            }
            self.step(&hand, shard).await;
            self.subject.pass(Duration::from_secs(self.dice.below(20)));
            if round % 5 == 4 {
                self.decide_letters().await;
            }
            self.assert_whole(shard).await;
        }
        // Nothing fails any more: everything comes to its end, as far as no dead letter holds it.
        let mut rounds = 0;
        loop {
            self.subject.pass(Duration::from_secs(30));
            let letters = self.letters().await;
            self.subject.replay(&letters.iter().collect::<Vec<_>>()).await;
            let begun = self.begin(shard).await;
            if begun.is_empty() && self.listed(false).await.is_empty() {
                break;
            }
            hand.settle_all(
                begun
                    .iter()
                    .map(|(work, is_next)| (work, if *is_next { Settled::Done } else { Settled::Held })),
            )
            .await;
            self.done.extend(begun.into_iter().filter(|(_, is_next)| *is_next).map(|(work, _)| work));
            rounds += 1;
            assert!(rounds < 500, "work is stuck: {:?}", self.subject.all().await);
        }
        assert_eq!(self.done.len(), sent, "each piece is done once");
        let mut last: BTreeMap<&str, WorkPlace> = BTreeMap::new();
        for work in &self.done {
            let before = last.insert(&work.sent.key, work.place);
            assert!(before < Some(work.place), "{} of {} is out of order", work.sent.name, work.sent.key);
        }
        hand.leave().await;
    }

    /// What a worker would begin: of each line the first that is not blocked, if anything; and what stands behind.
    async fn begin(&mut self, shard: Shard) -> Vec<(Work, bool)> {
        let mut lines: BTreeMap<String, Vec<ReadWork>> = BTreeMap::new();
        let due = self.subject.due(shard).await;
        for read in due.into_iter().chain(self.subject.ready(shard).await) {
            if read.work.tenant == self.subject.tenant {
                lines.entry(read.work.sent.key.clone()).or_default().push(read);
            }
        }
        let mut begun = Vec::new();
        for mut line in lines.into_values() {
            line.sort_by_key(|read| read.work.place);
            let free = line.iter().filter(|read| !read.is_blocked).count();
            let is_due = |read: &ReadWork| read.work.sent.due_at.is_some();
            assert!(
                free <= 1 || !line.iter().any(is_due),
                "of a line that was blocked one is due at a time: {line:?}"
            );
            for (number, read) in line.into_iter().enumerate() {
                begun.push((read.work, number == 0 && !read.is_blocked));
            }
        }
        begun
    }

    /// Settles some of what can be begun, by chance. A worker that leaves a piece of a line leaves what comes
    /// after it in the line too.
    async fn step(&mut self, hand: &Hand, shard: Shard) {
        let mut settled: Vec<(Work, Settled)> = Vec::new();
        let mut left: Vec<String> = Vec::new();
        for (work, is_next) in self.begin(shard).await {
            if left.contains(&work.sent.key) {
                continue;
            }
            let ending = match self.dice.below(7) {
                0 => {
                    left.push(work.sent.key);
                    continue;
                }
                _ if !is_next => Settled::Held,
                1 | 2 => Settled::Retry { delay: self.pause(), error: "by chance".to_owned() },
                3 => dead(true),
                _ => Settled::Done,
            };
            settled.push((work, ending));
        }
        // In any order: it is one call.
        let half = settled.len() / 2;
        settled.rotate_left(half);
        hand.settle_all(settled.iter().map(|(work, ending)| (work, ending.clone()))).await;
        let done = settled.into_iter().filter(|(_, ending)| *ending == Settled::Done);
        let mut done: Vec<Work> = done.map(|(work, _)| work).collect();
        done.sort_by_key(|work| work.place);
        self.done.extend(done);
    }

    fn pause(&mut self) -> Duration {
        Duration::from_secs(self.dice.below(30))
    }

    /// A person replays some dead letters.
    async fn decide_letters(&mut self) {
        let letters = self.letters().await;
        let some: Vec<&Work> = letters.iter().filter(|_| self.dice.below(2) == 0).collect();
        assert_eq!(self.subject.replay(&some).await, some.len());
    }

    async fn listed(&self, dead: bool) -> Vec<(Work, WorkStanding)> {
        let filter = WorkFilter { tenant: Some(self.subject.tenant.clone()), dead, ..WorkFilter::default() };
        let listed = self.subject.list(&filter).await;
        listed.into_iter().map(|info| (info.work, info.standing)).collect()
    }

    async fn letters(&self) -> Vec<Work> {
        self.listed(true).await.into_iter().map(|(work, _)| work).collect()
    }

    /// Each piece is in one state, and a line whose pieces stand behind has something before them.
    async fn assert_whole(&self, shard: Shard) {
        let (mut behind, mut headed) = (BTreeSet::new(), BTreeSet::new());
        let mut seen: Vec<WorkId> = Vec::new();
        for (work, standing) in self.listed(false).await.into_iter().chain(self.listed(true).await) {
            assert!(!seen.contains(&work.id), "a piece is in two states: {work:?}");
            assert!(!self.done.iter().any(|done| done.id == work.id), "what is done is back: {work:?}");
            seen.push(work.id);
            match standing {
                WorkStanding::Ready => false,
                WorkStanding::Behind => behind.insert(work.sent.key),
                WorkStanding::Later | WorkStanding::Dead { .. } => headed.insert(work.sent.key),
            };
        }
        assert!(behind.is_subset(&headed), "nothing is before what stands behind: {behind:?}, {headed:?}");
        let page = self.subject.due_page(shard, &[], WORK_PAGE_MAX).await;
        assert!(page.work.len() < WORK_PAGE_MAX, "all of it is read at once");
    }
}
