//! Work as the database keeps it: two processes, sessions that die, holders that come back, batches with
//! poison, and an older copy in the place of the log.

use std::time::Duration;

use underlay_core::reasons::OLDER_COPY;
use underlay_core::{
    Commit, CommitId, DueLook, Error, EventStore, ExpectedVersion, Json, Lane, NewWork, Retention, Schedules,
    Settled, Settlement, Shard, ShardTerm, Share, Timestamp, Version, Wakeups, Work, WorkFilter, WorkHint,
    WorkKind, WorkPlace, WorkQueue, WorkScope, WorkStanding, Worker,
};
use underlay_postgres::{FaultPoint, Listen, PostgresStore, migrate, migrate_up_to};

use crate::place::{with_empty_place, with_place};
use crate::sample::{acme, append, begin, event, stream, tenant};

const TERM: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(30);

fn piece(key: &str, name: &str) -> NewWork {
    let payload = Json::parse(format!("{{\"name\":\"{name}\"}}")).unwrap();
    NewWork::new(WorkKind::Message, "mail", key, name, payload)
}

fn worker(holder: &str) -> Worker {
    Worker::embedded(holder)
}

/// A commit without events that sends these on.
fn sending(work: impl IntoIterator<Item = NewWork>) -> Commit {
    work.into_iter().fold(Commit::new(CommitId::draw()), Commit::send)
}

fn everybody() -> WorkScope {
    WorkScope::EveryTenantBut(Vec::new())
}

/// Everything that is ready, in the order of places.
async fn ready(store: &PostgresStore) -> Vec<Work> {
    let listed = store.list_work(&WorkFilter::default(), WorkPlace::START, 1_000).await.unwrap();
    let listed = listed.work.into_iter();
    listed.filter(|info| info.standing == WorkStanding::Ready).map(|info| info.work).collect()
}

async fn due(store: &PostgresStore, shard: Shard) -> Vec<String> {
    let page = store.read_due(shard, &DueLook::default(), 100).await.unwrap();
    page.work.into_iter().map(|read| read.work.sent.name).collect()
}

fn term(share: &Share, shard: Shard) -> ShardTerm {
    share.held.iter().find(|held| held.term.shard == shard).expect("the shard is held").term
}

fn settlement(share: &Share, work: &Work, settled: Settled) -> Settlement {
    Settlement { term: term(share, work.shard), place: work.place, settled }
}

fn retry(delay: Duration) -> Settled {
    Settled::Retry { delay, error: "no answer".to_owned() }
}

/// The delay of a retry is added to the clock of the server: that of this process is not asked.
#[test]
fn a_retry_is_due_by_the_clock_of_the_server() {
    with_place(async |place| {
        let (store, admin) = (place.open().await, place.admin().await);
        let time =
            async || -> i64 { admin.query_one("SELECT underlay.time_now(NULL)", &[]).await.unwrap().get(0) };
        let pieces = ["done", "retried", "held"].map(|name| piece(name, name));
        store.commit(&acme(), sending(pieces)).await.unwrap();
        let share = store.share(&worker("me"), TERM * 100, &[]).await.unwrap();
        let work = ready(&store).await;
        let ends = [Settled::Done, retry(PATIENCE), Settled::Held];
        let settled: Vec<_> =
            work.iter().zip(ends).map(|(work, end)| settlement(&share, work, end)).collect();
        let before = time().await;
        assert_eq!(store.settle(&settled).await.unwrap(), []);
        let after = time().await;
        let info = store.find_work(&acme(), work[1].commit_id, 1).await.unwrap().unwrap();
        let due_at = info.work.sent.due_at.unwrap().as_microsecond() - PATIENCE.as_micros() as i64;
        assert!((before..=after).contains(&due_at), "{before}, {due_at}, {after}");
    });
}

#[test]
fn a_commit_with_work_among_commits_that_fail_has_its_own_places() {
    with_place(async |place| {
        let store = place.open().await;
        store.commit(&acme(), append("a-1", ExpectedVersion::NoStream)).await.unwrap();
        let known = sending([piece("k", "known")]);
        store.commit(&acme(), known.clone()).await.unwrap();
        let with = |to: &str, expected, name: &str| append(to, expected).send(piece("k", name));
        // They wait together, so that they are one batch.
        let gate = crate::gate::Gate::close(&place).await;
        let held = append("a-9", ExpectedVersion::NoStream);
        let tenants = [acme(), tenant("globex")];
        let first = begin(store.commit(&tenants[0], held));
        gate.reached(1).await;
        let commits = [
            with("a-2", ExpectedVersion::NoStream, "one"),
            with("a-1", ExpectedVersion::Exact(Version(7)), "conflict"),
            known.clone(),
            with("a-3", ExpectedVersion::NoStream, "two").send(piece("l", "three")),
            append("a-4", ExpectedVersion::NoStream),
            with("a-5", ExpectedVersion::NoStream, "four"),
        ];
        let ids: Vec<CommitId> = commits.iter().map(|commit| commit.id).collect();
        let begun: Vec<_> =
            commits.into_iter().map(|commit| begin(store.commit(&tenants[0], commit))).collect();
        gate.open().await;
        first.await.unwrap();
        let mut answers = Vec::new();
        for commit in begun {
            answers.push(commit.await);
        }
        assert!(matches!(answers[1], Err(Error::Conflict(_))), "{answers:?}");
        assert!(answers[2].as_ref().unwrap().repeated);
        let names: Vec<(String, CommitId)> =
            ready(&store).await.into_iter().map(|work| (work.sent.name, work.commit_id)).collect();
        let expected =
            [("known", known.id), ("one", ids[0]), ("two", ids[3]), ("three", ids[3]), ("four", ids[5])];
        assert_eq!(names, expected.map(|(name, id)| (name.to_owned(), id)));
        // The place follows from the number of the commit.
        let wrong = "SELECT count(*) FROM underlay.work AS w LEFT JOIN underlay.commits AS c \
                     ON c.sequence = w.place / 1024 WHERE c.commit_id IS DISTINCT FROM w.commit_id";
        assert_eq!(place.admin().await.query_one(wrong, &[]).await.unwrap().get::<_, i64>(0), 0);
    });
}

#[test]
fn poison_fails_its_commit_alone() {
    with_place(async |place| {
        let store = place.open().await;
        // The core refuses what no store takes; what a database refuses beside that, it is told here.
        let refuse = "ALTER TABLE underlay.work ADD CHECK (name <> 'poison')";
        place.admin().await.batch_execute(refuse).await.unwrap();
        let gate = crate::gate::Gate::close(&place).await;
        let owner = acme();
        let first = begin(store.commit(&owner, append("a-0", ExpectedVersion::NoStream)));
        gate.reached(1).await;
        let commits: Vec<Commit> = (1..=9)
            .map(|number| {
                let name = if number == 5 { "poison".to_owned() } else { format!("{number}") };
                append(&format!("a-{number}"), ExpectedVersion::NoStream).send(piece("k", &name))
            })
            .collect();
        let begun: Vec<_> = commits.into_iter().map(|commit| begin(store.commit(&owner, commit))).collect();
        gate.open().await;
        first.await.unwrap();
        for (number, commit) in (1..).zip(begun) {
            let answer = commit.await;
            assert_eq!(matches!(answer, Err(Error::Invalid(_))), number == 5, "{number}: {answer:?}");
        }
        let names: Vec<String> = ready(&store).await.into_iter().map(|work| work.sent.name).collect();
        assert_eq!(names, ["1", "2", "3", "4", "6", "7", "8", "9"]);
        assert_eq!(store.read_stream(&owner, &stream("a-5"), Version::NONE, 10).await.unwrap().events, []);
    });
}

#[test]
fn a_commit_with_work_whose_answer_is_lost_is_stored_once() {
    with_place(async |place| {
        for lost in [FaultPoint::Send, FaultPoint::Answered] {
            let once = std::sync::atomic::AtomicBool::new(true);
            let config = place.config().with_faults(move |step| {
                step == lost && once.swap(false, std::sync::atomic::Ordering::SeqCst)
            });
            let store = place.open_with(config).await;
            let commit = sending([piece("k", "once")]);
            let answer = store.commit(&acme(), commit.clone()).await;
            // Sent again by whoever asked, as the contract says.
            if answer.is_err() {
                store.commit(&acme(), commit.clone()).await.unwrap();
            }
            let of_it = ready(&store).await.into_iter().filter(|work| work.commit_id == commit.id);
            assert_eq!(of_it.count(), 1, "{lost:?}");
            store.close().await.unwrap();
        }
    });
}

#[test]
fn work_without_events_wakes_other_processes() {
    with_place(async |place| {
        let never = Duration::from_secs(3_600);
        let there = place.open().await;
        for config in [
            place.config().with_poll_interval(never),
            place.config().with_listen(Listen::Off).with_poll_interval(Duration::from_millis(5)),
        ] {
            let here = place.open_with(config).await;
            // Until it listens.
            loop {
                let mut wakeup = here.subscribe_work();
                there.commit(&acme(), sending([piece("k", "x")])).await.unwrap();
                let hint = tokio::time::timeout(Duration::from_millis(500), wakeup.hint()).await;
                if let Ok(hint) = hint {
                    assert!(hint.ready[1].contains(Shard::of(&acme(), "k")), "{hint}");
                    break;
                }
            }
        }
    });
}

#[test]
fn another_process_is_told_where_work_is_and_nothing_of_commits_without_any() {
    with_place(async |place| {
        let there = place.open().await;
        let config = place.config().with_poll_interval(Duration::from_secs(3_600));
        let here = place.open_with(config).await;
        let (mut log, mut work) = (here.subscribe(), here.subscribe_work());
        // It listens once it is told of a place alone: what it says when it begins to is told of all.
        let mut named = WorkHint::default();
        named.add(&acme(), &[piece("k", "x")]);
        tokio::time::timeout(PATIENCE, async {
            loop {
                there.commit(&acme(), sending([piece("k", "x")])).await.unwrap();
                let hint = tokio::time::timeout(Duration::from_millis(500), work.hint()).await;
                if hint == Ok(named) {
                    break;
                }
            }
        })
        .await
        .expect("the places are named");
        // What was sent before is told by now, or is told with the next.
        for number in 0..3 {
            there.commit(&acme(), append(&format!("a-{number}"), ExpectedVersion::NoStream)).await.unwrap();
            tokio::time::timeout(PATIENCE, log.hint()).await.expect("it hears of the log");
        }
        let more = tokio::time::timeout(Duration::ZERO, work.hint()).await;
        assert!(more.is_err() || more == Ok(named), "{more:?}");
    });
}

#[test]
fn two_processes_share_the_work_and_a_paused_one_settles_nothing() {
    with_place(async |place| {
        let (one, other) = (place.open().await, place.open().await);
        one.commit(&acme(), sending((0..200).map(|number| piece(&format!("{number}"), "x")))).await.unwrap();
        let (first, second) = (worker("first"), worker("second"));
        let all = one.share(&first, TERM, &[]).await.unwrap();
        assert_eq!(all.held.len(), 16);
        assert_eq!(other.share(&second, TERM, &[]).await.unwrap().held, []);
        let shared = one.share(&first, TERM, &[]).await.unwrap();
        let surplus: Vec<ShardTerm> =
            shared.held.iter().filter(|held| held.is_surplus).map(|held| held.term).collect();
        assert_eq!(surplus.len(), 8);
        one.release(&surplus).await.unwrap();
        let given = other.share(&second, TERM, &[]).await.unwrap();
        assert_eq!(given.held.len(), 8);
        // The first has slept past its term, and does not know.
        let work = ready(&one).await;
        place
            .admin()
            .await
            .batch_execute("UPDATE underlay.shard_terms SET expires_at = 1 WHERE holder = 'first'")
            .await
            .unwrap();
        let taken = other.share(&second, TERM, &[]).await.unwrap();
        assert_eq!(taken.held.len(), 8, "the first counts as long as it is there");
        let settled: Vec<Settlement> =
            work.iter().map(|work| settlement(&all, work, Settled::Done)).collect();
        let lost = one.settle(&settled).await.unwrap();
        assert_eq!(lost.len(), 16, "what it gave back, and what ran out");
        assert_eq!(ready(&one).await.len(), 200);
        // Both at once, what each holds: everything is done, nothing twice.
        other.leave(&second).await.unwrap();
        let again = one.share(&first, TERM, &[]).await.unwrap();
        assert!(again.held.iter().all(|held| held.term.term > 1), "{again:?}");
        let settled: Vec<Settlement> =
            work.iter().map(|work| settlement(&again, work, Settled::Done)).collect();
        let (front, back) = settled.split_at(120);
        let (a, b) = tokio::join!(one.settle(front), one.settle(&settled[80..]));
        assert_eq!((a.unwrap(), b.unwrap()), (vec![], vec![]));
        assert!(!back.is_empty() && ready(&one).await.is_empty());
    });
}

/// Settles one line from two sides at the same time, again and again: no piece is left behind nobody.
#[test]
fn a_line_that_is_settled_from_two_sides_never_stands_still() {
    with_place(async |place| {
        let store = place.open().await;
        let share = store.share(&worker("me"), TERM * 100, &[]).await.unwrap();
        for round in 0..60 {
            let names = [format!("head {round}"), format!("behind {round}")];
            store.commit(&acme(), sending(names.each_ref().map(|name| piece("line", name)))).await.unwrap();
            let work = ready(&store).await;
            let [head, behind] = &work[..] else { panic!("{work:?}") };
            let first = settlement(&share, head, retry(Duration::ZERO));
            store.settle(&[first]).await.unwrap();
            let done = [settlement(&share, head, Settled::Done)];
            let held = [settlement(&share, behind, Settled::Held)];
            let (a, b) = tokio::join!(store.settle(&done), store.settle(&held));
            assert_eq!((a.unwrap(), b.unwrap()), (vec![], vec![]));
            assert_eq!(due(&store, head.shard).await, [names[1].clone()], "round {round}");
            store.settle(&[settlement(&share, behind, Settled::Done)]).await.unwrap();
        }
    });
}

#[test]
fn a_session_that_dies_in_the_middle_of_a_settlement_settles_all_or_nothing() {
    with_place(async |place| {
        let store = place.open().await;
        store.commit(&acme(), sending((0..50).map(|number| piece(&format!("{number}"), "x")))).await.unwrap();
        let share = store.share(&worker("me"), TERM * 100, &[]).await.unwrap();
        let work = ready(&store).await;
        let holder = place.admin().await;
        // The first is a failed attempt: it is not sent again by itself.
        let mut settled: Vec<Settlement> =
            work.iter().map(|work| settlement(&share, work, Settled::Done)).collect();
        settled[0].settled = retry(Duration::MAX);
        let last = work.last().unwrap().place.number();
        holder
            .batch_execute(&format!("BEGIN; SELECT FROM underlay.work WHERE place = {last} FOR UPDATE"))
            .await
            .unwrap();
        let settling = begin(store.settle(&settled));
        let admin = place.admin().await;
        let waiting = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while admin.query(waiting, &[]).await.unwrap().is_empty() {}
        let answer = tokio::time::timeout(PATIENCE, settling).await.expect("an answer");
        assert!(matches!(answer, Err(Error::Unavailable { .. })), "{answer:?}");
        assert_eq!(ready(&store).await.len(), 50, "nothing is settled");
        holder.batch_execute("ROLLBACK").await.unwrap();
        assert_eq!(store.settle(&settled).await.unwrap(), [], "nobody holds its locks");
        assert_eq!(ready(&store).await, []);
    });
}

/// Somebody hangs in a settlement, or his connection does: others take over what they can meanwhile.
#[test]
fn a_settlement_that_hangs_keeps_nobody_from_the_other_shards() {
    with_place(async |place| {
        let store = place.open().await;
        let gone = worker("gone");
        store.share(&gone, Duration::from_millis(1), &[]).await.unwrap();
        let hung = place.admin().await;
        hung.batch_execute("BEGIN; SELECT FROM underlay.work_shards WHERE shard = 3 FOR UPDATE")
            .await
            .unwrap();
        let next = worker("next");
        let share =
            tokio::time::timeout(PATIENCE, store.share(&next, TERM, &[])).await.expect("it waits").unwrap();
        assert_eq!(share.held.len(), 15);
        assert!(share.look_again_in.is_some_and(|time| time <= Duration::from_millis(100)), "{share:?}");
        hung.batch_execute("COMMIT").await.unwrap();
        assert_eq!(store.share(&next, TERM, &[]).await.unwrap().held.len(), 16);
    });
}

/// A connection that fell silent while it took the work over keeps nobody waiting for long, and whoever waits for the
/// work keeps nobody waiting at all.
#[test]
fn who_waits_for_the_work_of_another_scheduler_is_in_nobodys_way() {
    with_place(async |place| {
        let store = place.open().await;
        let another = |holder: &str| Worker { scheduler: "another".to_owned(), ..worker(holder) };
        let (embedded, waiting) = (worker("embedded"), another("waiting"));
        assert_eq!(store.share(&embedded, TERM, &[]).await.unwrap().held.len(), 16);
        let hung = place.admin().await;
        let asks = "BEGIN; SELECT underlay.share_shards(gen_random_uuid(), 'hung', 'another', 1000000, NULL, '{}', \
                    '{}', '{}', NULL, NULL)";
        hung.batch_execute(asks).await.unwrap();
        let renewed = tokio::time::timeout(PATIENCE, store.share(&embedded, TERM, &[])).await;
        assert_eq!(renewed.expect("it is not waited for").unwrap().held.len(), 16);
        let told = tokio::time::timeout(PATIENCE, store.share(&waiting, TERM, &[])).await;
        assert_eq!(told.expect("it is told at once").unwrap().held, []);
        hung.batch_execute("ROLLBACK").await.unwrap();

        // Taken over by a connection that then hangs: those who ask meanwhile fail by the lock timeout, and none holds.
        store.leave(&embedded).await.unwrap();
        hung.batch_execute(asks).await.unwrap();
        let asked = tokio::join!(store.share(&embedded, TERM, &[]), store.share(&waiting, TERM, &[]));
        for answer in [asked.0, asked.1] {
            assert!(matches!(&answer, Err(Error::Unavailable { .. })), "{answer:?}");
        }
        hung.batch_execute("ROLLBACK").await.unwrap();
        assert_eq!(store.share(&embedded, TERM, &[]).await.unwrap().held.len(), 16, "nothing was taken");
    });
}

/// Another copy of the log, in which other work has the same places, is not worked on.
#[test]
fn what_was_read_is_not_settled_in_another_log() {
    with_place(async |place| {
        let store = place.open().await;
        store.commit(&acme(), sending([piece("k", "of the log that is lost")])).await.unwrap();
        let me = worker("me");
        let share = store.share(&me, TERM * 100, &[]).await.unwrap();
        let work = ready(&store).await.remove(0);
        let page =
            store.read_work(work.shard, Lane::Normal, &everybody(), WorkPlace::START, 10).await.unwrap();
        assert_eq!(page.work.len(), 1);
        // A server that lacked the last commits was promoted, and took others since.
        let admin = place.admin().await;
        let another = "UPDATE underlay.work SET commit_id = gen_random_uuid(), name = 'another'; \
                       UPDATE underlay.commits SET commit_id = gen_random_uuid()";
        admin.batch_execute(another).await.unwrap();
        let cursors = [(work.shard, [WorkPlace::START, work.place])];
        for answer in [
            store.settle(&[settlement(&share, &work, Settled::Done)]).await.map(drop),
            store.share(&me, TERM, &cursors).await.map(drop),
            store.read_work(work.shard, Lane::Normal, &everybody(), work.place, 10).await.map(drop),
        ] {
            assert!(
                matches!(&answer, Err(Error::Unavailable { reason, .. }) if reason == OLDER_COPY),
                "{answer:?}"
            );
        }
        let next = place.open().await;
        assert_eq!(ready(&next).await.remove(0).sent.name, "another");
        let kept = "SELECT max(normal) FROM underlay.shard_terms";
        assert_eq!(admin.query_one(kept, &[]).await.unwrap().get::<_, i64>(0), 0, "no cursor was taken");
    });
}

#[test]
fn a_copy_that_lacks_the_last_commits_is_not_worked_on() {
    with_place(async |place| {
        let store = place.open().await;
        store.commit(&acme(), sending([piece("k", "x")])).await.unwrap();
        store.commit(&acme(), sending([piece("k", "y")])).await.unwrap();
        let share = store.share(&worker("me"), TERM * 100, &[]).await.unwrap();
        let work = ready(&store).await;
        store.read_work(work[0].shard, Lane::Normal, &everybody(), WorkPlace::START, 10).await.unwrap();
        place.admin().await.batch_execute("DELETE FROM underlay.commits WHERE sequence = 2").await.unwrap();
        let answer = store.settle(&[settlement(&share, &work[0], Settled::Done)]).await;
        assert!(
            matches!(&answer, Err(Error::Unavailable { reason, .. }) if reason == OLDER_COPY),
            "{answer:?}"
        );
    });
}

#[test]
fn a_commit_is_not_forgotten_while_its_work_is_there_and_its_number_is_given_once() {
    with_place(async |place| {
        let store = place.open().await;
        let long_ago = Timestamp::from_microsecond(i64::MAX / 2).unwrap_or(Timestamp::MAX);
        let commits = ["ready", "later", "dead", "done"].map(|name| {
            let work = piece(name, name);
            sending([if name == "later" { work.with_due_at(Timestamp::MAX) } else { work }])
        });
        for commit in &commits {
            store.commit(&acme(), commit.clone()).await.unwrap();
        }
        let share = store.share(&worker("me"), TERM * 100, &[]).await.unwrap();
        let dead = Settled::Dead { error: "no".to_owned(), is_final: true, holds: true };
        for (name, settled) in [("dead", dead), ("done", Settled::Done)] {
            let work = ready(&store).await.into_iter().find(|work| work.sent.name == name).unwrap();
            store.settle(&[settlement(&share, &work, settled)]).await.unwrap();
        }
        // The last commit stays, whatever it was.
        store.commit(&acme(), sending([])).await.unwrap();
        assert_eq!(store.forget_empty_commits(long_ago).await.unwrap(), 1);
        for (commit, name) in commits.iter().zip(["ready", "later", "dead", "done"]) {
            let found = store.find_commit(&acme(), commit.id).await.unwrap();
            assert_eq!(found.is_some(), name != "done", "{name}");
            let work = store.find_work(&acme(), commit.id, 0).await.unwrap();
            assert_eq!(work.is_some(), name != "done", "{name}");
        }
        let next = sending([piece("next", "next")]);
        store.commit(&acme(), next.clone()).await.unwrap();
        let place = store.find_work(&acme(), next.id, 0).await.unwrap().unwrap().work.place;
        assert_eq!(place, WorkPlace::of(6, 0), "no number is given twice");
    });
}

#[test]
fn a_count_that_ends_at_its_bound_says_that_there_may_be_more() {
    // As `DEPTH_ROWS_MAX` says.
    const COUNTED: usize = 10_000;
    with_place(async |place| {
        let store = place.open().await;
        // All of one line, so all in one shard.
        let busy = |count: usize| sending((0..count).map(|_| piece("k", "busy")));
        for _ in 0..COUNTED / 1_000 - 1 {
            store.commit(&acme(), busy(1_000)).await.unwrap();
        }
        store.commit(&acme(), busy(999)).await.unwrap();
        let mut other = piece("k", "other");
        other.receiver = "other".to_owned();
        let counted = async || {
            let depths = store.queue_depths(None).await.unwrap();
            assert!(depths.iter().all(|depth| !depth.later_is_least && !depth.dead_is_least), "{depths:?}");
            depths.into_iter().map(|of| (of.receiver, of.ready, of.ready_is_least)).collect::<Vec<_>>()
        };
        assert_eq!(counted().await, [("mail".to_owned(), COUNTED as u64 - 1, false)]);
        store.commit(&acme(), sending([other])).await.unwrap();
        // What is beyond the bound may be of either.
        let full = [("mail".to_owned(), COUNTED as u64 - 1, true), ("other".to_owned(), 1, true)];
        assert_eq!(counted().await, full);
        store.commit(&acme(), busy(5)).await.unwrap();
        assert_eq!(counted().await, full, "what is past it is not counted");
    });
}

/// A program of before goes on storing commits beside one that stores work.
#[test]
fn an_older_program_stores_commits_beside_a_newer_one() {
    with_empty_place(async |place| {
        let turn = place.prepare_login().await;
        let (address, config) = (place.admin_address(), place.config());
        migrate_up_to(&address, &config, Some(place.login()), 9).await.unwrap();
        let older = crate::place::connect(&place.login_address()).await;
        let call = "CALL underlay.store_commit(gen_random_uuid(), 1, NULL, 'acme', gen_random_uuid(), '\\x00', '{}', \
                    'a-1', -1, gen_random_uuid(), 'noted', 1, '{}', NULL, NULL, NULL, NULL, 60000, NULL, NULL, NULL)";
        older.batch_execute(call).await.unwrap();
        migrate(&address, &config, None).await.unwrap();
        drop(turn);
        let store = place.open().await;
        for round in 0..3 {
            older.batch_execute(call).await.unwrap();
            let commit = Commit::new(CommitId::draw())
                .append(stream("a-1"), ExpectedVersion::Any, vec![event(round)])
                .send(piece("k", &format!("{round}")));
            store.commit(&acme(), commit).await.unwrap();
        }
        let places: Vec<WorkPlace> = ready(&store).await.iter().map(|work| work.place).collect();
        assert_eq!(places, [3, 5, 7].map(|sequence| WorkPlace::of(sequence, 0)));
    });
}

#[test]
fn of_all_schedules_that_were_removed_one_row_with_the_highest_revision_is_kept() {
    with_place(async |place| {
        let store = place.open().await;
        let admin = place.admin().await;
        let definition = Json::parse(r#"{"body":"what nobody needs any more"}"#).unwrap();
        // They were removed before there was one row for all.
        let before = "INSERT INTO underlay.schedules (tenant, name, revision, is_removed, definition)
            SELECT 'acme', 'old ' || n, n, true, 'null' FROM generate_series(1, 7) AS n";
        admin.batch_execute(before).await.unwrap();
        for number in 0..20 {
            let name = format!("nightly {number}");
            store.put_schedule(&acme(), &name, &definition, Some(Timestamp::UNIX_EPOCH)).await.unwrap();
            assert!(store.remove_schedule(&acme(), &name).await.unwrap());
            assert!(!store.remove_schedule(&acme(), &name).await.unwrap());
        }
        let sql = "SELECT name, definition::text, revision FROM underlay.schedules";
        let kept = admin.query_one(sql, &[]).await.unwrap();
        assert_eq!((kept.get::<_, &str>(0), kept.get::<_, &str>(1), kept.get::<_, i64>(2)), ("", "null", 27));
        store.put_schedule(&acme(), "nightly", &definition, None).await.unwrap();
        let listed = store.list_schedules(Some(&acme()), None, 10).await.unwrap();
        assert_eq!((listed.len(), listed[0].revision, &listed[0].definition), (1, 28, &definition));
    });
}
