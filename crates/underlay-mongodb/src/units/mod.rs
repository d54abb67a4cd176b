//! Changes of entities that are stored together.

mod definitions;
mod diagnosis;
mod unit;

pub(crate) use definitions::{check_prepared, prepare, told};
pub(crate) use diagnosis::version_of;
pub(crate) use unit::apply;

use mongodb::Collection;
use mongodb::bson::Document;

use crate::store::Open;

/// The entities of a name.
pub(crate) fn collection(open: &Open, entity: &str) -> Collection<Document> {
    open.database.collection(&collection_name(entity))
}

pub(crate) fn collection_name(entity: &str) -> String {
    format!("entity_{entity}")
}
