//! Work in a file: other processes, failures of the writer, power cuts, long queues.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use underlay_core::{
    Archive, Commit, CommitId, Error, EventStore, ExpectedVersion, HeldShard, Json, Lane, LogScope,
    ManualClock, NewWork, Retention, Schedules, Settled, Settlement, Shard, ShardTerm, TenantId, Timestamp,
    Wakeups, Work, WorkFilter, WorkKind, WorkPlace, WorkQueue, WorkScope, WorkStanding, Worker,
};
use underlay_sqlite::{FaultPoint, SqliteConfig, SqliteStore};

use crate::failures::Gate;
use crate::sample::{Place, append, begin, event, stream, tenant};

/// How long the workers here hold their shards.
pub(crate) const SHARE: Duration = Duration::from_secs(60);

pub(crate) fn piece(key: &str) -> NewWork {
    NewWork::new(WorkKind::Message, "mail", key, "welcome", Json::parse("{\"to\":\"a\"}").unwrap())
}

/// A commit that sends pieces of these keys, and has no events.
pub(crate) fn sending(keys: &[&str]) -> Commit {
    keys.iter().fold(Commit::new(CommitId::draw()), |commit, key| commit.send(piece(key)))
}

pub(crate) fn worker(name: &str) -> Worker {
    Worker::embedded(name)
}

fn term_of(held: &[HeldShard], shard: Shard) -> ShardTerm {
    held.iter().find(|held| held.term.shard == shard).expect("the shard is held").term
}

fn settlement(held: &[HeldShard], work: &Work, settled: Settled) -> Settlement {
    Settlement { term: term_of(held, work.shard), place: work.place, settled }
}

/// All that is not dead.
async fn waiting(store: &SqliteStore) -> Vec<Work> {
    list(store, false).await
}

async fn list(store: &SqliteStore, dead: bool) -> Vec<Work> {
    let filter = WorkFilter { dead, ..WorkFilter::default() };
    let listed = store.list_work(&filter, WorkPlace::START, 1_000).await.unwrap();
    listed.work.into_iter().map(|info| info.work).collect()
}

async fn ready(store: &SqliteStore, shard: Shard, scope: &WorkScope) -> Vec<Work> {
    let page = store.read_work(shard, Lane::Normal, scope, WorkPlace::START, 100).await.unwrap();
    page.work.into_iter().map(|read| read.work).collect()
}

fn nobody_passed() -> WorkScope {
    WorkScope::EveryTenantBut(Vec::new())
}

/// Calls until the writer has its file back.
async fn until_stored<T, F: Future<Output = Result<T, Error>>>(call: impl Fn() -> F) -> T {
    loop {
        match call().await {
            Err(Error::Unavailable { .. }) => tokio::task::yield_now().await,
            answer => return answer.unwrap(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn work_without_events_wakes_its_own_process_and_another() {
    let place = Place::new();
    let slow = SqliteConfig::default().with_poll_interval(Duration::from_secs(3_600));
    let quick = SqliteConfig::default().with_poll_interval(Duration::from_millis(5));
    let (here, there) = (place.open_with(slow), place.open_with(quick));
    let (mut own, mut other) = (here.subscribe(), there.subscribe());
    for round in 0..3 {
        let commit = match round {
            2 => Commit::new(CommitId::draw()).send(piece("a").with_due_at(Timestamp::MAX)),
            _ => sending(&["a"]),
        };
        here.commit(&tenant(), commit).await.unwrap();
        for wakeup in [&mut own, &mut other] {
            let hint = tokio::time::timeout(Duration::from_secs(20), wakeup.hint()).await;
            hint.expect("a hint");
        }
        assert_eq!(waiting(&there).await.len(), round + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_share_the_work_and_settle_nothing_of_each_other() {
    let place = Place::new();
    let (here, there) = (place.open(), place.open());
    let keys: Vec<String> = (0..50).map(|number| format!("k{number}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    here.commit(&tenant(), sending(&keys)).await.unwrap();
    let (first, second) = (worker("first"), worker("second"));
    assert_eq!(here.share(&first, SHARE, &[]).await.unwrap().held.len(), Shard::all().len());
    assert_eq!(there.share(&second, SHARE, &[]).await.unwrap().held, []);
    let all = here.share(&first, SHARE, &[]).await.unwrap().held;
    let surplus: Vec<ShardTerm> = all.iter().filter(|held| held.is_surplus).map(|held| held.term).collect();
    here.release(&surplus).await.unwrap();
    let (ours, theirs) = (
        here.share(&first, SHARE, &[]).await.unwrap().held,
        there.share(&second, SHARE, &[]).await.unwrap().held,
    );
    assert_eq!((ours.len(), theirs.len()), (8, 8));
    let work = waiting(&there).await;
    // Each settles all it has read, the first under terms it has given back in part.
    let of_all: Vec<_> = work.iter().map(|work| settlement(&all, work, Settled::Done)).collect();
    let lost = here.settle(&of_all).await.unwrap();
    let given_back: Vec<Shard> = surplus.iter().map(|term| term.shard).collect();
    let expected: Vec<Shard> =
        given_back.into_iter().filter(|shard| work.iter().any(|work| work.shard == *shard)).collect();
    assert_eq!(lost, expected);
    let left = waiting(&there).await;
    assert!(!left.is_empty() && left.iter().all(|work| lost.contains(&work.shard)));
    let rest: Vec<_> = left.iter().map(|work| settlement(&theirs, work, Settled::Done)).collect();
    assert_eq!(there.settle(&rest).await.unwrap(), []);
    assert_eq!(waiting(&here).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_workers_of_two_processes_do_each_piece_once_and_in_order() {
    const PIECES: usize = 300;
    let place = Place::new();
    let stores = [place.open(), place.open()];
    let sender = stores[0].clone();
    let sending = tokio::spawn(async move {
        for number in 0..PIECES / 3 {
            let key = format!("k{}", number % 20);
            sender.commit(&tenant(), sending(&[&key, &key, "shared"])).await.unwrap();
        }
    });
    let done = Arc::new(tokio::sync::Mutex::new(Vec::new()));
    let working: Vec<_> = (0..4)
        .map(|number| {
            let (store, done) = (stores[number % 2].clone(), done.clone());
            tokio::spawn(async move {
                let worker = worker(&format!("worker {number}"));
                while done.lock().await.len() < PIECES {
                    let share = store.share(&worker, SHARE, &[]).await.unwrap();
                    for HeldShard { term, is_surplus, .. } in share.held {
                        if is_surplus {
                            store.release(&[term]).await.unwrap();
                            continue;
                        }
                        for work in ready(&store, term.shard, &nobody_passed()).await {
                            let settled = Settlement { term, place: work.place, settled: Settled::Done };
                            let lost = store.settle(&[settled]).await.unwrap();
                            assert_eq!(lost, [], "nobody else holds it");
                            done.lock().await.push(work);
                        }
                    }
                    tokio::task::yield_now().await;
                }
                store.leave(&worker).await.unwrap();
            })
        })
        .collect();
    sending.await.unwrap();
    for task in working {
        task.await.unwrap();
    }
    let done = done.lock().await;
    assert_eq!(done.len(), PIECES, "each once");
    for key in (0..20).map(|number| format!("k{number}")).chain(["shared".to_owned()]) {
        let places = done.iter().filter(|work| work.sent.key == key).map(|work| work.place);
        assert!(places.is_sorted(), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn work_is_stored_with_its_commit_at_whatever_step_the_writer_fails() {
    for step in [FaultPoint::Begin, FaultPoint::Inserted, FaultPoint::Commit, FaultPoint::Committed] {
        for fence in [false, true] {
            let place = Place::new();
            let (failed, fenced) = (AtomicBool::new(false), AtomicBool::new(!fence));
            let store = place.open_with(SqliteConfig::default().with_faults(move |at| {
                at == step && !failed.swap(true, Ordering::SeqCst)
                    || at == FaultPoint::Fence && !fenced.swap(true, Ordering::SeqCst)
            }));
            let commit =
                sending(&["a", "b"]).append(stream("a-1"), ExpectedVersion::NoStream, vec![event(1)]);
            let answer = store.commit(&tenant(), commit.clone()).await;
            let is_stored = store.find_commit(&tenant(), commit.id).await.unwrap().is_some();
            assert_eq!(waiting(&store).await.len(), if is_stored { 2 } else { 0 }, "{step:?}: {answer:?}");
            until_repeated(&store, &commit).await;
            let work = waiting(&store).await;
            assert_eq!(work.len(), 2, "{step:?}: stored once");
            for (number, work) in (0..).zip(&work) {
                let found = store.find_work(&tenant(), commit.id, number).await.unwrap().unwrap();
                assert_eq!(found.work, *work);
                assert_eq!(found.standing, WorkStanding::Ready);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_batch_a_commit_that_cannot_be_stored_leaves_no_work_and_takes_none_from_the_others() {
    let place = Place::new();
    let (gate, config) = Gate::new();
    let store = place.open_with(config);
    let owner = tenant();
    let known = append("a-1", ExpectedVersion::NoStream);
    let first = begin(store.commit(&owner, known.clone()));
    gate.reached().await;
    let mut poisoned = sending(&["x", "y"]);
    let mut events = known.writes[0].events.clone();
    events.extend([event(2)]);
    poisoned = poisoned.append(stream("b-1"), ExpectedVersion::Any, events);
    let conflict = sending(&["z"]).append(stream("a-1"), ExpectedVersion::NoStream, vec![event(3)]);
    let commits = [sending(&["a"]), poisoned, conflict, sending(&["b", "c"])];
    let waiting_all: Vec<_> =
        commits.iter().map(|commit| begin(store.commit(&owner, commit.clone()))).collect();
    gate.open();
    first.await.unwrap();
    let mut stored = Vec::new();
    for answer in waiting_all {
        stored.push(answer.await.is_ok());
    }
    assert_eq!(stored, [true, false, false, true]);
    let work = waiting(&store).await;
    let keys: Vec<&str> = work.iter().map(|work| work.sent.key.as_str()).collect();
    assert_eq!(keys, ["a", "b", "c"]);
    assert!(work.iter().map(|work| work.place).is_sorted());
}

async fn until_repeated(store: &SqliteStore, commit: &Commit) {
    loop {
        match store.commit(&tenant(), commit.clone()).await {
            Ok(committed) if committed.repeated => return,
            Ok(_) | Err(Error::Unavailable { .. } | Error::Uncertain { .. }) => {
                tokio::task::yield_now().await
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_at_any_step_of_settling_is_settled_by_doing_it_again() {
    let settled = [
        Settled::Done,
        Settled::Held,
        Settled::Retry { delay: Duration::MAX, error: "no route".to_owned() },
        Settled::Dead { error: "no such address".to_owned(), is_final: true, holds: true },
    ];
    for settled in settled {
        for step in [FaultPoint::Begin, FaultPoint::Inserted, FaultPoint::Commit, FaultPoint::Committed] {
            let (place, armed) = (Place::new(), Arc::new(AtomicBool::new(false)));
            let fails = armed.clone();
            let config = SqliteConfig::default();
            let store = place
                .open_with(config.with_faults(move |at| at == step && fails.swap(false, Ordering::SeqCst)));
            store.commit(&tenant(), sending(&["a", "a"])).await.unwrap();
            let held = store.share(&worker("w"), SHARE, &[]).await.unwrap().held;
            let work = waiting(&store).await;
            let first = [settlement(&held, &work[0], settled.clone())];
            armed.store(true, Ordering::SeqCst);
            let answer = store.settle(&first).await;
            assert!(matches!(answer, Err(Error::Unavailable { .. })), "{step:?}: {answer:?}");
            assert_eq!(until_stored(|| store.settle(&first)).await, []);
            let (alive, dead) = (waiting(&store).await, list(&store, true).await);
            assert_eq!(
                (alive.len(), dead.len()),
                match settled {
                    Settled::Done => (1, 0),
                    Settled::Held | Settled::Retry { .. } => (2, 0),
                    Settled::Dead { .. } => (1, 1),
                },
                "{step:?}: each piece once"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_term_whose_giving_failed_is_given_to_nobody_else() {
    for step in [FaultPoint::Begin, FaultPoint::Inserted, FaultPoint::Commit, FaultPoint::Committed] {
        let (place, armed) = (Place::new(), Arc::new(AtomicBool::new(false)));
        let fails = armed.clone();
        let config = SqliteConfig::default();
        let store =
            place.open_with(config.with_faults(move |at| at == step && fails.swap(false, Ordering::SeqCst)));
        let (first, second) = (worker("first"), worker("second"));
        armed.store(true, Ordering::SeqCst);
        let answer = store.share(&first, SHARE, &[]).await;
        assert!(matches!(answer, Err(Error::Unavailable { .. })), "{step:?}: {answer:?}");
        let held = until_stored(|| store.share(&second, SHARE, &[])).await.held;
        let rest = store.share(&first, SHARE, &[]).await.unwrap().held;
        assert!(held.iter().all(|held| rest.iter().all(|rest| rest.term.shard != held.term.shard)));
    }
}

/// The files of a place as a power cut leaves them: the log ends after this many bytes.
fn cut(place: &Place, wal_bytes: u64) -> Place {
    let copy = Place::new();
    let name = |place: &Place, end: &str| format!("{}{end}", place.path().display());
    std::fs::copy(name(place, ""), name(&copy, "")).unwrap();
    let mut wal = std::fs::read(name(place, "-wal")).unwrap();
    wal.truncate(wal_bytes as usize);
    std::fs::write(name(&copy, "-wal"), wal).unwrap();
    copy
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_takes_back_the_last_of_what_was_done_and_nothing_that_was_flushed() {
    const FRAME_BYTES: u64 = 4_096 + 24;
    let clock = Arc::new(ManualClock::new(Timestamp::from_second(1_900_000_000).unwrap()));
    let config = || SqliteConfig::default().with_clock(clock.clone());
    let place = Place::new();
    let store = place.open_with(config());
    let (gone, letter) =
        (worker("gone"), Settled::Dead { error: "no such address".to_owned(), is_final: true, holds: true });
    store.commit(&tenant(), sending(&["a", "a", "b", "c"])).await.unwrap();
    let held = store.share(&gone, SHARE, &[]).await.unwrap().held;
    let flushed = place.wal_bytes();
    let work = waiting(&store).await;
    // Not flushed: what became of the work, a renewed term, a shard given back.
    store.settle(&[settlement(&held, &work[0], letter)]).await.unwrap();
    store.settle(&[settlement(&held, &work[1], Settled::Held)]).await.unwrap();
    store.settle(&[settlement(&held, &work[2], Settled::Done)]).await.unwrap();
    store.share(&gone, SHARE, &[(work[2].shard, [work[2].place; 2])]).await.unwrap();
    store.release(&[term_of(&held, work[3].shard)]).await.unwrap();
    let end = place.wal_bytes();
    assert!(flushed < end, "the log of the file grows");
    let mut outcomes = std::collections::BTreeSet::new();
    for bytes in (flushed..=end).step_by(FRAME_BYTES as usize) {
        let copy = cut(&place, bytes);
        let after = copy.open_with(config());
        let (alive, dead) = (waiting(&after).await, list(&after, true).await);
        outcomes.insert((alive.len(), dead.len()));
        // A prefix of what was done, and each piece in one place.
        assert!([(4, 0), (3, 1), (2, 1)].contains(&(alive.len(), dead.len())), "at {bytes}");
        // No term is given twice, and nobody who is gone settles under one.
        clock.advance(SHARE * 2);
        let next = after.share(&worker("next"), SHARE, &[]).await.unwrap().held;
        for (next, before) in next.iter().zip(&held) {
            assert!(next.term.term > before.term.term, "at {bytes}: {:?}", next.term);
        }
        if alive.iter().any(|work_left| work_left.place == work[2].place) {
            let its = next.iter().find(|held| held.term.shard == work[2].shard).unwrap();
            assert!(its.cursors[1] < work[2].place, "at {bytes}: a cursor is not past what is ready");
        }
        let late: Vec<_> = alive.iter().map(|work| settlement(&held, work, Settled::Done)).collect();
        assert!(late.is_empty() || !after.settle(&late).await.unwrap().is_empty());
        assert_eq!(waiting(&after).await.len(), alive.len());
    }
    assert_eq!(outcomes.len(), 3, "the cuts went through every step");
}

/// A store with as many thousand pieces of one tenant, then one of another, all of one shard.
async fn long_queue(place: &Place, thousands: usize) -> (SqliteStore, Shard, TenantId) {
    let store = place.open();
    let (busy, quiet) = (TenantId::new("busy").unwrap(), TenantId::new("quiet").unwrap());
    let shard = Shard::of(&busy, "k");
    for _ in 0..thousands {
        let commit = (0..1_000).fold(Commit::new(CommitId::draw()), |commit, _| commit.send(piece("k")));
        store.commit(&busy, commit).await.unwrap();
    }
    let key = (0..).map(|number| format!("q{number}")).find(|key| Shard::of(&quiet, key) == shard).unwrap();
    store.commit(&quiet, sending(&[&key])).await.unwrap();
    (store, shard, quiet)
}

/// The shortest of some runs: what a call takes where nothing else is in its way.
async fn shortest<F: Future<Output = ()>>(call: impl Fn() -> F) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..20 {
        let begun = Instant::now();
        call().await;
        best = best.min(begun.elapsed());
    }
    best
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_first_piece_is_read_at_once_behind_a_hundred_thousand_of_another() {
    let place = Place::new();
    let (store, shard, quiet) = long_queue(&place, 100).await;
    let store = &store;
    // Passing over the other tenant, or reading the one alone, walks along an index, and comes past it in bounded steps.
    let others = WorkScope::EveryTenantBut(vec![TenantId::new("busy").unwrap()]);
    for scope in [others, WorkScope::Tenant(quiet)] {
        let (mut after, mut pages) = (WorkPlace::START, 0);
        let found = loop {
            let begun = Instant::now();
            let page = store.read_work(shard, Lane::Normal, &scope, after, 10).await.unwrap();
            assert!(begun.elapsed() < Duration::from_secs(1), "a page took {:?}", begun.elapsed());
            assert!(page.scanned_to > after);
            (after, pages) = (page.scanned_to, pages + 1);
            if !page.work.is_empty() {
                break page.work;
            }
        };
        assert_eq!(found.len(), 1);
        assert!(pages > 5, "no page walks over all of it");
    }
    let begun = Instant::now();
    let depths = store.queue_depths(None).await.unwrap();
    assert_eq!(depths[0].ready, 100_001);
    assert!(begun.elapsed() < Duration::from_secs(2), "counting took {:?}", begun.elapsed());
    let listed = shortest(|| async {
        let filter = WorkFilter { tenant: Some(TenantId::new("quiet").unwrap()), ..WorkFilter::default() };
        assert_eq!(store.list_work(&filter, WorkPlace::START, 10).await.unwrap().work.len(), 1);
    });
    let took = listed.await;
    assert!(took < Duration::from_millis(500), "listing a tenant's work took {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_slows_no_reader_while_another_pins_the_file() {
    let place = Place::new();
    let (store, shard, quiet) = long_queue(&place, 12).await;
    let held = store.share(&worker("w"), SHARE, &[]).await.unwrap().held;
    // A reader that sees the queue as it was for as long as it likes.
    let pinned = place.connect();
    pinned.execute_batch("BEGIN").unwrap();
    let count = "SELECT count(*) FROM work";
    assert_eq!(pinned.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap(), 12_001);
    for _ in 0..11 {
        let page = store.read_work(shard, Lane::Normal, &nobody_passed(), WorkPlace::START, 1_000).await;
        let page = page.unwrap().work;
        let done: Vec<_> = page.iter().map(|read| settlement(&held, &read.work, Settled::Done)).collect();
        assert_eq!(store.settle(&done).await.unwrap(), []);
    }
    // Also from the start: what is done is out of the index, whoever still reads an older state.
    let store = &store;
    let reading = shortest(|| async {
        let page = store.read_work(shard, Lane::Normal, &nobody_passed(), WorkPlace::START, 10).await;
        assert_eq!(page.unwrap().work.len(), 10);
    });
    let took = reading.await;
    assert!(took < Duration::from_millis(20), "reading behind what is done took {took:?}");
    assert_eq!(pinned.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap(), 12_001);
    assert_eq!(ready(store, shard, &WorkScope::Tenant(quiet)).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_and_settling_take_turns() {
    let place = Place::new();
    let store = place.open();
    let held = store.share(&worker("w"), SHARE, &[]).await.unwrap().held;
    let stop = Arc::new(AtomicBool::new(false));
    let committing: Vec<_> = (0..8)
        .map(|number| {
            let (store, stop) = (store.clone(), stop.clone());
            tokio::spawn(async move {
                let mut commits = 0;
                while !stop.load(Ordering::SeqCst) {
                    let name = format!("a-{number}");
                    store.commit(&tenant(), append(&name, ExpectedVersion::Any)).await.unwrap();
                    commits += 1;
                }
                commits
            })
        })
        .collect();
    for _ in 0..50 {
        store.commit(&tenant(), sending(&["a", "b"])).await.unwrap();
        let work = waiting(&store).await;
        let done: Vec<_> = work.iter().map(|work| settlement(&held, work, Settled::Done)).collect();
        assert_eq!(store.settle(&done).await.unwrap(), []);
    }
    stop.store(true, Ordering::SeqCst);
    // Which of them is scheduled how often is not for the store to say.
    let mut commits = 0;
    for task in committing {
        commits += task.await.unwrap();
    }
    assert!(commits >= 50, "a commit waits for one write at most, and there were {commits}");
}

#[tokio::test(flavor = "multi_thread")]
async fn imported_commits_bring_no_work_and_take_no_place() {
    let (from, to) = (Place::new(), Place::new());
    let (source, target) = (from.open(), to.open());
    let sent = sending(&["a"]);
    source.commit(&tenant(), sent.clone()).await.unwrap();
    let own = sending(&["b"]);
    target.commit(&tenant(), own.clone()).await.unwrap();
    let page = source.read_commits(&LogScope::EveryTenant, 0, 10).await.unwrap();
    assert_eq!(target.import_commits(page.commits).await.unwrap().stored, 1);
    assert_eq!(target.find_work(&tenant(), sent.id, 0).await.unwrap(), None);
    assert!(target.commit(&tenant(), sent.clone()).await.unwrap().repeated, "it is known, and sends nothing");
    let later = sending(&["c"]);
    target.commit(&tenant(), later.clone()).await.unwrap();
    let work = waiting(&target).await;
    let commits: Vec<CommitId> = work.iter().map(|work| work.commit_id).collect();
    assert_eq!(commits, [own.id, later.id]);
    assert!(work[0].place < work[1].place);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_is_kept_while_its_work_is_not_done() {
    let place = Place::new();
    let store = place.open();
    let later = Commit::new(CommitId::draw()).send(piece("later").with_due_at(Timestamp::MAX));
    let commits = [sending(&["ready"]), later, sending(&["dead"]), sending(&["done"])];
    for commit in &commits {
        store.commit(&tenant(), commit.clone()).await.unwrap();
    }
    // The last of all is kept anyway.
    store.commit(&tenant(), Commit::new(CommitId::draw())).await.unwrap();
    let held = store.share(&worker("w"), SHARE, &[]).await.unwrap().held;
    let work = waiting(&store).await;
    let dead = Settled::Dead { error: "no".to_owned(), is_final: true, holds: false };
    let settled = [settlement(&held, &work[2], dead), settlement(&held, &work[3], Settled::Done)];
    assert_eq!(store.settle(&settled).await.unwrap(), []);
    assert_eq!(store.forget_empty_commits(Timestamp::MAX).await.unwrap(), 1);
    for (number, commit) in commits.iter().enumerate() {
        let is_found = store.find_work(&tenant(), commit.id, 0).await.unwrap().is_some();
        assert_eq!(is_found, number < 3, "the piece of commit {number}");
        assert_eq!(store.find_commit(&tenant(), commit.id).await.unwrap().is_some(), number < 3);
    }
    store.discard(&tenant(), &[work[2].id]).await.unwrap();
    assert_eq!(store.forget_empty_commits(Timestamp::MAX).await.unwrap(), 1);
    // Places go on where they were.
    store.commit(&tenant(), sending(&["next"])).await.unwrap();
    let places: Vec<WorkPlace> = waiting(&store).await.iter().map(|work| work.place).collect();
    assert!(places.is_sorted() && *places.last().unwrap() > work[3].place);
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_of_work_is_named_by_its_place() {
    for (damage, wanted) in [
        ("UPDATE work SET tenant = ''", "the work at place"),
        ("UPDATE work SET version = -1", "version"),
        ("UPDATE work SET work_id = x'00'", "the work at place"),
        ("UPDATE work SET lane = 1, shard = 99", "there is no shard 99"),
        ("UPDATE commits SET sequence = 9223372036854775807", "sequence 9223372036854775807"),
    ] {
        let place = Place::new();
        let store = place.open();
        let commit = sending(&["a"]);
        store.commit(&tenant(), commit.clone()).await.unwrap();
        place.connect().execute_batch(damage).unwrap();
        let found = store.find_work(&tenant(), commit.id, 0).await;
        let listed = store.list_work(&WorkFilter::default(), WorkPlace::START, 10).await;
        let told = [found.map(|_| ()), listed.map(|_| ())];
        let damaged = told.iter().find_map(|told| match told {
            Err(Error::Damaged(text)) => Some(text),
            _ => None,
        });
        assert!(damaged.is_some_and(|text| text.contains(wanted)), "{damage}: {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_all_schedules_that_were_removed_one_row_with_the_highest_revision_is_kept() {
    let place = Place::new();
    let store = place.open();
    let definition = Json::parse("{}").unwrap();
    // They were removed before there was one row for all.
    let before =
        format!("INSERT INTO removed_schedules VALUES ('{0}', 'old', 6), ('{0}', 'older', 7)", tenant());
    place.connect().execute_batch(&before).unwrap();
    for number in 0..20 {
        let name = format!("nightly {number}");
        store.put_schedule(&tenant(), &name, &definition, Some(Timestamp::UNIX_EPOCH)).await.unwrap();
        assert!(store.remove_schedule(&tenant(), &name).await.unwrap());
        assert!(!store.remove_schedule(&tenant(), &name).await.unwrap());
    }
    let kept = "SELECT count(*), max(revision) FROM removed_schedules";
    let kept = place.connect().query_row(kept, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(kept, (1_i64, 27_i64));
    store.put_schedule(&tenant(), "nightly", &definition, None).await.unwrap();
    assert_eq!(store.list_schedules(None, None, 10).await.unwrap()[0].revision, 28);
}
