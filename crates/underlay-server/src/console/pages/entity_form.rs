//! The form of an entity: a field for each of its columns, and the values of what was typed.
//!
//! What is stored and not changed in the form is saved as it is stored. A browser sends every line break as two characters,
//! so a text that differs in its line breaks alone is the stored one. A text that can be empty has a mark for being
//! nothing, since that is another value than a text without letters.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};
use underlay_core::{Column, ColumnType, EntitySchema, EntityVersion, RowValues, StoredEntity, Value};

use super::rows::{shown, type_word};
use crate::console::show::sentence;
use crate::parameters::Parameters;
use crate::problem::Problem;

/// What the names of fields begin with that hold a value, or say that there is none.
const FIELD_VALUE: &str = "value.";
const FIELD_NOTHING: &str = "nothing.";
pub(super) const FIELD_ID: &str = "id";
pub(super) const FIELD_VERSION: &str = "version";
/// Lines that a field shows at once, and characters of a text that has one.
const LINES_MAX: usize = 16;
const LINE_CHARS: usize = 80;

/// What stands in the form, as it was typed.
#[derive(Default)]
pub(super) struct Typed {
    pub(super) id: String,
    /// The version that the form was made of.
    pub(super) version: Option<EntityVersion>,
    /// By the names of columns.
    values: BTreeMap<String, String>,
    nothing: BTreeSet<String>,
    wrong: BTreeMap<String, String>,
}

impl Typed {
    /// The form of a new entity.
    pub(super) fn new(schema: &EntitySchema) -> Self {
        let nullable = schema.columns.iter().filter(|column| column.nullable);
        Self { nothing: nullable.map(|column| column.name.clone()).collect(), ..Self::default() }
    }

    /// The form of one that is stored.
    pub(super) fn of(schema: &EntitySchema, entity: &StoredEntity) -> Self {
        let mut typed = Self { id: entity.id.clone(), version: Some(entity.version), ..Self::default() };
        for (column, value) in schema.columns.iter().zip(&entity.values) {
            match value {
                Value::Null => drop(typed.nothing.insert(column.name.clone())),
                value => drop(typed.values.insert(column.name.clone(), shown(value))),
            }
        }
        typed
    }

    /// Takes the fields of a form.
    pub(super) fn take(schema: &EntitySchema, mut fields: Parameters) -> Result<Self, Problem> {
        let version: Option<u64> = fields.take_parsed(FIELD_VERSION)?;
        let mut typed = Self {
            id: fields.take(FIELD_ID)?.unwrap_or_default(),
            version: version.map(EntityVersion),
            ..Self::default()
        };
        for Column { name, .. } in &schema.columns {
            typed
                .values
                .extend(fields.take(&format!("{FIELD_VALUE}{name}"))?.map(|text| (name.clone(), text)));
            typed.nothing.extend(fields.take(&format!("{FIELD_NOTHING}{name}"))?.map(|_| name.clone()));
        }
        fields.finish(&["the fields of the form"])?;
        Ok(typed)
    }

    /// The values of what was typed, over those the form was made of; none where something does not fit, which is noted
    /// beside its field.
    pub(super) fn read(&mut self, schema: &EntitySchema, before: Option<&StoredEntity>) -> Option<RowValues> {
        let mut values = RowValues::with_capacity(schema.columns.len());
        for (at, column) in schema.columns.iter().enumerate() {
            let before = before.and_then(|entity| entity.values.get(at));
            match self.value(column, before) {
                Ok(value) => values.push(value),
                Err(wrong) => drop(self.wrong.insert(column.name.clone(), wrong)),
            }
        }
        (values.len() == schema.columns.len()).then_some(values)
    }

    fn text(&self, column: &Column) -> &str {
        self.values.get(&column.name).map(String::as_str).unwrap_or_default()
    }

    fn value(&self, column: &Column, before: Option<&Value>) -> Result<Value, String> {
        let text = self.text(column);
        let trimmed = text.trim();
        match column.column_type {
            ColumnType::Text if text.is_empty() && column.nullable && self.is_nothing(column) => {
                Ok(Value::Null)
            }
            ColumnType::Text => Ok(Value::Text(as_before(text, before))),
            _ if trimmed.is_empty() && column.nullable => Ok(Value::Null),
            _ if trimmed.is_empty() => Err("this has to have a value".to_owned()),
            column_type => Value::parse(column_type, trimmed).map_err(|error| error.to_string()),
        }
    }

    fn is_nothing(&self, column: &Column) -> bool {
        self.nothing.contains(&column.name)
    }

    /// What was typed differs from what is stored, column by column: the name, what is stored and what was typed.
    pub(super) fn differences(
        &self,
        schema: &EntitySchema,
        stored: &StoredEntity,
    ) -> Vec<(String, String, String)> {
        let columns = schema.columns.iter().zip(&stored.values);
        let differs = columns.filter_map(|(column, stored)| {
            let typed = match self.value(column, Some(stored)) {
                Ok(value) if value == *stored => return None,
                Ok(value) => shown(&value),
                Err(_) => self.text(column).to_owned(),
            };
            Some((column.name.clone(), shown(stored), typed))
        });
        differs.collect()
    }

    /// The fields of the columns.
    pub(super) fn fields(&self, schema: &EntitySchema) -> Markup {
        html! {
            @if let Some(version) = self.version {
                input type="hidden" name=(FIELD_VERSION) value=(version);
            }
            @for column in &schema.columns { (self.field(schema, column)) }
        }
    }

    fn field(&self, schema: &EntitySchema, column: &Column) -> Markup {
        let text = self.text(column);
        let name = format!("{FIELD_VALUE}{}", column.name);
        let wrong = self.wrong.get(&column.name);
        let described = format!("{name}-hint");
        let invalid = wrong.map(|_| "true");
        let is_text = column.column_type == ColumnType::Text;
        let is_long = is_text && (text.contains(['\n', '\r']) || !column.indexed || text.len() > LINE_CHARS);
        let lines = text.lines().count().clamp(2, LINES_MAX);
        html! {
            div class=(if is_long { "field wide" } else { "field" }) {
                label for=(name) {
                    (column.name)
                    @if column.nullable { " " small { "may be empty" } }
                }
                @if column.column_type == ColumnType::Boolean {
                    select id=(name) name=(name) aria-describedby=(described) aria-invalid=[invalid] {
                        @if column.nullable { option value="" {} }
                        option value="false" selected[text == "false"] { "no" }
                        option value="true" selected[text == "true"] { "yes" }
                    }
                } @else if is_long {
                    // The first line break in a field is none of its text.
                    textarea id=(name) name=(name) rows=(lines) spellcheck="false" aria-describedby=(described)
                        aria-invalid=[invalid] { "\n" (text) }
                } @else {
                    input id=(name) name=(name) value=(text) autocomplete="off" spellcheck="false"
                        required[!is_text && !column.nullable] placeholder=[placeholder(column.column_type)]
                        aria-describedby=(described) aria-invalid=[invalid];
                }
                @if let Some(wrong) = wrong { small class="hint bad" { (sentence(wrong)) } }
                @if is_text && column.nullable {
                    @let nothing = format!("{FIELD_NOTHING}{}", column.name);
                    div class="field check" {
                        input id=(nothing) type="checkbox" name=(nothing) value="true" checked[self.is_nothing(column)];
                        label for=(nothing) { "No value where it is left empty" }
                    }
                }
                small class="hint" id=(described) {
                    (type_word(column.column_type))
                    @if schema.is_unique(&column.name) { ", no two have the same value" }
                }
            }
        }
    }
}

fn placeholder(column: ColumnType) -> Option<&'static str> {
    match column {
        ColumnType::Integer => Some("42"),
        ColumnType::Decimal => Some("12.50"),
        ColumnType::Timestamp => Some("2026-01-31T12:00:00Z"),
        ColumnType::Text | ColumnType::Boolean => None,
    }
}

/// A text with the line breaks it was stored with, where nothing else was changed; otherwise each is one character.
fn as_before(text: &str, before: Option<&Value>) -> String {
    let plain = |text: &str| text.replace("\r\n", "\n").replace('\r', "\n");
    match (plain(text), before) {
        (typed, Some(Value::Text(before))) if typed == plain(before) => before.clone(),
        (typed, _) => typed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> EntitySchema {
        let column = |name: &str, column_type, nullable| Column {
            name: name.to_owned(),
            column_type,
            nullable,
            indexed: false,
        };
        let columns = vec![
            column("text", ColumnType::Text, true),
            column("number", ColumnType::Integer, true),
            column("open", ColumnType::Boolean, false),
        ];
        EntitySchema::new("note", 1, columns)
    }

    fn typed(fields: &[(&str, &str)]) -> Typed {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Typed::take(&schema(), Parameters::of(fields.collect())).unwrap()
    }

    #[test]
    fn what_nobody_changed_is_saved_as_it_was_stored() {
        let schema = schema();
        for text in ["", " a ", "one\ntwo", "one\r\ntwo\r\n", "one\rtwo\nthree", "\nfirst"] {
            let values = vec![Value::Text(text.to_owned()), Value::Null, Value::Boolean(true)];
            let stored = StoredEntity { id: "a".to_owned(), version: EntityVersion(1), values };
            let sent = text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n");
            let mut sent = typed(&[
                ("value.text", &sent),
                ("value.number", ""),
                ("value.open", "true"),
                ("version", "1"),
            ]);
            assert_eq!(sent.read(&schema, Some(&stored)).as_ref(), Some(&stored.values), "{text:?}");
            assert!(sent.differences(&schema, &stored).is_empty());
            let mut shown = Typed::of(&schema, &stored);
            assert_eq!(shown.read(&schema, Some(&stored)), Some(stored.values));
        }
    }

    #[test]
    fn nothing_is_no_empty_text_and_a_number_has_to_be_one() {
        let schema = schema();
        let of = |fields: &[(&str, &str)]| typed(fields).read(&schema, None);
        let marked = [("value.text", ""), ("nothing.text", "true"), ("value.open", "false")];
        assert_eq!(of(&marked).unwrap(), [Value::Null, Value::Null, Value::Boolean(false)]);
        assert_eq!(of(&marked[..1]), None, "whether it is open has to be said");
        let typed_over = [("value.text", "a"), ("nothing.text", "true"), ("value.open", "false")];
        assert_eq!(of(&typed_over).unwrap()[0], Value::Text("a".to_owned()));
        let mut wrong = typed(&[("value.number", "many"), ("value.open", "true")]);
        assert_eq!(wrong.read(&schema, None), None);
        assert!(wrong.wrong["number"].contains("integer"), "{:?}", wrong.wrong);
        assert!(wrong.fields(&schema).into_string().contains("value=\"many\""));
    }
}
