//! The version is read in one transaction and written in another, and no constraint stops the second
//! of two writers that read the same.

use std::path::Path;
use std::thread;
use std::time::Duration;

use super::table::{Table, WHOLE, begin, insert, last_position, read_pages, version};
use crate::Result;
use crate::dice::Dice;
use crate::order::evidence::{Evidence, WriterLine};

pub(super) fn make(path: &Path, dice: &mut Dice) -> Result<Evidence> {
    Table::create(path)?.run(
        dice,
        |connection, draft, dice| {
            let version = version(connection, &draft.stream)?;
            thread::sleep(dice.time_below(Duration::from_millis(3)));
            let transaction = begin(connection)?;
            let position = last_position(&transaction)?;
            let acknowledged = insert(&transaction, &draft, position, version, 0)?;
            transaction.commit()?;
            Ok(vec![WriterLine::Acknowledged(acknowledged)])
        },
        |connection, all_done| read_pages(connection, all_done, "position", WHOLE),
    )
}
