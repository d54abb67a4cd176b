//! The catalogue of views, their generations, and what is stored of them.

mod alterations;
mod batch;
mod catalogue;
mod changes;
mod listing;
mod reading;
mod stops;

pub(crate) use changes::Begun;
