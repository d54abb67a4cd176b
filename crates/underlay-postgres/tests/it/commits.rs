//! What a group commit does that one commit alone does not show.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use underlay_core::adapter::BatchLimits;
use underlay_core::{
    Commit, CommitId, Error, EventStore, EventStoreExt, ExpectedVersion, Json, LogFilter, LogScope,
    ManualClock, Outcome, Position, Timestamp, Version,
};

use underlay_postgres::FaultPoint;

use crate::gate::Gate;
use crate::place::with_place;
use crate::sample::{acme, append, append_many, begin, event, stream, tenant};

#[test]
fn a_batch_answers_each_commit_on_its_own() {
    with_place(async |place| {
        let store = place.open().await;
        let (acme, globex) = (acme(), tenant("globex"));
        // The first commit holds the committer; the others wait and make one batch.
        let gate = Gate::close(&place).await;
        let first = begin(store.commit(&acme, append("held-1", ExpectedVersion::NoStream)));
        gate.reached(1).await;
        let good = append_many("a-1", ExpectedVersion::NoStream, 3);
        let conflicting = append("held-1", ExpectedVersion::NoStream);
        let mut poison = append("b-1", ExpectedVersion::Any);
        poison.writes[0].events[0].event_id = good.writes[0].events[1].event_id;
        let refused = |message: &str| Outcome::Refused {
            code: "no".into(),
            message: message.to_owned(),
            body: Json::parse("{}").unwrap(),
        };
        let nul = Commit::new(CommitId::draw()).with_outcome(refused("a NUL \0"));
        let after = append("c-1", ExpectedVersion::NoStream);
        let repeat = good.clone();
        let mut reused = append("d-1", ExpectedVersion::Any);
        reused.id = good.id;
        let begun = |commit: &Commit| begin(store.commit(&acme, commit.clone()));
        let (a, b, c, d, e) = (begun(&good), begun(&conflicting), begun(&poison), begun(&nul), begun(&after));
        // The same names in another tenant are others.
        let other = begin(store.commit(&globex, append("a-1", ExpectedVersion::NoStream)));
        let (f, g) = (begun(&repeat), begun(&reused));
        gate.open().await;
        first.await.unwrap();
        assert_eq!(a.await.unwrap().versions[0].version, Version(3));
        let conflict = b.await;
        assert!(matches!(conflict, Err(Error::Conflict(conflict)) if conflict.actual == Version(1)));
        let poisoned = c.await;
        assert!(
            matches!(&poisoned, Err(Error::Invalid(text)) if text.contains("already in the log")),
            "{poisoned:?}"
        );
        let nul = d.await;
        assert!(matches!(&nul, Err(Error::Invalid(_))), "{nul:?}");
        assert_eq!(e.await.unwrap().event_count, 1);
        assert_eq!(other.await.unwrap().versions[0].version, Version(1));
        assert!(f.await.unwrap().repeated);
        assert!(matches!(g.await, Err(Error::IdReused(_))));
        // Nothing of the poison is left, and positions have no hole.
        assert_eq!(store.versions(&acme, &[stream("b-1"), stream("d-1")]).await.unwrap(), [Version::NONE; 2]);
        let page = store
            .read_all(&LogScope::EveryTenant, Position::START, &LogFilter::default(), 100)
            .await
            .unwrap();
        let positions: Vec<u64> = page.events.iter().map(|event| event.position.number()).collect();
        assert_eq!(positions, [1, 2, 3, 4, 5, 6]);
        store.close().await.unwrap();
    });
}

#[test]
fn many_that_come_too_late_on_a_stream_are_told_in_turns_what_was_stored_last() {
    with_place(async |place| {
        let sent = Arc::new(AtomicUsize::new(0));
        let counted = sent.clone();
        let config = place.config().with_faults(move |step| {
            counted.fetch_add(usize::from(step == FaultPoint::Send), Ordering::Relaxed);
            false
        });
        let store = place.open_with(config).await;
        let acme = acme();
        let gate = Gate::close(&place).await;
        let first = begin(store.commit(&acme, append("hot-1", ExpectedVersion::NoStream)));
        gate.reached(1).await;
        let late: Vec<_> =
            (0..20).map(|_| begin(store.commit(&acme, append("hot-1", ExpectedVersion::NoStream)))).collect();
        let next = begin(store.commit(&acme, append("hot-1", ExpectedVersion::Exact(Version(1)))));
        gate.open().await;
        first.await.unwrap();
        for (at, late) in late.into_iter().enumerate() {
            let answer = late.await;
            // The next one was stored beside the second.
            let newest = if at == 0 { Version(1) } else { Version(2) };
            assert!(
                matches!(&answer, Err(Error::Conflict(conflict)) if conflict.actual == newest),
                "{at}: {answer:?}"
            );
        }
        assert_eq!(next.await.unwrap().versions[0].version, Version(2));
        // The first and one that shows how far the stream is. Then one in each batch that may have a successor, and twice as
        // many in each where there is none: 1 and the next, 1, 1, 2, 4, 8 and the last 2.
        assert_eq!(sent.load(Ordering::Relaxed), 9);
        store.close().await.unwrap();
    });
}

#[test]
fn poison_anywhere_in_a_large_batch_stands_alone() {
    with_place(async |place| {
        let store = place.open().await;
        let acme = acme();
        let taken = append("taken-1", ExpectedVersion::Any);
        store.commit(&acme, taken.clone()).await.unwrap();
        let gate = Gate::close(&place).await;
        let first = begin(store.commit(&acme, append("held-1", ExpectedVersion::NoStream)));
        gate.reached(1).await;
        let waiting: Vec<_> = (0..100)
            .map(|number| {
                let mut commit = append_many(&format!("s-{number}"), ExpectedVersion::NoStream, 2);
                if number % 33 == 0 {
                    commit.writes[0].events[1].event_id = taken.writes[0].events[0].event_id;
                }
                (number, begin(store.commit(&acme, commit)))
            })
            .collect();
        gate.open().await;
        first.await.unwrap();
        for (number, answer) in waiting {
            let answer = answer.await;
            if number % 33 == 0 {
                assert!(matches!(answer, Err(Error::Invalid(_))), "{number}: {answer:?}");
            } else {
                assert_eq!(answer.unwrap().event_count, 2, "{number}");
            }
        }
        assert_eq!(store.head().await.unwrap(), Position::from_number(2 + 2 * 96));
    });
}

#[test]
fn a_full_queue_is_named() {
    with_place(async |place| {
        let limits = BatchLimits { queue_items_max: 1, ..BatchLimits::default() };
        let store = place.open_with(place.config().with_limits(limits)).await;
        let owner = acme();
        let commit = |to| store.commit(&owner, append(to, ExpectedVersion::Any));
        let gate = Gate::close(&place).await;
        let writing = begin(commit("a-1"));
        gate.reached(1).await;
        let waiting = begin(commit("a-2"));
        let error = commit("a-3").await.unwrap_err();
        assert!(error.to_string().contains("queue_items_max = 1"), "{error}");
        gate.open().await;
        writing.await.unwrap();
        waiting.await.unwrap();
    });
}

#[test]
fn closing_does_what_waits() {
    with_place(async |place| {
        let store = place.open().await;
        let owner = acme();
        let gate = Gate::close(&place).await;
        let writing = begin(store.commit(&owner, append("a-1", ExpectedVersion::Any)));
        gate.reached(1).await;
        let waiting = begin(store.commit(&owner, append("a-2", ExpectedVersion::Any)));
        let closing = begin(store.close());
        let late = store.commit(&owner, append("a-3", ExpectedVersion::Any)).await;
        assert!(
            matches!(&late, Err(Error::Unavailable { reason, .. }) if reason.contains("closing")),
            "{late:?}"
        );
        gate.open().await;
        writing.await.unwrap();
        waiting.await.unwrap();
        closing.await.unwrap();
        let after = store.head().await;
        assert!(
            matches!(&after, Err(Error::Unavailable { reason, .. }) if reason.contains("closed")),
            "{after:?}"
        );
    });
}

#[test]
fn writers_in_several_processes_lose_nothing() {
    const WRITERS: u64 = 4;
    const ROUNDS: u64 = 25;
    with_place(async |place| {
        let stores = [place.open().await, place.open().await, place.open().await];
        let tasks: Vec<_> = (0..3 * WRITERS)
            .map(|writer| {
                let store = stores[usize::try_from(writer % 3).unwrap()].clone();
                tokio::spawn(async move {
                    let mut version = Version::NONE;
                    for _ in 0..ROUNDS {
                        loop {
                            let commit = append("shared-1", ExpectedVersion::Exact(version));
                            match store.commit(&acme(), commit).await {
                                Ok(committed) => {
                                    version = committed.versions[0].version;
                                    break;
                                }
                                Err(Error::Conflict(conflict)) => version = conflict.actual,
                                Err(other) => panic!("{other}"),
                            }
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let events = stores[1].read_stream_whole(&acme(), &stream("shared-1"), Version::NONE).await.unwrap();
        let versions: Vec<u64> = events.iter().map(|event| event.version.0).collect();
        let expected: Vec<u64> = (1..=3 * WRITERS * ROUNDS).collect();
        assert_eq!(versions, expected);
        let positions: Vec<u64> = events.iter().map(|event| event.position.number()).collect();
        assert_eq!(positions, expected, "positions have no holes");
    });
}

#[test]
fn recorded_times_never_decrease_whoever_writes() {
    with_place(async |place| {
        let late = Timestamp::from_second(2_000_000_000).unwrap();
        let ahead = place.open_with(place.config().with_clock(Arc::new(ManualClock::new(late)))).await;
        let early = Timestamp::from_second(1_000_000_000).unwrap();
        let clock = Arc::new(ManualClock::new(early));
        let behind = place.open_with(place.config().with_clock(clock.clone())).await;
        ahead.commit(&acme(), append("a-1", ExpectedVersion::Any)).await.unwrap();
        let committed = behind.commit(&acme(), append("a-2", ExpectedVersion::Any)).await.unwrap();
        assert_eq!(committed.recorded_at, late);
        clock.advance(Duration::from_secs(1_000_000_001));
        let committed = behind.commit(&acme(), append("a-3", ExpectedVersion::Any)).await.unwrap();
        assert_eq!(committed.recorded_at, Timestamp::from_second(2_000_000_001).unwrap());
        let times =
            [(early, 0), (late, 2), (committed.recorded_at, 3), (Timestamp::MAX, 3), (Timestamp::MIN, 0)];
        for (time, position) in times {
            let found = behind.position_at(time).await.unwrap();
            assert_eq!(found, Position::from_number(position), "at {time}");
        }
    });
}

#[test]
fn a_page_of_large_events_ends_early_and_goes_on() {
    with_place(async |place| {
        let store = place.open().await;
        let large = || {
            let mut event = event(1);
            event.payload = Json::parse(format!("\"{}\"", "x".repeat((1 << 20) - 2))).unwrap().into();
            event
        };
        for number in 0..5 {
            let events = (0..15).map(|_| large()).collect();
            let commit = Commit::new(CommitId::draw()).append(
                stream(&format!("a-{number}")),
                ExpectedVersion::NoStream,
                events,
            );
            store.commit(&acme(), commit).await.unwrap();
        }
        for scope in [LogScope::EveryTenant, LogScope::Tenant(acme())] {
            let (mut after, mut pages, mut positions) = (Position::START, 0, Vec::new());
            loop {
                let page = store.read_all(&scope, after, &LogFilter::default(), 1_000).await.unwrap();
                assert!(page.events.len() <= 45, "{} events of 1 MiB in a page", page.events.len());
                positions.extend(page.events.iter().map(|event| event.position.number()));
                assert_eq!(page.events.last().map(|event| event.commit_tail), Some(0));
                after = page.scanned_to;
                pages += 1;
                if page.at_head {
                    break;
                }
            }
            assert_eq!(positions, (1..=75).collect::<Vec<u64>>());
            assert!(pages > 1);
        }
    });
}

#[test]
fn what_fails_in_a_batch_leaves_no_hole_and_moves_nobody_else() {
    with_place(async |place| {
        let store = place.open().await;
        let acme = acme();
        let known = append("known-1", ExpectedVersion::Any);
        store.commit(&acme, known.clone()).await.unwrap();
        let gate = Gate::close(&place).await;
        let first = begin(store.commit(&acme, append("held-1", ExpectedVersion::NoStream)));
        gate.reached(1).await;
        // Whether it is stored, and how many events it has.
        let mut commits = Vec::new();
        for number in 0..40_u64 {
            let to = format!("s-{number}");
            commits.push(match number % 8 {
                0 | 3 => (append_many(&to, ExpectedVersion::NoStream, number % 4 + 1), true),
                1 => (append(&to, ExpectedVersion::Exists), false),
                2 => (append(&to, ExpectedVersion::Exact(Version(3))), false),
                4 => {
                    let outcome = Outcome::Refused {
                        code: "no".into(),
                        message: String::new(),
                        body: Json::parse("{}").unwrap(),
                    };
                    (Commit::new(CommitId::draw()).with_outcome(outcome), true)
                }
                5 => {
                    let two = append_many(&to, ExpectedVersion::Any, 2);
                    let also = (0..3).map(event).collect();
                    (two.append(stream(&format!("also-{number}")), ExpectedVersion::NoStream, also), true)
                }
                6 => {
                    // Two expectations fail, and it is one commit that is not there.
                    let commit = append(&to, ExpectedVersion::Exists);
                    (
                        commit.append(
                            stream(&format!("no-{number}")),
                            ExpectedVersion::Exists,
                            vec![event(1)],
                        ),
                        false,
                    )
                }
                _ => (append(&to, ExpectedVersion::Any), true),
            });
        }
        commits.insert(20, (known, true));
        let begun: Vec<_> =
            commits.iter().map(|(commit, _)| begin(store.commit(&acme, commit.clone()))).collect();
        gate.open().await;
        let mut head = first.await.unwrap().position.number();
        let mut times = HashSet::new();
        for (answer, (commit, stored)) in begun.into_iter().zip(&commits) {
            match answer.await {
                Ok(committed) if committed.repeated => assert_eq!(committed.position.number(), 1),
                Ok(committed) => {
                    assert!(stored, "{commit:?}");
                    times.insert(committed.recorded_at);
                    head += commit.event_count() as u64;
                    assert_eq!(committed.position.number(), head, "{commit:?}");
                    for (write, there) in commit.writes.iter().zip(&committed.versions) {
                        assert_eq!(there.version, Version(write.events.len() as u64));
                    }
                }
                Err(Error::Conflict(_)) => assert!(!stored, "{commit:?}"),
                Err(error) => panic!("{error}: {commit:?}"),
            }
        }
        assert_eq!(store.head().await.unwrap().number(), head);
        assert_eq!(times.len(), 1, "it was one call, and nothing of it was written again");
        // Every event is at the place its commit was told, and counts those behind it.
        for (commit, _) in commits.iter().filter(|(_, stored)| *stored) {
            let found = store.find_commit(&acme, commit.id).await.unwrap().unwrap().committed;
            let last = found.position.number();
            for back in 0..commit.event_count() as u64 {
                let page = store
                    .read_all(
                        &LogScope::EveryTenant,
                        Position::from_number(last - back - 1),
                        &LogFilter::default(),
                        1,
                    )
                    .await
                    .unwrap();
                assert_eq!(u64::from(page.events[0].commit_tail), back);
                let ids: Vec<_> = commit.writes.iter().flat_map(|write| &write.events).collect();
                assert_eq!(page.events[0].event_id, ids[ids.len() - 1 - back as usize].event_id);
            }
        }
        let admin = place.admin().await;
        let gaps = "SELECT count(*) FROM (SELECT sequence - lag(sequence) OVER (ORDER BY sequence) AS step \
                    FROM underlay.commits) AS steps WHERE step <> 1";
        assert_eq!(admin.query_one(gaps, &[]).await.unwrap().get::<_, i64>(0), 0);
    });
}

#[test]
fn a_log_without_the_row_that_is_locked_takes_nothing() {
    with_place(async |place| {
        let store = place.open().await;
        store.commit(&acme(), append("a-1", ExpectedVersion::NoStream)).await.unwrap();
        let admin = place.admin().await;
        admin.batch_execute("DELETE FROM underlay.log_head").await.unwrap();
        for events in [1, 3] {
            let refused = store.commit(&acme(), append_many("a-1", ExpectedVersion::Any, events)).await;
            assert!(
                matches!(&refused, Err(Error::Damaged(text)) if text.contains("log_head")),
                "{refused:?}"
            );
        }
        let writer = format!("SET ROLE {}_writer", crate::place::ROLE_PREFIX);
        admin.batch_execute(&writer).await.unwrap();
        let fence = admin.batch_execute("SELECT underlay.fence(gen_random_uuid(), 1)").await.unwrap_err();
        assert_eq!(fence.code().map(tokio_postgres::error::SqlState::code), Some("UL005"));
        admin.batch_execute("RESET ROLE; INSERT INTO underlay.log_head DEFAULT VALUES").await.unwrap();
        assert_eq!(store.head().await.unwrap().number(), 1, "nothing was stored");
        store.commit(&acme(), append("a-1", ExpectedVersion::Any)).await.unwrap();
    });
}
