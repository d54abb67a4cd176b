//! Processes over a store in memory: one step at a time, and as the engine runs them.

mod definitions;
mod faults;
mod held;
mod house;
mod lines;
mod newer;
mod notes;
mod payment;
mod places;
mod running;
mod steps;

/// Whether a scheduler drives the attempts of what the engine runs.
const IS_DRIVEN: bool = false;

/// Processes as the engine runs them where a scheduler drives the attempts, and timers that it begins.
#[expect(clippy::duplicate_mod, reason = "the same tests run twice, in another house")]
#[path = "."]
mod driven {
    use super::{house, newer, notes, payment};

    const IS_DRIVEN: bool = true;

    mod clocks;
    mod running;
    mod timers;
    mod unknown;
}
