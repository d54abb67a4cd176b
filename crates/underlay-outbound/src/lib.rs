//! What a service sends to the outside.
//!
//! [`mail`] sends mail by SMTP, or keeps it in a folder while a service is developed, and writes it from
//! templates. [`traces`] brings the spans of traces to a collector.

pub mod mail;
pub mod traces;
