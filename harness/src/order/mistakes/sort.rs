//! Events are read in the order of times that the writers took before they had the right to write.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::table::{Table, WHOLE, read_pages, store};
use crate::Result;
use crate::dice::Dice;
use crate::order::evidence::{Evidence, WriterLine};

pub(super) fn make(path: &Path, dice: &mut Dice) -> Result<Evidence> {
    // A clock that every look moves on: what is late shows at any speed.
    let clock = AtomicU64::new(0);
    Table::create(path)?.run(
        dice,
        |connection, draft, dice| {
            let skew = dice.below(8);
            let stamp = clock.fetch_add(1, Ordering::SeqCst) + skew;
            Ok(vec![WriterLine::Acknowledged(store(connection, &draft, stamp)?)])
        },
        |connection, all_done| read_pages(connection, all_done, "stamp, position", WHOLE),
    )
}
