//! The API over the memory adapters: in process, and once over a socket.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    reason = "a test's set-up that fails is a failed test"
)]

mod account;
mod addresses;
mod admin;
mod admission;
mod base_path;
mod browse;
mod browser;
mod commands;
mod console;
mod console_entities;
mod console_log;
mod console_work;
mod contract;
mod document;
mod edge;
mod entities;
mod events;
mod failing_store;
mod failures;
mod feeds;
mod health;
mod hostile;
mod hosts;
#[cfg(feature = "jwt")]
mod jwt;
mod links;
mod listener;
mod metrics;
mod pages;
mod place;
mod roles;
mod schedules;
mod serving;
mod slow_clients;
mod socket;
mod states;
mod stored_commands;
mod tenants;
mod view_feeds;
mod view_orders;
mod views;
mod work;
