//! What entities and the rows of views have in common: hashes, the sorted sets they are found by, and walks along these.
//!
//! Who reads them is checked by the script that reads: [`Check`] says how.

mod chunk;
mod document;
mod query;
mod range;
mod value;

pub(crate) use chunk::{Check, Chunk, Moment, Part, ReadScripts, taken, unless_stale};
pub(crate) use document::{Fields, field, values};
pub(crate) use query::{Rows, count, page};
pub(crate) use range::Range;
pub(crate) use value::{EMPTY, encoded};
