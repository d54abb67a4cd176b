//! What every benchmark is made of: bookings that are written, runs that are compared, the disk that they
//! depend on, and tables that tell them.
//!
//! The harness measures ours beside plain statements, `bench/peers` ours beside the stores of others. What
//! a figure stands beside is theirs; what a figure is stands here, so that both tell the same.

mod account;
mod booking;
mod disk;
mod runs;
mod table;
mod whole_log;

pub use self::account::{Account, AccountCommand, AccountEvent, AccountRefusal};
pub use self::booking::{Booking, Fields, number_in};
pub use self::disk::{file_system, flush_microseconds, is_in_memory, load, processors};
pub use self::runs::{Latency, MOVED_MAX, Runs, Sample, median};
pub use self::table::{Columns, amount};
pub use self::whole_log::{Seen, log_page, read_whole};

use std::error::Error;

/// The error is one sentence for the person at the terminal.
pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;
