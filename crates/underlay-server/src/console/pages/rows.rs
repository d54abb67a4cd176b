//! Rows of a view and entities: the form that filters and sorts a page of them, and their table.

use maud::{Markup, html};
use underlay_core::{ColumnType, RowSchema, RowsOf, Value};

use crate::console::show::{address, table};
use crate::parameters::Parameters;
use crate::problem::Problem;
use crate::view_query::{COMPARISONS, key_of};

/// Rows in a page where the reader does not say.
const PAGE_ROWS: &str = "50";
/// What the names of fields begin with that hold a value to compare with, and how.
const FIELD_VALUE: &str = "value.";
const FIELD_COMPARISON: &str = "is.";

/// What a reader asks of the rows, as the form has it.
pub(super) struct Asked {
    /// The column, the comparison and the value of each filter.
    filters: Vec<(String, String, String)>,
    condition: Option<String>,
    sort: Option<String>,
    cursor: Option<String>,
    limit: Option<String>,
    counts: bool,
}

impl Asked {
    pub(super) fn take(mut given: Parameters, schema: &RowSchema) -> Result<Self, Problem> {
        let mut filters = Vec::new();
        for column in schema.columns.iter().filter(|column| column.indexed) {
            let comparison = given.take(&format!("{FIELD_COMPARISON}{}", column.name))?;
            if let Some(value) = given.take(&format!("{FIELD_VALUE}{}", column.name))? {
                let comparison = comparison.unwrap_or_else(|| COMPARISONS[0].0.to_owned());
                filters.push((column.name.clone(), comparison, value));
            }
        }
        let mut take = |name| given.take(name);
        let (condition, sort, cursor) = (take("condition")?, take("sort")?, take("cursor")?);
        let (limit, counts) = (take("limit")?, take("count")?.is_some());
        given.finish(&["value.COLUMN", "is.COLUMN", "condition", "sort", "cursor", "limit", "count"])?;
        Ok(Self { filters, condition, sort, cursor, limit, counts })
    }

    /// The same, as the API has it.
    pub(super) fn parameters(&self) -> Parameters {
        let filters = self.filters.iter();
        let mut pairs: Vec<(String, String)> = filters
            .map(|(column, comparison, value)| (format!("{column}[{comparison}]"), value.clone()))
            .collect();
        let mut put = |name: &str, value: Option<&str>| {
            pairs.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        };
        put("condition", self.condition.as_deref());
        put("sort", self.sort.as_deref());
        put("cursor", self.cursor.as_deref());
        put("limit", Some(self.limit.as_deref().unwrap_or(PAGE_ROWS)));
        put("count", self.counts.then_some("true"));
        Parameters::of(pairs)
    }

    /// Whether nothing is left out.
    pub(super) fn is_of_all(&self) -> bool {
        self.filters.is_empty() && self.condition.is_none()
    }

    /// The address of the page after this one.
    pub(super) fn next(&self, path: &str, cursor: &str) -> String {
        let names = self.filters.iter().flat_map(|(column, comparison, value)| {
            [
                (format!("{FIELD_COMPARISON}{column}"), comparison.as_str()),
                (format!("{FIELD_VALUE}{column}"), value.as_str()),
            ]
        });
        let names: Vec<(String, &str)> = names.collect();
        let mut pairs: Vec<(&str, &str)> =
            names.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let kept = [("condition", &self.condition), ("sort", &self.sort), ("limit", &self.limit)];
        pairs.extend(kept.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))));
        pairs.push(("cursor", cursor));
        address(path, &pairs)
    }

    /// The form that asks, on the page of this path.
    pub(super) fn form(&self, path: &str, schema: &RowSchema) -> Markup {
        let indexed: Vec<&str> = schema
            .columns
            .iter()
            .filter(|column| column.indexed)
            .map(|column| column.name.as_str())
            .collect();
        let given = |column: &str| self.filters.iter().find(|(named, ..)| named == column);
        let sorts = [key_of(schema.of)].into_iter().chain(indexed.iter().copied());
        html! {
            details open[!self.is_of_all() || self.sort.is_some()] {
                summary { "Filter and sort" }
                form class="sheet fields" method="get" action=(path) {
                    @for column in &indexed {
                        @let (comparison, value) =
                            given(column).map_or(("eq", ""), |(_, is, value)| (is.as_str(), value.as_str()));
                        div class="field" {
                            label for={ "value-" (column) } { (column) }
                            select name={ (FIELD_COMPARISON) (column) } aria-label={ "How " (column) " compares" } {
                                @for (name, _) in COMPARISONS {
                                    option value=(name) selected[name == comparison] { (comparison_word(name)) }
                                }
                            }
                            input id={ "value-" (column) } name={ (FIELD_VALUE) (column) } value=(value)
                                autocomplete="off";
                        }
                    }
                    div class="field" {
                        label for="sort" { "Sort by" }
                        select id="sort" name="sort" {
                            @for column in sorts {
                                @let falling = format!("-{column}");
                                option value=(column) selected[self.sort.as_deref() == Some(column)] { (column) }
                                option value=(falling) selected[self.sort.as_deref() == Some(&falling)] {
                                    (column) ", falling"
                                }
                            }
                        }
                    }
                    div class="field wide" {
                        label for="condition" { "Condition " small { "may be empty" } }
                        input id="condition" name="condition" value=(self.condition.as_deref().unwrap_or_default())
                            autocomplete="off" spellcheck="false" aria-describedby="condition-hint";
                        small class="hint" id="condition-hint" {
                            "As JSON, of any column: " code { (example(schema)) }
                        }
                    }
                    div class="field check" {
                        input id="count" type="checkbox" name="count" value="true" checked[self.counts];
                        label for="count" { "Count the " (rows_of(schema)) " of all pages" }
                    }
                    div class="buttons" {
                        button type="submit" { "Show" }
                        a href=(path) { "Show all" }
                    }
                }
            }
        }
    }
}

/// A condition on a column of these rows.
fn example(schema: &RowSchema) -> String {
    let column = schema.columns.iter().find(|column| column.nullable).or(schema.columns.first());
    let column = column.map_or("name", |column| column.name.as_str());
    format!(r#"{{"not": {{"column": "{column}", "is_null": true}}}}"#)
}

fn rows_of(schema: &RowSchema) -> &'static str {
    match schema.of {
        RowsOf::View => "rows",
        RowsOf::Entity => "entities",
    }
}

/// How people read a comparison.
fn comparison_word(name: &str) -> &'static str {
    match name {
        "lt" => "is below",
        "le" => "is at most",
        "gt" => "is above",
        "ge" => "is at least",
        "prefix" => "begins with",
        _ => "is",
    }
}

/// Rows as a table: each with the address of its own page, its key and its values.
pub(super) fn row_table<'a>(
    schema: &RowSchema,
    rows: impl Iterator<Item = (String, &'a str, &'a [Value])>,
) -> Markup {
    let numeric = |at: usize| schema.columns.get(at).is_some_and(|column| is_numeric(column.column_type));
    let (label, key) = match schema.of {
        RowsOf::View => ("Rows", "Key"),
        RowsOf::Entity => ("Entities", "Id"),
    };
    let mut headings = vec![key.to_owned()];
    headings.extend(schema.columns.iter().enumerate().map(|(at, column)| match numeric(at) {
        true => format!("#{}", column.name),
        false => column.name.clone(),
    }));
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    table(
        label,
        &headings,
        html! {
            @for (address, key, values) in rows {
                tr {
                    th scope="row" { a href=(address) { (key) } }
                    @for (at, value) in values.iter().enumerate() {
                        td class=[numeric(at).then_some("number")] { (shown(value)) }
                    }
                }
            }
        },
    )
}

/// How people read the type of a column.
pub(super) fn type_word(column: ColumnType) -> &'static str {
    match column {
        ColumnType::Text => "text",
        ColumnType::Integer => "whole number",
        ColumnType::Decimal => "decimal",
        ColumnType::Boolean => "yes or no",
        ColumnType::Timestamp => "time in UTC",
    }
}

fn is_numeric(column: ColumnType) -> bool {
    matches!(column, ColumnType::Decimal | ColumnType::Integer)
}

/// A value as its JSON has it, without the quotes of a text.
pub(super) fn shown(value: &Value) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(serde_json::Value::Null) | Err(_) => "–".to_owned(),
        Ok(value) => value.to_string(),
    }
}
