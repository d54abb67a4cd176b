//! Processes over a store in memory, one step at a time.

mod definitions;
mod faults;
mod house;
mod lines;
mod notes;
mod payment;
mod steps;
