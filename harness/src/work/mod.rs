//! Work that flows, for every attack that wants some: commands that wait in the store, messages, a process with
//! timers, and a receiver outside of all that is attacked.
//!
//! [`domain`] says what flows. A [`station`] does work and has callers, in a process of its own or within this one;
//! [`flow`] starts stations, lets them suffer, and brings what is left to its end. Then the [`audit`] holds what
//! callers were told ([`errand`]) and what arrived at the [`receiver`] against the log and the queue:
//!
//! - every command that was acknowledged has ended as it should: done, cancelled, or given up where it had to be;
//! - every message was delivered, and the key of each in order;
//! - what was done under an idempotency key stands in the log once, and every step of a process was taken once;
//! - money is conserved;
//! - nothing waits any more.
//!
//! What of repeated deliveries can be told from outside stands in [`deliveries`].

mod audit;
mod deliveries;
mod domain;
mod errand;
mod fall;
mod findings;
mod flow;
mod log;
mod receiver;
mod station;

pub(crate) use self::deliveries::{Deliveries, Line};
pub(crate) use self::domain::{TENANTS, registry};
pub(crate) use self::errand::{Ask, Errand, Line as ErrandLine, Manner, Told};
pub(crate) use self::fall::{Fall, Moment};
pub(crate) use self::findings::Findings;
pub(crate) use self::flow::{Flow, Inside};
pub(crate) use self::receiver::{Answer, Arrival, Parcel, Post, now as micros_now};
pub(crate) use self::station::{ChildArguments, LEASE, run_child};
