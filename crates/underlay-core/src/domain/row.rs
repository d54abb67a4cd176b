use crate::words::{Column, Value};

/// The values of a row, in the order of its columns.
pub type RowValues = Vec<Value>;

/// A row of a view: typed columns. Written by `#[underlay::row]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a row of a view",
    label = "put `#[underlay::row]` on the struct; `#[column(indexed)]` on a field lets queries filter and sort by it"
)]
pub trait Row: Sized + Clone + Send + Sync + 'static {
    /// Its columns.
    fn columns() -> Vec<Column>;

    /// As values, in the order of [`Row::columns`].
    fn into_values(self) -> RowValues;

    /// From values in that order; the error names the column that does not fit.
    ///
    /// # Errors
    /// The name of the first column that is missing or of another type.
    fn from_values(values: RowValues) -> Result<Self, &'static str>;
}
