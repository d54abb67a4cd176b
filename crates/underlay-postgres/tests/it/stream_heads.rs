//! Versions that a process remembers spare it looks at the log. They count at the event they were learned at and nowhere
//! else: whoever writes beside, and whatever is lost, no version is left out and every conflict tells the version there is.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_postgres::Client;
use underlay_core::{
    Archive, Commit, CommitId, Committed, Entities, Error, EventId, EventStore, ExpectedVersion, Json,
    LogScope, Outcome, Position, Retention, Timestamp, Version,
};
use underlay_postgres::{FaultPoint, Listen, PostgresStore};

use crate::gate::Gate;
use crate::place::{Place, ROLE_PREFIX, connect, with_place};
use crate::sample::{acme, append, append_many, begin, enter, members, stream};

/// How many times an index was searched by the sessions that have ended.
async fn searches(place: &Place, index: &str) -> i64 {
    let admin = place.admin().await;
    let sessions =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = $1";
    while admin.query_one(sessions, &[&place.login()]).await.unwrap().get::<_, i64>(0) > 0 {}
    let searched = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = $1";
    admin.query_one(searched, &[&index]).await.unwrap().get(0)
}

#[test]
fn a_process_that_writes_alone_looks_up_each_stream_once() {
    const STREAMS: u64 = 8;
    const ROUNDS: u64 = 20;
    with_place(async |place| {
        let config = || {
            let config = place.config().with_listen(Listen::Off);
            let config = config.with_poll_interval(Duration::from_secs(3_600));
            config.with_faults(|step| step == FaultPoint::Alone)
        };
        let store = place.open_with(config()).await;
        let write = async |round: u64| {
            for at in 0..STREAMS {
                let expected = ExpectedVersion::Exact(Version(round));
                store.commit(&acme(), append(&format!("a-{at}"), expected)).await.unwrap();
            }
        };
        for round in 0..ROUNDS {
            write(round).await;
        }
        // It has seen what the other wrote, or has not: it looks either way.
        let other = place.open_with(config()).await;
        for round in ROUNDS..ROUNDS + 2 {
            other.commit(&acme(), append("b-1", ExpectedVersion::Any)).await.unwrap();
            if round > ROUNDS {
                store.read_stream(&acme(), &stream("b-1"), Version::NONE, 10).await.unwrap();
            }
            write(round).await;
        }
        store.close().await.unwrap();
        other.close().await.unwrap();
        let looks = searches(&place, "events_by_stream").await;
        let (least, most) = (3 * STREAMS, 3 * STREAMS + 10);
        let looks = u64::try_from(looks).unwrap();
        assert!((least..=most).contains(&looks), "{looks} looks, of {least} to {most}");
        assert_whole(&place).await;
    });
}

/// What the function answers to one that wants to append to `a-1` whatever is there, and stores nothing.
async fn asked(writer: &Client, seen: &str, known: &str) -> Result<i64, String> {
    let call = format!(
        "SELECT actual_versions[1] FROM underlay.append_batch(writer => gen_random_uuid(), attempt => 1, stamp => NULL, \
         commit_tenants => '{{acme}}', commit_ids => ARRAY[gen_random_uuid()], \
         commit_fingerprints => ARRAY['\\x00'::bytea], commit_events => '{{1}}', commit_ends => '{{1}}', \
         commit_codes => NULL, commit_messages => NULL, commit_bodies => NULL, commit_metadata => '{{\"{{}}\"}}', \
         expected_commits => '{{1}}', expected_streams => '{{a-1}}', expected_versions => '{{-1}}', \
         event_commits => '{{1}}', event_expectations => '{{1}}', event_steps => '{{1}}', event_tails => '{{0}}', \
         event_ids => ARRAY[gen_random_uuid()], event_types => '{{noted}}', event_schema_versions => '{{1}}', \
         event_payloads => '{{\"{{}}\"}}', event_encodings => NULL, event_key_ids => NULL, \
         {seen}, known_versions => {known})"
    );
    writer.batch_execute("BEGIN").await.unwrap();
    let answer = writer.query_one(&call, &[]).await;
    writer.batch_execute("ROLLBACK").await.unwrap();
    answer.map(|row| row.get(0)).map_err(|error| error.code().unwrap().code().to_owned())
}

#[test]
fn what_is_known_counts_at_the_last_event_of_the_log_alone() {
    with_place(async |place| {
        let store = place.open().await;
        let mut events = Vec::new();
        for _ in 0..3 {
            let commit = append("a-1", ExpectedVersion::Any);
            events.push(commit.writes[0].events[0].event_id);
            store.commit(&acme(), commit).await.unwrap();
        }
        // A commit without events moves nothing.
        store.commit(&acme(), refusal()).await.unwrap();
        let writer = connect(&place.login_address()).await;
        writer.batch_execute(&format!("SET ROLE {ROLE_PREFIX}_writer")).await.unwrap();
        let seen = |position: usize| {
            format!("seen_position => {position}, seen_event => '{}'", events[position - 1])
        };
        let nothing = "seen_position => NULL, seen_event => NULL".to_owned();
        assert_eq!(asked(&writer, &seen(3), "NULL").await, Ok(3));
        assert_eq!(asked(&writer, &seen(3), "'{NULL}'").await, Ok(3));
        assert_eq!(asked(&writer, &seen(3), "'{7}'").await, Ok(7), "it looked");
        assert_eq!(asked(&writer, &seen(2), "'{7}'").await, Ok(3), "others have written since");
        assert_eq!(asked(&writer, &nothing, "'{7}'").await, Ok(3));
        let other = format!("seen_position => 3, seen_event => '{}'", EventId::draw());
        assert_eq!(asked(&writer, &other, "'{7}'").await, Err("UL006".to_owned()));
        let missing = format!("seen_position => 4, seen_event => '{}'", events[2]);
        assert_eq!(asked(&writer, &missing, "'{7}'").await, Err("UL006".to_owned()));
        assert_eq!(store.head().await.unwrap(), Position::from_number(3));
    });
}

#[test]
fn a_conflict_rests_on_what_is_durable_and_on_nothing_else() {
    with_place(async |place| {
        let config = place.config().with_listen(Listen::Off);
        let store = place.open_with(config).await;
        let tenant = acme();
        let before = append("hot-1", ExpectedVersion::NoStream);
        store.commit(&tenant, before.clone()).await.unwrap();
        let next = || append("hot-1", ExpectedVersion::Exact(Version(1)));
        let gate = Gate::close(&place).await;
        let lost = begin(store.commit(&tenant, next()));
        gate.reached(1).await;
        let late: Vec<_> = (0..5).map(|_| begin(store.commit(&tenant, next()))).collect();
        let repeat = begin(store.commit(&tenant, before));
        // The first is not stored after all, and nobody was told that it is.
        gate.kill_waiting().await;
        gate.reached(1).await;
        gate.open().await;
        let lost = lost.await;
        assert!(matches!(lost, Err(Error::Unavailable { .. })), "{lost:?}");
        let mut stored = 0;
        for late in late {
            match late.await {
                Ok(committed) => {
                    assert_eq!(committed.versions[0].version, Version(2));
                    stored += 1;
                }
                Err(Error::Conflict(conflict)) => assert_eq!(conflict.actual, Version(2)),
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(stored, 1);
        let repeat = repeat.await.unwrap();
        assert!(repeat.repeated && repeat.position == Position::from_number(1), "{repeat:?}");
        // Those who wait now are told by what is there, a repeat among them.
        let gate = Gate::close(&place).await;
        let exact = ExpectedVersion::Exact(Version(2));
        let first = append("hot-1", exact);
        let winner = begin(store.commit(&tenant, first.clone()));
        gate.reached(1).await;
        let late: Vec<_> = (0..5).map(|_| begin(store.commit(&tenant, append("hot-1", exact)))).collect();
        let repeat = begin(store.commit(&tenant, first));
        gate.open().await;
        let winner = winner.await.unwrap();
        for late in late {
            let told = late.await;
            assert!(
                matches!(&told, Err(Error::Conflict(conflict)) if conflict.actual == winner.versions[0].version),
                "{told:?}"
            );
        }
        let repeat = repeat.await.unwrap();
        assert!(repeat.repeated && repeat.position == winner.position, "{repeat:?}");
        assert_whole(&place).await;
    });
}

fn refusal() -> Commit {
    Commit::new(CommitId::draw()).with_outcome(Outcome::Refused {
        code: "no".to_owned(),
        message: String::new(),
        body: Json::parse("{}").unwrap(),
    })
}

/// That versions and positions have no gap.
async fn assert_whole(place: &Place) {
    let admin = place.admin().await;
    let gaps = "SELECT count(*) FROM (SELECT \
                version - lag(version, 1, 0) OVER (PARTITION BY tenant, stream ORDER BY version) AS version, \
                position - lag(position, 1, 0) OVER (ORDER BY position) AS position FROM underlay.events) AS step \
                WHERE step.version <> 1 OR step.position <> 1";
    assert_eq!(admin.query_one(gaps, &[]).await.unwrap().get::<_, i64>(0), 0, "gaps");
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// A program of before: it calls the function of one commit.
struct OlderProgram(Client);

impl OlderProgram {
    async fn start(place: &Place) -> Self {
        let client = connect(&place.login_address()).await;
        client.batch_execute(&format!("SET ROLE {ROLE_PREFIX}_writer")).await.unwrap();
        Self(client)
    }

    async fn append(&self, to: &str) {
        let call = format!(
            "SELECT ended FROM underlay.append_one(gen_random_uuid(), 1, NULL, 'acme', gen_random_uuid(), \
             decode(md5('f'), 'hex'), '{{}}', '{to}', -1, gen_random_uuid(), 'noted', 1, '{{}}')"
        );
        let ended: i64 = self.0.query_one(&call, &[]).await.unwrap().get(0);
        assert!(ended > 0, "{ended}");
    }
}

const STREAMS: u64 = 6;

/// Two processes on one log and a program of before, called in turns, and what the log must hold by now.
struct Turns {
    place: Place,
    stores: [PostgresStore; 2],
    older: OlderProgram,
    due: Arc<Mutex<Option<FaultPoint>>>,
    dice: Dice,
    versions: HashMap<String, u64>,
    stored: Vec<(Commit, Position)>,
    entities: i64,
}

impl Turns {
    async fn begin(place: Place, seed: u64) -> Self {
        let due = Arc::<Mutex<Option<FaultPoint>>>::default();
        let open = async |is_batch: bool| {
            let due = due.clone();
            let config = place.config().with_listen(Listen::Off).with_faults(move |step| match step {
                FaultPoint::Alone => is_batch,
                _ => due.lock().unwrap().take_if(|point| *point == step).is_some(),
            });
            let store = place.open_with(config).await;
            store.prepare(&members()).await.unwrap();
            store
        };
        let stores = [open(false).await, open(true).await];
        let older = OlderProgram::start(&place).await;
        let (versions, stored) = Default::default();
        let mut turns = Self { place, stores, older, due, dice: Dice(seed), versions, stored, entities: 0 };
        let first = append("a-0", ExpectedVersion::NoStream);
        let answer = turns.stores[0].commit(&acme(), first.clone()).await;
        turns.judge(first, answer);
        turns
    }

    fn store(&mut self) -> PostgresStore {
        self.stores[usize::try_from(self.dice.below(2)).unwrap()].clone()
    }

    fn stream(&mut self) -> String {
        format!("a-{}", self.dice.below(STREAMS))
    }

    fn version(&self, to: &str) -> u64 {
        self.versions.get(to).copied().unwrap_or(0)
    }

    /// Compares an answer with what the log holds, and takes it in.
    fn judge(&mut self, commit: Commit, answer: Result<Committed, Error>) {
        let write = &commit.writes[0];
        let (to, events) = (write.stream.as_str().to_owned(), write.events.len() as u64);
        let actual = Version(self.version(&to));
        match answer {
            Ok(committed) => {
                assert!(write.expected.allows(actual), "{:?} of {actual:?} in {to}", write.expected);
                assert_eq!(committed.versions[0].version, Version(actual.0 + events), "{to}");
                self.versions.insert(to, actual.0 + events);
                self.stored.push((commit, committed.position));
            }
            Err(Error::Conflict(conflict)) => {
                assert!(!write.expected.allows(actual), "{:?} of {actual:?} in {to}", write.expected);
                assert_eq!(conflict.actual, actual, "{to}");
            }
            Err(other) => panic!("{other}"),
        }
    }

    async fn take(&mut self) {
        match self.dice.below(16) {
            0..6 => self.write_together().await,
            6..8 => self.contend().await,
            8 => self.change_entities().await,
            9 => {
                let to = self.stream();
                self.older.append(&to).await;
                *self.versions.entry(to).or_default() += 1;
            }
            10 => self.import().await,
            11 => self.lose(FaultPoint::Answered).await,
            12 => self.lose(FaultPoint::Send).await,
            13 => self.end_sessions().await,
            14 => self.repeat().await,
            _ => {
                let store = self.store();
                store.commit(&acme(), refusal()).await.unwrap();
                store.forget_empty_commits(Timestamp::MAX).await.unwrap();
            }
        }
    }

    /// Commits to streams of their own that wait together.
    async fn write_together(&mut self) {
        let (store, tenant) = (self.store(), acme());
        let (first, count) = (self.dice.below(STREAMS), 1 + self.dice.below(STREAMS));
        let mut commits = Vec::new();
        for at in first..first + count {
            let to = format!("a-{}", at % STREAMS);
            let there = self.version(&to);
            let expected = match self.dice.below(8) {
                0 => ExpectedVersion::Any,
                1 => ExpectedVersion::Exists,
                2 => ExpectedVersion::NoStream,
                3 => ExpectedVersion::Exact(Version(there + 1)),
                4 => ExpectedVersion::Exact(Version(there.saturating_sub(1))),
                _ => ExpectedVersion::Exact(Version(there)),
            };
            let mut commit = append_many(&to, expected, 1 + self.dice.below(3));
            if self.dice.below(4) == 0 {
                let only_read = format!("a-{}", (first + count) % STREAMS);
                if count < STREAMS {
                    let there = Version(self.version(&only_read));
                    commit = commit.expect(stream(&only_read), ExpectedVersion::Exact(there));
                }
            }
            commits.push(commit);
        }
        let begun: Vec<_> =
            commits.iter().map(|commit| begin(store.commit(&tenant, commit.clone()))).collect();
        let mut answers = Vec::new();
        for begun in begun {
            answers.push(begun.await);
        }
        for (commit, answer) in commits.into_iter().zip(answers) {
            self.judge(commit, answer);
        }
    }

    /// Many who want to be the next of one stream, in both processes.
    async fn contend(&mut self) {
        let (to, tenant) = (self.stream(), acme());
        let there = Version(self.version(&to));
        let commits: Vec<_> = (0..6).map(|_| append_many(&to, ExpectedVersion::Exact(there), 2)).collect();
        let stores = self.stores.clone();
        let begun: Vec<_> = commits
            .iter()
            .zip(stores.iter().cycle())
            .map(|(commit, store)| begin(store.commit(&tenant, commit.clone())))
            .collect();
        let mut answers = Vec::new();
        for begun in begun {
            answers.push(begun.await);
        }
        let mut commits: Vec<_> = commits.into_iter().zip(answers).collect();
        // The one that was stored is the first.
        commits.sort_by_key(|(_, answer)| answer.is_err());
        for (commit, answer) in commits {
            self.judge(commit, answer);
        }
        assert_eq!(self.version(&to), there.0 + 2, "one of them was the next");
    }

    async fn change_entities(&mut self) {
        self.entities += 1;
        let (store, to) = (self.store(), self.stream());
        let member = enter(&format!("m-{}", self.entities), self.entities);
        let commit = append(&to, ExpectedVersion::Any).with_entities(vec![member]);
        let answer = store.commit(&acme(), commit.clone()).await;
        self.judge(commit, answer);
    }

    async fn import(&mut self) {
        let (store, to) = (self.store(), self.stream());
        let page = store.read_commits(&LogScope::EveryTenant, 0, 1).await.unwrap();
        let mut commit = page.commits.into_iter().next().unwrap();
        commit.id = CommitId::draw();
        commit.events[0].event_id = EventId::draw();
        commit.events[0].stream = stream(&to);
        commit.events[0].version = Version(self.version(&to) + 1);
        assert_eq!(store.import_commits(vec![commit]).await.unwrap().stored, 1);
        *self.versions.entry(to).or_default() += 1;
    }

    /// A commit whose answer is lost, before it was sent or after it was stored.
    async fn lose(&mut self, at: FaultPoint) {
        let (store, to) = (self.store(), self.stream());
        let commit = append_many(&to, ExpectedVersion::Exact(Version(self.version(&to))), 2);
        *self.due.lock().unwrap() = Some(at);
        let answer = store.commit(&acme(), commit.clone()).await;
        assert_eq!(*self.due.lock().unwrap(), None, "it met its fault");
        match answer {
            Err(Error::Unavailable { .. }) => {
                assert_eq!(at, FaultPoint::Send);
                assert!(store.find_commit(&acme(), commit.id).await.unwrap().is_none());
            }
            answer => {
                assert_eq!(at, FaultPoint::Answered, "{answer:?}");
                self.judge(commit, answer);
            }
        }
    }

    async fn end_sessions(&mut self) {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        self.place.admin().await.execute(end, &[]).await.unwrap();
        self.older = OlderProgram::start(&self.place).await;
        for store in self.stores.clone() {
            let commit = append(&self.stream(), ExpectedVersion::Any);
            let answer = loop {
                match store.commit(&acme(), commit.clone()).await {
                    Err(Error::Unavailable { .. }) => tokio::task::yield_now().await,
                    answer => break answer,
                }
            };
            self.judge(commit, answer);
        }
    }

    async fn repeat(&mut self) {
        let store = self.store();
        let at = usize::try_from(self.dice.below(self.stored.len() as u64)).unwrap();
        let (commit, position) = self.stored[at].clone();
        let answer = store.commit(&acme(), commit).await.unwrap();
        assert!(answer.repeated && answer.position == position, "{answer:?}");
    }
}

#[test]
fn whoever_writes_in_turns_and_whatever_is_lost_every_answer_is_that_of_the_log() {
    for seed in 1..=3 {
        with_place(async |place| {
            let mut turns = Turns::begin(place, seed).await;
            for _ in 0..120 {
                turns.take().await;
            }
            assert_whole(&turns.place).await;
            for (to, version) in &turns.versions {
                for store in &turns.stores {
                    let there = store.versions(&acme(), &[stream(to)]).await.unwrap();
                    assert_eq!(there, [Version(*version)], "{to}, seed {seed}");
                }
            }
        });
    }
}

/// Writes to a few streams beside others, each time as the next after the version it knows, and gives what it stored:
/// the stream and its version with each event.
async fn crowd(store: PostgresStore, seed: u64, rounds: u64, with_entities: bool) -> Vec<(String, u64)> {
    let mut dice = Dice(seed);
    let mut seen: HashMap<String, u64> = HashMap::new();
    let mut stored = Vec::new();
    for round in 0..rounds {
        let to = format!("a-{}", dice.below(4));
        let events = 1 + dice.below(3);
        loop {
            let expected = ExpectedVersion::Exact(Version(seen.get(&to).copied().unwrap_or(0)));
            let mut commit = append_many(&to, expected, events);
            if with_entities {
                let number = i64::try_from(seed * 1_000 + round).unwrap();
                commit = commit.with_entities(vec![enter(&format!("m-{number}"), number)]);
            }
            let answer = loop {
                match store.commit(&acme(), commit.clone()).await {
                    Err(Error::Unavailable { .. }) => tokio::task::yield_now().await,
                    answer => break answer,
                }
            };
            match answer {
                Ok(committed) => {
                    let version = committed.versions[0].version.0;
                    stored.extend((version - events + 1..=version).map(|version| (to.clone(), version)));
                    seen.insert(to, version);
                    break;
                }
                Err(Error::Conflict(conflict)) => seen.insert(to.clone(), conflict.actual.0),
                Err(other) => panic!("{other}"),
            };
        }
    }
    stored
}

#[test]
fn writers_of_every_kind_at_once_leave_no_gap() {
    const OLDER: usize = 60;
    with_place(async |place| {
        let answered = Arc::new(Mutex::new(0));
        let open = async || {
            let answered = answered.clone();
            let config = place.config().with_listen(Listen::Off).with_faults(move |step| {
                let mut answered = answered.lock().unwrap();
                *answered += u64::from(step == FaultPoint::Answered);
                step == FaultPoint::Answered && (*answered).is_multiple_of(23)
            });
            let store = place.open_with(config).await;
            store.prepare(&members()).await.unwrap();
            store
        };
        let stores = [open().await, open().await];
        let mut tasks = Vec::new();
        for (at, store) in stores.iter().enumerate() {
            for caller in 0..6 {
                let seed = 1 + 10 * at as u64 + caller;
                tasks.push(tokio::spawn(crowd(store.clone(), seed, 25, caller == 0)));
            }
        }
        let older = OlderProgram::start(&place).await;
        for number in 0..OLDER {
            older.append(&format!("a-{}", number % 4)).await;
        }
        let mut all = HashSet::new();
        for task in tasks {
            for event in task.await.unwrap() {
                assert!(all.insert(event.clone()), "{event:?} was given twice");
            }
        }
        assert_whole(&place).await;
        let head = stores[0].head().await.unwrap().number();
        assert_eq!(head, (all.len() + OLDER) as u64);
    });
}
