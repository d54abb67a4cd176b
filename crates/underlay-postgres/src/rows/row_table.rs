//! A table of rows as statements name it, and the reads that views and entities have in common.
//!
//! Values are always bound, names are always quoted, and no schema allows a name that could end a quote.

use tokio_postgres::Row;
use underlay_core::adapter::sql_name;
use underlay_core::{ColumnType, RowSchema};

use crate::error::Failure;
use crate::log::event_row;

/// A table of rows.
pub(crate) struct RowTable<'s> {
    /// How statements name it, quoted.
    pub(crate) name: String,
    /// The shape of its rows.
    pub(crate) schema: &'s RowSchema,
    /// The columns that are read after those of the schema.
    pub(crate) beside: &'static [&'static str],
}

impl RowTable<'_> {
    /// The columns a row is read by: the key, those of the schema, those beside them.
    pub(crate) fn selected(&self) -> String {
        let columns = self.schema.columns.iter().map(|column| column.name.as_str());
        let names = std::iter::once("key").chain(columns).chain(self.beside.iter().copied());
        names.map(|name| format!("rows.{}", sql_name(name))).collect::<Vec<_>>().join(", ")
    }

    /// The [`text_bytes`](underlay_core::text_bytes) of a row. Of a text that is stored elsewhere its length is known
    /// without reading it.
    pub(crate) fn text_bytes(&self) -> String {
        let texts = self.schema.columns.iter().filter(|column| column.column_type == ColumnType::Text);
        let bytes =
            texts.map(|column| format!(" + coalesce(octet_length(rows.{}), 0)", sql_name(&column.name)));
        format!("octet_length(rows.\"key\"){}", bytes.collect::<String>())
    }

    /// How many columns that are.
    pub(crate) fn width(&self) -> usize {
        1 + self.schema.columns.len() + self.beside.len()
    }

    /// Reads rows by tenants and keys: the [place] of each among those asked for comes last.
    pub(crate) fn select_rows(&self) -> String {
        self.select_by_key(&self.selected())
    }

    /// As [`RowTable::select_rows`], of these columns.
    ///
    /// Each is looked for by itself, as the first of a range in the order of the keys: only the index of the keys
    /// has that order. Otherwise every index that begins with the tenant is as good to a server that takes the
    /// tenant to have one row, since its statistics are older than the tenant.
    pub(crate) fn select_by_key(&self, selected: &str) -> String {
        format!(
            "SELECT {selected}, asked.place FROM unnest($1, $2) WITH ORDINALITY AS asked (tenant, \"key\", place) \
             CROSS JOIN LATERAL (SELECT * FROM {} AS there WHERE there.tenant = asked.tenant \
             AND there.\"key\" >= asked.\"key\" AND there.\"key\" <= asked.\"key\" \
             ORDER BY there.\"key\" LIMIT 1) AS rows",
            self.name
        )
    }
}

/// Which of the rows that were asked for a row is, counted from 0, by what `select_rows` says of it in a column.
pub(crate) fn place(row: &Row, at: usize) -> Result<usize, Failure> {
    let place = usize::try_from(event_row::count(row, at)?).ok().and_then(|place| place.checked_sub(1));
    place.ok_or_else(not_asked_for)
}

/// That a row has a place that no row was asked for at.
pub(crate) fn not_asked_for() -> Failure {
    Failure::damaged("a row was found that was not asked for")
}

/// `$1, $2, …` from one number up to another.
pub(crate) fn parameters(first: usize, last: usize) -> String {
    (first..=last).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ")
}
