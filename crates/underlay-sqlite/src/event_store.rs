use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row};
use underlay_core::adapter::event_column as column;
use underlay_core::adapter::{
    At, PAGE_BYTES_MAX, Reply, StoredNames, event_bytes, recorded_time, stored_number, stream_range,
};
use underlay_core::limits::PAGE_SCAN_MAX;
use underlay_core::{
    Category, Commit, CommitId, Committed, Error, EventId, EventStore, LogFilter, LogPage, LogScope,
    Position, RecordedCommit, RecordedEvent, StoreId, StreamList, StreamName, StreamPage, StreamVersion,
    TenantId, Timestamp, Underway, Version, check_page_limit, check_streams_limit,
};

use crate::error::Failure;
use crate::log::append;
use crate::log::event_row;
use crate::store::SqliteStore;

#[async_trait]
impl EventStore for SqliteStore {
    fn store_id(&self) -> StoreId {
        self.0.id
    }

    fn keeps_entities(&self) -> bool {
        true
    }

    async fn commit(&self, tenant: &TenantId, commit: Commit) -> Result<Committed, Error> {
        commit.validate()?;
        let ticket = self.0.intake.unanswered.enter(tenant.clone(), commit.id);
        let (reply, answered) = Reply::prepare(&commit, ticket)?;
        self.0.intake.push_commit(tenant.clone(), commit, reply)?;
        answered.wait().await
    }

    async fn find_commit(&self, tenant: &TenantId, id: CommitId) -> Result<Option<RecordedCommit>, Error> {
        let owner = tenant.clone();
        let find = move |connection: &Connection| append::find_commit(connection, &owner, id);
        self.0.readers.read_at_one_moment(Some(tenant), find).await
    }

    fn underway(&self, tenant: &TenantId, id: CommitId) -> Option<Underway> {
        self.0.intake.unanswered.find(tenant, id)
    }

    async fn read_stream(
        &self,
        tenant: &TenantId,
        stream: &StreamName,
        after: Version,
        limit: usize,
    ) -> Result<StreamPage, Error> {
        check_page_limit(limit)?;
        let (owner, stream) = (tenant.clone(), stream.clone());
        let read = move |connection: &Connection| stream_page(connection, &owner, &stream, after, limit);
        self.0.readers.read_at_one_moment(Some(tenant), read).await
    }

    async fn read_all(
        &self,
        scope: &LogScope,
        after: Position,
        filter: &LogFilter,
        limit: usize,
    ) -> Result<LogPage, Error> {
        check_page_limit(limit)?;
        let (whose, filter) = (scope.clone(), filter.clone());
        let read = move |connection: &Connection| match &whose {
            LogScope::Tenant(tenant) => tenant_page(connection, tenant, after, &filter, limit),
            LogScope::EveryTenant => log_page(connection, after, &filter, limit),
        };
        match scope {
            LogScope::Tenant(tenant) => self.0.readers.query(tenant, true, read).await,
            LogScope::EveryTenant => self.0.readers.read_at_one_moment(None, read).await,
        }
    }

    async fn versions(&self, tenant: &TenantId, streams: &[StreamName]) -> Result<Vec<Version>, Error> {
        let (owner, streams) = (tenant.clone(), streams.to_vec());
        let read = move |connection: &Connection| {
            streams.iter().map(|stream| stream_version(connection, &owner, stream)).collect()
        };
        self.0.readers.read_at_one_moment(Some(tenant), read).await
    }

    async fn streams(
        &self,
        tenant: &TenantId,
        category: Option<&Category>,
        after: Option<&StreamName>,
        limit: usize,
    ) -> Result<StreamList, Error> {
        check_streams_limit(limit)?;
        let (owner, range) = (tenant.clone(), stream_range(category, after));
        let read = move |connection: &Connection| stream_list(connection, &owner, range.clone(), limit);
        self.0.readers.query(tenant, true, read).await
    }

    async fn head(&self) -> Result<Position, Error> {
        self.0.readers.read(None, |connection| Ok(Position::from_number(head(connection)?))).await
    }

    async fn position_at(&self, time: Timestamp) -> Result<Position, Error> {
        self.0.readers.read_at_one_moment(None, move |connection| position_at(connection, time)).await
    }

    async fn event_id_at(&self, position: Position) -> Result<Option<EventId>, Error> {
        self.0.readers.read(None, move |connection| event_id_at(connection, position)).await
    }
}

/// The number of the last position; 0 of an empty log.
pub(crate) fn head(connection: &Connection) -> Result<u64, Failure> {
    let mut select = connection.prepare_cached(include_str!("sql/select_head.sql"))?;
    let position: Option<i64> = select.query_row([], |row| row.get(0)).optional()?;
    position_number(position.unwrap_or(0))
}

/// A stored position.
fn position_number(position: i64) -> Result<u64, Failure> {
    u64::try_from(position).map_err(|_| Failure::damaged(format!("{}: positions count from 1", At(position))))
}

fn stream_version(
    connection: &Connection,
    tenant: &TenantId,
    stream: &StreamName,
) -> Result<Version, Failure> {
    let mut select = connection.prepare_cached(include_str!("sql/select_stream_version.sql"))?;
    let mut rows = select.query((tenant.as_str(), stream.as_str()))?;
    let version = rows.next()?.map(|row| event_row::count(row, 0, format_args!("stream {stream}")));
    Ok(Version(version.transpose()?.unwrap_or(0)))
}

/// Each stream is found by the name of the one before it, so that the events of a stream are passed over.
fn stream_list(
    connection: &Connection,
    tenant: &TenantId,
    (mut above, below): (String, String),
    limit: usize,
) -> Result<StreamList, Failure> {
    let mut select = connection.prepare_cached(include_str!("sql/select_next_stream.sql"))?;
    let mut list = StreamList { streams: Vec::new(), more: false };
    loop {
        let mut rows = select.query((tenant.as_str(), &above, &below))?;
        let Some(row) = rows.next()? else { return Ok(list) };
        if list.streams.len() == limit {
            list.more = true;
            return Ok(list);
        }
        let name = event_row::text(row, 0, format_args!("the stream after {above:?}"))?;
        let stream = StreamName::parse(name)
            .map_err(|error| Failure::damaged(format!("the stream after {above:?}: {error}")))?;
        let version = Version(event_row::count(row, 1, format_args!("stream {stream}"))?);
        stream.as_str().clone_into(&mut above);
        list.streams.push(StreamVersion { stream, version });
    }
}

fn stream_page(
    connection: &Connection,
    tenant: &TenantId,
    stream: &StreamName,
    after: Version,
    limit: usize,
) -> Result<StreamPage, Failure> {
    let mut select = connection.prepare_cached(include_str!("sql/select_stream_events.sql"))?;
    let wanted = stored_number(limit as u64);
    let mut rows = select.query((tenant.as_str(), stream.as_str(), stored_number(after.0), wanted))?;
    let mut names = StoredNames::default();
    let mut events: Vec<RecordedEvent> = Vec::new();
    let mut bytes = 0;
    while bytes < PAGE_BYTES_MAX
        && let Some(row) = rows.next()?
    {
        let event = event_row::event(row, &mut names)?;
        let before = events.last().map_or(after, |event| event.version);
        if event.version != before.plus(1) {
            return Err(Failure::damaged(format!(
                "stream {stream}: version {} follows version {before}",
                event.version
            )));
        }
        bytes += event_bytes(&event);
        events.push(event);
    }
    let short = events.len() < limit && bytes < PAGE_BYTES_MAX;
    let version = match events.last() {
        Some(last) if short => last.version,
        _ => stream_version(connection, tenant, stream)?,
    };
    Ok(StreamPage { events, version })
}

fn log_page(
    connection: &Connection,
    after: Position,
    filter: &LogFilter,
    limit: usize,
) -> Result<LogPage, Failure> {
    let mut select = connection.prepare_cached(include_str!("sql/select_log_events.sql"))?;
    let mut rows = select.query([stored_number(after.number())])?;
    let mut names = StoredNames::default();
    let mut page = LogPage { events: Vec::new(), scanned_to: after, scanned_to_id: None, at_head: true };
    let (mut scanned, mut bytes, mut tail) = (0, 0, 0);
    let mut last = stored_number(after.number());
    while let Some(row) = rows.next()? {
        let full = page.events.len() >= limit || scanned >= PAGE_SCAN_MAX || bytes >= PAGE_BYTES_MAX;
        if full && tail == 0 {
            page.at_head = false;
            break;
        }
        let position: i64 = row.get(column::POSITION)?;
        // Nothing of the log is passed over: what is missing is damage, not the end of a page.
        if position != last + 1 {
            return Err(Failure::damaged(format!("{} is missing", At(last + 1))));
        }
        last = position;
        tail = commit_tail(row, position, tail)?;
        scanned += 1;
        page.scanned_to = Position::from_number(position.unsigned_abs());
        let event =
            if passes(row, position, filter)? { Some(event_row::event(row, &mut names)?) } else { None };
        if tail == 0 {
            page.scanned_to_id = Some(match &event {
                Some(event) => event.event_id,
                None => event_row::event_id(row, column::EVENT_ID, At(position))?,
            });
        }
        if let Some(event) = event {
            bytes += event_bytes(&event);
            page.events.push(event);
        }
    }
    if tail > 0 {
        return Err(Failure::damaged(format!(
            "the log ends at position {} in the middle of a commit",
            page.scanned_to
        )));
    }
    if scanned == 0 && after != Position::START {
        page.scanned_to_id = event_id_at(connection, after)?;
    }
    Ok(page)
}

/// A page of one tenant's events, found by the tenant: those of others are not looked at, however many.
fn tenant_page(
    connection: &Connection,
    tenant: &TenantId,
    after: Position,
    filter: &LogFilter,
    limit: usize,
) -> Result<LogPage, Failure> {
    let head = Position::from_number(head(connection)?);
    let mut page =
        LogPage { events: Vec::new(), scanned_to: after.max(head), scanned_to_id: None, at_head: true };
    let mut select = connection.prepare_cached(include_str!("sql/select_tenant_events.sql"))?;
    let mut rows = select.query((tenant.as_str(), stored_number(after.number())))?;
    let mut names = StoredNames::default();
    let (mut scanned, mut bytes, mut tail) = (0, 0, 0);
    let mut last = stored_number(after.number());
    while let Some(row) = rows.next()? {
        let position: i64 = row.get(column::POSITION)?;
        if tail > 0 && position != last + 1 {
            return Err(Failure::damaged(format!("{} is missing", At(last + 1))));
        }
        // The index may be damaged where the rows are not: it leads to what it says, or to nothing.
        if position <= last {
            return Err(Failure::damaged(format!("{} follows {}", At(position), At(last))));
        }
        if event_row::text(row, column::TENANT, At(position))? != tenant.as_str() {
            return Err(Failure::damaged(format!(
                "{}: the index leads to another tenant's event",
                At(position)
            )));
        }
        last = position;
        tail = commit_tail(row, position, tail)?;
        scanned += 1;
        if passes(row, position, filter)? {
            let event = event_row::event(row, &mut names)?;
            bytes += event_bytes(&event);
            page.events.push(event);
        }
        let full = page.events.len() >= limit || scanned >= PAGE_SCAN_MAX || bytes >= PAGE_BYTES_MAX;
        if full && tail == 0 {
            page.scanned_to = Position::from_number(position.unsigned_abs());
            page.at_head = page.scanned_to >= head;
            return Ok(page);
        }
    }
    if tail > 0 {
        return Err(Failure::damaged(format!("the log ends at {} in the middle of a commit", At(last))));
    }
    Ok(page)
}

/// How many events of its commit follow the one in a row; `before` is what followed the one before it.
fn commit_tail(row: &Row<'_>, position: i64, before: u64) -> Result<u64, Failure> {
    let follow = event_row::count(row, column::COMMIT_TAIL, At(position))?;
    if before > 0 && follow != before - 1 {
        return Err(Failure::damaged(format!(
            "{}: {follow} events of its commit follow, not {}",
            At(position),
            before - 1
        )));
    }
    Ok(follow)
}

/// Whether the event in a row is asked for; nothing of it is copied to find out.
fn passes(row: &Row<'_>, position: i64, filter: &LogFilter) -> Result<bool, Failure> {
    if !filter.event_types.is_empty() {
        let event_type = event_row::text(row, column::TYPE, At(position))?;
        if !filter.event_types.iter().any(|allowed| allowed.as_str() == event_type) {
            return Ok(false);
        }
    }
    if !filter.categories.is_empty() {
        let stream = event_row::text(row, column::STREAM, At(position))?;
        let category = stream.split_once('-').map_or(stream, |(category, _)| category);
        return Ok(filter.categories.iter().any(|allowed| allowed.as_str() == category));
    }
    Ok(true)
}

/// Recorded times never decrease, so halving the log finds the place.
fn position_at(connection: &Connection, time: Timestamp) -> Result<Position, Failure> {
    let mut select = connection.prepare_cached(include_str!("sql/select_recorded_at.sql"))?;
    // Everything up to `before` was recorded in time; nothing from `from` on was.
    let (mut before, mut from) = (0, stored_number(head(connection)?).saturating_add(1));
    while before + 1 < from {
        let middle = before + (from - before) / 2;
        let recorded_at: Option<i64> = select
            .query_row([middle], |row| row.get(0))
            .optional()
            .map_err(|error| Failure::from(error).within(At(middle)))?;
        let recorded_at =
            recorded_at.ok_or_else(|| Failure::damaged(format!("{} is missing", At(middle))))?;
        if recorded_time(recorded_at, At(middle))? <= time {
            before = middle;
        } else {
            from = middle;
        }
    }
    Ok(Position::from_number(before.unsigned_abs()))
}

fn event_id_at(connection: &Connection, position: Position) -> Result<Option<EventId>, Failure> {
    let number = stored_number(position.number());
    let mut select = connection.prepare_cached(include_str!("sql/select_event_id.sql"))?;
    let mut rows = select.query([number])?;
    rows.next()?.map(|row| event_row::event_id(row, 0, At(number))).transpose()
}
