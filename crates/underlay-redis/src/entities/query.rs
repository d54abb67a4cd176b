//! Pages and counts: walks along an index, chunk by chunk.
//!
//! A chunk is read at one moment, and the next one goes on behind its last member. What is written in between lies before
//! that member or behind it, so whatever is not written itself is met once.

use underlay_core::adapter::Walk;
use underlay_core::limits::QUERY_ROWS_SCANNED_MAX;
use underlay_core::{Direction, EntityPage, EntitySchema, Error, Query, StoredEntity, TenantId, Value};

use super::chunk::Index;
use super::document;
use super::range::{Range, id_in, member_at};
use crate::RedisStore;

/// Entities that are read at one moment, where not all of them may be of the answer.
const CHUNK_MAX: usize = 1_000;

/// A query and whose entities it is about.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) schema: &'a EntitySchema,
    pub(super) tenant: &'a TenantId,
    pub(super) query: &'a Query,
}

/// Where an entity lies in the order asked for.
type Place = (Option<Value>, String);

impl<'a> Asked<'a> {
    fn index(&self, walk: &Walk<'a>) -> Index<'a> {
        Index { schema: self.schema, tenant: self.tenant, column: walk.column }
    }

    fn place(&self, id: &str, row: &[Value]) -> Place {
        let sort_at = self.query.sort.column.as_deref().and_then(|name| self.schema.column_at(name));
        (sort_at.and_then(|at| row.get(at).cloned()), id.to_owned())
    }

    /// Whether a place is behind the end of the page before.
    fn is_beyond(&self, place: &Place) -> bool {
        self.query.after.as_ref().is_none_or(|after| match self.query.sort.direction {
            Direction::Ascending => (&place.0, &place.1) > (&after.value, &after.key),
            Direction::Descending => (&place.0, &place.1) < (&after.value, &after.key),
        })
    }
}

impl RedisStore {
    /// A page of entities.
    pub(super) async fn page(&self, asked: Asked<'_>) -> Result<EntityPage, Error> {
        for walk in asked.query.page_walks() {
            let found = match walk.ordered {
                true => self.walk_in_order(asked, &walk).await?,
                false => self.walk_all(asked, &walk).await?,
            };
            if let Some(found) = found {
                return Ok(EntityPage::of(found, asked.query, asked.schema));
            }
        }
        Err(Error::page_too_broad())
    }

    /// How many entities meet a query.
    pub(super) async fn count_entities(&self, asked: Asked<'_>) -> Result<u64, Error> {
        for walk in asked.query.count_walks() {
            let size = self.size(asked.index(&walk), &Range::of(&walk)).await?;
            if size > QUERY_ROWS_SCANNED_MAX {
                continue;
            }
            if !walk.has_tests() {
                return Ok(size as u64);
            }
            let mut passed = 0;
            if self.look(asked, &walk, |_, _| passed += 1).await? {
                return Ok(passed);
            }
        }
        Err(Error::count_too_broad())
    }

    /// Walks along an index that has the order asked for, until the page is full. None where it would look at more
    /// entities than it may.
    async fn walk_in_order<'a>(
        &self,
        asked: Asked<'a>,
        walk: &Walk<'a>,
    ) -> Result<Option<Vec<StoredEntity>>, Error> {
        let direction = asked.query.sort.direction;
        let mut range = Range::of(walk);
        if let Some(cursor) = &asked.query.after {
            range.go_on_behind(member_at(walk, cursor), direction);
        }
        // One more than the page has says that another follows.
        let wanted = asked.query.limit + 1;
        let (mut page, mut looked) = (Vec::new(), 0);
        loop {
            let count = if walk.has_tests() { CHUNK_MAX } else { CHUNK_MAX.min(wanted - page.len()) };
            let chunk = self.chunk(asked.index(walk), &range, direction, count).await?;
            let last = chunk.members.last().map(|(member, _)| member.clone());
            for (member, fields) in chunk.members {
                if looked == QUERY_ROWS_SCANNED_MAX {
                    return Ok(None);
                }
                looked += 1;
                if !walk.has_tests() || walk.passes(asked.schema, &document::row(asked.schema, &fields)) {
                    let id = id_of(&member, walk)?;
                    page.push(document::entity(&chunk.definition, asked.schema, id, &fields)?);
                }
                if page.len() == wanted {
                    return Ok(Some(page));
                }
            }
            match last.filter(|_| chunk.more) {
                Some(last) => range.go_on_behind(last, direction),
                None => return Ok(Some(page)),
            }
        }
    }

    /// Walks along a whole part of an index, and sorts what is behind the end of the page before. None where it would
    /// look at more entities than it may.
    async fn walk_all<'a>(
        &self,
        asked: Asked<'a>,
        walk: &Walk<'a>,
    ) -> Result<Option<Vec<StoredEntity>>, Error> {
        if self.size(asked.index(walk), &Range::of(walk)).await? > QUERY_ROWS_SCANNED_MAX {
            return Ok(None);
        }
        let wanted = asked.query.limit + 1;
        let mut found: Vec<(Place, Result<StoredEntity, Error>)> = Vec::new();
        let ended = self
            .look(asked, walk, |place, entity| {
                if asked.is_beyond(&place) {
                    found.push((place, entity()));
                }
                // What cannot come into the page any more is let go.
                if found.len() >= 2 * wanted + CHUNK_MAX {
                    sort(&mut found, asked.query.sort.direction);
                    found.truncate(wanted);
                }
            })
            .await?;
        if !ended {
            return Ok(None);
        }
        sort(&mut found, asked.query.sort.direction);
        found.truncate(wanted);
        found.into_iter().map(|(_, entity)| entity).collect::<Result<_, _>>().map(Some)
    }

    /// Shows every entity between the bounds of a walk that passes its tests. False where there are more than it may
    /// look at.
    async fn look<'a>(
        &self,
        asked: Asked<'a>,
        walk: &Walk<'a>,
        mut show: impl FnMut(Place, &dyn Fn() -> Result<StoredEntity, Error>),
    ) -> Result<bool, Error> {
        let (mut range, mut looked) = (Range::of(walk), 0);
        loop {
            let chunk = self.chunk(asked.index(walk), &range, Direction::Ascending, CHUNK_MAX).await?;
            looked += chunk.members.len();
            if looked > QUERY_ROWS_SCANNED_MAX {
                return Ok(false);
            }
            for (member, fields) in &chunk.members {
                let row = document::row(asked.schema, fields);
                if walk.passes(asked.schema, &row) {
                    let id = id_of(member, walk)?;
                    let entity = || document::entity(&chunk.definition, asked.schema, id, fields);
                    show(asked.place(id, &row), &entity);
                }
            }
            match chunk.members.into_iter().last().filter(|_| chunk.more) {
                Some((last, _)) => range.go_on_behind(last, Direction::Ascending),
                None => return Ok(true),
            }
        }
    }
}

fn sort<E>(found: &mut [(Place, E)], direction: Direction) {
    found.sort_by(|(a, _), (b, _)| match direction {
        Direction::Ascending => a.cmp(b),
        Direction::Descending => b.cmp(a),
    });
}

fn id_of<'m>(member: &'m [u8], walk: &Walk<'_>) -> Result<&'m str, Error> {
    id_in(member, walk.column.is_none()).ok_or_else(|| {
        Error::Damaged(format!("an index of entities has the member {member:?}, which is no text"))
    })
}
