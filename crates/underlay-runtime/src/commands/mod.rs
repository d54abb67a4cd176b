//! What happens to a command.

pub(crate) mod decide;
pub(crate) mod request;
pub(crate) mod snapshots;
pub(crate) mod states;
pub(crate) mod turns;
