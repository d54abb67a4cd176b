use std::collections::HashMap;

use async_trait::async_trait;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use underlay_core::adapter::{
    At, StoredNames, payload_columns, recorded_time, refusal_columns, stored_name, stored_number,
};
use underlay_core::limits::IMPORT_AHEAD_MAX;
use underlay_core::{
    Archive, ArchivePage, ArchivedCommit, CommitId, Conflict, Error, ExpectedVersion, Imported, LogScope,
    RecordedEvent, Retention, TenantId, Timestamp, Version, WorkHint,
};
use uuid::Uuid;

use crate::connections::session::{Parameter, Purpose, SessionRole, Statement};
use crate::error::Failure;
use crate::log::event_row;
use crate::log::given::small;
use crate::log::known::{find_commit, fingerprint};
use crate::store::PostgresStore;

/// Bytes of payload past which a page of commits ends early; it holds at least one.
const PAGE_BYTES_MAX: usize = 32 << 20;
/// Commits of any tenant that a page of one tenant's looks at.
const PAGE_SCAN_MAX: i64 = 50_000;
/// Commits emptied or removed in one transaction.
const FORGOTTEN_AT_ONCE_MAX: i64 = 1_000;

#[async_trait]
impl Archive for PostgresStore {
    async fn read_commits(&self, scope: &LogScope, after: u64, limit: usize) -> Result<ArchivePage, Error> {
        let (role, tenant) = match scope {
            LogScope::Tenant(tenant) => (SessionRole::Reader(tenant.clone()), Some(tenant.as_str())),
            LogScope::EveryTenant => (SessionRole::Worker, None),
        };
        let from = stored_number(after).min(i64::MAX / 2);
        let wanted = stored_number(limit as u64);
        let mut page = self.commits_without_events(&role, tenant, from, wanted).await?;
        self.add_events(&role, &mut page).await?;
        Ok(page.into_page())
    }

    async fn import_commits(&self, commits: Vec<ArchivedCommit>) -> Result<Imported, Error> {
        commits.iter().try_for_each(ArchivedCommit::validate)?;
        let all = commits.len() as u64;
        let commits = without_repeats(commits)?;
        let arrays = Arrays::of(&commits);
        let ahead_max = i64::try_from(IMPORT_AHEAD_MAX.as_micros()).unwrap_or(i64::MAX);
        let stamp = self.0.stamp();
        let mut parameters = arrays.parameters().to_vec();
        parameters.extend([(&stamp as _, Type::INT8), (&ahead_max as _, Type::INT8)]);
        let sql = include_str!("sql/import_commits.sql");
        let rows = self.0.sessions.write_one(&SessionRole::Worker, sql, &parameters).await.map_err(named)?;
        let row = rows.first().ok_or_else(|| Failure::damaged("`import_commits` gave no answer"))?;
        let stored = match imported(row, &commits)? {
            Import::Stored(stored) => stored,
            Import::Another(commit) => return Err(self.another(commit).await),
        };
        self.0.wakeups.wake();
        self.0.untold.tell(WorkHint::default());
        Ok(Imported { stored, known: all - stored })
    }
}

#[async_trait]
impl Retention for PostgresStore {
    async fn forget_outcome_bodies(&self, time: Timestamp) -> Result<u64, Error> {
        self.forget(time, include_str!("sql/forget_bodies.sql"), |rows| Ok(rows.len() as u64)).await
    }

    async fn forget_empty_commits(&self, time: Timestamp) -> Result<u64, Error> {
        let count = |rows: &[Row]| rows.first().map_or(Ok(0), |row| event_row::count(row, 0));
        self.forget(time, include_str!("sql/forget_commits.sql"), count).await
    }
}

impl PostgresStore {
    /// Runs a statement that takes a time and a number of rows, until it finds no more.
    async fn forget(
        &self,
        time: Timestamp,
        sql: &str,
        count: impl Fn(&[Row]) -> Result<u64, Failure>,
    ) -> Result<u64, Error> {
        let stamp = time.as_microsecond();
        let parameters: [Parameter<'_>; 2] = [(&stamp, Type::INT8), (&FORGOTTEN_AT_ONCE_MAX, Type::INT8)];
        let mut forgotten = 0;
        loop {
            let rows = self.0.sessions.write_one(&SessionRole::Worker, sql, &parameters).await?;
            let changed = count(&rows)?;
            forgotten += changed;
            if stored_number(changed) < FORGOTTEN_AT_ONCE_MAX {
                return Ok(forgotten);
            }
        }
    }

    /// What tells a commit from the one that is stored under its id. That one never changes, so it may
    /// be read after the import was refused.
    async fn another(&self, commit: &ArchivedCommit) -> Error {
        match self.find_archived(commit).await {
            Ok(Some(stored)) => match commit.check_same(&stored) {
                Err(error) => error,
                Ok(()) => torn().into(),
            },
            Ok(None) => Error::unavailable("a commit was forgotten while it was compared; import again"),
            Err(error) => error,
        }
    }

    async fn find_archived(&self, commit: &ArchivedCommit) -> Result<Option<ArchivedCommit>, Error> {
        let Some(found) = find_commit(&self.0.sessions, &commit.tenant, commit.id).await? else {
            return Ok(None);
        };
        let heading = Heading {
            sequence: 0,
            position: stored_number(found.committed.position.number()),
            event_count: i32::try_from(found.committed.event_count).unwrap_or(i32::MAX),
            commit: ArchivedCommit {
                tenant: commit.tenant.clone(),
                id: commit.id,
                fingerprint: found.fingerprint,
                outcome: found.committed.outcome,
                recorded_at: found.committed.recorded_at,
                events: Vec::new(),
            },
        };
        let mut page = Headings { commits: vec![heading], next: 0, at_end: true };
        self.add_events(&SessionRole::Reader(commit.tenant.clone()), &mut page).await?;
        Ok(page.into_page().commits.pop())
    }
}

/// Commits whose events are still to be read.
struct Headings {
    commits: Vec<Heading>,
    next: i64,
    at_end: bool,
}

struct Heading {
    sequence: i64,
    position: i64,
    event_count: i32,
    commit: ArchivedCommit,
}

impl Headings {
    fn into_page(self) -> ArchivePage {
        ArchivePage {
            commits: self.commits.into_iter().map(|heading| heading.commit).collect(),
            next: self.next.unsigned_abs(),
            at_end: self.at_end,
        }
    }
}

impl PostgresStore {
    async fn commits_without_events(
        &self,
        role: &SessionRole,
        tenant: Option<&str>,
        from: i64,
        wanted: i64,
    ) -> Result<Headings, Failure> {
        let to = if tenant.is_some() { from + PAGE_SCAN_MAX } else { i64::MAX };
        let statements = [
            Statement::new(include_str!("sql/select_last_sequence.sql"), []),
            Statement::new(
                include_str!("sql/select_commits.sql"),
                [
                    (&from as _, Type::INT8),
                    (&to as _, Type::INT8),
                    (&tenant as _, Type::TEXT),
                    (&wanted as _, Type::INT8),
                ],
            ),
        ];
        let read = |answers: Vec<Vec<Row>>| {
            let [last, rows] = answers.as_slice() else {
                return Err(Failure::damaged("two statements have other than two answers"));
            };
            let last: i64 = last.first().map(|row| row.try_get(0)).transpose()?.flatten().unwrap_or(0);
            let commits = rows.iter().map(heading).collect::<Result<Vec<_>, _>>()?;
            let full = stored_number(commits.len() as u64) >= wanted;
            let next = match commits.last() {
                Some(heading) if full => heading.sequence,
                _ => to.min(last).max(from),
            };
            Ok(Headings { commits, next, at_end: next >= last })
        };
        self.0.sessions.read(role, &statements, read).await
    }

    async fn add_events(&self, role: &SessionRole, page: &mut Headings) -> Result<(), Failure> {
        let positions: Vec<i64> = page.commits.iter().map(|heading| heading.position).collect();
        let counts: Vec<i32> = page.commits.iter().map(|heading| heading.event_count).collect();
        let select = Statement::new(
            include_str!("sql/select_events_of_commits.sql"),
            [(&positions as _, Type::INT8_ARRAY), (&counts as _, Type::INT4_ARRAY)],
        );
        let start = |_| Ok((Vec::new(), StoredNames::default(), 0));
        let take = |(events, names, bytes): &mut (Vec<RecordedEvent>, StoredNames, usize), row: Row| {
            let event = event_row::event(&row, names)?;
            *bytes += event.payload.bytes();
            let ends_commit = event.commit_tail == 0;
            events.push(event);
            Ok(*bytes < PAGE_BYTES_MAX || !ends_commit)
        };
        let (events, ..) = self.0.sessions.read_page(Purpose::Engine, role, &[], select, start, take).await?;
        let last = events.last().map(|event| event.position.number());
        let mut events = events.into_iter().peekable();
        let mut whole = 0;
        for heading in &mut page.commits {
            let end = heading.position.unsigned_abs();
            while let Some(event) = events.next_if(|event| event.position.number() <= end) {
                heading.commit.events.push(event);
            }
            let (held, count) = (heading.commit.events.len(), heading.event_count);
            if small(held) == count {
                whole += 1;
                continue;
            }
            if last.is_some_and(|last| last < end) && held == 0 {
                // The page ended before it by its bytes.
                break;
            }
            return Err(Failure::damaged(format!(
                "commit {} has {count} events, the log holds {held} of them",
                heading.commit.id
            )));
        }
        if whole < page.commits.len() {
            page.commits.truncate(whole);
            page.next = page.commits.last().map_or(page.next, |heading| heading.sequence);
            page.at_end = false;
        }
        Ok(())
    }
}

fn heading(row: &Row) -> Result<Heading, Failure> {
    let id = CommitId(row.try_get(9)?);
    let position: i64 = row.try_get(5)?;
    Ok(Heading {
        sequence: row.try_get(8)?,
        position,
        event_count: row.try_get(6)?,
        commit: ArchivedCommit {
            tenant: stored_name(row.try_get(10)?, At(position))?,
            id,
            fingerprint: fingerprint(row, 0, id)?,
            outcome: event_row::outcome(row, 1, id)?,
            recorded_at: recorded_time(row.try_get(7)?, At(position))?,
            events: Vec::new(),
        },
    })
}

/// Passes over what is in the call twice.
fn without_repeats(commits: Vec<ArchivedCommit>) -> Result<Vec<ArchivedCommit>, Error> {
    let mut places = HashMap::new();
    let mut once: Vec<ArchivedCommit> = Vec::with_capacity(commits.len());
    for commit in commits {
        let key = (commit.tenant.clone(), commit.id);
        match places.get(&key).and_then(|place| once.get(*place)) {
            Some(first) => commit.check_same(first)?,
            None => {
                places.insert(key, once.len());
                once.push(commit);
            }
        }
    }
    Ok(once)
}

/// What came of an import.
enum Import<'a> {
    /// So many commits were stored, the others were there.
    Stored(u64),
    /// Nothing was stored: the id of this commit stands for another one.
    Another(&'a ArchivedCommit),
}

fn torn() -> Failure {
    Failure::damaged("the function `import_commits` answered for other commits")
}

fn imported<'a>(row: &Row, commits: &'a [ArchivedCommit]) -> Result<Import<'a>, Failure> {
    let at = |number: i64| usize::try_from(number - 1).ok();
    let commit = |number: i64| at(number).and_then(|at| commits.get(at)).ok_or_else(torn);
    if let Some(reused) = row.try_get::<_, Option<i64>>(1)? {
        return commit(reused).map(Import::Another);
    }
    if let Some(ahead) = row.try_get::<_, Option<i64>>(2)? {
        let now = event_row::stamp(row, 3)?;
        let refused = commit(ahead)?.check_time(now).map_err(Failure::Answer);
        return Err(refused.err().unwrap_or_else(torn));
    }
    if let Some(gap) = row.try_get::<_, Option<i64>>(4)? {
        let mut events = commits.iter().flat_map(|commit| &commit.events);
        let event = at(gap).and_then(|at| events.nth(at)).ok_or_else(torn)?;
        let actual: i64 = row.try_get(5)?;
        let expected = ExpectedVersion::Exact(Version(event.version.0.saturating_sub(1)));
        let actual = Version(actual.unsigned_abs());
        return Err(Failure::Answer(Conflict { stream: event.stream.clone(), expected, actual }.into()));
    }
    event_row::count(row, 0).map(Import::Stored)
}

/// What a failed import means.
fn named(failure: Failure) -> Failure {
    let of_ids = match &failure {
        Failure::Postgres(error) => {
            error.as_db_error().is_some_and(|db| db.constraint() == Some("events_by_id"))
        }
        _ => false,
    };
    if of_ids { Failure::refused("an event id of the import is already in the log") } else { failure }
}

#[derive(Default)]
struct Arrays<'a> {
    tenants: Vec<&'a str>,
    ids: Vec<Uuid>,
    fingerprints: Vec<&'a [u8]>,
    event_counts: Vec<i32>,
    codes: Vec<Option<&'a str>>,
    messages: Vec<Option<&'a str>>,
    bodies: Vec<Option<&'a str>>,
    times: Vec<i64>,
    event_commits: Vec<i32>,
    event_places: Vec<i32>,
    event_streams: Vec<&'a str>,
    event_versions: Vec<i64>,
    event_ids: Vec<Uuid>,
    event_types: Vec<&'a str>,
    event_schema_versions: Vec<i64>,
    event_metadata: Vec<&'a str>,
    event_payloads: Vec<&'a str>,
    event_encodings: Vec<Option<&'a str>>,
    event_key_ids: Vec<Option<&'a str>>,
}

impl<'a> Arrays<'a> {
    fn of(commits: &'a [ArchivedCommit]) -> Self {
        let mut arrays = Self::default();
        for commit in commits {
            arrays.push(commit);
        }
        arrays
    }

    fn push(&mut self, commit: &'a ArchivedCommit) {
        let (code, message, body) = refusal_columns(&commit.outcome);
        self.tenants.push(TenantId::as_str(&commit.tenant));
        self.ids.push(commit.id.0);
        self.fingerprints.push(&commit.fingerprint.0);
        self.event_counts.push(small(commit.events.len()));
        self.codes.push(code);
        self.messages.push(message);
        // A body that was forgotten is none.
        self.bodies.push(body.filter(|body| *body != "null"));
        self.times.push(commit.recorded_at.as_microsecond());
        let number = small(self.ids.len());
        for (place, event) in (1..).zip(&commit.events) {
            self.event_commits.push(number);
            self.event_places.push(place);
            self.event_streams.push(event.stream.as_str());
            self.event_versions.push(stored_number(event.version.0));
            self.event_ids.push(event.event_id.0);
            self.event_types.push(event.event_type.as_str());
            self.event_schema_versions.push(event.schema_version.0.into());
            self.event_metadata.push(event.metadata.as_str());
            self.event_payloads.push(event.payload.text().as_str());
            let (encoding, key_id) = payload_columns(&event.payload);
            self.event_encodings.push(encoding);
            self.event_key_ids.push(key_id);
        }
    }

    fn parameters(&self) -> [Parameter<'_>; 19] {
        [
            (&self.tenants, Type::TEXT_ARRAY),
            (&self.ids, Type::UUID_ARRAY),
            (&self.fingerprints, Type::BYTEA_ARRAY),
            (&self.event_counts, Type::INT4_ARRAY),
            (&self.codes, Type::TEXT_ARRAY),
            (&self.messages, Type::TEXT_ARRAY),
            (&self.bodies, Type::TEXT_ARRAY),
            (&self.times, Type::INT8_ARRAY),
            (&self.event_commits, Type::INT4_ARRAY),
            (&self.event_places, Type::INT4_ARRAY),
            (&self.event_streams, Type::TEXT_ARRAY),
            (&self.event_versions, Type::INT8_ARRAY),
            (&self.event_ids, Type::UUID_ARRAY),
            (&self.event_types, Type::TEXT_ARRAY),
            (&self.event_schema_versions, Type::INT8_ARRAY),
            (&self.event_metadata, Type::TEXT_ARRAY),
            (&self.event_payloads, Type::TEXT_ARRAY),
            (&self.event_encodings, Type::TEXT_ARRAY),
            (&self.event_key_ids, Type::TEXT_ARRAY),
        ]
    }
}
