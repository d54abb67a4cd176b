use std::collections::BTreeSet;

use underlay_core::{
    Checkpoint, Commit, CommitId, Committed, EventStoreExt, ExpectedVersion, Fingerprint, Json, NewEvent,
    Outcome, Position, RecordedEvent, StoreId, StreamName, TenantId, Version,
};

use super::Subject;
use super::subject::first_answer;
use crate::concurrent::together;
use crate::{EventStoreFixture, sample};

/// Everything a store has acknowledged.
struct Kept {
    store: StoreId,
    log: Vec<RecordedEvent>,
    commits: Vec<(TenantId, Commit, Committed)>,
}

/// Sentence 23: after reopening, everything acknowledged is there.
pub async fn reopening_keeps_everything<F: EventStoreFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let mut kept = Kept { store: subject.store.store_id(), log: Vec::new(), commits: Vec::new() };
    let globex = subject.seen_by("globex");
    for (number, text) in sample::HOSTILE_TEXTS.iter().enumerate() {
        let owner = if number % 3 == 0 { &globex } else { &subject };
        keep(owner, &mut kept, over_two_streams(text, number % 3 + 1)).await;
        keep(owner, &mut kept, refusal(text)).await;
    }
    keep(&subject, &mut kept, Commit::new(CommitId::draw())).await;
    let command = Fingerprint::of([b"a command".as_slice()]);
    let decided =
        sample::write(&sample::stream("note-command"), ExpectedVersion::Any, 1).with_content(command);
    keep(&subject, &mut kept, decided).await;
    // The last answers come from a crowd, just before the store is closed.
    let racer = |number: usize| {
        let commit = over_two_streams(&format!("crowd {number}"), 2);
        let subject = subject.clone();
        async move { (subject.tenant.clone(), commit.clone(), subject.commit(commit).await) }
    };
    kept.commits.extend(together((0..16).map(racer)).await);
    kept.log = subject.log().await;
    let stored: usize = kept.commits.iter().map(|(_, commit, _)| commit.event_count()).sum();
    assert_eq!(kept.log.len(), stored, "the log holds what was acknowledged");
    drop((subject, globex));

    let mut fixture = fixture.reopen().await;
    for opening in 0..2 {
        let subject = Subject::of(&fixture);
        assert_kept(&subject, &kept).await;
        go_on(&subject, &mut kept, opening).await;
        drop(subject);
        fixture = fixture.reopen().await;
    }
    assert_kept(&Subject::of(&fixture), &kept).await;
}

async fn keep(subject: &Subject, kept: &mut Kept, commit: Commit) {
    let committed = subject.commit(commit.clone()).await;
    kept.commits.push((subject.tenant.clone(), commit, committed));
}

fn over_two_streams(text: &str, count: usize) -> Commit {
    Commit::new(CommitId::draw())
        .append(
            sample::stream(&format!("note-{text}")),
            ExpectedVersion::NoStream,
            sample::events(text, count),
        )
        .append(sample::stream("shared-1"), ExpectedVersion::Any, vec![sample::event(text)])
}

fn refusal(text: &str) -> Commit {
    Commit::new(CommitId::draw()).with_outcome(Outcome::Refused {
        code: "no".to_owned(),
        message: text.to_owned(),
        body: Json::encode(text).expect("text has a JSON form"),
    })
}

async fn assert_kept(subject: &Subject, kept: &Kept) {
    assert_eq!(subject.store.store_id(), kept.store, "a reopened store is the same store");
    subject.assert_log_is(&kept.log, "the log after reopening").await;
    let streams: BTreeSet<(&TenantId, &StreamName)> =
        kept.log.iter().map(|event| (&event.tenant, &event.stream)).collect();
    for (tenant, stream) in streams {
        let owner = subject.seen_by(tenant.as_str());
        let of_stream = |event: &&RecordedEvent| event.tenant == *tenant && event.stream == *stream;
        let events: Vec<RecordedEvent> = kept.log.iter().filter(of_stream).cloned().collect();
        assert_eq!(owner.version(stream).await, Version(events.len() as u64), "the version of {stream}");
        assert_eq!(owner.stream(stream).await, events, "the events of {stream}");
    }
    for (tenant, commit, committed) in &kept.commits {
        let owner = subject.seen_by(tenant.as_str());
        let first = first_answer(committed.clone());
        let found = owner.find(commit.id).await.expect("a commit is found after reopening");
        assert_eq!(found.committed, first, "a commit is found with its first answer");
        assert_eq!(found.fingerprint, commit.fingerprint(), "a commit is found with its fingerprint");
        assert_eq!(owner.repeat(commit.clone()).await, first, "a repeat gets the first answer");
        let other = Fingerprint::of([b"another command".as_slice()]);
        owner.reused(commit.clone().with_content(other)).await;
    }
    for event in &kept.log {
        let found = subject.store.event_id_at(event.position).await.expect("event_id_at");
        assert_eq!(found, Some(event.event_id), "the event at position {}", event.position);
    }
    let last = kept.log.last().expect("the log is not empty");
    let checkpoint = Checkpoint { store: kept.store, position: last.position, event_id: Some(last.event_id) };
    let checked = subject.store.check_checkpoint("a reader", &checkpoint, "repair").await;
    assert!(checked.is_ok(), "a checkpoint taken before is good after reopening: {checked:?}");
}

/// A reopened store goes on where it stopped: positions, versions, times, expectations and ids.
async fn go_on(subject: &Subject, kept: &mut Kept, opening: usize) {
    let last = kept.log.last().expect("the log is not empty").clone();
    let shared = sample::stream("shared-1");
    let version = subject.version(&shared).await;
    subject.conflict(sample::write(&shared, ExpectedVersion::NoStream, 1)).await;
    let taken = NewEvent { event_id: last.event_id, ..sample::event("taken") };
    let owner = subject.seen_by(last.tenant.as_str());
    owner
        .invalid(Commit::new(CommitId::draw()).append(shared.clone(), ExpectedVersion::Any, vec![taken]))
        .await;

    let commit = sample::write(&shared, ExpectedVersion::Exact(version), 2);
    keep(subject, kept, commit).await;
    keep(subject, kept, refusal(&format!("opening {opening}"))).await;
    kept.log = subject.log().await;
    let new = &kept.log[kept.log.len() - 2..];
    let first = Position::from_number(last.position.number() + 1);
    assert_eq!(new[0].position, first, "positions go on without a hole");
    assert_eq!(new[0].version, version.plus(1), "versions go on without a hole");
    assert!(new[0].recorded_at >= last.recorded_at, "recorded times do not decrease");
}
