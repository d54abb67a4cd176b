//! The position is drawn from a counter, as a sequence gives it, before the transaction; so a lower
//! one can be committed after a higher one, behind the back of a reader that has passed it.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::table::{Table, WHOLE, begin, insert, read_pages, version};
use crate::Result;
use crate::dice::Dice;
use crate::order::evidence::{Evidence, WriterLine};

pub(super) fn make(path: &Path, dice: &mut Dice) -> Result<Evidence> {
    let sequence = AtomicU64::new(0);
    Table::create(path)?.run(
        dice,
        |connection, draft, dice| {
            let position = sequence.fetch_add(u64::from(draft.count()), Ordering::SeqCst);
            thread::sleep(dice.time_below(Duration::from_millis(3)));
            let transaction = begin(connection)?;
            let version = version(&transaction, &draft.stream)?;
            let acknowledged = insert(&transaction, &draft, position, version, 0)?;
            transaction.commit()?;
            Ok(vec![WriterLine::Acknowledged(acknowledged)])
        },
        |connection, all_done| read_pages(connection, all_done, "position", WHOLE),
    )
}
