//! An answer comes too late, the caller asks again, and nothing knows the second for the first.

use std::path::Path;

use super::table::{Draft, Table, WHOLE, read_pages, store};
use crate::Result;
use crate::dice::Dice;
use crate::order::evidence::{Evidence, WriterLine};

pub(super) fn make(path: &Path, dice: &mut Dice) -> Result<Evidence> {
    Table::create(path)?.run(
        dice,
        |connection, draft, dice| {
            if dice.chance(10) {
                store(connection, &draft, 0)?;
                let events = draft.events.iter().map(|_| dice.uuid()).collect();
                let again = Draft { events, ..draft };
                return Ok(vec![WriterLine::Acknowledged(store(connection, &again, 0)?)]);
            }
            Ok(vec![WriterLine::Acknowledged(store(connection, &draft, 0)?)])
        },
        |connection, all_done| read_pages(connection, all_done, "position", WHOLE),
    )
}
