//! What follows a commit: messages, stored commands, inputs and timers of processes.

mod receiver;

pub(crate) use receiver::{Attempt, NotDone, Receiver};
