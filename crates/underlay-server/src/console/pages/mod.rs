//! The pages, a file for each place of the navigation.

pub(super) mod overview;
pub(super) mod sign_in;
pub(super) mod start;
