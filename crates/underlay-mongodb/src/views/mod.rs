//! The catalogue of views, their generations, and what is stored of them.

mod alterations;
mod batch;
mod catalogue;
mod changes;
mod listing;
mod stops;

pub(crate) use alterations::find as alterations;
pub(crate) use batch::Apply;
pub(crate) use catalogue::{
    Stored, active, answering, answering_in, collection, make_collection, no_table, no_view, parked_event,
    put_order, reserve, stored_number_of,
};
pub(crate) use changes::{Activate, Begin, GiveUp, Revert, sweep};
pub(crate) use listing::list;
pub(crate) use stops::{SkipEvent, skipped};
