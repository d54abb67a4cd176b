//! The checkpoint is stored apart from the work it stands for, and the reader is killed between the
//! two: it forgets what it had in memory and goes on from the checkpoint.

use std::path::Path;
use std::thread;
use std::time::Duration;

use rusqlite::Connection;

use super::table::{Table, note, page, store};
use crate::Result;
use crate::dice::Dice;
use crate::order::evidence::{Evidence, PageLine, WriterLine};

/// How often the reader is killed, in percent of its pages.
const KILLED: u64 = 20;

/// First the checkpoint, then the work.
pub(super) fn make_too_early(path: &Path, dice: &mut Dice) -> Result<Evidence> {
    let killed = dice.fork();
    make(path, dice, |connection, all_done| {
        read(connection, all_done, killed, |work, checkpoint, line, killed| {
            *checkpoint = line.scanned_to;
            if !killed {
                work.push(line);
            }
        })
    })
}

/// First the work, then the checkpoint, and nothing that would notice work done before.
pub(super) fn make_too_late(path: &Path, dice: &mut Dice) -> Result<Evidence> {
    let killed = dice.fork();
    make(path, dice, |connection, all_done| {
        read(connection, all_done, killed, |work, checkpoint, line, killed| {
            let reached = line.scanned_to;
            work.push(line);
            if !killed {
                *checkpoint = reached;
            }
        })
    })
}

fn make(
    path: &Path,
    dice: &mut Dice,
    read: impl FnOnce(&Connection, &dyn Fn() -> bool) -> Result<Vec<PageLine>> + Send,
) -> Result<Evidence> {
    Table::create(path)?.run(
        dice,
        |connection, draft, _| Ok(vec![WriterLine::Acknowledged(store(connection, &draft, 0)?)]),
        read,
    )
}

fn read(
    connection: &Connection,
    all_done: &dyn Fn() -> bool,
    mut dice: Dice,
    note_and_work: impl Fn(&mut Vec<PageLine>, &mut u64, PageLine, bool),
) -> Result<Vec<PageLine>> {
    let (mut work, mut checkpoint) = (Vec::new(), 0);
    loop {
        let last = all_done();
        let entries = page(connection, checkpoint, "position", super::table::WHOLE)?;
        if entries.is_empty() && last {
            return Ok(work);
        }
        if entries.is_empty() {
            thread::sleep(Duration::from_micros(200));
        } else {
            let line = note(checkpoint, &entries);
            note_and_work(&mut work, &mut checkpoint, line, dice.chance(KILLED));
        }
    }
}
