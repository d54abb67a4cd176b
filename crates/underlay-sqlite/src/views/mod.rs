//! The views: which there are, and what is stored of them beside their rows.

pub(crate) mod catalogue;
pub(crate) mod view_orders;
pub(crate) mod view_stops;
