//! Entities that another service has, over its JSON API.
//!
//! [`HttpEntities`] speaks what a service made with Underlay answers at `/v1/entities/{entity}`, and by options the JSON
//! API of another one. It is the port [`Entities`](underlay_core::Entities) with
//! [`Atomicity::OneChange`](underlay_core::Atomicity::OneChange).
//!
//! ```text
//!  load ──► reading ─┐                          ┌─► budget: may it be sent again?
//!  query ─► query ───┼─► call (remote) ─► request ─► connections ─► service
//!  apply ─► change ──┘        ▲                          │
//!                             └── answers: what it means ◄┘
//! ```
//!
//! What comes back is held against the schema, member by member: whatever does not fit is
//! [`Damaged`](underlay_core::Error::Damaged). A change carries the version it expects, so a lost answer is no riddle: the
//! entity is read, and what is found says whether the change was made, can be made once more, or cannot be told.
//!
//! ```no_run
//! # fn example() -> Result<(), underlay_core::Error> {
//! use underlay_outbound::http::{HttpConfig, HttpEntities};
//!
//! let address = "https://rates.example/v1/entities/rate?token_file=rates-tokens.txt";
//! let rates = HttpEntities::new(address, HttpConfig::default())?;
//! # Ok(()) }
//! ```

mod adapter;
mod address;
mod answers;
mod budget;
mod change;
mod config;
mod connections;
mod document;
mod entities;
mod kept;
mod list;
mod lost_change;
mod plain;
mod query;
mod reading;
mod remote;
mod tls;
mod tokens;

pub use adapter::HttpAdapter;
pub use config::{Api, HttpConfig};
pub use entities::HttpEntities;
pub use plain::PlainApi;
