//! Jobs on a real Temporal server.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod found;
mod house;
mod jobs;
mod outages;
mod processes;
mod refused;
