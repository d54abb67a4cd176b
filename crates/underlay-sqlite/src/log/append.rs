//! The rows of a group commit.

use rusqlite::{Connection, Row, Statement, params};
use underlay_core::adapter::{
    Answer, At, Request, answer_again, answer_for_other, payload_columns, recorded_time, refusal_columns,
    stored_name, stored_number,
};
use underlay_core::{
    CommitId, Committed, Conflict, Error, Fingerprint, Position, RecordedCommit, StreamName, StreamVersion,
    TenantId, Version,
};

use crate::entities::changes;
use crate::error::Failure;
use crate::log::unit_flight::{Unit, UnitAnswer};
use crate::log::{event_row, savepoint};
use crate::work::sending::WorkWriter;

/// How a batch guards against a commit that cannot be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// Not at all: the first such commit fails the transaction, which is then written again guarded.
    None,
    /// By a savepoint for each commit: it fails alone.
    Savepoint,
}

/// The end of the log, inside a transaction.
#[derive(Clone, Copy, Debug)]
struct Head {
    position: i64,
    recorded_at: i64,
    /// The time by the clock, which the log may be ahead of.
    now: i64,
}

/// The statements that write the log, prepared for the life of a connection.
pub(crate) struct LogWriter<'c> {
    connection: &'c Connection,
    begin: Statement<'c>,
    commit: Statement<'c>,
    select_head: Statement<'c>,
    select_stream_version: Statement<'c>,
    exists_event: Statement<'c>,
    insert_event: Statement<'c>,
    insert_commit: Statement<'c>,
    work: WorkWriter<'c>,
    /// Versions of the streams the commit at hand writes, kept to save the allocation.
    bases: Vec<u64>,
}

impl<'c> LogWriter<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> Result<Self, Failure> {
        Ok(Self {
            connection,
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            commit: connection.prepare("COMMIT")?,
            select_head: connection.prepare(include_str!("../sql/select_head.sql"))?,
            select_stream_version: connection.prepare(include_str!("../sql/select_stream_version.sql"))?,
            exists_event: connection.prepare(include_str!("../sql/exists_event.sql"))?,
            insert_event: connection.prepare(include_str!("../sql/insert_event.sql"))?,
            insert_commit: connection.prepare(include_str!("../sql/insert_commit.sql"))?,
            work: WorkWriter::prepare(connection)?,
            bases: Vec::new(),
        })
    }

    /// The connection the statements belong to.
    pub(crate) fn connection(&self) -> &'c Connection {
        self.connection
    }

    /// Takes the write lock; busy where another process has it.
    pub(crate) fn begin(&mut self) -> Result<(), Failure> {
        self.begin.raw_execute()?;
        Ok(())
    }

    /// Makes the transaction durable.
    pub(crate) fn commit(&mut self) -> Result<(), Failure> {
        self.commit.raw_execute()?;
        Ok(())
    }

    /// A number that changes where another connection has written.
    pub(crate) fn data_version(&self) -> Result<i64, Failure> {
        let mut select = self.connection.prepare_cached("PRAGMA data_version")?;
        Ok(select.query_row([], |row| row.get(0))?)
    }

    /// Ends a transaction that is still open, keeping nothing.
    pub(crate) fn rollback(&self) -> Result<(), Failure> {
        if !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK")?;
        }
        Ok(())
    }

    /// Inserts the rows of a batch, in its order, and gives the answer of each commit.
    ///
    /// # Errors
    /// Everything that fails the whole transaction; without a guard also [`Failure::Poison`].
    pub(crate) fn write(
        &mut self,
        batch: &[Request],
        now: i64,
        guard: Guard,
    ) -> Result<Vec<Answer>, Failure> {
        let mut head = self.head(now)?;
        let mut answers = Vec::with_capacity(batch.len());
        for request in batch {
            answers.push(self.write_one(request, &mut head, guard)?);
        }
        Ok(answers)
    }

    fn head(&mut self, now: i64) -> Result<Head, Failure> {
        let mut rows = self.select_head.query([])?;
        let Some(row) = rows.next()? else { return Ok(Head { position: 0, recorded_at: now, now }) };
        let (position, recorded_at) = event_row::head(row)?;
        Ok(Head { position, recorded_at: recorded_at.max(now), now })
    }

    fn write_one(&mut self, request: &Request, head: &mut Head, guard: Guard) -> Result<Answer, Failure> {
        let commit = &request.commit;
        // The row of a commit finds out by itself whether its id is there. Where the one it names is there, or where
        // entities might be refused before that row, it is looked for first.
        let asks_first = !commit.entities.is_empty() || self.names_a_known_one(request)?;
        if asks_first && let Some(answer) = self.known_answer(request)? {
            return Ok(answer);
        }
        let refusal = match self.find_conflict(request) {
            Ok(None) => None,
            Ok(Some(conflict)) => Some(conflict.into()),
            // A stream that is damaged fails no other commit, and no repeat.
            Err(failure) if !failure.is_of_the_file() && !failure.is_busy() => Some(failure.into()),
            Err(failure) => return Err(failure),
        };
        if let Some(refusal) = refusal {
            let known = if asks_first { None } else { self.known_answer(request)? };
            return Ok(known.unwrap_or(Err(refusal)));
        }
        let inserted = if guard == Guard::None && commit.entities.is_empty() {
            match self.insert(request, head) {
                Err(failure) if failure.is_poison() => return Err(Failure::Poison(failure.into())),
                inserted => inserted?,
            }
        } else {
            // Entities may be refused after some of them are stored.
            let before = *head;
            let stored = savepoint::alone(self.connection, || {
                changes::store(self.connection, &request.tenant, &commit.entities)?;
                match self.insert(request, head)? {
                    None if asks_first => Err(id_without_commit(commit.id)),
                    inserted => Ok(inserted),
                }
            })?;
            match stored {
                Ok(inserted) => inserted,
                Err(failure) => {
                    *head = before;
                    return Ok(Err(self.name_poison(request, failure)?));
                }
            }
        };
        if let Some(committed) = inserted {
            return Ok(Ok(committed));
        }
        let known = self.known_answer(request)?;
        Ok(known.unwrap_or_else(|| Err(id_without_commit(commit.id).into())))
    }

    /// The first stream whose version is another than the commit expects. Where there is none, the versions of all
    /// are in `bases`.
    fn find_conflict(&mut self, request: &Request) -> Result<Option<Conflict>, Failure> {
        self.bases.clear();
        for (stream, expected) in request.commit.streams() {
            let actual = self.version(&request.tenant, stream)?;
            if !expected.allows(Version(actual)) {
                let actual = Version(actual);
                return Ok(Some(Conflict { stream: stream.clone(), expected, actual }));
            }
            self.bases.push(actual);
        }
        Ok(None)
    }

    /// Stores units of entities, each by itself, and gives the answer of each.
    ///
    /// # Errors
    /// Everything that fails the whole transaction.
    pub(crate) fn write_units(&self, units: &[Unit]) -> Result<Vec<UnitAnswer>, Failure> {
        let store = |unit: &Unit| {
            let changes = &unit.commit.entities;
            let store = || changes::store(self.connection, &unit.tenant, changes);
            Ok(savepoint::alone(self.connection, store)?.map_err(Error::from))
        };
        units.iter().map(store).collect()
    }

    /// The answer where the commit, or the one it names, is stored, and this one is not written for it. What is damaged
    /// about it is an answer too: it fails no other.
    fn known_answer(&self, request: &Request) -> Result<Option<Answer>, Failure> {
        match self.find_known(request) {
            Err(failure) if !failure.is_of_the_file() => Ok(Some(Err(failure.into()))),
            known => known,
        }
    }

    /// Whether the commit names one that is stored, in whatever state.
    fn names_a_known_one(&self, request: &Request) -> Result<bool, Failure> {
        let Some(agreement) = request.commit.agreement else { return Ok(false) };
        match find_commit(self.connection, &request.tenant, agreement.with) {
            Err(failure) if failure.is_of_the_file() => Err(failure),
            found => Ok(!matches!(found, Ok(None))),
        }
    }

    fn find_known(&self, request: &Request) -> Result<Option<Answer>, Failure> {
        let commit = &request.commit;
        if let Some(first) = find_commit(self.connection, &request.tenant, commit.id)? {
            return Ok(Some(answer_again(request, first)));
        }
        let Some(agreement) = commit.agreement else { return Ok(None) };
        let other = find_commit(self.connection, &request.tenant, agreement.with)?;
        Ok(other.and_then(|other| answer_for_other(commit, request.reply.fingerprint, other)))
    }

    fn version(&mut self, tenant: &TenantId, stream: &StreamName) -> Result<u64, Failure> {
        let mut rows = self.select_stream_version.query((tenant.as_str(), stream.as_str()))?;
        let version = rows.next()?.map(|row| event_row::count(row, 0, format_args!("stream {stream}")));
        Ok(version.transpose()?.unwrap_or(0))
    }

    /// Inserts the rows of a commit; none of them where its id is there.
    fn insert(&mut self, request: &Request, head: &mut Head) -> Result<Option<Committed>, Failure> {
        let commit = &request.commit;
        let tenant = request.tenant.as_str();
        let mut tail = commit.event_count();
        let count = stored_number(tail as u64);
        let end = head.position + count;
        let (code, message, body) = refusal_columns(&commit.outcome);
        let inserted = self.insert_commit.execute(params![
            tenant,
            &commit.id.0.as_bytes()[..],
            &request.reply.fingerprint.0[..],
            commit.outcome.kind(),
            code,
            message,
            body,
            end,
            count,
            head.recorded_at,
        ])?;
        if inserted == 0 {
            return Ok(None);
        }
        let sequence = self.connection.last_insert_rowid();
        let mut versions = Vec::with_capacity(commit.writes.len());
        let insert = &mut self.insert_event;
        // Bindings last from row to row: what a commit's events share is bound once.
        insert.raw_bind_parameter(2, tenant)?;
        insert.raw_bind_parameter(8, head.recorded_at)?;
        insert.raw_bind_parameter(10, request.reply.metadata.as_str())?;
        for (write, base) in commit.writes.iter().zip(&self.bases) {
            let mut version = *base;
            insert.raw_bind_parameter(3, write.stream.as_str())?;
            for event in &write.events {
                tail -= 1;
                version += 1;
                head.position += 1;
                insert.raw_bind_parameter(1, head.position)?;
                insert.raw_bind_parameter(4, stored_number(version))?;
                insert.raw_bind_parameter(5, &event.event_id.0.as_bytes()[..])?;
                insert.raw_bind_parameter(6, event.event_type.as_str())?;
                insert.raw_bind_parameter(7, event.schema_version.0)?;
                insert.raw_bind_parameter(9, stored_number(tail as u64))?;
                let (encoding, key_id) = payload_columns(&event.payload);
                insert.raw_bind_parameter(11, event.payload.text().as_str())?;
                insert.raw_bind_parameter(12, encoding)?;
                insert.raw_bind_parameter(13, key_id)?;
                insert.raw_execute()?;
            }
            versions.push(StreamVersion { stream: write.stream.clone(), version: Version(version) });
        }
        if !commit.work.is_empty() {
            self.work.send(request, sequence, head.now, head.recorded_at)?;
        }
        let position = Position::from_number(head.position.unsigned_abs());
        let recorded_at = recorded_time(head.recorded_at, At(head.position))?;
        Ok(Some(Committed::new(commit.id, position, versions, commit, recorded_at)))
    }

    /// What is wrong with a commit that was refused, and of which nothing is left.
    fn name_poison(&mut self, request: &Request, failure: Failure) -> Result<Error, Failure> {
        if !failure.is_poison() {
            return Ok(failure.into());
        }
        for event in request.commit.writes.iter().flat_map(|write| &write.events) {
            let id = &event.event_id.0.as_bytes()[..];
            if self.exists_event.exists((request.tenant.as_str(), id))? {
                return Ok(Error::invalid(format!("event id {} is already in the log", event.event_id)));
            }
        }
        Ok(failure.into())
    }
}

/// The index of commits has an id, and finds no commit by it.
pub(crate) fn id_without_commit(id: CommitId) -> Failure {
    Failure::damaged(format!("commit {id} is in the index of commits and is not found by it"))
}

/// Finds a commit by its id, as the answer to a repeat.
pub(crate) fn find_commit(
    connection: &Connection,
    tenant: &TenantId,
    id: CommitId,
) -> Result<Option<RecordedCommit>, Failure> {
    let mut select = connection.prepare_cached(include_str!("../sql/select_commit.sql"))?;
    let mut rows = select.query((tenant.as_str(), &id.0.as_bytes()[..]))?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let commit = read_commit(connection, tenant, id, row);
    commit.map(Some).map_err(|failure| failure.within(format_args!("commit {id}")))
}

fn read_commit(
    connection: &Connection,
    tenant: &TenantId,
    id: CommitId,
    row: &Row<'_>,
) -> Result<RecordedCommit, Failure> {
    let (position, count): (i64, i64) = (row.get(5)?, row.get(6)?);
    let event_count = u32::try_from(count).map_err(|_| Failure::damaged(format!("it has {count} events")))?;
    let outcome = event_row::outcome(row, id)?;
    let fingerprint = Fingerprint(row.get(0)?);
    let recorded_at = recorded_time(row.get(7)?, At(position))?;
    let commit = underlay_core::Commit::new(id).with_outcome(outcome);
    let versions = stream_versions(connection, tenant, position, event_count)?;
    let at = u64::try_from(position).map_err(|_| Failure::damaged(format!("it ends at {}", At(position))))?;
    let at = Position::from_number(at);
    let mut committed = Committed::new(id, at, versions, &commit, recorded_at);
    committed.event_count = event_count;
    committed.repeated = true;
    Ok(RecordedCommit { fingerprint, committed })
}

/// The streams a commit wrote, with their versions after it, in the order of the log.
fn stream_versions(
    connection: &Connection,
    tenant: &TenantId,
    position: i64,
    count: u32,
) -> Result<Vec<StreamVersion>, Failure> {
    let mut versions: Vec<StreamVersion> = Vec::new();
    if count == 0 {
        return Ok(versions);
    }
    let mut select = connection.prepare_cached(include_str!("../sql/select_commit_streams.sql"))?;
    let before = position.saturating_sub(i64::from(count));
    let mut rows = select.query((before, position, tenant.as_str()))?;
    let mut held: u32 = 0;
    while let Some(row) = rows.next()? {
        held += 1;
        let version = Version(event_row::count(row, 1, At(position))?);
        let stream = event_row::text(row, 0, At(position))?;
        match versions.last_mut() {
            Some(last) if last.stream.as_str() == stream => last.version = version,
            _ => {
                let stream = stored_name(stream, At(position))?;
                versions.push(StreamVersion { stream, version });
            }
        }
    }
    if held != count {
        return Err(Failure::damaged(format!(
            "it has {count} events up to {}, the log holds {held} of them",
            At(position)
        )));
    }
    Ok(versions)
}
