//! Tables of rows, of views and of entities: their SQL, the queries that read them, and how one differs from the table
//! that was made.

pub(crate) mod alterations;
pub(crate) mod pages;
pub(crate) mod query;
pub(crate) mod row_table;
