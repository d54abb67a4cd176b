use crate::domain::{Cursor, Query, RowValues, Sort};
use crate::words::limits::PAGE_TEXT_BYTES_MAX;
use crate::words::{EntitySchema, Position, RowSchema, StoredEntity, Value};

/// A page of rows. It is shorter than was asked for where its rows are large; see [`PAGE_TEXT_BYTES_MAX`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowPage {
    /// Keys and values, in the order asked for.
    pub rows: Vec<(String, RowValues)>,
    /// Where the next page begins; none where this is the last.
    pub next: Option<Cursor>,
    /// The rows reflect every event at or below it.
    pub position: Position,
}

impl RowPage {
    /// For adapters: the page of what a query found, in the order asked for; a row past its end says that
    /// another page follows.
    #[must_use]
    pub fn of(
        mut rows: Vec<(String, RowValues)>,
        query: &Query,
        schema: &RowSchema,
        position: Position,
    ) -> Self {
        let next = cut_at_end(&mut rows, query, schema);
        Self { rows, next, position }
    }
}

/// A page of entities. It is shorter than was asked for where they are large; see [`PAGE_TEXT_BYTES_MAX`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityPage {
    /// The entities, in the order asked for.
    pub entities: Vec<StoredEntity>,
    /// Where the next page begins; none where this is the last.
    pub next: Option<Cursor>,
}

impl EntityPage {
    /// For adapters: as [`RowPage::of`].
    #[must_use]
    pub fn of(mut entities: Vec<StoredEntity>, query: &Query, schema: &EntitySchema) -> Self {
        let next = cut_at_end(&mut entities, query, schema);
        Self { entities, next }
    }
}

/// A row of a page.
pub trait PagedRow {
    /// What it is found by.
    fn key(&self) -> &str;

    /// Its values, in the order of the columns.
    fn values(&self) -> &[Value];
}

impl PagedRow for (String, RowValues) {
    fn key(&self) -> &str {
        &self.0
    }

    fn values(&self) -> &[Value] {
        &self.1
    }
}

impl PagedRow for StoredEntity {
    fn key(&self) -> &str {
        &self.id
    }

    fn values(&self) -> &[Value] {
        &self.values
    }
}

impl Cursor {
    /// The place behind a row, in an order of its columns.
    #[must_use]
    pub fn behind(row: &impl PagedRow, schema: &RowSchema, sort: &Sort) -> Self {
        let sorted_by = sort.column.as_deref().and_then(|name| schema.column_at(name));
        Self { value: sorted_by.and_then(|at| row.values().get(at).cloned()), key: row.key().to_owned() }
    }
}

/// Bytes of a row's key and of its texts: what it counts where rows are bounded in bytes.
#[must_use]
pub fn text_bytes(key: &str, values: &[Value]) -> usize {
    let text = |value: &Value| if let Value::Text(text) = value { text.len() } else { 0 };
    key.len() + values.iter().map(text).sum::<usize>()
}

/// For adapters that read rows one by one: where a page ends.
#[derive(Clone, Debug)]
pub struct PageEnd {
    rows_left: usize,
    bytes: usize,
}

impl PageEnd {
    /// The end of the page that a query asks for.
    #[must_use]
    pub fn of(query: &Query) -> Self {
        Self { rows_left: query.limit, bytes: 0 }
    }

    /// Counts the next row. True where it lies past the end of the page: it says that another page follows, and no
    /// further row is needed.
    pub fn is_past(&mut self, row: &impl PagedRow) -> bool {
        self.is_past_with(text_bytes(row.key(), row.values()))
    }

    /// The same of a row with so many [`text_bytes`].
    pub fn is_past_with(&mut self, bytes: usize) -> bool {
        let is_past = self.rows_left == 0 || self.bytes >= PAGE_TEXT_BYTES_MAX;
        self.rows_left = self.rows_left.saturating_sub(1);
        self.bytes = self.bytes.saturating_add(bytes);
        is_past
    }
}

/// Takes off what is past the end of a page; gives where the next one begins.
fn cut_at_end<R: PagedRow>(rows: &mut Vec<R>, query: &Query, schema: &RowSchema) -> Option<Cursor> {
    let mut end = PageEnd::of(query);
    let past = rows.iter().position(|row| end.is_past(row))?;
    rows.truncate(past);
    rows.last().map(|last| Cursor::behind(last, schema, &query.sort))
}
