//! The servers, the connections to them, and what is looked at before one is used.

pub(crate) mod address;
pub(crate) mod doctor;
pub(crate) mod link;
pub(crate) mod session;
pub(crate) mod target;
