use async_trait::async_trait;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};
use underlay_core::adapter::{
    PAGE_BYTES_MAX, Reply, StoredNames, event_bytes, event_column, stored_number, stream_range,
};
use underlay_core::limits::PAGE_SCAN_MAX;
use underlay_core::{
    Category, Commit, CommitId, Committed, Error, EventId, EventStore, EventType, LogFilter, LogPage,
    LogScope, Position, RecordedCommit, RecordedEvent, StoreId, StreamList, StreamName, StreamPage,
    StreamVersion, TenantId, Timestamp, Underway, Version, check_page_limit, check_streams_limit,
};
use uuid::Uuid;

use crate::connections::session::{Purpose, SessionRole, Sessions, Statement};
use crate::error::Failure;
use crate::log::event_row;
use crate::log::known;
use crate::log::seen::Place;
use crate::store::PostgresStore;

#[async_trait]
impl EventStore for PostgresStore {
    fn store_id(&self) -> StoreId {
        self.0.id
    }

    fn keeps_entities(&self) -> bool {
        true
    }

    async fn commit(&self, tenant: &TenantId, commit: Commit) -> Result<Committed, Error> {
        commit.validate()?;
        self.0.sessions.seen.check()?;
        let intake = self.0.intake_of(&commit);
        let ticket = intake.unanswered.enter(tenant.clone(), commit.id);
        let (reply, answered) = Reply::prepare(&commit, ticket)?;
        intake.push(tenant.clone(), commit, reply)?;
        answered.wait().await
    }

    async fn find_commit(&self, tenant: &TenantId, id: CommitId) -> Result<Option<RecordedCommit>, Error> {
        Ok(known::find_commit(&self.0.sessions, tenant, id).await?)
    }

    fn underway(&self, tenant: &TenantId, id: CommitId) -> Option<Underway> {
        self.0.underway(tenant, id)
    }

    async fn read_stream(
        &self,
        tenant: &TenantId,
        stream: &StreamName,
        after: Version,
        limit: usize,
    ) -> Result<StreamPage, Error> {
        check_page_limit(limit)?;
        let (owner, name) = (tenant.as_str(), stream.as_str());
        let (after, wanted) = (stored_number(after.0), stored_number(limit as u64));
        let version = Statement::new(
            include_str!("sql/select_stream_version.sql"),
            [(&owner as _, Type::TEXT), (&name as _, Type::TEXT)],
        );
        let events = Statement::new(
            include_str!("sql/select_stream_events.sql"),
            [
                (&owner as _, Type::TEXT),
                (&name as _, Type::TEXT),
                (&after as _, Type::INT8),
                (&wanted as _, Type::INT8),
            ],
        );
        let role = SessionRole::Reader(tenant.clone());
        let start = |before: Vec<Vec<Row>>| {
            let version = match before.first().and_then(|rows| rows.first()) {
                Some(row) => Version(event_row::count(row, 0)?),
                None => Version::NONE,
            };
            Ok((StreamPage { events: Vec::new(), version }, StoredNames::default(), 0))
        };
        let take = |(page, names, bytes): &mut (StreamPage, StoredNames, usize), row: Row| {
            let event = event_row::event(&row, names)?;
            *bytes += event_bytes(&event);
            page.events.push(event);
            Ok(*bytes < PAGE_BYTES_MAX)
        };
        let (page, ..) =
            self.0.sessions.read_page(Purpose::Engine, &role, &[version], events, start, take).await?;
        if let Some(RecordedEvent { position, event_id, .. }) = page.events.last() {
            self.0.sessions.seen.note(Place::new(*position, *event_id));
        }
        Ok(page)
    }

    async fn read_all(
        &self,
        scope: &LogScope,
        after: Position,
        filter: &LogFilter,
        limit: usize,
    ) -> Result<LogPage, Error> {
        check_page_limit(limit)?;
        // Past everything that is there, and a number the database can add to.
        let after_number = stored_number(after.number()).min(i64::MAX / 2);
        let mut page = log_page(&self.0.sessions, scope, after_number, filter, limit).await?;
        if page.scanned_to.number() == after_number.unsigned_abs() {
            page.scanned_to = after;
        }
        Ok(page)
    }

    async fn versions(&self, tenant: &TenantId, streams: &[StreamName]) -> Result<Vec<Version>, Error> {
        let owner = tenant.as_str();
        let names: Vec<&str> = streams.iter().map(StreamName::as_str).collect();
        let select = Statement::new(
            include_str!("sql/select_versions.sql"),
            [(&owner as _, Type::TEXT), (&names as _, Type::TEXT_ARRAY)],
        );
        let read = |answers: Vec<Vec<Row>>| {
            answers.iter().flatten().map(|row| event_row::count(row, 0).map(Version)).collect()
        };
        Ok(self.0.sessions.read(&SessionRole::Reader(tenant.clone()), &[select], read).await?)
    }

    async fn streams(
        &self,
        tenant: &TenantId,
        category: Option<&Category>,
        after: Option<&StreamName>,
        limit: usize,
    ) -> Result<StreamList, Error> {
        check_streams_limit(limit)?;
        let (owner, (above, below)) = (tenant.as_str(), stream_range(category, after));
        // One more says whether there are more.
        let wanted = stored_number(limit as u64 + 1);
        let select = Statement::new(
            include_str!("sql/select_streams.sql"),
            [
                (&owner as _, Type::TEXT),
                (&above as _, Type::TEXT),
                (&below as _, Type::TEXT),
                (&wanted as _, Type::INT8),
            ],
        );
        let start = |_: Vec<Vec<Row>>| Ok(StreamList { streams: Vec::new(), more: false });
        let take = |list: &mut StreamList, row: Row| {
            list.more = list.streams.len() == limit;
            if !list.more {
                list.streams.push(stream_version(&row)?);
            }
            Ok(!list.more)
        };
        let (purpose, role) = (Purpose::Query { is_exact: true }, SessionRole::Reader(tenant.clone()));
        Ok(self.0.sessions.read_page(purpose, &role, &[], select, start, take).await?)
    }

    async fn head(&self) -> Result<Position, Error> {
        head(&self.0.sessions).await
    }

    async fn position_at(&self, time: Timestamp) -> Result<Position, Error> {
        let stamp = time.as_microsecond();
        let select = Statement::new(include_str!("sql/select_position_at.sql"), [(&stamp as _, Type::INT8)]);
        Ok(self.0.sessions.read(&SessionRole::Worker, &[select], |answers| position(&answers)).await?)
    }

    async fn event_id_at(&self, position: Position) -> Result<Option<EventId>, Error> {
        let number = stored_number(position.number());
        let select = Statement::new(include_str!("sql/select_event_id.sql"), [(&number as _, Type::INT8)]);
        let read = |answers: Vec<Vec<Row>>| {
            let row = answers.iter().flatten().next();
            row.map(|row| Ok(EventId(row.try_get::<_, Uuid>(0)?))).transpose()
        };
        Ok(self.0.sessions.read(&SessionRole::Worker, &[select], read).await?)
    }
}

/// A row of `select_streams`.
fn stream_version(row: &Row) -> Result<StreamVersion, Failure> {
    let name: &str = row.try_get(0)?;
    let stream = StreamName::parse(name).map_err(|error| Failure::damaged(error.to_string()))?;
    Ok(StreamVersion { stream, version: Version(event_row::count(row, 1)?) })
}

/// The last position; the start of an empty log.
///
/// # Errors
/// Where what this process has seen of the log is not there any more, too.
pub(crate) async fn head(sessions: &Sessions) -> Result<Position, Error> {
    let places = sessions.seen.places();
    let read = |answers: Vec<Vec<Row>>| judge_head(sessions, &places, &answers);
    Ok(sessions.read(&SessionRole::Worker, &select_head(&places), read).await?)
}

/// The last position, and the number of the last commit: one that has no events may have sent work on.
///
/// # Errors
/// As [`head`].
pub(crate) async fn end(sessions: &Sessions) -> Result<(Position, u64), Error> {
    let places = sessions.seen.places();
    let mut statements = select_head(&places);
    statements.push(Statement::new(include_str!("sql/select_last_sequence.sql"), []));
    let read = |mut answers: Vec<Vec<Row>>| {
        let sequence = answers.pop().unwrap_or_default();
        let sequence: Option<i64> = sequence.first().map_or(Ok(None), |row| row.try_get(0))?;
        let head = judge_head(sessions, &places, &answers)?;
        Ok((head, sequence.unwrap_or(0).unsigned_abs()))
    };
    Ok(sessions.read(&SessionRole::Worker, &statements, read).await?)
}

/// Looks, on a connection that is about to write, whether the log is the one this process has seen.
pub(crate) async fn verify_log(sessions: &Sessions, client: &Client) -> Result<(), Failure> {
    let places = sessions.seen.places();
    let answers = sessions.read_on(client, &SessionRole::Worker, &select_head(&places)).await?;
    judge_head(sessions, &places, &answers).map(drop)
}

/// The end of the log, and what is at these places.
fn select_head(places: &[Place]) -> Vec<Statement<'_>> {
    let head = Statement::new(include_str!("sql/select_head.sql"), []);
    let there = places.iter().map(|place| {
        Statement::new(include_str!("sql/select_event_id.sql"), [(&place.position as _, Type::INT8)])
    });
    std::iter::once(head).chain(there).collect()
}

fn judge_head(sessions: &Sessions, places: &[Place], answers: &[Vec<Row>]) -> Result<Position, Failure> {
    let Some((head, there)) = answers.split_first() else { return Ok(Position::START) };
    let last = match head.first() {
        Some(row) => Some(Place { position: row.try_get(0)?, event: row.try_get(1)? }),
        None => None,
    };
    sessions.seen.compare(places, there, last)?;
    position(answers)
}

/// The position in the first row; the start where there is none.
fn position(answers: &[Vec<Row>]) -> Result<Position, Failure> {
    match answers.iter().flatten().next() {
        Some(row) => Ok(Position::from_number(event_row::count(row, 0)?)),
        None => Ok(Position::START),
    }
}

/// What a read of the log has come to.
struct Reading {
    page: LogPage,
    names: StoredNames,
    bytes: usize,
    /// Where the page ends unless it is cut.
    bound: i64,
    /// The last event that was looked at.
    last: Option<Looked>,
    /// Whether all was looked at that the page may hold.
    scanned_all: bool,
}

/// An event that was looked at, whether it passed the filter or not.
#[derive(Clone, Copy)]
struct Looked {
    position: Position,
    event_id: EventId,
    commit_tail: u32,
}

impl Looked {
    fn at(event: &RecordedEvent) -> Self {
        Self { position: event.position, event_id: event.event_id, commit_tail: event.commit_tail }
    }
}

/// The column of `select_tenant_events` that counts the events that were looked at.
const PLACE: usize = event_column::PAYLOAD + 1;

async fn log_page(
    sessions: &Sessions,
    scope: &LogScope,
    after: i64,
    filter: &LogFilter,
    limit: usize,
) -> Result<LogPage, Error> {
    let (role, tenant) = match scope {
        LogScope::Tenant(tenant) => (SessionRole::Reader(tenant.clone()), Some(tenant.as_str())),
        LogScope::EveryTenant => (SessionRole::Worker, None),
    };
    // Positions have no holes: where everything passes, so many positions are so many events. A tenant's page
    // looks at that tenant's events alone, so it may end anywhere.
    let everything = tenant.is_none() && filter.is_open();
    let wanted = stored_number(limit as u64);
    let scan = stored_number(PAGE_SCAN_MAX);
    let span = match tenant {
        Some(_) => i64::MAX / 2,
        None if everything => wanted,
        None => scan,
    };
    let categories: Vec<&str> = filter.categories.iter().map(Category::as_str).collect();
    let event_types: Vec<&str> = filter.event_types.iter().map(EventType::as_str).collect();
    let bound = Statement::new(
        include_str!("sql/select_log_bound.sql"),
        [(&after as _, Type::INT8), (&span as _, Type::INT8)],
    );
    let events = if let Some(tenant) = &tenant {
        Statement::new(
            include_str!("sql/select_tenant_events.sql"),
            [
                (&after as _, Type::INT8),
                (tenant as _, Type::TEXT),
                (&categories as _, Type::TEXT_ARRAY),
                (&event_types as _, Type::TEXT_ARRAY),
                (&wanted as _, Type::INT8),
                (&scan as _, Type::INT8),
            ],
        )
    } else if everything {
        Statement::new(
            include_str!("sql/select_log_events.sql"),
            [(&after as _, Type::INT8), (&span as _, Type::INT8)],
        )
    } else {
        Statement::new(
            include_str!("sql/select_filtered_events.sql"),
            [
                (&after as _, Type::INT8),
                (&span as _, Type::INT8),
                (&categories as _, Type::TEXT_ARRAY),
                (&event_types as _, Type::TEXT_ARRAY),
                (&wanted as _, Type::INT8),
            ],
        )
    };
    let every_tenant = *scope == LogScope::EveryTenant;
    let start = |before: Vec<Vec<Row>>| {
        let row = before.iter().flatten().next();
        let row = row.ok_or_else(|| Failure::damaged("the log has no bound"))?;
        let (head, bound): (i64, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
        let bound = bound.ok_or_else(|| Failure::damaged(format!("a position after {after} is missing")))?;
        let id: Option<Uuid> = row.try_get(2)?;
        let page = LogPage {
            events: Vec::new(),
            scanned_to: Position::from_number(bound.unsigned_abs()),
            scanned_to_id: id.map(EventId).filter(|_| every_tenant),
            at_head: bound >= head,
        };
        Ok(Reading { page, names: StoredNames::default(), bytes: 0, bound, last: None, scanned_all: true })
    };
    let own = tenant.is_some();
    let take = |reading: &mut Reading, row: Row| {
        let event = event_row::event(&row, &mut reading.names)?;
        reading.last = Some(Looked::at(&event));
        let ends_commit = event.commit_tail == 0;
        if own && row.try_get::<_, i64>(PLACE)? >= scan {
            reading.scanned_all = false;
        }
        if !own || filter.allows(&event) {
            reading.bytes += event_bytes(&event);
            reading.page.events.push(event);
        }
        // Where the last event of the commit does not pass the filter, the page is a little longer.
        Ok(reading.bytes < PAGE_BYTES_MAX || !ends_commit)
    };
    let purpose = if every_tenant { Purpose::Engine } else { Purpose::Query { is_exact: true } };
    let mut reading = sessions.read_page(purpose, &role, &[bound], events, start, take).await?;
    let Some(last) = reading.last else { return Ok(reading.page) };
    let cut_by_bytes = reading.bytes >= PAGE_BYTES_MAX;
    let cut_by_limit = !everything && reading.page.events.len() >= limit;
    if !cut_by_bytes && !cut_by_limit && reading.scanned_all {
        return Ok(reading.page);
    }
    // The page ends with the commit of the last event that was looked at.
    let last_position = stored_number(last.position.number());
    let end = last_position + i64::from(last.commit_tail);
    let mut end_id = Some(last.event_id);
    if last.commit_tail > 0 {
        let (rest, id) =
            rest_of_commit(sessions, scope, last_position, end, filter, &mut reading.names).await?;
        reading.page.events.extend(rest);
        end_id = id;
    }
    reading.page.scanned_to = Position::from_number(end.unsigned_abs());
    reading.page.scanned_to_id = end_id.filter(|_| every_tenant);
    reading.page.at_head = reading.page.at_head && end >= reading.bound;
    Ok(reading.page)
}

/// What of a commit passes the filter after a position, and the id of its last event.
async fn rest_of_commit(
    sessions: &Sessions,
    scope: &LogScope,
    after: i64,
    end: i64,
    filter: &LogFilter,
    names: &mut StoredNames,
) -> Result<(Vec<RecordedEvent>, Option<EventId>), Error> {
    let before = after - 1;
    let select = Statement::new(
        include_str!("sql/select_commit_events.sql"),
        [(&before as _, Type::INT8), (&end as _, Type::INT8)],
    );
    let mut read = |answers: Vec<Vec<Row>>| {
        let mut events = Vec::new();
        for row in answers.iter().flatten() {
            events.push(event_row::event(row, names)?);
        }
        let id = events.last().map(|event| event.event_id);
        // The first is in the page already.
        let rest = events.into_iter().skip(1).filter(|event| filter.allows(event)).collect();
        Ok((rest, id))
    };
    let rest = match scope {
        LogScope::EveryTenant => sessions.read(&SessionRole::Worker, &[select], read).await?,
        LogScope::Tenant(tenant) => {
            let read = |answers| read(answers).map(Some);
            sessions.query(tenant, true, &[vec![select]], read).await?.unwrap_or_default()
        }
    };
    Ok(rest)
}
