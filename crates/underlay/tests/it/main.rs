//! The facade: a whole service, its lock of events.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test's set-up that fails is a failed test")]

mod archive_formats;
mod bank;
mod cache;
mod composition;
mod decoders;
mod events_lock;
mod first_service;
mod held_lines;
mod killers;
mod mending;
mod modules;
mod postgres;
#[cfg(feature = "http")]
mod remote_entities;
mod scheduler;
mod view_feed;
mod work;
