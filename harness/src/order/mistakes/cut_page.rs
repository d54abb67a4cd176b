//! The log is right, but a page ends after so many events, wherever in a commit that is.

use std::path::Path;

use super::table::{Table, read_pages, store};
use crate::Result;
use crate::dice::Dice;
use crate::order::evidence::{Evidence, WriterLine};

pub(super) fn make(path: &Path, dice: &mut Dice) -> Result<Evidence> {
    Table::create(path)?.run(
        dice,
        |connection, draft, _| Ok(vec![WriterLine::Acknowledged(store(connection, &draft, 0)?)]),
        |connection, all_done| read_pages(connection, all_done, "position", 3),
    )
}
