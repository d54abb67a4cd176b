//! What a service says to the outside.
//!
//! [`mail`] sends mail by SMTP, or keeps it in a folder while a service is developed, and writes it from
//! templates. [`traces`] brings the spans of traces to a collector. With the feature `http`, `http` keeps entities in
//! another service.

#[cfg(feature = "http")]
pub mod http;
pub mod mail;
pub mod traces;
