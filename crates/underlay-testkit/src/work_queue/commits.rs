use underlay_core::limits::COMMIT_WORK_MAX;
use underlay_core::{
    Commit, CommitId, Error, ExpectedVersion, Json, Metadata, NewWork, Outcome, Shard, WorkId, WorkKind,
    WorkPlace, WorkStanding,
};

use super::Subject;
use super::subject::{piece, piece_for};
use crate::concurrent::together;
use crate::{WorkQueueFixture, sample};

/// The same commit with other work.
fn with_work(commit: &Commit, work: Vec<NewWork>) -> Commit {
    let mut commit = commit.clone();
    commit.work = work;
    commit
}

/// Sentence 1: work is stored with its commit or not at all: a conflict, an invalid commit and a repeat store
/// none.
pub async fn work_is_stored_with_its_commit<F: WorkQueueFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let stream = sample::stream("note-1");
    assert_eq!(subject.all().await, [], "a new store has no work");

    let metadata = Metadata { actor: Some("'; drop table work; --".to_owned()), ..Metadata::default() };
    let write = |expected| sample::write(&stream, expected, 1).with_metadata(metadata.clone());
    let first = write(ExpectedVersion::NoStream).send(piece("a", "one")).send(piece("b", "two"));
    let committed = subject.commit(first.clone()).await;
    for (number, sent) in first.work.iter().enumerate() {
        let info = subject.find(first.id, number as u32).await.expect("work is there with its commit");
        assert_eq!(&info.work.sent, sent, "as it was sent");
        assert_eq!(info.work.commit_id, first.id);
        assert_eq!(info.work.tenant, subject.tenant);
        assert_eq!(info.work.shard, Shard::of(&subject.tenant, &sent.key));
        assert_eq!(info.work.sent_at, committed.recorded_at, "it was sent when its commit was stored");
        assert_eq!(info.work.metadata, Json::encode(&metadata).expect("metadata has a JSON form"));
        assert_eq!((info.work.attempts, &info.work.last_error), (0, &None));
        assert_eq!(info.standing, WorkStanding::Ready);
    }
    assert_eq!(subject.find(first.id, 2).await, None, "there are no more");
    let before = subject.all().await;
    assert_eq!(before.len(), 2);

    // A repeat, one after the other and several at once; also where the work is done by then.
    for _ in 0..2 {
        assert!(subject.commit(first.clone()).await.repeated);
    }
    let several = Commit::new(CommitId::draw()).send(piece("a", "three"));
    let repeat = |_| {
        let (subject, commit) = (subject.clone(), several.clone());
        async move { subject.commit(commit).await.repeated }
    };
    let repeated = together((0..8).map(repeat)).await;
    assert_eq!(repeated.iter().filter(|repeated| !**repeated).count(), 1, "one of them is the first");
    let three = subject.find(several.id, 0).await.expect("a commit without events sends work too").work;
    assert_eq!(subject.all().await.len(), 3, "repeats in flight store work once");
    let hand = subject.hand("a").await;
    hand.settle(&three, underlay_core::Settled::Done).await;
    assert!(subject.commit(several.clone()).await.repeated);
    assert_eq!(subject.all().await, before, "what was done does not come back with a repeat");

    let refused = [
        ("a conflict", write(ExpectedVersion::NoStream).send(piece("a", "x"))),
        (
            "a conflict on a stream that is only read",
            Commit::new(CommitId::draw())
                .expect(sample::stream("note-2"), ExpectedVersion::Exists)
                .send(piece("a", "x")),
        ),
        ("other work under the same id", with_work(&first, vec![piece("a", "x")])),
        ("no work under the same id", with_work(&first, Vec::new())),
        (
            "an id of an event that is stored",
            Commit::new(CommitId::draw())
                .append(sample::stream("note-3"), ExpectedVersion::Any, first.writes[0].events.clone())
                .send(piece("a", "x")),
        ),
        (
            "a refusal",
            Commit::new(CommitId::draw())
                .with_outcome(Outcome::Refused {
                    code: "no".to_owned(),
                    message: String::new(),
                    body: Json::encode("").expect("JSON"),
                })
                .send(piece("a", "x")),
        ),
        ("a piece without a key", Commit::new(CommitId::draw()).send(piece("a", "x")).send(piece("", "x"))),
    ];
    for (what, commit) in refused {
        let answer = subject.events.commit(&subject.tenant, commit.clone()).await;
        assert!(
            matches!(answer, Err(Error::Conflict(_) | Error::Invalid(_) | Error::IdReused(_))),
            "{what}: {answer:?}"
        );
        assert_eq!(subject.all().await, before, "{what} stores no work");
        if commit.id != first.id {
            assert_eq!(subject.find(commit.id, 0).await, None, "{what} stores no work");
        }
    }
}

/// Sentence 2: ids and places follow from the commit and the place in it; work of a later commit has a higher
/// place.
pub async fn work_has_the_order_of_commits<F: WorkQueueFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let globex = subject.seen_by("globex");
    let mut last = WorkPlace::START;
    for round in 0..4 {
        for subject in [&subject, &globex] {
            // Commits without work, and without events, are between them.
            subject.commit(Commit::new(CommitId::draw())).await;
            let pieces = (0..5).map(|number| piece(&format!("{number}"), &format!("{round} {number}")));
            let sent = subject.send(pieces).await;
            for (number, work) in sent.iter().enumerate() {
                assert_eq!(work.id, WorkId::of(&subject.tenant, work.commit_id, number as u32));
                assert_eq!(work.sent.name, format!("{round} {number}"), "in the order it was sent");
                assert!(work.place > last, "{:?} after {last:?}", work.place);
                last = work.place;
            }
        }
    }
    // The most there can be in one commit, of every kind.
    let kinds = WorkKind::ALL.into_iter().cycle();
    let pieces = (0..COMMIT_WORK_MAX)
        .zip(kinds)
        .map(|(number, kind)| piece_for("mail", kind, "k", &format!("{number}")));
    let commit = pieces.fold(Commit::new(CommitId::draw()), Commit::send);
    subject.commit(commit.clone()).await;
    for number in [0, 1, 2, 3, COMMIT_WORK_MAX / 2, COMMIT_WORK_MAX - 1] {
        let info = subject.find(commit.id, number as u32).await.expect("each is stored");
        assert_eq!(info.work.sent, commit.work[number], "in the order it was sent");
        assert!(info.work.place > last);
        last = info.work.place;
    }
    assert_eq!(subject.find(commit.id, COMMIT_WORK_MAX as u32).await, None);
    assert_eq!(subject.find(commit.id, u32::MAX).await, None);
    let next = subject.send_one(piece("k", "after them")).await;
    assert!(next.place > last, "the places of two commits do not overlap");

    // Of commits stored at the same time each has places of its own, and its pieces stand together.
    let send = |number: usize| {
        let subject = subject.clone();
        async move { subject.send((0..3).map(|at| piece("k", &format!("{number} {at}")))).await }
    };
    let mut places: Vec<(WorkPlace, usize)> = Vec::new();
    for (number, sent) in together((0..16).map(send)).await.into_iter().enumerate() {
        assert!(sent[0].place > next.place);
        places.extend(sent.iter().map(|work| (work.place, number)));
    }
    places.sort_unstable();
    assert!(places.is_sorted_by(|one, other| one.0 < other.0), "no place is given twice");
    assert!(places.chunks(3).all(|commit| commit.iter().all(|(_, number)| *number == commit[0].1)));
}
