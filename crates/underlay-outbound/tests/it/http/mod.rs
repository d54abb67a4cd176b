//! Entities that another service has, where that service or the way to it is at fault.

mod answers;
mod changes;
mod connections;
mod pages;
mod plain;
mod script;
mod tenants;
mod tls;
