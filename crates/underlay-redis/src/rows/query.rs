//! Pages and counts: walks along an index, chunk by chunk.
//!
//! A chunk is read at one moment, and the next one goes on behind its last member. What is written in between lies before
//! that member or behind it, so whatever is not written itself is met once.

use underlay_core::adapter::Walk;
use underlay_core::limits::QUERY_ROWS_SCANNED_MAX;
use underlay_core::{Direction, Error, PageEnd, PagedRow, Query, RowSchema, Value};

use super::chunk::{Chunk, Part};
use super::document::{self, Fields};
use super::range::{Range, key_in, member_at};
use crate::RedisStore;

/// Rows that are read at one moment, where not all of them may be of the answer.
const CHUNK_MAX: usize = 1_000;

/// The rows of a tenant that are found by the same indexes.
pub(crate) trait Rows: Sync {
    /// A row as it is answered.
    type Row: PagedRow + Send;
    /// What the rows of a chunk are stored by.
    type By: Send + Sync;

    /// What the code knows of them.
    fn schema(&self) -> &RowSchema;

    /// Reads a part of an index.
    fn chunk(&self, part: Part<'_>) -> impl Future<Output = Result<(Self::By, Chunk), Error>> + Send;

    /// How many members of an index lie in a range.
    fn size(&self, column: Option<&str>, range: &Range) -> impl Future<Output = Result<usize, Error>> + Send;

    /// The row in a hash.
    fn read(&self, by: &Self::By, key: &str, fields: &Fields) -> Result<Self::Row, Error>;
}

/// Where a row lies in the order asked for.
type Place = (Option<Value>, String);

/// A query of rows.
struct Reading<'a, R> {
    rows: &'a R,
    query: &'a Query,
}

/// The rows of a page, and one more where another page follows.
pub(crate) async fn page<R: Rows>(rows: &R, query: &Query) -> Result<Vec<R::Row>, Error> {
    Reading { rows, query }.page().await
}

/// How many rows meet a query.
pub(crate) async fn count<R: Rows>(rows: &R, query: &Query) -> Result<u64, Error> {
    Reading { rows, query }.count().await
}

impl RedisStore {
    /// Ends a query that takes too long.
    pub(crate) async fn in_time<T>(
        &self,
        exact: bool,
        query: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let longest = self.0.config.query_timeout;
        tokio::time::timeout(longest, query)
            .await
            .unwrap_or_else(|_| Err(Error::query_too_slow(longest, exact)))
    }
}

impl<R: Rows> Reading<'_, R> {
    fn place(&self, key: &str, row: &[Value]) -> Place {
        let sort_at = self.query.sort.column.as_deref().and_then(|name| self.rows.schema().column_at(name));
        (sort_at.and_then(|at| row.get(at).cloned()), key.to_owned())
    }

    /// Whether a place is behind the end of the page before.
    fn is_beyond(&self, place: &Place) -> bool {
        self.query.after.as_ref().is_none_or(|after| match self.query.sort.direction {
            Direction::Ascending => (&place.0, &place.1) > (&after.value, &after.key),
            Direction::Descending => (&place.0, &place.1) < (&after.value, &after.key),
        })
    }

    async fn page(&self) -> Result<Vec<R::Row>, Error> {
        for walk in self.query.page_walks() {
            let found = match walk.ordered {
                true => self.walk_in_order(&walk).await?,
                false => self.walk_all(&walk).await?,
            };
            if let Some(found) = found {
                return Ok(found);
            }
        }
        Err(Error::page_too_broad())
    }

    async fn count(&self) -> Result<u64, Error> {
        for walk in self.query.count_walks() {
            let size = self.rows.size(walk.column, &Range::of(&walk)).await?;
            if size > QUERY_ROWS_SCANNED_MAX {
                continue;
            }
            if !walk.has_tests() {
                return Ok(size as u64);
            }
            let mut passed = 0;
            if self.look(&walk, |_, _| passed += 1).await? {
                return Ok(passed);
            }
        }
        Err(Error::count_too_broad())
    }

    /// Walks along an index that has the order asked for, until the page is full. None where it would look at more rows
    /// than it may.
    async fn walk_in_order(&self, walk: &Walk<'_>) -> Result<Option<Vec<R::Row>>, Error> {
        let (schema, direction) = (self.rows.schema(), self.query.sort.direction);
        let mut range = Range::of(walk);
        if let Some(cursor) = &self.query.after {
            range.go_on_behind(member_at(walk, cursor), direction);
        }
        // One more than the page has says that another follows.
        let wanted = self.query.limit + 1;
        let (mut page, mut end, mut looked) = (Vec::new(), PageEnd::of(self.query), 0);
        loop {
            let count = if walk.has_tests() { CHUNK_MAX } else { CHUNK_MAX.min(wanted - page.len()) };
            let part = Part { column: walk.column, range: &range, direction, count };
            let (by, chunk) = self.rows.chunk(part).await?;
            let last = chunk.members.last().map(|(member, _)| member.clone());
            for (member, fields) in chunk.members {
                if looked == QUERY_ROWS_SCANNED_MAX {
                    return Ok(None);
                }
                looked += 1;
                if !walk.has_tests() || walk.passes(schema, &document::row(schema, &fields)) {
                    let row = self.rows.read(&by, key_of(&member, walk)?, &fields)?;
                    let is_past = end.is_past(&row);
                    page.push(row);
                    if is_past {
                        return Ok(Some(page));
                    }
                }
            }
            match last.filter(|_| chunk.more) {
                Some(last) => range.go_on_behind(last, direction),
                None => return Ok(Some(page)),
            }
        }
    }

    /// Walks along a whole part of an index, and sorts what is behind the end of the page before. None where it would
    /// look at more rows than it may.
    async fn walk_all(&self, walk: &Walk<'_>) -> Result<Option<Vec<R::Row>>, Error> {
        if self.rows.size(walk.column, &Range::of(walk)).await? > QUERY_ROWS_SCANNED_MAX {
            return Ok(None);
        }
        let wanted = self.query.limit + 1;
        let direction = self.query.sort.direction;
        let mut found: Vec<(Place, Result<R::Row, Error>)> = Vec::new();
        let ended = self
            .look(walk, |place, row| {
                if self.is_beyond(&place) {
                    found.push((place, row()));
                }
                // What cannot come into the page any more is let go.
                if found.len() >= 2 * wanted + CHUNK_MAX {
                    sort(&mut found, direction);
                    found.truncate(wanted);
                }
            })
            .await?;
        if !ended {
            return Ok(None);
        }
        sort(&mut found, direction);
        found.truncate(wanted);
        found.into_iter().map(|(_, row)| row).collect::<Result<_, _>>().map(Some)
    }

    /// Shows every row between the bounds of a walk that passes its tests. False where there are more than it may look at.
    async fn look(
        &self,
        walk: &Walk<'_>,
        mut show: impl FnMut(Place, &dyn Fn() -> Result<R::Row, Error>) + Send,
    ) -> Result<bool, Error> {
        let (mut range, mut looked) = (Range::of(walk), 0);
        loop {
            let direction = Direction::Ascending;
            let part = Part { column: walk.column, range: &range, direction, count: CHUNK_MAX };
            let (by, chunk) = self.rows.chunk(part).await?;
            looked += chunk.members.len();
            if looked > QUERY_ROWS_SCANNED_MAX {
                return Ok(false);
            }
            for (member, fields) in &chunk.members {
                let row = document::row(self.rows.schema(), fields);
                if walk.passes(self.rows.schema(), &row) {
                    let key = key_of(member, walk)?;
                    show(self.place(key, &row), &|| self.rows.read(&by, key, fields));
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

fn key_of<'m>(member: &'m [u8], walk: &Walk<'_>) -> Result<&'m str, Error> {
    key_in(member, walk.column.is_none()).ok_or_else(|| {
        Error::Damaged(format!("an index of rows has the member {member:?}, which is no text"))
    })
}
