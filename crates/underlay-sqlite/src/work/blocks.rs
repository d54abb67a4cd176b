//! Where ready work lies: the index of a lane has its places in blocks, and in a block by shard. New work goes to the
//! last block, so a commit writes to the end of the index, whatever the shards of its work. A reader of one shard goes
//! from block to block, past those where nothing is ready.

use rusqlite::{CachedStatement, Connection, OptionalExtension, params};
use underlay_core::adapter::stored_number;
use underlay_core::{Lane, WorkPlace};

use crate::error::Failure;

/// Places of a block, as a power of two: those of 64 commits. The statements and the index have the same number.
const BITS: u32 = 16;

/// Places that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block(pub(crate) i64);

impl Block {
    fn of(place: WorkPlace) -> Self {
        Self(stored_number(place.number() >> BITS))
    }

    /// The last place before it.
    pub(crate) fn before(self) -> WorkPlace {
        WorkPlace::from_number((self.0.unsigned_abs() << BITS).saturating_sub(1))
    }
}

/// The blocks of a lane where something is ready, in order.
pub(crate) struct Blocks<'c> {
    select_next: CachedStatement<'c>,
    lane: Lane,
    from: i64,
}

impl<'c> Blocks<'c> {
    /// Those with work after a place.
    pub(crate) fn after(connection: &'c Connection, lane: Lane, place: WorkPlace) -> Result<Self, Failure> {
        let select_next = connection.prepare_cached(include_str!("../sql/work/select_next_block.sql"))?;
        Ok(Self { select_next, lane, from: Block::of(place).0 })
    }

    pub(crate) fn next(&mut self) -> Result<Option<Block>, Failure> {
        let columns = params![self.lane.number(), self.from];
        let next: Option<i64> = self.select_next.query_row(columns, |row| row.get(0)).optional()?;
        if let Some(next) = next {
            self.from = next.saturating_add(1);
        }
        Ok(next.map(Block))
    }
}
