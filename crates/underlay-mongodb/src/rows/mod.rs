//! Rows as documents, for entities and views alike: how a value is stored, what a collection checks and has indexes
//! for, and how a query walks along one of them.
//!
//! ```text
//!  { _id: { t: TENANT, k: KEY }, v: VERSION (of an entity alone), c: { COLUMN: VALUE, … } }
//! ```
//!
//! The tenant comes first in every key and in every index.

mod document;
mod explain;
mod pipeline;
mod query;
mod shape;

pub(crate) use document::{bson, columns, key_of, row_id, tenant_of, values};
pub(crate) use query::{Reading, count_rows, page_of_rows, retried, snapshot, whole_batch};
pub(crate) use shape::{index_of, index_specs, unique_index_of, unique_spec, validator};
