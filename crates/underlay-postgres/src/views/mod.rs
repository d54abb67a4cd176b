//! The views: which there are, and the tables of their rows.

pub(crate) mod alterations;
pub(crate) mod catalogue;
pub(crate) mod view_orders;
pub(crate) mod view_stops;
pub(crate) mod view_table;
