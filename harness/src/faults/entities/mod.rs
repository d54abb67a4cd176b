//! Entities under load while their server fails: what the stores beside the log have in common.
//!
//! Each caller counts in an entity of its own, by an update with the version that it was told. Most of its changes are
//! units: the own counter, a counter that several callers share, and a mark that says which versions the two have come
//! to. So the marks are the history, and whatever is lost, half done or done twice is missing in it or too much.

mod caller;
mod every_server;
mod heard;
mod judge;
mod load;
mod schema;
mod stand;

pub(crate) use self::every_server::{
    AFTER, BEFORE, answers_lost, cut, full_disk, killed, long_away, silence, slow, stopped,
};
pub(crate) use self::load::Load;
pub(crate) use self::stand::{Stand, Times};

/// What is promised of every fault.
pub(crate) const PROMISED: &str = "it goes on within 5 s after the server answers, by itself; every acknowledged change \
                                   is there once, no unit is half done, and no version is missing; each caller is told \
                                   the truth";
