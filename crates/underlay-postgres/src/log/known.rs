//! What became of commits, by their ids: however many, in one look at one moment.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};
use underlay_core::adapter::{At, Request, recorded_time, stored_name};
use underlay_core::{
    Commit, CommitId, Committed, Fingerprint, Position, RecordedCommit, StreamVersion, TenantId, Version,
};
use uuid::Uuid;

use crate::connections::session::{SessionRole, Sessions, Statement};
use crate::error::Failure;
use crate::log::append::Attempt;
use crate::log::event_row;

/// What became of one of them: damage of one is no other's.
pub(crate) type Found = Result<Option<RecordedCommit>, Failure>;

/// Ids that are looked for, as the statement takes them.
pub(crate) struct Ids<'a> {
    tenants: Vec<&'a str>,
    commits: Vec<Uuid>,
}

impl<'a> Ids<'a> {
    pub(crate) fn of(requests: &'a [Request]) -> Self {
        let ids = requests.iter().map(|request| (request.tenant.as_str(), request.commit.id.0));
        let (tenants, commits) = ids.unzip();
        Self { tenants, commits }
    }

    /// The ids that these commits name, in their order; those that name none have no entry.
    pub(crate) fn named_by(requests: &'a [Request]) -> Self {
        let named = requests.iter().filter_map(|request| {
            request.commit.agreement.map(|agreement| (request.tenant.as_str(), agreement.with.0))
        });
        let (tenants, commits) = named.unzip();
        Self { tenants, commits }
    }

    /// These and others after them, in one look.
    pub(crate) fn and(mut self, others: Self) -> Self {
        self.tenants.extend(others.tenants);
        self.commits.extend(others.commits);
        self
    }

    fn select(&self) -> Statement<'_> {
        Statement::new(
            include_str!("../sql/select_known_commits.sql"),
            [(&self.tenants as _, Type::TEXT_ARRAY), (&self.commits as _, Type::UUID_ARRAY)],
        )
    }

    /// What was found, in the order of the question.
    fn read(&self, rows: &[Row]) -> Result<Vec<Found>, Failure> {
        let mut found: Vec<Found> = self.commits.iter().map(|_| Ok(None)).collect();
        for row in rows {
            let place =
                usize::try_from(event_row::count(row, 10)?).ok().and_then(|place| place.checked_sub(1));
            let place = place.and_then(|place| Some((self.commits.get(place)?, found.get_mut(place)?)));
            let (id, slot) =
                place.ok_or_else(|| Failure::damaged("a commit was found that was not asked for"))?;
            *slot = recorded_commit(row, CommitId(*id)).map(Some);
        }
        Ok(found)
    }
}

/// Finds a commit of a tenant.
pub(crate) async fn find_commit(
    sessions: &Sessions,
    tenant: &TenantId,
    id: CommitId,
) -> Result<Option<RecordedCommit>, Failure> {
    let ids = Ids { tenants: vec![tenant.as_str()], commits: vec![id.0] };
    let read = |answers: Vec<Vec<Row>>| ids.read(answers.first().map_or(&[], Vec::as_slice));
    let found = sessions.read(&SessionRole::Reader(tenant.clone()), &[ids.select()], read).await?;
    found.into_iter().next().unwrap_or(Ok(None))
}

/// Finds commits of any tenants.
pub(crate) async fn find_commits(sessions: &Sessions, ids: &Ids<'_>) -> Result<Vec<Found>, Failure> {
    let read = |answers: Vec<Vec<Row>>| ids.read(answers.first().map_or(&[], Vec::as_slice));
    sessions.read(&SessionRole::Worker, &[ids.select()], read).await
}

/// Finds commits on the connection that raised a fence. The fence is looked for at the same moment: a
/// server that does not have it knows nothing of what became of the attempt.
pub(crate) async fn find_fenced(
    sessions: &Sessions,
    client: &Client,
    attempt: Attempt,
    ids: &Ids<'_>,
) -> Result<Vec<Found>, Failure> {
    let fence = Statement::new(
        include_str!("../sql/select_fence.sql"),
        [(&attempt.writer as _, Type::UUID), (&attempt.number as _, Type::INT8)],
    );
    let answers = sessions.read_on(client, &SessionRole::Worker, &[fence, ids.select()]).await?;
    let [fence, rows] = answers.as_slice() else {
        return Err(Failure::damaged("two statements have other than two answers"));
    };
    if fence.is_empty() {
        return Err(Failure::Lost("the fence is not there: another server answers".to_owned()));
    }
    ids.read(rows)
}

fn recorded_commit(row: &Row, id: CommitId) -> Result<RecordedCommit, Failure> {
    let position: i64 = row.try_get(5)?;
    let count: i32 = row.try_get(6)?;
    let (streams, versions): (Vec<&str>, Vec<i64>) = (row.try_get(8)?, row.try_get(9)?);
    let versions = streams.iter().zip(&versions).map(|(stream, version)| {
        Ok(StreamVersion {
            stream: stored_name(stream, At(position))?,
            version: Version(version.unsigned_abs()),
        })
    });
    let versions = versions.collect::<Result<Vec<_>, Failure>>()?;
    let commit = Commit::new(id).with_outcome(event_row::outcome(row, 1, id)?);
    let at = Position::from_number(position.unsigned_abs());
    let recorded_at = recorded_time(row.try_get(7)?, At(position))?;
    let mut committed = Committed::new(id, at, versions, &commit, recorded_at);
    committed.event_count =
        u32::try_from(count).map_err(|_| Failure::damaged(format!("commit {id} holds {count} events")))?;
    committed.repeated = true;
    Ok(RecordedCommit { fingerprint: fingerprint(row, 0, id)?, committed })
}

/// A fingerprint in a row.
pub(crate) fn fingerprint(row: &Row, at: usize, of: impl std::fmt::Display) -> Result<Fingerprint, Failure> {
    let bytes: &[u8] = row.try_get(at)?;
    let bytes = bytes.try_into();
    bytes.map(Fingerprint).map_err(|_| Failure::damaged(format!("the fingerprint of {of} is not 16 bytes")))
}
