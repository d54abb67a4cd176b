//! One workflow for all jobs of a tenant, a receiver and a key, where the router wants to see a line so.
//!
//! Whoever wants a job done sends the line an update, which starts it where it does not run. The line makes one attempt at a time, and the
//! update ends with what the attempt came to. What happens when something fails:
//!
//! - The history of a run is bounded: the line continues as new before it reaches [`LINE_EVENTS_MAX`]. Nobody is left without an answer by
//!   that: who still waits is told to ask again. What waits, and how the latest jobs ended, goes along.
//! - A worker that dies is replaced: the attempt is made again in another process, and the update goes on to wait for it.
//! - A line that is terminated, or that ends meanwhile, is asked again, and begins anew. It has forgotten how its jobs ended; the store
//!   has not, and an attempt at what is done comes to nothing.
//!
//! A line gives up its run when nobody has asked for [`LINE_IDLE`].

mod ask;
#[cfg(test)]
mod histories;
mod state;
mod workflow;

pub(crate) use self::workflow::Line;

use std::time::Duration;

/// Events in the history of a run of a line, after which it goes on in a new run. What is under way is finished first.
pub const LINE_EVENTS_MAX: u32 = 4_000;
/// How long a line with nothing to do waits for somebody to ask until it ends: between this and twice as long.
pub const LINE_IDLE: Duration = Duration::from_secs(60);
