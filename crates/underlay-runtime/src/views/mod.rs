//! What happens to a view.

pub(crate) mod fold;
pub(crate) mod held_rows;
pub(crate) mod progress;
pub(crate) mod queries;
pub(crate) mod rebuild;
pub(crate) mod runner;
