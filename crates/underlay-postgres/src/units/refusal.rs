//! Why a unit was not stored, in the words of the core.

use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use underlay_core::{Error, entity_not_prepared};

use crate::connections::session::{Broken, Parameter, SessionRole, Sessions, Statement};
use crate::error::{Failure, raised};
use crate::rows::row_table::{not_asked_for, place};
use crate::units::entity_table::version;
use crate::units::unit::{Group, Unit};

/// What a unit comes to whose transaction failed; [`Failure::Overtaken`] where all is as expected by now.
pub(crate) async fn refusal(sessions: &Sessions, unit: &Unit<'_>, broken: Broken) -> Failure {
    let Broken { answers, failure } = broken;
    let Some(change) = unit.change_of(answers.len()) else { return failure };
    if failure.is_lost() {
        return failure;
    }
    let entity = change.entity();
    match failure.code() {
        Some(&SqlState::UNIQUE_VIOLATION) => {}
        Some(_) if failure.is_raised(raised::UNEXPECTED_ROWS) => {}
        _ => return not_prepared(failure, entity),
    }
    match find_conflict(sessions, unit).await {
        Ok(()) => violation(unit, &failure).unwrap_or_else(|| {
            Failure::Overtaken(format!("others change the same entities ({entity} among them)"))
        }),
        Err(Failure::Answer(conflict)) => Failure::Answer(conflict),
        // Nothing of the unit was stored, whatever became of the look at the versions.
        Err(other) => Failure::Answer(other.nothing_stored()),
    }
}

/// What a statement means that finds no table of an entity, or not all of its columns.
pub(crate) fn not_prepared(failure: Failure, entity: &str) -> Failure {
    match failure.code() {
        Some(&SqlState::UNDEFINED_TABLE) => Failure::Answer(entity_not_prepared(entity)),
        Some(&SqlState::UNDEFINED_COLUMN) => Failure::Answer(Error::EntityChanged {
            entity: entity.to_owned(),
            reason: "a column of the code is not stored; prepare the entity first".to_owned(),
        }),
        _ => failure,
    }
}

/// Looks at the versions of all that a unit changes, at one moment, and gives the first that is not as expected.
async fn find_conflict(sessions: &Sessions, unit: &Unit<'_>) -> Result<(), Failure> {
    let owners: Vec<Vec<&str>> =
        unit.groups.iter().map(|group| vec![unit.tenant.as_str(); group.ids.len()]).collect();
    let select = |group: &Group<'_>| unit.tables.rows(&group.first.schema).select_by_key("rows.\"version\"");
    let selects: Vec<String> = unit.groups.iter().map(select).collect();
    let asked = unit.groups.iter().zip(&owners).zip(&selects).map(|((group, owners), select)| {
        let parameters: [Parameter<'_>; 2] = [(owners, Type::TEXT_ARRAY), (&group.ids, Type::TEXT_ARRAY)];
        Statement::new(select, parameters)
    });
    let read = |answers: Vec<Vec<Row>>| {
        for (group, rows) in unit.groups.iter().zip(&answers) {
            let mut actual = vec![None; group.changes.len()];
            for row in rows {
                *actual.get_mut(place(row, 1)?).ok_or_else(not_asked_for)? = version(row.try_get(0)?);
            }
            for (change, actual) in group.changes.iter().zip(actual) {
                change.check_version(actual)?;
            }
        }
        Ok(())
    };
    sessions.read(&SessionRole::Reader(unit.tenant.clone()), &asked.collect::<Vec<_>>(), read).await
}

/// The rule of a unique column, where that is what the server names.
fn violation(unit: &Unit<'_>, failure: &Failure) -> Option<Failure> {
    let Failure::Postgres(error) = failure else { return None };
    let (table, index) = error.as_db_error().map(|db| (db.table(), db.constraint()))?;
    let found = unit.groups.iter().find_map(|group| {
        let column = unit.tables.unique_column(&group.first.schema, table, index)?;
        Some(Error::not_unique(group.first.entity(), column))
    });
    found.map(Failure::Answer)
}
