//! The work that a commit sends on, stored in its transaction.

use rusqlite::{Connection, Statement};
use underlay_core::adapter::{Request, payload_columns, stored_number};
use underlay_core::{Shard, WorkId, WorkPlace};

use crate::error::Failure;
use crate::work::table::Table;

const INSERT: &str = include_str!("../sql/work/insert_work.sql");

/// The last sequence of a commit whose places can be counted.
const SEQUENCE_MAX: i64 = i64::MAX >> 11;

/// The statements that store work, prepared for the life of a connection.
pub(crate) struct WorkWriter<'c> {
    insert_work: Statement<'c>,
    insert_later: Statement<'c>,
}

impl<'c> WorkWriter<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> Result<Self, Failure> {
        Ok(Self {
            insert_work: connection.prepare(&Table::Ready.sql(INSERT))?,
            insert_later: connection.prepare(&Table::Later.sql(INSERT))?,
        })
    }

    /// Stores what the commit of a sequence sends on. `now` says what is due later, and `sent_at` is the
    /// time of the commit.
    pub(crate) fn send(
        &mut self,
        request: &Request,
        sequence: i64,
        now: i64,
        sent_at: i64,
    ) -> Result<(), Failure> {
        let (tenant, commit) = (&request.tenant, &request.commit);
        for (number, sent) in (0..).zip(&commit.work) {
            let due_at = sent.due_at.map(|due_at| due_at.as_microsecond()).filter(|due_at| *due_at > now);
            let insert = if due_at.is_some() { &mut self.insert_later } else { &mut self.insert_work };
            let (encoding, key_id) = payload_columns(&sent.payload);
            let id = WorkId::of(tenant, commit.id, number);
            insert.raw_bind_parameter(1, stored_number(place_of(sequence, number)?.number()))?;
            insert.raw_bind_parameter(2, Shard::of(tenant, &sent.key).number())?;
            insert.raw_bind_parameter(3, sent.lane.number())?;
            insert.raw_bind_parameter(4, tenant.as_str())?;
            insert.raw_bind_parameter(5, &id.0.as_bytes()[..])?;
            insert.raw_bind_parameter(6, &commit.id.0.as_bytes()[..])?;
            insert.raw_bind_parameter(7, sent.kind.name())?;
            insert.raw_bind_parameter(8, sent.receiver.as_str())?;
            insert.raw_bind_parameter(9, sent.key.as_str())?;
            insert.raw_bind_parameter(10, sent.name.as_str())?;
            insert.raw_bind_parameter(11, sent.version.0)?;
            insert.raw_bind_parameter(12, sent_at)?;
            insert.raw_bind_parameter(13, encoding)?;
            insert.raw_bind_parameter(14, key_id)?;
            insert.raw_bind_parameter(15, request.reply.metadata.as_str())?;
            insert.raw_bind_parameter(16, sent.payload.text().as_str())?;
            insert.raw_bind_parameter(17, due_at)?;
            insert.raw_execute()?;
        }
        Ok(())
    }
}

/// The place of the n-th piece of work of a commit.
pub(crate) fn place_of(sequence: i64, number: u32) -> Result<WorkPlace, Failure> {
    if !(1..=SEQUENCE_MAX).contains(&sequence) {
        return Err(Failure::damaged(format!("commits: there is one of sequence {sequence}")));
    }
    Ok(WorkPlace::of(sequence.unsigned_abs(), number))
}
