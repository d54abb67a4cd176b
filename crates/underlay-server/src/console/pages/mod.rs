//! The pages, a file for each place of the navigation.

pub(super) mod commands;
pub(super) mod dead_letters;
pub(super) mod outbox;
pub(super) mod overview;
pub(super) mod processes;
pub(super) mod schedules;
pub(super) mod sign_in;
pub(super) mod start;
mod work_parts;
