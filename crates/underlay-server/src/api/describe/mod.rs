//! What is said of the API: the document at `/openapi.json`, and the page at `/docs` that is made of it.
//!
//! ```text
//!  table of routes ─► description of each ─┐
//!                                          ├─► document ─► /openapi.json
//!  registry ─► commands, operations, views ┘       └─────► /docs
//!                with their JSON Schemas
//! ```
//!
//! Every address in the table has a description: what it takes, what it answers, and with which problems. The addresses
//! of commands, operations and views stand there once, and in the document for each that the service declares, with its
//! own schemas. The document is made when it is first asked for, and kept.
//!
//! It says nothing of what is stored. It names everything that is declared, so it is for whoever is let in.

pub(crate) mod addresses;
mod components;
mod decisions;
mod description;
mod document;
mod example;
pub(crate) mod page;
mod rows;

pub(crate) use description::Description;
pub use document::openapi;
pub(crate) use document::{Document, show};
