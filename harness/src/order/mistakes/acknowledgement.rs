//! The caller is answered before the transaction has ended.

use std::path::Path;

use super::table::{Table, WHOLE, begin, insert, last_position, read_pages, store, version};
use crate::Result;
use crate::dice::Dice;
use crate::order::evidence::{Evidence, WriterLine};

/// The transaction is rolled back now and then, as it is when the process is killed.
pub(super) fn make(path: &Path, dice: &mut Dice) -> Result<Evidence> {
    Table::create(path)?.run(
        dice,
        |connection, draft, dice| {
            let transaction = begin(connection)?;
            let (position, version) = (last_position(&transaction)?, version(&transaction, &draft.stream)?);
            let acknowledged = insert(&transaction, &draft, position, version, 0)?;
            if dice.chance(10) {
                transaction.rollback()?;
            } else {
                transaction.commit()?;
            }
            Ok(vec![WriterLine::Acknowledged(acknowledged)])
        },
        |connection, all_done| read_pages(connection, all_done, "position", WHOLE),
    )
}

/// The position in the answer is the head of the log as it was before the transaction, and on from there.
pub(super) fn make_with_a_guess(path: &Path, dice: &mut Dice) -> Result<Evidence> {
    Table::create(path)?.run(
        dice,
        |connection, draft, _| {
            let guess = last_position(connection)? + u64::from(draft.count());
            std::thread::yield_now();
            let mut acknowledged = store(connection, &draft, 0)?;
            acknowledged.position = guess;
            Ok(vec![WriterLine::Acknowledged(acknowledged)])
        },
        |connection, all_done| read_pages(connection, all_done, "position", WHOLE),
    )
}
