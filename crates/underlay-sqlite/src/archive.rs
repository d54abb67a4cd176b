use async_trait::async_trait;
use rusqlite::{Connection, Row, Statement, params};
use underlay_core::adapter::{At, StoredNames, payload_columns, recorded_time, stored_number};
use underlay_core::{
    Archive, ArchivePage, ArchivedCommit, CommitId, Conflict, Error, ExpectedVersion, Fingerprint, Imported,
    LogScope, Outcome, RecordedEvent, Retention, TenantId, Timestamp, Version, WorkPlace,
};
use uuid::Uuid;

use crate::error::Failure;
use crate::log::append;
use crate::log::event_row;
use crate::log::intake::Flush;
use crate::store::SqliteStore;

/// Bytes of payload past which a page of commits ends early; it holds at least one.
const PAGE_BYTES_MAX: usize = 32 << 20;
/// Commits emptied or removed in one transaction, so that commits do not wait long.
const FORGOTTEN_AT_ONCE_MAX: u32 = 1_000;

#[async_trait]
impl Archive for SqliteStore {
    async fn read_commits(&self, scope: &LogScope, after: u64, limit: usize) -> Result<ArchivePage, Error> {
        let tenant = match scope {
            LogScope::Tenant(tenant) => Some(tenant.clone()),
            LogScope::EveryTenant => None,
        };
        let read = move |connection: &Connection| read_page(connection, tenant.as_ref(), after, limit);
        self.0.readers.read_at_one_moment(None, read).await
    }

    async fn import_commits(&self, commits: Vec<ArchivedCommit>) -> Result<Imported, Error> {
        commits.iter().try_for_each(ArchivedCommit::validate)?;
        let all = commits.len() as u64;
        let now = self.0.clock.now();
        let import = move |connection: &Connection| import_all(connection, commits, now);
        let stored = self.write_beside(Flush::Now, import).await?;
        self.0.wakeups.wake();
        Ok(Imported { stored, known: all - stored })
    }
}

#[async_trait]
impl Retention for SqliteStore {
    async fn forget_outcome_bodies(&self, time: Timestamp) -> Result<u64, Error> {
        let sql = include_str!("sql/forget_bodies.sql");
        self.forget(move |connection| {
            let mut update = connection.prepare_cached(sql)?;
            Ok(update.execute((time.as_microsecond(), FORGOTTEN_AT_ONCE_MAX))? as u64)
        })
        .await
    }

    async fn forget_empty_commits(&self, time: Timestamp) -> Result<u64, Error> {
        let sql = include_str!("sql/delete_empty_commits.sql");
        let places = stored_number(WorkPlace::of(1, 0).number());
        self.forget(move |connection| {
            let mut delete = connection.prepare_cached(sql)?;
            Ok(delete.execute((time.as_microsecond(), FORGOTTEN_AT_ONCE_MAX, places))? as u64)
        })
        .await
    }
}

impl SqliteStore {
    /// Does what changes at most [`FORGOTTEN_AT_ONCE_MAX`] rows, until it finds no more.
    async fn forget(
        &self,
        forget_some: impl Fn(&Connection) -> Result<u64, Failure> + Clone + Send + 'static,
    ) -> Result<u64, Error> {
        let mut forgotten = 0;
        loop {
            let changed = self.write_beside(Flush::Later, forget_some.clone()).await?;
            forgotten += changed;
            if changed < u64::from(FORGOTTEN_AT_ONCE_MAX) {
                return Ok(forgotten);
            }
        }
    }
}

fn read_page(
    connection: &Connection,
    tenant: Option<&TenantId>,
    after: u64,
    limit: usize,
) -> Result<ArchivePage, Failure> {
    let mut select = connection.prepare_cached(include_str!("sql/select_commits.sql"))?;
    let mut select_events = connection.prepare_cached(include_str!("sql/select_commit_events.sql"))?;
    let rows_max = stored_number(limit as u64);
    let mut rows = select.query(params![stored_number(after), tenant.map(TenantId::as_str), rows_max])?;
    let mut names = StoredNames::default();
    let mut page = ArchivePage { commits: Vec::new(), next: after, at_end: false };
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        if bytes > PAGE_BYTES_MAX {
            return Ok(page);
        }
        let sequence = event_row::count(row, 8, "commits")?;
        if sequence <= page.next {
            // Whoever went on from there would never come to an end.
            return Err(Failure::damaged(format!("commits: sequence {sequence} follows {}", page.next)));
        }
        page.next = sequence;
        let id: [u8; 16] = row.get(10).map_err(|error| {
            Failure::from(error).within(format_args!("the commit of sequence {}", page.next))
        })?;
        let id = CommitId(Uuid::from_bytes(id));
        let commit = read_commit(row, id, &mut select_events, &mut names)
            .map_err(|failure| failure.within(format_args!("commit {id}")))?;
        bytes += commit.events.iter().map(|event| event.payload.bytes()).sum::<usize>();
        page.commits.push(commit);
    }
    page.at_end = page.commits.len() < limit;
    Ok(page)
}

fn read_commit(
    row: &Row<'_>,
    id: CommitId,
    select_events: &mut Statement<'_>,
    names: &mut StoredNames,
) -> Result<ArchivedCommit, Failure> {
    let tenant = TenantId::new(event_row::text(row, 9, "its tenant")?)
        .map_err(|error| Failure::damaged(error.to_string()))?;
    let (position, count): (i64, i64) = (row.get(5)?, row.get(6)?);
    let events = read_events(&tenant, position, count, select_events, names)?;
    Ok(ArchivedCommit {
        tenant,
        id,
        fingerprint: Fingerprint(row.get(0)?),
        outcome: event_row::outcome(row, id)?,
        recorded_at: recorded_time(row.get(7)?, At(position))?,
        events,
    })
}

fn read_events(
    tenant: &TenantId,
    position: i64,
    count: i64,
    select_events: &mut Statement<'_>,
    names: &mut StoredNames,
) -> Result<Vec<RecordedEvent>, Failure> {
    let mut events: Vec<RecordedEvent> = Vec::new();
    let mut left = count;
    let mut found = select_events.query((position.saturating_sub(count), position))?;
    while let Some(event) = found.next()? {
        let event = event_row::event(event, names)?;
        left -= 1;
        // An event of another commit, or of another tenant, must not leave with this one.
        if i64::from(event.commit_tail) != left || event.tenant != *tenant {
            let place = At(stored_number(event.position.number()));
            return Err(Failure::damaged(format!("{place} is not an event of it")));
        }
        events.push(event);
    }
    if left != 0 {
        let held = events.len();
        return Err(Failure::damaged(format!(
            "it has {count} events up to {}, the log holds {held} of them",
            At(position)
        )));
    }
    Ok(events)
}

/// Stores what is not there yet; the whole call is one transaction.
fn import_all(connection: &Connection, commits: Vec<ArchivedCommit>, now: Timestamp) -> Result<u64, Failure> {
    let mut stored = 0;
    for commit in commits {
        if let Some(there) = find_archived(connection, &commit.tenant, commit.id)? {
            commit.check_same(&there)?;
            continue;
        }
        commit.check_time(now)?;
        import_one(connection, &commit)?;
        stored += 1;
    }
    Ok(stored)
}

fn find_archived(
    connection: &Connection,
    tenant: &TenantId,
    id: CommitId,
) -> Result<Option<ArchivedCommit>, Failure> {
    let Some(found) = append::find_commit(connection, tenant, id)? else { return Ok(None) };
    let mut select_events = connection.prepare_cached(include_str!("sql/select_commit_events.sql"))?;
    let position = stored_number(found.committed.position.number());
    let count = i64::from(found.committed.event_count);
    let events = read_events(tenant, position, count, &mut select_events, &mut StoredNames::default())
        .map_err(|failure| failure.within(format_args!("commit {id}")))?;
    Ok(Some(ArchivedCommit {
        tenant: tenant.clone(),
        id,
        fingerprint: found.fingerprint,
        outcome: found.committed.outcome,
        recorded_at: found.committed.recorded_at,
        events,
    }))
}

fn import_one(connection: &Connection, commit: &ArchivedCommit) -> Result<(), Failure> {
    let (mut position, last_recorded_at) = {
        let mut select = connection.prepare_cached(include_str!("sql/select_head.sql"))?;
        let mut rows = select.query([])?;
        rows.next()?.map(event_row::head).transpose()?.unwrap_or((0, i64::MIN))
    };
    let recorded_at = commit.recorded_at.as_microsecond().max(last_recorded_at);
    let tenant = commit.tenant.as_str();
    let mut select_version = connection.prepare_cached(include_str!("sql/select_stream_version.sql"))?;
    let mut insert_event = connection.prepare_cached(include_str!("sql/insert_event.sql"))?;
    for (number, event) in commit.events.iter().enumerate() {
        let mut rows = select_version.query((tenant, event.stream.as_str()))?;
        let place = format_args!("stream {}", event.stream);
        let there = rows.next()?.map(|row| event_row::count(row, 0, place));
        let actual = Version(there.transpose()?.unwrap_or(0));
        if event.version != actual.plus(1) {
            let expected = ExpectedVersion::Exact(Version(event.version.0.saturating_sub(1)));
            return Err(Failure::Answer(Conflict { stream: event.stream.clone(), expected, actual }.into()));
        }
        position += 1;
        let (encoding, key_id) = payload_columns(&event.payload);
        let inserted = insert_event.execute(params![
            position,
            tenant,
            event.stream.as_str(),
            stored_number(event.version.0),
            &event.event_id.0.as_bytes()[..],
            event.event_type.as_str(),
            event.schema_version.0,
            recorded_at,
            stored_number((commit.events.len() - number - 1) as u64),
            event.metadata.as_str(),
            event.payload.text().as_str(),
            encoding,
            key_id,
        ]);
        match inserted.map_err(Failure::from) {
            // The version was checked, so it is the id.
            Err(failure) if failure.is_poison() => {
                return Err(Failure::refused(format!("event id {} is already in the log", event.event_id)));
            }
            inserted => inserted?,
        };
    }
    let (code, message, body) = match &commit.outcome {
        Outcome::Accepted => (None, None, None),
        Outcome::Refused { code, message, body } => {
            // What was forgotten before it came here stays forgotten.
            let body = Some(body.as_str()).filter(|_| !commit.outcome.is_forgotten());
            (Some(code.as_str()), Some(message.as_str()), body)
        }
    };
    let inserted = connection.prepare_cached(include_str!("sql/insert_commit.sql"))?.execute(params![
        tenant,
        &commit.id.0.as_bytes()[..],
        &commit.fingerprint.0[..],
        commit.outcome.kind(),
        code,
        message,
        body,
        position,
        stored_number(commit.events.len() as u64),
        recorded_at,
    ])?;
    // It was looked for in this transaction.
    if inserted == 0 { Err(append::id_without_commit(commit.id)) } else { Ok(()) }
}
