//! The API: its addresses, what each of them takes and answers, and the handlers behind them.

pub(crate) mod admin;
pub(crate) mod answer;
pub(crate) mod command_status;
pub(crate) mod commands;
pub(crate) mod deferral;
pub(crate) mod describe;
pub(crate) mod entities;
pub(crate) mod events;
pub(crate) mod page;
pub(crate) mod problem;
pub(crate) mod request;
pub(crate) mod router;
pub(crate) mod streams;
pub(crate) mod view_orders;
pub(crate) mod view_query;
pub(crate) mod views;
