//! The pages, a file for each place of the navigation, or for each page where they are long.

pub(super) mod overview;
mod schema;
pub(super) mod send;
pub(super) mod sign_in;
pub(super) mod start;
pub(super) mod view;
mod view_order;
pub(super) mod views;
