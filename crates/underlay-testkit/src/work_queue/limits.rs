use std::time::Duration;

use underlay_core::limits::{
    COMMIT_WORK_MAX, LEASE_NAME_BYTES_MAX, LEASE_SECONDS_MAX, WORK_KEY_BYTES_MAX, WORK_NAME_BYTES_MAX,
    WORK_PAGE_MAX, WORK_RECEIVER_BYTES_MAX, WORK_TENANTS_PASSED_MAX,
};
use underlay_core::{
    Commit, CommitId, DueLook, Error, Lane, NewWork, Settled, Settlement, Shard, ShardTerm, WorkFilter,
    WorkId, WorkPlace, WorkScope, Worker,
};

use super::Subject;
use super::subject::{LONG, dead, piece, worker};
use crate::{WorkQueueFixture, sample};

/// Sentence 20: what exceeds a limit is `Invalid` with the limit's name.
pub async fn limits_of_work_are_named<F: WorkQueueFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    limits_of_what_is_sent(&subject).await;
    limits_of_workers(&subject).await;
    let queue = &subject.queue;
    let shard = Shard::all().next().expect("a first shard");
    let everybody = WorkScope::EveryTenantBut(Vec::new());
    let (start, full) = (WorkPlace::START, WORK_PAGE_MAX);
    for limit in [0, full + 1, usize::MAX] {
        let answer = queue.read_work(shard, Lane::Normal, &everybody, start, limit).await;
        assert_named(answer, "WORK_PAGE_MAX");
        assert_named(queue.read_due(shard, &DueLook::default(), limit).await, "WORK_PAGE_MAX");
        assert_named(queue.list_work(&WorkFilter::default(), start, limit).await, "WORK_PAGE_MAX");
    }
    let too_long = "x".repeat(WORK_KEY_BYTES_MAX + 1);
    for text in ["", "a\0b", &too_long] {
        let text = Some(text.to_owned());
        let filter = WorkFilter { receiver: text.clone(), ..WorkFilter::default() };
        assert_named(queue.list_work(&filter, start, full).await, "WORK_RECEIVER_BYTES_MAX");
        let filter = WorkFilter { key: text, ..WorkFilter::default() };
        assert_named(queue.list_work(&filter, start, full).await, "WORK_KEY_BYTES_MAX");
    }
    let tenants = |count| (0..count).map(|number| sample::tenant(&format!("{number}"))).collect();
    let scope = WorkScope::EveryTenantBut(tenants(WORK_TENANTS_PASSED_MAX));
    queue.read_work(shard, Lane::Normal, &scope, start, full).await.expect("as many as may be");
    let scope = WorkScope::EveryTenantBut(tenants(WORK_TENANTS_PASSED_MAX + 1));
    assert_named(queue.read_work(shard, Lane::Normal, &scope, start, full).await, "WORK_TENANTS_PASSED_MAX");
    let places = |count: usize| (1..=count as u64).map(WorkPlace::from_number).collect::<Vec<_>>();
    let but = |count| DueLook { except: places(count), ..DueLook::default() };
    queue.read_due(shard, &but(full), full).await.expect("as many as may be");
    assert_named(queue.read_due(shard, &but(full + 1), full).await, "WORK_PAGE_MAX");
    let look = DueLook { scope, ..DueLook::default() };
    assert_named(queue.read_due(shard, &look, full).await, "WORK_TENANTS_PASSED_MAX");

    // As many as may be are settled and decided at once, and of one more nothing is.
    let hand = subject.hand("a").await;
    let commit = |name: &'static str| {
        (0..COMMIT_WORK_MAX).fold(Commit::new(CommitId::draw()), |commit, number| {
            commit.send(piece(&format!("{number}"), name))
        })
    };
    let sent = commit("many");
    subject.commit(sent.clone()).await;
    let listed = subject.list(&WorkFilter::default()).await;
    assert_eq!(listed.len(), full, "a commit is a page");
    let more = subject.send_one(piece("more", "more")).await;
    let give_up: Vec<Settlement> =
        listed.iter().map(|info| hand.settlement(&info.work, dead(true))).collect();
    let too_many: Vec<Settlement> =
        give_up.iter().cloned().chain([hand.settlement(&more, dead(true))]).collect();
    assert_named(queue.settle(&too_many).await, "WORK_PAGE_MAX");
    assert_eq!(subject.list(&WorkFilter { dead: true, ..WorkFilter::default() }).await, []);
    assert_eq!(subject.settle_all(&give_up).await, []);
    hand.settle(&more, dead(true)).await;
    let ids: Vec<WorkId> = listed.iter().map(|info| info.work.id).chain([more.id]).collect();
    assert_named(queue.replay(&subject.tenant, &ids).await, "WORK_PAGE_MAX");
    assert_named(queue.discard(&subject.tenant, &ids).await, "WORK_PAGE_MAX");
    assert_eq!(queue.replay(&subject.tenant, &ids[..full]).await.expect("as many as may be"), full);
    let done: Vec<Settlement> =
        listed.iter().take(10).map(|info| hand.settlement(&info.work, Settled::Done)).collect();
    assert_eq!(subject.settle_all(&done).await, []);
    let give_up = &give_up[10..];
    assert_eq!(subject.settle_all(give_up).await, []);
    assert_eq!(queue.discard(&subject.tenant, &ids[1..]).await.expect("as many as may be"), full - 9);
    assert_eq!(subject.all().await, []);
}

async fn limits_of_what_is_sent(subject: &Subject) {
    let commit = |work: NewWork| Commit::new(CommitId::draw()).send(piece("k", "sound")).send(work);
    type Set = fn(&mut NewWork, String);
    let texts: [(&str, usize, Set); 3] = [
        ("WORK_RECEIVER_BYTES_MAX", WORK_RECEIVER_BYTES_MAX, |work, text| work.receiver = text),
        ("WORK_KEY_BYTES_MAX", WORK_KEY_BYTES_MAX, |work, text| work.key = text),
        ("WORK_NAME_BYTES_MAX", WORK_NAME_BYTES_MAX, |work, text| work.name = text),
    ];
    let hand = subject.hand("limits").await;
    for (limit, max, set) in texts {
        for text in ["", &"x".repeat(max + 1), &"é".repeat(max / 2 + 1), "a\0b"] {
            let mut work = piece("k", "x");
            set(&mut work, text.to_owned());
            assert_named(subject.events.commit(&subject.tenant, commit(work)).await, limit);
            assert_eq!(subject.all().await, [], "nothing of it is stored");
        }
        for text in ["x".repeat(max), format!("{}{}", "é".repeat(max / 2), "x".repeat(max % 2))] {
            let mut work = piece("k", "x");
            set(&mut work, text);
            let sent = subject.send_one(work.clone()).await;
            assert_eq!(sent.sent, work, "the longest there is");
            hand.settle(&sent, Settled::Done).await;
        }
    }
    let many = (0..=COMMIT_WORK_MAX).fold(Commit::new(CommitId::draw()), |c, _| c.send(piece("k", "x")));
    assert_named(subject.events.commit(&subject.tenant, many).await, "COMMIT_WORK_MAX");
    assert_eq!(subject.all().await, []);
    hand.leave().await;
}

async fn limits_of_workers(subject: &Subject) {
    let named = |holder: &str| Worker { holder: holder.to_owned(), ..worker("") };
    let too_long = "n".repeat(LEASE_NAME_BYTES_MAX + 1);
    for holder in ["", too_long.as_str(), "a\0b"] {
        assert_named(subject.queue.share(&named(holder), LONG, &[]).await, "LEASE_NAME_BYTES_MAX");
        let of = Worker { scheduler: holder.to_owned(), ..named("a") };
        assert_named(subject.queue.share(&of, LONG, &[]).await, "LEASE_NAME_BYTES_MAX");
    }
    let longest = Duration::from_secs(LEASE_SECONDS_MAX);
    for duration in [Duration::ZERO, longest + Duration::from_nanos(1), Duration::MAX] {
        assert_named(subject.queue.share(&named("a"), duration, &[]).await, "LEASE_SECONDS_MAX");
    }
    // Nothing was taken by what was refused.
    let longest_name = "n".repeat(LEASE_NAME_BYTES_MAX);
    let texts = sample::HOSTILE_TEXTS.into_iter().chain([longest_name.as_str()]);
    for holder in texts {
        let named = Worker { scheduler: holder.to_owned(), ..named(holder) };
        let held = subject.share(&named, longest).await.held;
        let terms: Vec<ShardTerm> = held.iter().map(|held| held.term).collect();
        assert_eq!(terms.len(), Shard::all().len(), "{holder:?} is a name like any other");
        subject.queue.leave(&named).await.expect("leave answers");
    }
}

fn assert_named<T: std::fmt::Debug>(answer: Result<T, Error>, limit: &str) {
    match answer {
        Err(Error::Invalid(message)) => assert!(message.contains(limit), "{message:?} does not name {limit}"),
        other => panic!("not invalid by {limit}: {other:?}"),
    }
}
