//! How the collection of a generation differs from the one that was made for it.

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use mongodb::bson::{Document, doc};
use underlay_core::ViewTable;
use underlay_core::limits::ALTERATIONS_MAX;

use super::catalogue::collection_name;
use crate::error::Failure;
use crate::rows::{index_of, index_specs, validator};
use crate::store::Open;

/// What differs, for people.
pub(crate) async fn find(open: &Open, table: &ViewTable) -> Result<Vec<String>, Failure> {
    let name = collection_name(&table.schema.name, table.generation);
    let listed = open.read(open.database.run_command(doc! {
        "listCollections": 1, "filter": { "name": &name },
    }));
    let listed = listed.await?;
    let batch = listed.get_document("cursor").ok().and_then(|cursor| cursor.get_array("firstBatch").ok());
    let Some(made) = batch.and_then(|batch| batch.first()?.as_document()) else {
        return Ok(vec!["the collection is missing".to_owned()]);
    };
    let mut told = Vec::new();
    let options = made.get_document("options").ok();
    let validated = options.and_then(|options| options.get_document("validator").ok());
    match validated {
        None => told.push("the validation is missing".to_owned()),
        Some(found) if *found != validator(&table.schema, false) => {
            told.push("the validation is another than was made".to_owned());
        }
        Some(_) => {}
    }
    let set = |option: &str, made: &str| {
        options.and_then(|options| options.get_str(option).ok()).is_some_and(|found| found != made)
    };
    if set("validationLevel", "strict") || set("validationAction", "error") {
        told.push("documents are written without validation".to_owned());
    }
    compare_indexes(&indexes(open, &name).await?, table, &mut told);
    told.truncate(ALTERATIONS_MAX);
    Ok(told)
}

async fn indexes(open: &Open, collection: &str) -> Result<Vec<Document>, Failure> {
    let find = async {
        let found = open.database.run_cursor_command(doc! { "listIndexes": collection }).await?;
        found.try_collect().await
    };
    open.read(Box::pin(find)).await
}

fn compare_indexes(found: &[Document], table: &ViewTable, told: &mut Vec<String>) {
    let named = |index: &Document| index.get_str("name").unwrap_or_default().to_owned();
    let mut there: BTreeMap<String, &Document> = found.iter().map(|index| (named(index), index)).collect();
    let indexed = table.schema.columns.iter().filter(|column| column.indexed);
    let specs = index_specs(indexed.map(|column| column.name.as_str()));
    for made in &specs {
        let name = named(made);
        match there.remove(&name) {
            None => told.push(format!("index {name:?} is missing")),
            Some(found) if found.get("key") != made.get("key") || found.len() > made.len() + 1 => {
                told.push(format!("index {name:?} is another than was made"));
            }
            Some(_) => {}
        }
    }
    if there.remove(&index_of(None)).is_none() {
        told.push("the index of the keys is missing".to_owned());
    }
    told.extend(there.into_iter().map(|(name, index)| match index.get_bool("unique") {
        Ok(true) => format!("unique index {name:?} was added"),
        _ => format!("index {name:?} was added"),
    }));
}
