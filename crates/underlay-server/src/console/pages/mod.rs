//! The pages, a file for each place of the navigation.

pub(super) mod audit;
mod event;
pub(super) mod events;
pub(super) mod overview;
pub(super) mod sign_in;
pub(super) mod start;
mod stream;
pub(super) mod streams;
