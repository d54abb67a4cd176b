//! Rows of views and of entities: how values are stored, how rows are found by key, and the queries that read them.

pub(crate) mod explain;
pub(crate) mod query;
pub(crate) mod row_table;
pub(crate) mod values;
