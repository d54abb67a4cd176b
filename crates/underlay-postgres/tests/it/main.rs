//! The PostgreSQL adapter against a real server: the contracts, roles and policies, failures, plans.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a broken expectation is the failure of a test, and a panic is how a test fails"
)]

mod administrators;
mod alterations;
mod commits;
mod conformance;
mod contention;
mod doubts;
mod entities;
mod entity_commits;
mod entity_errors;
mod entity_plans;
mod entity_walls;
mod failures;
mod gate;
mod generations;
mod generic_plans;
mod leases;
mod limits;
mod lost;
mod migrations;
mod model;
mod old_statistics;
mod place;
mod plans;
mod pooler;
mod queries;
mod replaced;
mod roles;
mod sample;
mod silence;
mod standby;
mod stream_heads;
mod tls;
mod wakeups;
mod walls;
mod wire;
mod work;
mod work_plans;
