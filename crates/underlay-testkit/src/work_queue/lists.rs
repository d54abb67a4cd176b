use std::collections::BTreeMap;
use std::time::Duration;

use underlay_core::adapter::PAGE_BYTES_MAX;
use underlay_core::limits::{COMMIT_BYTES_MAX, PAYLOAD_BYTES_MAX, WORK_PAGE_MAX};
use underlay_core::{
    Json, NewWork, QueueDepth, Settled, Work, WorkFilter, WorkInfo, WorkKind, WorkList, WorkPlace,
    WorkStanding,
};

use super::Subject;
use super::subject::{Hand, dead, piece_for, retry};
use crate::{WorkQueueFixture, sample};

/// Sentence 18: lists are in the order of places, by page, as the filter says; depths count every piece once, and say
/// where they ended at a bound. So few are counted to the end.
pub async fn work_is_listed_and_counted<F: WorkQueueFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    assert_eq!(subject.depths().await, [], "nothing is counted where nothing is");
    let hand = subject.hand("a").await;
    let globex = subject.seen_by("globex");
    let receivers = ["mail", "Mail", "mail%", "'; drop table work; --", "é", "%"];
    let mut sent: Vec<Work> = Vec::new();
    for (number, receiver) in receivers.into_iter().enumerate() {
        for (at, kind) in WorkKind::ALL.into_iter().enumerate() {
            subject.pass(Duration::from_secs(1));
            let tenant = if (number + at) % 2 == 0 { &subject } else { &globex };
            let key = sample::HOSTILE_TEXTS[(number + at) % 4];
            let new = |name: &str| piece_for(receiver, kind, key, name);
            let later = new("later").with_due_at(sample::end_of_time());
            let soon = new("soon").with_due_at(subject.after(Duration::from_secs(1_000)));
            let pieces = [new("head"), new("behind"), new("dead").urgent(), new("ready"), later, soon];
            let pieces = tenant.send(pieces).await;
            hand.settle_all([
                (&pieces[0], retry(Duration::MAX)),
                (&pieces[1], Settled::Held),
                (&pieces[2], dead(at % 2 == 0)),
            ])
            .await;
            sent.extend(pieces);
        }
    }
    // Some have come to be due, and are counted as before.
    subject.pass(Duration::from_secs(990));

    let filter = WorkFilter::default();
    for tenant in [None, Some(&subject.tenant), Some(&globex.tenant)] {
        for dead in [false, true] {
            let filter = WorkFilter { tenant: tenant.cloned(), dead, ..filter.clone() };
            assert_listed(&subject, &sent, &filter).await;
            let holds = WorkFilter { holds: true, ..filter.clone() };
            assert_listed(&subject, &sent, &holds).await;
            for kind in WorkKind::ALL {
                let filter = WorkFilter { kind: Some(kind), ..filter.clone() };
                assert_listed(&subject, &sent, &filter).await;
            }
            for (receiver, key) in receivers.into_iter().zip(sample::HOSTILE_TEXTS.into_iter().cycle()) {
                for kind in [None, Some(WorkKind::Input)] {
                    let (receiver, key) = (Some(receiver.to_owned()), Some(key.to_owned()));
                    assert_listed(&subject, &sent, &WorkFilter { kind, receiver, key, ..holds.clone() })
                        .await;
                }
            }
        }
    }
    for receiver in receivers.into_iter().chain(["MAIL", "m", "_"]) {
        let filter = WorkFilter { receiver: Some(receiver.to_owned()), ..filter.clone() };
        assert_listed(&subject, &sent, &filter).await;
        let filter = WorkFilter { kind: Some(WorkKind::Timer), dead: true, ..filter };
        assert_listed(&subject, &sent, &filter).await;
    }
    for key in sample::HOSTILE_TEXTS {
        let filter = WorkFilter { key: Some(key.to_owned()), ..filter.clone() };
        assert_listed(&subject, &sent, &filter).await;
        let filter =
            WorkFilter { tenant: Some(globex.tenant.clone()), receiver: Some("mail".to_owned()), ..filter };
        assert_listed(&subject, &sent, &filter).await;
    }
    for info in subject.all().await {
        let expected = match info.work.sent.name.as_str() {
            "ready" => WorkStanding::Ready,
            "behind" => WorkStanding::Behind,
            "dead" => info.standing.clone(),
            _ => WorkStanding::Later,
        };
        assert_eq!(info.standing, expected, "{}", info.work.sent.name);
        let found = subject.seen_by(info.work.tenant.as_str());
        let number = sent.iter().filter(|work| work.commit_id == info.work.commit_id);
        let number = number.take_while(|work| work.id != info.work.id).count() as u32;
        assert_eq!(found.find(info.work.commit_id, number).await, Some(info), "found as it is listed");
    }
    depths_count_every_piece(&subject, &hand, &sent).await;
}

/// Panics where a list is not what was sent, by pages of several sizes.
async fn assert_listed(subject: &Subject, sent: &[Work], filter: &WorkFilter) {
    let is_listed = |work: &&Work| {
        let WorkFilter { tenant, dead, holds, kind, receiver, key } = filter;
        // Every other kind is given up without holding its key.
        let is_holding = matches!(work.sent.kind, WorkKind::Message | WorkKind::Input);
        *dead == (work.sent.name == "dead")
            && (!*dead || !*holds || is_holding)
            && tenant.as_ref().is_none_or(|tenant| *tenant == work.tenant)
            && kind.is_none_or(|kind| kind == work.sent.kind)
            && receiver.as_ref().is_none_or(|receiver| *receiver == work.sent.receiver)
            && key.as_ref().is_none_or(|key| *key == work.sent.key)
    };
    let expected: Vec<WorkPlace> = sent.iter().filter(is_listed).map(|work| work.place).collect();
    for limit in [7, 1_000] {
        let mut listed: Vec<WorkInfo> = Vec::new();
        let mut after = Some(WorkPlace::START);
        while let Some(place) = after {
            let page = subject.queue.list_work(filter, place, limit).await.expect("list_work answers");
            assert!(page.work.len() <= limit);
            assert!(page.at_end || page.work.len() == limit, "pieces so small fill a page");
            after = page.next();
            assert!(after > Some(place) || page.at_end, "a page that is not the last moves on");
            listed.extend(page.work);
        }
        let places: Vec<WorkPlace> = listed.iter().map(|info| info.work.place).collect();
        assert_eq!(places, expected, "{filter:?} by pages of {limit}");
    }
}

/// Sentence 23: a page of a list ends once it has passed `PAGE_BYTES_MAX`, with a piece at least where one is listed. It
/// says whether more follows, and going on after its last piece leaves out and repeats none.
pub async fn lists_are_bounded_in_bytes<F: WorkQueueFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let globex = subject.seen_by("globex");
    let hand = subject.hand("a").await;
    // As large as a payload may be; a commit has room for so many.
    let text = "x".repeat(PAYLOAD_BYTES_MAX - 2);
    let in_commit = COMMIT_BYTES_MAX / PAYLOAD_BYTES_MAX - 1;
    let in_page = PAGE_BYTES_MAX.div_ceil(PAYLOAD_BYTES_MAX);
    let count = in_page + 2;
    let mut sent: Vec<Work> = Vec::new();
    while sent.len() < count {
        let part = in_commit.min(count - sent.len());
        // What is ready and what waits are of one list.
        let pieces = (0..part).map(|number| {
            let payload = Json::encode(&text).expect("text has a JSON form");
            let work = NewWork::new(WorkKind::Message, "mail", format!("k{number}"), "large", payload);
            if number % 2 == 0 { work.with_due_at(sample::end_of_time()) } else { work }
        });
        sent.extend(subject.send(pieces).await);
        // Another tenant's stands between, and takes no room of its pages.
        let small = globex.send_one(piece_for("mail", WorkKind::Message, "k", "small")).await;
        hand.settle(&small, Settled::Done).await;
    }
    let all: Vec<WorkPlace> = sent.iter().map(|work| work.place).collect();
    for dead in [false, true] {
        for tenant in [None, Some(subject.tenant.clone())] {
            let filter = WorkFilter { tenant, dead, ..WorkFilter::default() };
            let first = subject.queue.list_work(&filter, WorkPlace::START, WORK_PAGE_MAX).await;
            let first = first.expect("list_work answers");
            let places = |list: &WorkList| list.work.iter().map(|info| info.work.place).collect::<Vec<_>>();
            assert!((1..=in_page + 1).contains(&first.work.len()), "{} pieces in a page", first.work.len());
            assert!(!first.at_end, "more follows");
            let mut listed = places(&first);
            let mut next = first.next();
            assert_eq!(next.as_ref(), listed.last(), "it goes on after its last piece");
            while let Some(after) = next {
                let page = subject.queue.list_work(&filter, after, WORK_PAGE_MAX).await;
                let page = page.expect("list_work answers");
                assert!(!page.work.is_empty(), "where more was to follow, something does");
                listed.extend(places(&page));
                next = page.next();
            }
            assert_eq!(listed, all, "each once, in the order of places");
            // One at a time, the last of them says so.
            let last_but_one = subject.queue.list_work(&filter, all[count - 3], 1).await;
            let last = subject.queue.list_work(&filter, all[count - 2], 1).await;
            let ends = [last_but_one, last].map(|page| page.expect("list_work answers").at_end);
            assert_eq!(ends, [false, true], "whether more follows");
        }
        if !dead {
            hand.settle_all(sent.iter().map(|work| (work, super::subject::dead(false)))).await;
        }
    }
}

/// Sentence 24: the depths of one tenant count its work alone: they are the same, whatever the others have.
pub async fn depths_of_a_tenant_are_its_own<F: WorkQueueFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let hand = subject.hand("a").await;
    let others = ["globex", "ACM", "acme-", "_"].map(|tenant| subject.seen_by(tenant));
    let soon = subject.after(Duration::from_secs(5));
    let fill = async |tenant: &Subject, receiver: &str, more: usize| {
        let piece = |name: &str| piece_for(receiver, WorkKind::Message, "k", name);
        let mut pieces = vec![piece("head"), piece("behind"), piece("dead"), piece("soon").with_due_at(soon)];
        pieces.extend((0..more).map(|_| piece("ready")));
        let sent = tenant.send(pieces).await;
        hand.settle_all([
            (&sent[0], retry(Duration::MAX)),
            (&sent[1], Settled::Held),
            (&sent[2], dead(true)),
        ])
        .await;
    };
    // Of every other there is older work, more of it, and a queue that this tenant has not.
    for other in &others {
        fill(other, "mail", 3).await;
        fill(other, "post", 1).await;
    }
    subject.pass(Duration::from_secs(1));
    assert_eq!(subject.own_depths().await, [], "nothing is counted of a tenant that has nothing");
    let sent_at = subject.now();
    fill(&subject, "mail", 1).await;
    let depth = QueueDepth {
        ready: 1,
        later: 3,
        dead: 1,
        oldest_sent_at: Some(sent_at),
        ..QueueDepth::empty("mail", WorkKind::Message)
    };
    assert_eq!(subject.own_depths().await, *std::slice::from_ref(&depth), "its own and no other's");
    subject.pass(Duration::from_secs(10));
    for other in &others {
        fill(other, "mail", 2).await;
    }
    assert_eq!(subject.own_depths().await, [depth], "whatever the others have");
    let all: u64 = subject.depths().await.iter().map(|depth| depth.ready).sum();
    // Of the last that were sent, one was due already.
    assert_eq!(all, 1 + 4 * (3 + 1 + 2 + 1), "over all tenants every piece counts");
}

/// Sentence 25: a queue is as late as its oldest piece that is ready or due, or was tried and waits for its next attempt;
/// what was never tried is not late before its moment.
pub async fn what_is_tried_again_is_late<F: WorkQueueFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let hand = subject.hand("a").await;
    let ages = async || {
        let ages = |depths: Vec<QueueDepth>| depths.iter().map(|depth| depth.oldest_sent_at).collect();
        let all: Vec<_> = ages(subject.depths().await);
        assert_eq!(ages(subject.own_depths().await), all, "of the one tenant there is");
        all
    };
    let piece = |key: &str| piece_for("mail", WorkKind::Message, key, "letter");
    let never = subject.send([piece("a").with_due_at(sample::end_of_time())]).await;
    assert_eq!(ages().await, [None], "nobody has tried it, nor should have");
    let mut tried = Vec::new();
    for key in ["b", "c", "c"] {
        subject.pass(Duration::from_secs(1));
        tried.extend(subject.send([piece(key)]).await);
    }
    hand.settle_all([
        (&tried[0], retry(Duration::MAX)),
        (&tried[1], retry(Duration::from_secs(60))),
        (&tried[2], Settled::Held),
    ])
    .await;
    assert_eq!(ages().await, [Some(tried[0].sent_at)], "the oldest that was tried");
    hand.settle_all([(&tried[0], Settled::Done)]).await;
    assert_eq!(ages().await, [Some(tried[1].sent_at)], "the next one, and not what waits for its moment");
    hand.settle_all([(&tried[1], Settled::Done)]).await;
    assert_eq!(ages().await, [Some(tried[2].sent_at)], "what stood behind it is due");
    hand.settle_all([(&tried[2], dead(false))]).await;
    assert_eq!(ages().await, [None], "a dead letter is counted, and not late");
    hand.settle_all([(&never[0], Settled::Done)]).await;
    subject.replay(&[&tried[2]]).await;
    assert_eq!(ages().await, [Some(tried[2].sent_at)], "what is replayed is due");
}

async fn depths_count_every_piece(subject: &Subject, hand: &Hand, sent: &[Work]) {
    let mut expected: BTreeMap<(&str, &str), QueueDepth> = BTreeMap::new();
    let now = subject.now();
    for work in sent {
        let NewWork { receiver, kind, name, .. } = &work.sent;
        let depth =
            expected.entry((receiver, kind.name())).or_insert_with(|| QueueDepth::empty(receiver, *kind));
        match name.as_str() {
            "ready" => depth.ready += 1,
            "dead" => depth.dead += 1,
            _ => depth.later += 1,
        }
        // The head was tried.
        let is_late =
            matches!(name.as_str(), "ready" | "head") || work.sent.due_at.is_some_and(|due_at| due_at <= now);
        if is_late {
            let oldest = depth.oldest_sent_at.map_or(work.sent_at, |oldest| oldest.min(work.sent_at));
            depth.oldest_sent_at = Some(oldest);
        }
    }
    let depths = subject.depths().await;
    assert_eq!(depths, expected.into_values().collect::<Vec<_>>(), "each piece once, over all tenants");
    let done: Vec<&Work> =
        sent.iter().filter(|work| matches!(work.sent.name.as_str(), "ready" | "soon")).collect();
    hand.settle_all(done.iter().map(|work| (*work, Settled::Done))).await;
    let depths = subject.depths().await;
    assert!(depths.iter().all(|depth| depth.ready == 0), "{depths:?}");
    assert!(depths.iter().all(|depth| (depth.later, depth.dead) == (3, 1)), "{depths:?}");
}
