//! The pages, a file for each place of the navigation, or for each page where they are long.

pub(super) mod audit;
mod audit_work;
pub(super) mod commands;
pub(super) mod dead_letters;
pub(super) mod entities;
pub(super) mod entity;
mod entity_form;
mod event;
pub(super) mod events;
mod instance;
pub(super) mod outbox;
pub(super) mod overview;
pub(super) mod processes;
mod rows;
pub(super) mod schedules;
mod schema;
pub(super) mod send;
pub(super) mod sign_in;
pub(super) mod start;
mod stream;
pub(super) mod streams;
pub(super) mod view;
mod view_order;
pub(super) mod views;
mod work_parts;
