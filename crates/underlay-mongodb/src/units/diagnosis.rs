//! Why a unit was refused. The server says that a document was not as it was expected, or which index was in the way;
//! what is stored says the rest.

use std::collections::HashMap;

use futures_util::TryStreamExt as _;
use mongodb::bson::{Bson, Document, doc};
use underlay_core::adapter::safe_order;
use underlay_core::{EntityChange, EntityVersion, Error, TenantId};

use super::collection;
use super::definitions::check_definition;
use crate::error::{Failure, Meaning};
use crate::rows::{key_of, row_id, unique_index_of};
use crate::store::Open;

/// Answers for a unit that was refused, where it was for what is stored. Otherwise nothing is said: what stood in its
/// way may be gone.
pub(super) async fn diagnose(
    open: &Open,
    tenant: &TenantId,
    changes: &[EntityChange],
    failure: &Failure,
) -> Result<(), Error> {
    let taken = failure.taken_index();
    let breaks_rule = failure.meaning() == Some(Meaning::BreaksRule);
    if taken.is_none() && !breaks_rule && !matches!(failure, Failure::Missed) {
        return Ok(());
    }
    let stored = versions(open, tenant, changes).await?;
    for at in safe_order(changes) {
        let change = &changes[at];
        change.check_version(stored.get(&(change.entity(), change.id.as_str())).copied())?;
    }
    if let Some(index) = taken {
        let changed = changes.iter().filter(|change| change.values().is_some());
        // Where several entities have a unique column of this name, the first of them is named. Which columns are
        // unique is for the server to say: the schema at hand may be an older one.
        let mut found =
            changed.flat_map(|change| change.schema.columns.iter().map(move |column| (change, &column.name)));
        if let Some((change, column)) = found.find(|(_, column)| unique_index_of(column) == index) {
            return Err(Error::not_unique(change.entity(), column));
        }
    }
    if breaks_rule {
        for change in changes {
            check_definition(open, &change.schema).await?;
        }
    }
    Ok(())
}

/// The versions that are stored of the entities of a unit.
async fn versions<'c>(
    open: &Open,
    tenant: &TenantId,
    changes: &'c [EntityChange],
) -> Result<HashMap<(&'c str, &'c str), EntityVersion>, Failure> {
    let mut by_entity: HashMap<&str, Vec<&str>> = HashMap::new();
    for change in changes {
        by_entity.entry(change.entity()).or_default().push(&change.id);
    }
    let mut versions = HashMap::new();
    for (entity, ids) in by_entity {
        let addresses: Vec<Bson> = ids.iter().map(|id| Bson::Document(row_id(tenant, id))).collect();
        let rows = collection(open, entity);
        let find = async {
            let found = rows.find(doc! { "_id": { "$in": addresses } }).projection(doc! { "v": 1 }).await?;
            found.try_collect::<Vec<Document>>().await
        };
        for row in open.read(Box::pin(find)).await? {
            let Some(id) = key_of(&row).and_then(|key| ids.iter().find(|id| **id == key)) else { continue };
            versions.insert((entity, *id), version_of(&row, entity, id)?);
        }
    }
    Ok(versions)
}

/// The version of a stored entity.
pub(crate) fn version_of(row: &Document, entity: &str, id: &str) -> Result<EntityVersion, Error> {
    let version = row.get_i64("v").ok().and_then(|version| u64::try_from(version).ok());
    version
        .filter(|version| *version > 0)
        .map(EntityVersion)
        .ok_or_else(|| Error::damaged_entity(entity, id, "its version (field v) is no number from 1"))
}
