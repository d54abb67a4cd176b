use rusqlite::{CachedStatement, Connection};

/// Where a piece of work is. The three tables have the same columns, so one statement serves all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    Ready,
    Later,
    Dead,
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Self::Ready => "work",
            Self::Later => "work_later",
            Self::Dead => "dead_letters",
        }
    }

    /// A statement about this table.
    pub(crate) fn sql(self, statement: &str) -> String {
        statement.replace("{table}", self.name())
    }

    /// A statement about this table, prepared.
    pub(crate) fn prepare<'c>(
        self,
        connection: &'c Connection,
        statement: &str,
    ) -> rusqlite::Result<CachedStatement<'c>> {
        connection.prepare_cached(&self.sql(statement))
    }

    /// The statement that copies a row from this table to another.
    pub(crate) fn copy_to(self, target: Self) -> String {
        self.sql(include_str!("../sql/work/move_work.sql")).replace("{target}", target.name())
    }
}
