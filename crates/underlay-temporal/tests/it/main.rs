//! Jobs on a real Temporal server, and workflows of somebody's own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod commands;
mod conformance;
mod found;
mod house;
mod jobs;
mod lines;
mod outages;
mod processes;
mod refused;
mod signals;
mod tally;
mod tls;
mod workers;
