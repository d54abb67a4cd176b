//! What follows the log.

pub(crate) mod held_lease;
