//! What became of a batch whose COMMIT reported a failure: what is in the file tells it, once a fence stands there.

use rusqlite::Connection;
use underlay_core::adapter::{Answer, Request, answer_again};

use crate::entities::changes;
use crate::error::Failure;
use crate::log::append;
use crate::log::unit_flight::{Unit, UnitAnswer};

/// The answers of commits that are true now, and whether what was new in their transaction is stored; none where
/// nothing was.
pub(crate) fn of_commits(
    connection: &Connection,
    requests: &[Request],
    answers: Vec<Answer>,
    failure: &Failure,
) -> Result<(Vec<Answer>, Option<bool>), Failure> {
    let mut truth = Vec::with_capacity(answers.len());
    let mut is_stored = None;
    for (request, answer) in requests.iter().zip(answers) {
        let stored = append::find_commit(connection, &request.tenant, request.commit.id)?;
        let ours = match (&stored, &answer) {
            (Some(first), Ok(committed)) => committed.position == first.committed.position,
            _ => false,
        };
        if answer.as_ref().is_ok_and(|committed| !committed.repeated) {
            is_stored = Some(ours);
        }
        truth.push(match stored {
            None => Err(failure.nothing_stored()),
            Some(_) if ours => answer,
            // It was there before, or another process has stored it since.
            Some(first) => answer_again(request, first),
        });
    }
    Ok((truth, is_stored))
}

/// Whether the units that a transaction took are stored; none where they do not tell. Nobody else has written since.
pub(crate) fn of_units(
    connection: &Connection,
    units: &[Unit],
    answers: &[UnitAnswer],
) -> Result<Option<bool>, Failure> {
    let taken = units.iter().zip(answers).filter(|(_, answer)| answer.is_ok());
    changes::are_stored(connection, taken.map(|(unit, _)| unit))
}
