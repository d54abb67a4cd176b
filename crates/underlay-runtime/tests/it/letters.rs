//! Dead letters that are more than a page, settled all at once.

use std::collections::BTreeSet;
use std::time::Duration;

use underlay_core::adapter::PAGE_BYTES_MAX;
use underlay_core::limits::PAYLOAD_BYTES_MAX;
use underlay_core::memory::MemoryEventStore;
use underlay_core::{
    Commit, CommitId, EventStore, Json, NewWork, Settled, Settlement, TenantId, WorkFilter, WorkId, WorkKind,
    WorkPlace, WorkQueue, Worker,
};
use underlay_runtime::{LetterChoice, LetterOrder, Registry};

use crate::drawing::over;

/// Sends a piece that is given up, and gives its id.
async fn give_up(store: &MemoryEventStore, tenant: &TenantId, key: &str, text: &str) -> WorkId {
    let payload = Json::encode(text).unwrap();
    let commit =
        Commit::new(CommitId::draw()).send(NewWork::new(WorkKind::Message, "mailer", key, "note", payload));
    let id = commit.id;
    store.commit(tenant, commit).await.unwrap();
    let work = store.find_work(tenant, id, 0).await.unwrap().unwrap().work;
    let worker = Worker::embedded("a test");
    let share = store.share(&worker, Duration::from_secs(60), &[]).await.unwrap();
    let term = share.held.iter().find(|held| held.term.shard == work.shard).unwrap().term;
    let settled = Settled::Dead { error: "no such address".to_owned(), is_final: true, holds: true };
    store.settle(&[Settlement { term, place: work.place, settled }]).await.unwrap();
    store.leave(&worker).await.unwrap();
    work.id
}

#[tokio::test]
async fn dead_letters_of_several_pages_are_counted_found_and_settled_once_each() {
    let store = MemoryEventStore::default();
    let engine = over(&store, Registry::default());
    let [acme, globex] = ["acme", "globex"].map(|name| TenantId::new(name).unwrap());
    // Few pieces, and more bytes than a page may have; what is small stands between.
    let large = "x".repeat(PAYLOAD_BYTES_MAX - 2);
    let mut sent = Vec::new();
    for number in 0..PAGE_BYTES_MAX / PAYLOAD_BYTES_MAX + 3 {
        sent.push(give_up(&store, &acme, &format!("a{number}"), &large).await);
        sent.push(give_up(&store, &globex, &format!("g{number}"), "small").await);
    }
    let all = WorkFilter::default();
    let first = engine.dead_letters(&all, WorkPlace::START, 1_000).await.unwrap();
    assert!(!first.at_end && first.work.len() < sent.len(), "there is more than a page");
    let counted = engine.count_dead_letters(&all).await.unwrap();
    assert_eq!(counted.count, sent.len());
    let last = sent[sent.len() - 1];
    assert_eq!(engine.find_dead_letter(&all, last).await.unwrap().work.id, last);

    // Those of the ids are settled wherever they stand, and no other.
    let ids = [sent.remove(0), sent.remove(0), sent.remove(sent.len() - 2)];
    let missing = WorkId::of(&acme, CommitId::draw(), 0);
    let named = LetterChoice { ids: Some(ids.into_iter().chain([missing]).collect()), ..Default::default() };
    let settled = engine.settle_chosen_letters(LetterOrder::Discard, &named, 1, "a test").await.unwrap();
    assert_eq!((settled.count, settled.told, settled.next), (3, 0, None));
    // Of a filter so many, and the next from there on.
    let mut of_globex = LetterChoice::default();
    of_globex.filter.tenant = Some(globex.clone());
    let mut discarded = Vec::new();
    for _ in 0..2 {
        let settled = engine.settle_chosen_letters(LetterOrder::Discard, &of_globex, 1, "a test").await;
        let settled = settled.unwrap();
        discarded.push(settled.count);
        of_globex.after = settled.next.unwrap();
    }
    assert_eq!(discarded, [1, 1]);
    let is_left = async |id| engine.find_dead_letter(&all, id).await.is_ok();
    let mut left_ids = Vec::new();
    for id in sent {
        if is_left(id).await {
            left_ids.push(id);
        }
    }
    let sent = left_ids;
    assert_eq!(engine.count_dead_letters(&all).await.unwrap().count, sent.len());

    // Those that die after they were counted stay.
    let later = give_up(&store, &acme, "later", "small").await;
    let settled = engine.settle_dead_letters(LetterOrder::Replay, &all, counted.last, "a test").await;
    assert_eq!(settled.unwrap(), sent.len());
    let left = engine.dead_letters(&all, WorkPlace::START, 1_000).await.unwrap();
    assert_eq!(left.work.iter().map(|letter| letter.work.id).collect::<Vec<_>>(), [later]);
    let mut replayed = BTreeSet::new();
    let mut after = Some(WorkPlace::START);
    while let Some(place) = after {
        let page = store.list_work(&all, place, 1_000).await.unwrap();
        after = page.next();
        replayed.extend(page.work.into_iter().map(|info| info.work.id));
    }
    assert_eq!(replayed, sent.into_iter().collect());
    let none = engine.find_dead_letter(&all, WorkId::of(&acme, CommitId::draw(), 0)).await;
    assert!(none.is_err(), "{none:?}");
}
