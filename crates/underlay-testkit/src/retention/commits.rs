use underlay_core::{
    Archive, Commit, CommitId, Committed, ExpectedVersion, Json, LogScope, Outcome, Timestamp,
};

use super::subject::{MANY, Subject, body, refusal};
use crate::concurrent::{finished, together};
use crate::{RetentionFixture, sample};

impl Subject {
    pub(super) async fn forget_commits(&self, time: Timestamp) -> u64 {
        self.retention.forget_empty_commits(time).await.expect("forget_empty_commits answers")
    }

    pub(super) async fn is_known(&self, tenant: &str, id: CommitId) -> bool {
        let found = self.store.find_commit(&sample::tenant(tenant), id).await;
        found.expect("find_commit answers").is_some()
    }

    /// An accepted commit that found nothing to do.
    pub(super) async fn store_empty(&self, tenant: &str) -> (Commit, Committed) {
        let commit = Commit::new(CommitId::draw());
        let committed = self.commit(tenant, &commit).await;
        (commit, committed)
    }
}

/// Where an archive that was read to its end goes on, and the ids from a place on.
async fn read_after(archive: &dyn Archive, after: u64) -> (Vec<CommitId>, u64) {
    let (mut ids, mut after) = (Vec::new(), after);
    loop {
        let page =
            archive.read_commits(&LogScope::EveryTenant, after, 700).await.expect("read_commits answers");
        ids.extend(page.commits.iter().map(|commit| commit.id));
        after = page.next;
        if page.at_end {
            return (ids, after);
        }
    }
}

/// Sentence 2: commits without events recorded before a time are gone, but for the last of the store: their ids are free again, and all else is as it was.
pub async fn forgotten_commits_free_their_ids<F: RetentionFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let archive = fixture.archive();
    assert_eq!(subject.forget_commits(Timestamp::MAX).await, 0, "an empty store has nothing to forget");
    let stream = sample::stream("note-1");
    let written = sample::write(&stream, ExpectedVersion::Any, 2);
    let written_first = subject.commit("acme", &written).await;
    let refused = refusal(body());
    subject.commit("acme", &refused).await;
    let bodiless = refusal(Json::from_stored("null"));
    subject.commit("globex", &bodiless).await;
    let (empty, empty_answer) = subject.store_empty("acme").await;
    let (second, second_answer) = subject.commit_after("globex", empty_answer.recorded_at).await;
    let last = sample::write(&stream, ExpectedVersion::Any, 1);
    let last_first = subject.commit("acme", &last).await;
    let (all, end) = read_after(&*archive, 0).await;
    assert_eq!(all, [written.id, refused.id, bodiless.id, empty.id, second.id, last.id]);
    let log = subject.log().await;

    assert_eq!(subject.forget_commits(Timestamp::UNIX_EPOCH).await, 0, "nothing is as old");
    assert_eq!(read_after(&*archive, 0).await, (all, end), "and nothing is gone");
    subject.forget(second_answer.recorded_at).await;
    assert_eq!(subject.forget_commits(second_answer.recorded_at).await, 3, "with a body or without one");
    for (tenant, commit) in [("acme", &refused), ("globex", &bodiless), ("acme", &empty)] {
        assert!(!subject.is_known(tenant, commit.id).await, "{tenant}: it is gone");
    }
    assert!(subject.is_known("globex", second.id).await, "what is not before the time stays");
    assert_eq!(read_after(&*archive, 0).await, (vec![written.id, second.id, last.id], end));
    assert_eq!(subject.forget_commits(second_answer.recorded_at).await, 0, "what is gone is not counted");
    // What wrote events stays for ever.
    subject.forget_commits(Timestamp::MAX).await;
    assert!(!subject.is_known("globex", second.id).await);
    for (commit, first) in [(&written, &written_first), (&last, &last_first)] {
        let mut answer = first.clone();
        answer.repeated = true;
        assert_eq!(subject.commit("acme", commit).await, answer, "a repeat gets the first answer");
    }
    assert_eq!(subject.log().await, log, "no event is forgotten");

    // The id is free: the same command is decided anew, and so is another one.
    let again = subject.commit("acme", &refused).await;
    assert!(!again.repeated, "it is not known any more");
    let mut other = sample::write(&stream, ExpectedVersion::Any, 1);
    other.id = empty.id;
    assert!(!subject.commit("acme", &other).await.repeated, "nor is what stood for another command");

    // The last commit of the store stays: an archive goes on where it was read to.
    let (trailing, _) = subject.store_empty("acme").await;
    let (_, end) = read_after(&*archive, 0).await;
    subject.forget_commits(Timestamp::MAX).await;
    assert!(subject.is_known("acme", trailing.id).await, "the last one stays");
    let (later, later_answer) = subject.store_empty("globex").await;
    assert_eq!(read_after(&*archive, end).await.0, [later.id], "what comes after it is counted from there");
    assert_eq!(later_answer.position.number(), subject.log().await.len() as u64, "at the head of the log");
    subject.forget_commits(Timestamp::MAX).await;
    assert!(!subject.is_known("acme", trailing.id).await, "and goes when it is not the last any more");

    many(&subject, &*archive).await;
}

/// Many at once, of two tenants, while others are stored.
async fn many(subject: &Subject, archive: &dyn Archive) {
    let commit = |number: usize| {
        let (subject, tenant) = (subject.clone(), if number.is_multiple_of(2) { "acme" } else { "globex" });
        async move {
            let commit = match number % 3 {
                0 => Commit::new(CommitId::draw()),
                _ => refusal(body()),
            };
            let committed = subject.commit(tenant, &commit).await;
            (tenant, commit.id, committed)
        }
    };
    let many = together((0..MANY).map(commit)).await;
    let (_, end) = read_after(archive, 0).await;
    let racing = {
        let subject = subject.clone();
        tokio::spawn(async move {
            let mut ids = Vec::new();
            for number in 0..20 {
                let stream = sample::stream("racing-1");
                let commit = match number % 2 {
                    0 => refusal(body()).with_outcome(Outcome::Accepted),
                    _ => sample::write(&stream, ExpectedVersion::Any, 1),
                };
                subject.commit("acme", &commit).await;
                ids.push(commit.id);
            }
            ids
        })
    };
    let last = many.iter().map(|(_, _, committed)| committed.recorded_at).max().expect("many");
    // The racing ones may be as old, and the last of the store at some moment may be of the many.
    let forgotten = subject.forget_commits(last).await;
    let raced = finished(racing).await;
    let mut left = 0;
    for (tenant, id, _) in many.iter().filter(|(_, _, committed)| committed.recorded_at < last) {
        left += u32::from(subject.is_known(tenant, *id).await);
    }
    assert!(left <= 1, "all of them are forgotten, not the first {forgotten}: {left} are left");
    let later = read_after(archive, end).await.0;
    assert_eq!(later, raced, "what was stored meanwhile is read from where the archive was");
}
