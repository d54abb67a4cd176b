//! What callers were told, held against the entities that are stored.

use std::collections::{HashMap, HashSet};

use underlay_core::limits::{PAGE_ROWS_MAX, QUERY_ROWS_SCANNED_MAX};
use underlay_core::{Direction, Entities, EntitySchema, Query, Sort, StoredEntity, TenantId, Value};
use uuid::Uuid;

use super::schema::{Mark, counters, is_alone, marks};
use crate::Result;
use crate::faults::told::{Findings, Told};

/// Holds what callers were told against what is stored, as indexes, ids and counts show it.
pub(super) async fn compare(entities: &dyn Entities, tenant: &TenantId, told: &[Told]) -> Result<Findings> {
    let mut read = Vec::new();
    for stored in all(entities, tenant, &marks()).await? {
        read.push(Mark::of(&stored)?);
    }
    Ok(judge(&all(entities, tenant, &counters()).await?, &read, told))
}

/// Every entity there is, by its id. An index, a count and a load must know the same ones.
async fn all(entities: &dyn Entities, tenant: &TenantId, schema: &EntitySchema) -> Result<Vec<StoredEntity>> {
    let mut read = pages(entities, tenant, schema, None).await?;
    for column in schema.columns.iter().filter(|column| column.indexed) {
        let mut by_index = pages(entities, tenant, schema, Some(column.name.clone())).await?;
        by_index.sort_by(|a, b| a.id.cmp(&b.id));
        if by_index != read {
            return Err(
                format!("index {} of {} knows others than the ids do", column.name, schema.name).into()
            );
        }
    }
    if read.len() <= QUERY_ROWS_SCANNED_MAX {
        let count = usize::try_from(entities.count(schema, tenant, &Query::default()).await?)?;
        if count != read.len() {
            return Err(format!("{count} of {} are counted, and {} read", schema.name, read.len()).into());
        }
    }
    for some in read.chunks(PAGE_ROWS_MAX) {
        let ids: Vec<String> = some.iter().map(|stored| stored.id.clone()).collect();
        let loaded: Option<Vec<StoredEntity>> =
            entities.load(schema, tenant, &ids).await?.into_iter().collect();
        if loaded.as_deref() != Some(some) {
            return Err(format!("{} is loaded otherwise than it is found", schema.name).into());
        }
    }
    read.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(read)
}

async fn pages(
    entities: &dyn Entities,
    tenant: &TenantId,
    schema: &EntitySchema,
    column: Option<String>,
) -> Result<Vec<StoredEntity>> {
    let sort = Sort { column, direction: Direction::Ascending };
    let mut query = Query { sort, ..Query::default().limit(PAGE_ROWS_MAX) };
    let mut read = Vec::new();
    loop {
        let page = entities.query(schema, tenant, &query).await?;
        read.extend(page.entities);
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(read),
        }
    }
}

fn judge(counters: &[StoredEntity], marks: &[Mark], told: &[Told]) -> Findings {
    let mut findings = Findings::default();
    let stored: HashMap<&str, &StoredEntity> =
        counters.iter().map(|counter| (counter.id.as_str(), counter)).collect();
    let known: HashMap<Uuid, &Mark> = marks.iter().map(|mark| (mark.key, mark)).collect();
    judge_versions(&mut findings, counters, marks);
    for caller in told {
        findings.count(caller);
        for acknowledged in &caller.acknowledged {
            let version = stored.get(acknowledged.stream.as_str()).map_or(0, |counter| counter.version.0);
            let is_there = if is_alone(acknowledged.version - 1) {
                // The next one writes over it: only the version tells.
                version >= acknowledged.version
            } else {
                known.get(&acknowledged.commit).is_some_and(|mark| {
                    (mark.own.0.as_str(), mark.own.1) == (acknowledged.stream.as_str(), acknowledged.version)
                })
            };
            if !is_there {
                findings.lost += 1;
                findings.note(format!("{acknowledged:?} is not stored"));
            }
        }
        let last = caller.acknowledged.last();
        if let Some((last, counter)) = last.and_then(|last| Some((last, stored.get(last.stream.as_str())?))) {
            let as_told = counter.values == [Value::Text(last.commit.to_string())];
            if counter.version.0 > last.version || (counter.version.0 == last.version && !as_told) {
                findings.untrue += 1;
                findings.note(format!("{last:?} was the last to be acknowledged, and there is {counter:?}"));
            }
        }
        for declined in caller.declined.iter().filter(|key| known.contains_key(key)) {
            findings.untrue += 1;
            findings.note(format!("{declined} was declined and is stored"));
        }
    }
    findings
}

/// Every version of a counter has its mark, once; only one that was made alone has none.
fn judge_versions(findings: &mut Findings, counters: &[StoredEntity], marks: &[Mark]) {
    let mut seen: HashSet<(&str, u64)> = HashSet::new();
    for (counter, version) in marks.iter().flat_map(|mark| [&mark.own, &mark.shared]) {
        if !seen.insert((counter, *version)) {
            findings.twice += 1;
            findings.note(format!("{counter} came to version {version} twice"));
        }
    }
    let mut expected: HashSet<(&str, u64)> = HashSet::new();
    for counter in counters {
        let shared = counter.id.starts_with("shared-");
        let made_by_units = (1..=counter.version.0).filter(|version| shared || !is_alone(version - 1));
        expected.extend(made_by_units.map(|version| (counter.id.as_str(), version)));
    }
    for (counter, version) in expected.symmetric_difference(&seen) {
        findings.untrue += 1;
        findings.note(match seen.contains(&(*counter, *version)) {
            true => {
                format!("half a unit: there is a mark of {counter} at version {version}, which it never had")
            }
            false => format!("half a unit: {counter} came to version {version} without a mark"),
        });
    }
}

#[cfg(test)]
mod tests {
    use underlay_core::EntityVersion;

    use super::*;
    use crate::faults::told::Acknowledged;

    fn counter(id: &str, version: u64, last: u128) -> StoredEntity {
        let values = vec![Value::Text(Uuid::from_u128(last).to_string())];
        StoredEntity { id: id.to_owned(), version: EntityVersion(version), values }
    }

    fn mark(key: u128, own: u64, shared: u64) -> Mark {
        let (own, shared) = (("caller-0".to_owned(), own), ("shared-0".to_owned(), shared));
        Mark { key: Uuid::from_u128(key), own, shared }
    }

    fn acknowledged(version: u64) -> Acknowledged {
        let (commit, stream) = (Uuid::from_u128(u128::from(version)), "caller-0".to_owned());
        Acknowledged { commit, stream, version, position: None }
    }

    /// Five changes, of which the fourth was made alone.
    fn five() -> (Vec<StoredEntity>, Vec<Mark>, Told) {
        let marks = vec![mark(1, 1, 1), mark(2, 2, 2), mark(3, 3, 3), mark(5, 5, 4)];
        let told = Told { acknowledged: (1..=5).map(acknowledged).collect(), ..Told::default() };
        (vec![counter("caller-0", 5, 5), counter("shared-0", 4, 5)], marks, told)
    }

    fn found(counters: &[StoredEntity], marks: &[Mark], told: Told) -> (u64, u64, u64) {
        let findings = judge(counters, marks, &[told]);
        assert_eq!(findings.is_clean(), findings.examples.is_empty());
        (findings.lost, findings.twice, findings.untrue)
    }

    #[test]
    fn what_is_stored_as_it_was_told_is_clean() {
        let (counters, marks, mut told) = five();
        told.declined.push(Uuid::from_u128(9));
        assert_eq!(found(&counters, &marks, told), (0, 0, 0));
    }

    #[test]
    fn every_untruth_is_found() {
        let (counters, marks, told) = five();
        assert_eq!(found(&counters, &marks[..3], told), (1, 0, 2), "the mark of the last one is missing");
        let (_, marks, told) = five();
        let older = [counter("caller-0", 3, 3), counter("shared-0", 4, 5)];
        assert_eq!(found(&older, &marks, told), (1, 0, 1), "the counter was set back");
        let (_, mut marks, told) = five();
        marks.push(mark(6, 5, 4));
        assert_eq!(found(&counters, &marks, told), (0, 2, 0), "twice");
        let (_, marks, mut told) = five();
        told.declined.push(Uuid::from_u128(2));
        assert_eq!(found(&counters, &marks, told), (0, 0, 1), "declined and there");
        let (_, marks, mut told) = five();
        told.acknowledged.pop();
        assert_eq!(found(&counters, &marks, told), (0, 0, 1), "stored and not told");
        let (_, marks, mut told) = five();
        told.wrong.push("a conflict that was none".to_owned());
        assert_eq!(found(&counters, &marks, told), (0, 0, 1), "a wrong answer");
    }
}
