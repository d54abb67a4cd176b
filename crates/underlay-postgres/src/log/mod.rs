//! The log: what waits to be written, the task that writes it, what became of what was lost on the way,
//! and the rows it is read back from.

pub(crate) mod append;
pub(crate) mod append_entities;
pub(crate) mod committer;
pub(crate) mod event_row;
pub(crate) mod given;
pub(crate) mod intake;
pub(crate) mod known;
pub(crate) mod listener;
pub(crate) mod notifier;
pub(crate) mod repeats;
pub(crate) mod seen;
pub(crate) mod stream_heads;
