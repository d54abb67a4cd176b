//! Processes over a store in memory: one step at a time, and as the engine runs them.

mod definitions;
mod faults;
mod held;
mod house;
mod lines;
mod notes;
mod payment;
mod places;
mod running;
mod steps;
