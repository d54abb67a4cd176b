//! The views: which there are, the tables of their rows, and the queries that read them.

pub(crate) mod alterations;
pub(crate) mod catalogue;
pub(crate) mod query;
pub(crate) mod row_table;
pub(crate) mod view_orders;
pub(crate) mod view_stops;
