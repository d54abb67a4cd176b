//! Queries: what a service understands of one is sent, and all of it is tested here again.
//!
//! A service made with Underlay walks along its indexes, and gives pages in the order that was asked for. A plain API has
//! whatever order it has, so its whole list is walked for each page, and the page is made here. Neither walk looks at more
//! than [`QUERY_ROWS_SCANNED_MAX`] entities.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;

use hyper::{Method, StatusCode};
use underlay_core::limits::{PAGE_ROWS_MAX, QUERY_ROWS_SCANNED_MAX};
use underlay_core::{
    Cursor, Direction, EntityPage, EntitySchema, Error, PageEnd, Query, StoredEntity, TenantId, Value,
};

use super::HttpEntities;
use super::config::Api;
use super::list::{ListPage, Narrowed, NextPage};
use super::remote::Call;

/// Where an entity lies in the order of a query.
type Place = (Option<Value>, String);

/// The pages of a list, one after the other.
struct Walk<'w> {
    entities: &'w HttpEntities,
    call: Call<'w>,
    schema: &'w EntitySchema,
    tenant: &'w TenantId,
    narrowed: Narrowed,
    /// Items that each page is asked for.
    rows: usize,
    cursor: Option<String>,
}

impl HttpEntities {
    pub(super) async fn page(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        query: &Query,
    ) -> Result<EntityPage, Error> {
        match self.remote.config.api {
            Api::Underlay => self.ordered_page(schema, tenant, query).await,
            Api::Plain => self.made_page(schema, tenant, query).await,
        }
    }

    /// A page of a service that orders its pages as it is asked.
    async fn ordered_page(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        query: &Query,
    ) -> Result<EntityPage, Error> {
        let mut walk = self.walk(schema, tenant, query);
        walk.cursor = query.after.as_ref().map(|cursor| cursor.to_text(&query.sort));
        if walk.narrowed.is_whole {
            walk.rows = query.limit;
        }
        let mut last = query.after.as_ref().map(|cursor| (cursor.value.clone(), cursor.key.clone()));
        let (mut found, mut end, mut is_full) = (Vec::new(), PageEnd::of(query), false);
        let more = walk
            .each_page(Error::page_too_broad, |entities, _| {
                for entity in entities {
                    let place = place(schema, query, &entity);
                    if last.as_ref().is_some_and(|last| !is_beyond(query, last, &place)) {
                        let reason = "it is not where it was asked for in the order of the list";
                        return Err(Error::damaged_entity(&schema.name, &entity.id, reason));
                    }
                    last = Some(place);
                    if query.meets(schema, &entity.values) {
                        if end.is_past(&entity) {
                            is_full = true;
                            return Ok(ControlFlow::Break(()));
                        }
                        found.push(entity);
                    }
                }
                Ok(if found.len() == query.limit {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                })
            })
            .await?;
        let end = found.last().filter(|_| more || is_full);
        let next = end.map(|entity| {
            let (value, key) = place(schema, query, entity);
            Cursor { value, key }
        });
        Ok(EntityPage { entities: found, next })
    }

    /// A page of a service that has an order of its own: of the whole list, what comes first behind the cursor.
    async fn made_page(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        query: &Query,
    ) -> Result<EntityPage, Error> {
        let after = query.after.as_ref().map(|cursor| (cursor.value.clone(), cursor.key.clone()));
        let mut first: BTreeMap<Place, StoredEntity> = BTreeMap::new();
        let mut seen = HashSet::new();
        self.walk(schema, tenant, query)
            .each_page(Error::page_too_broad, |entities, _| {
                for entity in entities {
                    // What moves while the pages are read may come twice.
                    if !seen.insert(entity.id.clone()) || !query.meets(schema, &entity.values) {
                        continue;
                    }
                    let place = place(schema, query, &entity);
                    if after.as_ref().is_none_or(|after| is_beyond(query, after, &place)) {
                        first.insert(place, entity);
                    }
                    if first.len() > query.limit + 1 {
                        match query.sort.direction {
                            Direction::Ascending => first.pop_last(),
                            Direction::Descending => first.pop_first(),
                        };
                    }
                }
                Ok(ControlFlow::Continue(()))
            })
            .await?;
        let mut entities: Vec<StoredEntity> = first.into_values().collect();
        if query.sort.direction == Direction::Descending {
            entities.reverse();
        }
        Ok(EntityPage::of(entities, query, schema))
    }

    pub(super) async fn count_of(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        query: &Query,
    ) -> Result<u64, Error> {
        let query = Query { after: None, sort: Default::default(), limit: PAGE_ROWS_MAX, ..query.clone() };
        let mut walk = self.walk(schema, tenant, &query);
        let asks = walk.narrowed.is_whole;
        if asks {
            (walk.narrowed, walk.rows) = (walk.narrowed.with_count(), 1);
        }
        let (mut seen, mut counted) = (HashSet::new(), 0);
        let mut told = None;
        walk.each_page(Error::count_too_broad, |entities, count| {
            if asks {
                told = count;
                return Ok(ControlFlow::Break(()));
            }
            for entity in entities {
                counted += u64::from(query.meets(schema, &entity.values) && seen.insert(entity.id));
            }
            Ok(ControlFlow::Continue(()))
        })
        .await?;
        match (asks, told) {
            (true, Some(count)) => Ok(count),
            (true, None) => Err(Error::Damaged(format!(
                "{}: {} gives a list without the member count",
                schema.name,
                self.remote.name()
            ))),
            (false, _) => Ok(counted),
        }
    }

    fn walk<'w>(&'w self, schema: &'w EntitySchema, tenant: &'w TenantId, query: &Query) -> Walk<'w> {
        let config = &self.remote.config;
        let rows = match config.api {
            Api::Underlay => PAGE_ROWS_MAX,
            Api::Plain => config.plain.page_rows,
        };
        let narrowed = Narrowed::of(config, query);
        Walk { entities: self, call: self.remote.call(), schema, tenant, narrowed, rows, cursor: None }
    }
}

impl Walk<'_> {
    /// Hands out page after page with the count that it names, until nobody wants another or there is none. Whether there
    /// is one more.
    async fn each_page(
        self,
        too_broad: fn() -> Error,
        mut take: impl FnMut(Vec<StoredEntity>, Option<u64>) -> Result<ControlFlow<()>, Error>,
    ) -> Result<bool, Error> {
        let list = self.entities.remote.address.list(&self.schema.name, Some(self.tenant));
        let config = &self.entities.remote.config;
        let mut target = self.narrowed.target(config, &list, self.rows, self.cursor.as_deref());
        let mut looked = 0;
        loop {
            let page = self.read(&target).await?;
            // A page without items is one of those that may be read too.
            looked += page.items.len().max(1);
            let entities: Vec<StoredEntity> = page
                .items
                .into_iter()
                .map(|members| self.entities.shape.read(self.schema, members, None))
                .collect::<Result<_, _>>()?;
            let wanted = take(entities, page.count)?;
            let Some(next) = page.next else { return Ok(false) };
            if wanted.is_break() {
                return Ok(true);
            }
            if looked >= QUERY_ROWS_SCANNED_MAX {
                return Err(too_broad());
            }
            let following = match next {
                NextPage::Cursor(cursor) => self.narrowed.target(config, &list, self.rows, Some(&cursor)),
                NextPage::Target(target) => target,
            };
            if following == target {
                let what = "a page of its list leads to itself";
                return Err(Error::Damaged(format!(
                    "{}: {}: {what}",
                    self.schema.name,
                    self.entities.remote.name()
                )));
            }
            target = following;
        }
    }

    async fn read(&self, target: &str) -> Result<ListPage, Error> {
        let Self { entities, call, schema, tenant, .. } = self;
        let remote = &entities.remote;
        let request = remote.request(Method::GET, target, Some(tenant), None, None)?;
        let doing = format!("reading {}", schema.name);
        let answer = call.read(&request).await.map_err(|failure| remote.away(&doing, &failure))?;
        if answer.status != StatusCode::OK {
            return Err(entities.told(call, "reading", &schema.name, &answer));
        }
        let page = ListPage::read(&remote.config, &remote.address, target, &answer)
            .map_err(|what| Error::Damaged(format!("{}: {}: {what}", schema.name, remote.name())))?;
        entities.saw(&schema.name);
        Ok(page)
    }
}

fn place(schema: &EntitySchema, query: &Query, entity: &StoredEntity) -> Place {
    let sort_at = query.sort.column.as_deref().and_then(|name| schema.column_at(name));
    (sort_at.and_then(|at| entity.values.get(at).cloned()), entity.id.clone())
}

/// Whether a place comes after another in the order of a query.
fn is_beyond(query: &Query, last: &Place, place: &Place) -> bool {
    match query.sort.direction {
        Direction::Ascending => place > last,
        Direction::Descending => place < last,
    }
}
