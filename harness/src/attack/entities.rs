//! Entities, asked for and changed by one tenant with the ids, values and cursors of another.

use std::sync::Arc;

use underlay_core::{
    Commit, CommitId, Comparison, Condition, EntityChange, EntityVersion, Error, Query, TenantId, Value,
};

use super::population::{SHARED_KEY, entity, own_key, values};
use super::ports::{HOSTILE_TEXTS, Pair, going_on, queries_by_keys, queries_by_values, sorts};
use super::tally::Attack;
use crate::Result;

impl Pair<'_> {
    pub(super) async fn entities(&self, attack: &mut Attack) -> Result<()> {
        self.read_entities(attack).await?;
        self.change_entities(attack).await
    }

    async fn read_entities(&self, attack: &mut Attack) -> Result<()> {
        let (entities, schema, own) = (self.store.entities()?, entity(), &self.own.id);
        let mut ids = vec![own_key(self.victim)];
        ids.extend(HOSTILE_TEXTS.iter().filter(|text| !text.contains('\0')).map(|text| (*text).to_owned()));
        let loaded = entities.load(&schema, own, &ids).await;
        let loaded = self.judge("Entities::load", "an id", loaded, attack);
        self.empty("load", loaded.is_some_and(|loaded| loaded.iter().all(Option::is_none)), attack);
        let shared = [SHARED_KEY.to_owned()];
        self.judge("Entities::load", "a shared id", entities.load(&schema, own, &shared).await, attack);
        self.control("load", entities.load(&schema, own, &shared).await, attack);

        let theirs = values(self.victim, 0)?;
        let mut queries = queries_by_values(&schema, &theirs);
        queries.extend(queries_by_keys(self.victim));
        for sorted in sorts(&schema) {
            let page = entities.query(&schema, &self.victim.id, &sorted).await?;
            queries.extend(going_on(&sorted, page.next));
        }
        for (column, value) in schema.columns.iter().zip(&theirs) {
            let mut wanted = vec![value.clone()];
            if let Value::Text(_) = value {
                let hostile = HOSTILE_TEXTS.iter().filter(|text| !text.contains('\0'));
                wanted.extend(hostile.map(|text| Value::Text((*text).to_owned())));
            }
            let equal =
                wanted.iter().map(|value| Condition::compare(&column.name, Comparison::Eq, value.clone()));
            let equal = Condition::Any(equal.collect());
            let one_of = Condition::In { column: column.name.clone(), values: wanted };
            for condition in [equal.clone(), equal.negated(), one_of.clone(), one_of.negated()] {
                queries.push(Query { condition, ..Query::default().limit(1_000) });
            }
        }
        let all = entities.count(&schema, own, &Query::default()).await?;
        for query in queries {
            let page = entities.query(&schema, own, &query).await;
            self.judge("Entities::query", "values and cursors", page, attack);
            let count = entities.count(&schema, own, &query).await;
            let count = self.judge("Entities::count", "values", count, attack);
            self.empty("count", count.is_none_or(|count| count <= all), attack);
        }
        self.control("query", entities.query(&schema, own, &Query::default()).await, attack);
        // Names of entities are data too.
        for name in ["x\"; DROP TABLE events; --", "events", "commits", "pg_class"] {
            let mut other = schema.clone();
            other.name = name.to_owned();
            let loaded = entities.load(&other, own, &shared).await;
            let loaded = self.judge("Entities::load", "the name of an entity", loaded, attack);
            self.empty("load", loaded.is_none(), attack);
        }
        Ok(())
    }

    async fn change_entities(&self, attack: &mut Attack) -> Result<()> {
        let (entities, schema, own) = (self.store.entities()?, Arc::new(entity()), &self.own.id);
        let (theirs, mine) = (own_key(self.victim), || values(self.own, 70));
        let update = EntityChange::update(schema.clone(), &theirs, EntityVersion(1), mine()?);
        let delete = |expected| EntityChange::delete(schema.clone(), &theirs, expected);
        for change in [update, delete(Some(EntityVersion(1))), delete(None)] {
            // The version of the other does not show. The id in the answer is the caller's own word.
            let commit = Commit::new(CommitId::draw()).with_entities(vec![change.clone()]);
            let committed = self.store.store.commit(own, commit).await.map(drop);
            let applied = entities.apply(own, vec![change]).await.map(drop);
            for (method, answer) in [("EventStore::commit", committed), ("Entities::apply", applied)] {
                let none = match &answer {
                    Err(Error::EntityConflict(conflict)) => conflict.actual.is_none(),
                    Err(Error::NotFound(_)) => true,
                    _ => false,
                };
                self.empty(method, none, attack);
                attack.tried_method(method);
            }
        }
        // Somebody who has nothing yet, and takes the other's id and its unique value: both are one's own.
        let visitor = TenantId::new(format!("visitor.{}.{}", self.own.number, self.victim.number))?;
        let mut taken = mine()?;
        taken[0] = values(self.victim, 0)?.remove(0);
        let create = EntityChange::create(schema.clone(), &theirs, taken);
        let created = entities.apply(&visitor, vec![create]).await;
        let created = self.judge("Entities::apply", "an id and a unique value", created, attack);
        self.empty("apply", created.is_some(), attack);
        // A value of one's own that is there is told without it.
        let own_key = own_key(self.own);
        let twice = EntityChange::create(schema, format!("{own_key}-twice"), values(self.own, 0)?);
        let refused = entities.apply(own, vec![twice]).await;
        attack.control(matches!(refused, Err(Error::RuleViolation(_))), || {
            format!("a value twice: {refused:?}")
        });
        self.judge("Entities::apply", "a unique value", refused, attack);
        Ok(())
    }
}
