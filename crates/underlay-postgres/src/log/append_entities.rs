//! A commit that changes entities: alone in its transaction, which is sent at once, from BEGIN to COMMIT.
//!
//! Its entities are changed first, and the log is locked and written last. So nobody waits for the log while an entity is
//! waited for, and the lock of the log never waits for this process. A commit that is not stored, since its id is known
//! or somebody else wrote first, is told by the function that appends; the statement after it undoes the rest.

use tokio_postgres::{Client, Row};
use underlay_core::adapter::Request;

use crate::config::PostgresConfig;
use crate::connections::session::{Broken, SessionRole, Sessions, Statement};
use crate::error::{Failure, raised};
use crate::log::append::{Verdict, only_verdict};
use crate::log::given::Given;
use crate::log::known::{Ids, find_commits};
use crate::log::repeats::stored_answer;
use crate::migrate::filled;
use crate::units::entity_table::EntityTables;
use crate::units::refusal::refusal;
use crate::units::unit::Unit;

/// What it is written with.
pub(crate) struct EntityCalls {
    tables: EntityTables,
    append: String,
    expect: String,
}

impl EntityCalls {
    pub(crate) fn new(config: &PostgresConfig) -> Self {
        Self {
            tables: EntityTables::new(config),
            append: filled(include_str!("../sql/append_with_entities.sql"), config),
            expect: filled(include_str!("../sql/expect_commit.sql"), config),
        }
    }

    /// Stores a commit with its entities, or neither.
    ///
    /// # Errors
    /// Where it cannot be stored; where the connection is lost it may be.
    pub(super) async fn append(
        &self,
        sessions: &Sessions,
        client: &Client,
        request: &Request,
        given: Given<'_>,
    ) -> Result<Verdict, Failure> {
        let unit = Unit::new(&self.tables, &request.tenant, &request.commit.entities);
        let written = {
            let mut statements = unit.statements();
            statements.push(Statement::new(&self.append, given.parameters()));
            statements.push(Statement::new(&self.expect, []));
            let expected = statements.len() - 1;
            let role = SessionRole::Writer(request.tenant.clone());
            match sessions.write_all_on(client, &role, &statements).await {
                Ok(mut answers) => Ok(answers.swap_remove(expected - 1)),
                // It was told why it is not stored, and undone.
                Err(Broken { mut answers, failure })
                    if answers.len() == expected && failure.is_raised(raised::UNEXPECTED_ROWS) =>
                {
                    Ok(answers.swap_remove(expected - 1))
                }
                Err(broken) => Err(broken),
            }
        };
        match written {
            Ok(rows) => only_verdict(only(&rows)?, request, given.into_ends()),
            Err(broken) => refused(sessions, request, refusal(sessions, &unit, broken).await).await,
        }
    }
}

fn only(rows: &[Row]) -> Result<&Row, Failure> {
    rows.first().ok_or_else(|| Failure::damaged("an append has no answer"))
}

/// What a commit is answered whose entities cannot be changed: what was answered before, where it is a repeat, whatever
/// they are by now.
async fn refused(sessions: &Sessions, request: &Request, failure: Failure) -> Result<Verdict, Failure> {
    let Failure::Answer(refusal) = failure else { return Err(failure) };
    let requests = std::slice::from_ref(request);
    let mut found =
        find_commits(sessions, &Ids::of(requests).and(Ids::named_by(requests))).await?.into_iter();
    let (own, other) = (found.next().unwrap_or(Ok(None)), found.next());
    Ok(Verdict::Answered(stored_answer(request, own, other).unwrap_or(Err(refusal))))
}
