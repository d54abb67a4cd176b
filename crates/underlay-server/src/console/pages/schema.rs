//! Forms out of JSON Schema: the fields of what a command or an operation takes, and the JSON of what was filled in.
//!
//! Texts, numbers, yes and no, words of a closed list and objects of these are fields. Whatever else there is, is typed
//! in as JSON, beside its schema. What a field may hold is for the command to say: a form checks only that there is
//! JSON to be made of it.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::console::show;

/// Objects within objects that become fields. What is deeper, or contains itself, is typed in as JSON.
const DEPTH_MAX: usize = 4;
/// What the names of these fields begin with.
const NAME: &str = "body";
/// The same of what says that a field is null, where that is something else than to leave it out.
const NULL_NAME: &str = "null";

/// A part of a body.
pub(super) struct Field {
    /// Its path from the body, as a JSON Pointer.
    path: String,
    /// Its name among its neighbours; none of the body itself.
    name: String,
    kind: Kind,
    is_required: bool,
    may_be_null: bool,
    about: String,
    default: Option<String>,
    schema: Value,
}

enum Kind {
    Nothing,
    Text { placeholder: Option<&'static str> },
    Number,
    Boolean,
    Choice(Vec<String>),
    Object(Vec<Field>),
    Json,
}

/// What was filled in, by the names of the fields, and what is wrong with it.
#[derive(Default)]
pub(super) struct Filled {
    pub(super) values: BTreeMap<String, String>,
    pub(super) wrong: BTreeMap<String, String>,
}

impl Filled {
    fn value(&self, field: &Field) -> &str {
        self.values.get(&field.input()).map(String::as_str).unwrap_or_default().trim()
    }
}

/// The body of a schema.
pub(super) fn body(schema: &Value) -> Field {
    let mut field = field(schema, schema, String::new(), "", true, 0);
    field.name = "Body".to_owned();
    field
}

fn field(root: &Value, schema: &Value, path: String, name: &str, is_required: bool, depth: usize) -> Field {
    let (resolved, may_be_null) = resolve(root, schema);
    let about = [schema, resolved].iter().find_map(|of| of["description"].as_str()).unwrap_or_default();
    let default = schema.get("default").filter(|default| !default.is_null());
    Field {
        kind: kind(root, resolved, &path, depth),
        name: name.to_owned(),
        is_required,
        may_be_null,
        about: about.replace("[`", "`").replace("`]", "`"),
        default: default.map(|default| default.as_str().map_or_else(|| default.to_string(), str::to_owned)),
        schema: resolved.clone(),
        path,
    }
}

/// What a schema refers to, and whether null fits it too.
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> (&'a Value, bool) {
    let (mut schema, mut may_be_null) = (schema, false);
    // Each turn follows a reference or takes off a layer; one that leads back to itself ends.
    for _ in 0..=DEPTH_MAX {
        if let Some(found) = schema["$ref"].as_str().and_then(|to| root.pointer(to.trim_start_matches('#'))) {
            schema = found;
            continue;
        }
        let several = ["anyOf", "oneOf", "allOf"].iter().find_map(|of| schema[*of].as_array());
        let Some(several) = several else { break };
        let mut others = several.iter().filter(|one| one["type"] != "null");
        let (Some(only), None) = (others.next(), others.next()) else { break };
        may_be_null |= several.len() > 1;
        schema = only;
    }
    (schema, may_be_null || types(schema).contains(&"null"))
}

fn types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn kind(root: &Value, schema: &Value, path: &str, depth: usize) -> Kind {
    if let Some(words) = words(schema) {
        return Kind::Choice(words);
    }
    let types: Vec<&str> = types(schema).into_iter().filter(|one| *one != "null").collect();
    let is_open = schema.get("additionalProperties").is_some_and(|more| *more != false);
    match types.as_slice() {
        // Numbers that are exact may be texts: those are taken as they are typed.
        several
            if several.contains(&"string")
                && several.iter().all(|one| *one != "object" && *one != "array") =>
        {
            Kind::Text { placeholder: placeholder(schema) }
        }
        ["integer" | "number"] => Kind::Number,
        ["boolean"] => Kind::Boolean,
        ["object"] if !is_open && depth < DEPTH_MAX && schema.get("oneOf").is_none() => {
            let required: Vec<&str> =
                schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let properties = schema["properties"].as_object().into_iter().flatten();
            let fields: Vec<Field> = properties
                .map(|(name, of)| {
                    let path = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
                    field(root, of, path, name, required.contains(&name.as_str()), depth + 1)
                })
                .collect();
            if fields.is_empty() { Kind::Nothing } else { Kind::Object(fields) }
        }
        [] if schema["type"] == "null" || types_are_null(schema) => Kind::Nothing,
        _ => Kind::Json,
    }
}

fn types_are_null(schema: &Value) -> bool {
    schema["type"].as_array().is_some_and(|types| types.iter().all(|one| one == "null"))
}

/// The words of a closed list.
fn words(schema: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    if let Some(list) = schema["enum"].as_array() {
        return list.iter().filter(|one| !one.is_null()).map(text).collect();
    }
    // Words with an explanation each.
    let list = schema["oneOf"].as_array().or(schema["anyOf"].as_array())?;
    list.iter().map(|one| one.get("const").or_else(|| one["enum"].get(0)).and_then(text)).collect()
}

fn placeholder(schema: &Value) -> Option<&'static str> {
    match schema["format"].as_str()? {
        "date-time" => Some("2026-01-31T12:00:00Z"),
        "date" => Some("2026-01-31"),
        "uuid" => Some("0191e5a0-0000-7000-8000-000000000000"),
        "email" => Some("ann@example.com"),
        _ => None,
    }
}

impl Field {
    /// The name of its field in the form.
    fn input(&self) -> String {
        format!("{NAME}{}", self.path)
    }

    /// The name of what says that it is null; none where to leave it out says the same, or it may not be null.
    fn null_input(&self) -> Option<String> {
        let differs = self.may_be_null && !self.is_required && self.default.is_some();
        differs.then(|| format!("{NULL_NAME}{}", self.path))
    }

    /// The names of all fields in the form.
    pub(super) fn inputs(&self) -> Vec<String> {
        match &self.kind {
            Kind::Nothing => Vec::new(),
            Kind::Object(fields) => fields.iter().flat_map(Self::inputs).collect(),
            _ => [self.input()].into_iter().chain(self.null_input()).collect(),
        }
    }

    /// Fills the field in with a value, such as that of an example.
    pub(super) fn fill(&self, value: &Value, filled: &mut Filled) {
        if let Kind::Object(fields) = &self.kind {
            for field in fields {
                field.fill(&value[&field.name], filled);
            }
            return;
        }
        let text = match (&self.kind, value) {
            (Kind::Nothing, _) | (_, Value::Null) => return,
            (Kind::Json, value) => serde_json::to_string_pretty(value).unwrap_or_default(),
            (_, Value::String(text)) => text.clone(),
            (_, value) => value.to_string(),
        };
        filled.values.insert(self.input(), text);
    }

    /// The JSON of what was filled in; none where the field is left out. What is wrong is noted beside its field.
    pub(super) fn json(&self, filled: &mut Filled) -> Option<String> {
        let value = filled.value(self).to_owned();
        let is_null = self.null_input().is_some_and(|input| filled.values.contains_key(&input));
        match &self.kind {
            Kind::Nothing => None,
            Kind::Object(fields) => self.object(fields, filled),
            _ if is_null => Some("null".to_owned()),
            Kind::Boolean if self.is_required && !self.may_be_null => {
                Some(if value == "true" { "true" } else { "false" }.to_owned())
            }
            _ if value.is_empty() => self.left_empty(),
            Kind::Text { .. } | Kind::Choice(_) => serde_json::to_string(&value).ok(),
            Kind::Boolean => Some(if value == "true" { "true" } else { "false" }.to_owned()),
            Kind::Number => self.checked(&value, filled, "This is a number, such as 12 or 12.5."),
            Kind::Json => self.checked(&value, filled, "This is not JSON"),
        }
    }

    /// What a field says that was left empty.
    fn left_empty(&self) -> Option<String> {
        match &self.kind {
            _ if !self.is_required => None,
            _ if self.may_be_null => Some("null".to_owned()),
            // Whether an empty text fits is for the command to say.
            Kind::Text { .. } => Some("\"\"".to_owned()),
            _ => None,
        }
    }

    fn checked(&self, value: &str, filled: &mut Filled, told: &str) -> Option<String> {
        let read = serde_json::from_str::<&RawValue>(value);
        let is_number = value.starts_with(|first: char| first == '-' || first.is_ascii_digit());
        let wrong = match read {
            Err(error) if matches!(self.kind, Kind::Json) => format!("{told}: {error}."),
            Ok(_) if matches!(self.kind, Kind::Json) || is_number => return Some(value.to_owned()),
            _ => told.to_owned(),
        };
        filled.wrong.insert(self.input(), wrong);
        None
    }

    fn object(&self, fields: &[Self], filled: &mut Filled) -> Option<String> {
        // An object that may be left out is, where nothing in it was filled in.
        let is_filled = fields
            .iter()
            .flat_map(Self::inputs)
            .any(|input| filled.values.get(&input).is_some_and(|value| !value.trim().is_empty()));
        if !is_filled && !self.is_required {
            return None;
        }
        if !is_filled && self.may_be_null && !self.path.is_empty() {
            return Some("null".to_owned());
        }
        let mut members = Vec::new();
        for field in fields {
            if let (Some(json), Ok(name)) = (field.json(filled), serde_json::to_string(&field.name)) {
                members.push(format!("{name}:{json}"));
            }
        }
        Some(format!("{{{}}}", members.join(",")))
    }

    /// The field as a part of a form.
    pub(super) fn show(&self, filled: &Filled) -> Markup {
        match &self.kind {
            Kind::Nothing if self.path.is_empty() => {
                html! { p class="quiet wide" { "It takes nothing more." } }
            }
            Kind::Nothing => html! {},
            Kind::Object(fields) if self.path.is_empty() => {
                html! { @for field in fields { (field.show(filled)) } }
            }
            Kind::Object(fields) => html! {
                fieldset {
                    legend { (self.name) (self.may_be_left_out()) }
                    @if !self.about.is_empty() { p class="hint" { (code_spans(&self.about)) } }
                    div class="fields" { @for field in fields { (field.show(filled)) } }
                }
            },
            _ => self.show_one(filled),
        }
    }

    fn may_be_left_out(&self) -> Markup {
        html! { @if !self.is_required || self.may_be_null { " " small { "may be empty" } } }
    }

    fn show_one(&self, filled: &Filled) -> Markup {
        let id = self.input();
        let wrong = filled.wrong.get(&id);
        let (hint, error) = (format!("{id}-hint"), format!("{id}-wrong"));
        let described = if wrong.is_some() { format!("{error} {hint}") } else { hint.clone() };
        let is_wide = matches!(self.kind, Kind::Json);
        let must = self.is_required && !self.may_be_null && !matches!(self.kind, Kind::Text { .. });
        let (value, invalid) = (filled.value(self), wrong.map(|_| "true"));
        html! {
            div class=(if is_wide { "field wide" } else { "field" }) {
                label for=(id) { (self.name) (self.may_be_left_out()) }
                @match &self.kind {
                    Kind::Choice(words) => select id=(id) name=(id) required[must] aria-describedby=(described) aria-invalid=[invalid] {
                        option value="" { @if must { "Choose" } }
                        @for word in words { option value=(word) selected[word == value] { (word) } }
                    },
                    Kind::Boolean => select id=(id) name=(id) aria-describedby=(described) aria-invalid=[invalid] {
                        @if !must { option value="" {} }
                        option value="false" selected[value == "false"] { "no" }
                        option value="true" selected[value == "true"] { "yes" }
                    },
                    Kind::Json => textarea id=(id) name=(id) rows="6" spellcheck="false" required[must]
                        aria-describedby=(described) aria-invalid=[invalid] { (value) },
                    kind => input id=(id) name=(id) value=(value) autocomplete="off" required[must]
                        inputmode=[matches!(kind, Kind::Number).then_some("decimal")]
                        placeholder=[self.placeholder()] aria-describedby=(described) aria-invalid=[invalid];,
                }
                @if let Some(wrong) = wrong { small class="hint bad" id=(error) { (wrong) } }
                @if let Some(null) = self.null_input() {
                    div class="field check" {
                        input id=(null) type="checkbox" name=(null) value="true" checked[filled.values.contains_key(&null)];
                        label for=(null) { "Nothing, instead of " (self.default.as_deref().unwrap_or_default()) }
                    }
                }
                small class="hint" id=(hint) {
                    (code_spans(&self.about))
                    @if is_wide { " Typed in as JSON." }
                }
                @if is_wide {
                    details {
                        summary { "What it holds" }
                        (show::json(&self.schema.to_string()))
                    }
                }
            }
        }
    }

    fn placeholder(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text { placeholder: Some(placeholder) } => Some(placeholder),
            _ => self.default.as_deref(),
        }
    }
}

/// A text with what stands in back ticks as code.
pub(super) fn code_spans(text: &str) -> Markup {
    html! {
        @for (at, part) in text.split('`').enumerate() {
            @if at % 2 == 0 { (part) } @else { code { (part) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filled(values: &[(&str, &str)]) -> Filled {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Filled { values, ..Filled::default() }
    }

    fn json_of(schema: &Value, values: &[(&str, &str)]) -> Option<String> {
        let mut filled = filled(values);
        let json = body(schema).json(&mut filled);
        assert!(filled.wrong.is_empty(), "{:?}", filled.wrong);
        json
    }

    #[test]
    fn what_is_filled_in_becomes_json_with_every_digit() {
        let schema = json!({
            "type": "object", "additionalProperties": false, "required": ["name", "count", "yes", "kind", "inner"],
            "$defs": { "Inner": { "type": "object", "properties": { "a/b": { "type": "integer" } } } },
            "properties": {
                "name": { "type": "string" },
                "count": { "type": "number" },
                "yes": { "type": "boolean" },
                "kind": { "enum": ["one", "two"] },
                "note": { "type": ["string", "null"] },
                "inner": { "$ref": "#/$defs/Inner" },
                "more": { "anyOf": [{ "$ref": "#/$defs/Inner" }, { "type": "null" }] },
                "list": { "type": "array" },
            },
        });
        let given = [
            ("body/name", "a \"b\""),
            ("body/count", "12345678901234567890.10"),
            ("body/kind", "two"),
            ("body/inner/a~1b", "7"),
            ("body/list", "[1, {}]"),
        ];
        let expected: &str = r#"{"count":12345678901234567890.10,"inner":{"a/b":7},"kind":"two","list":[1, {}],"name":"a \"b\"","yes":false}"#;
        let mut written: Vec<String> = Vec::new();
        let made = json_of(&schema, &given).unwrap();
        written.push(made.clone());
        // The order of members is that of the schema, and says nothing.
        assert_eq!(
            serde_json::from_str::<Value>(&made).unwrap(),
            serde_json::from_str::<Value>(expected).unwrap()
        );
        assert!(made.contains("12345678901234567890.10"), "{made}");
    }

    #[test]
    fn what_is_left_empty_is_left_out_null_or_an_empty_text() {
        let schema = json!({
            "type": "object", "required": ["text", "nullable", "number"],
            "properties": {
                "text": { "type": "string" },
                "nullable": { "type": ["integer", "null"] },
                "number": { "type": "integer" },
                "optional": { "type": "string" },
            },
        });
        let made = json_of(&schema, &[("body/optional", " ")]).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&made).unwrap(),
            json!({ "text": "", "nullable": null }),
            "what has to be there is for the command to miss"
        );
        let floor = json!({ "type": "object", "properties": {
            "floor": { "type": ["string", "null"], "default": "0" },
        } });
        assert_eq!(json_of(&floor, &[]).as_deref(), Some("{}"));
        assert_eq!(json_of(&floor, &[("null/floor", "true")]).as_deref(), Some(r#"{"floor":null}"#));
        assert_eq!(json_of(&floor, &[("body/floor", "5")]).as_deref(), Some(r#"{"floor":"5"}"#));
        for nothing in [json!({ "type": "object", "properties": {} }), json!({ "type": "null" })] {
            assert_eq!(json_of(&nothing, &[]), None);
        }
    }

    #[test]
    fn what_is_no_json_is_told_beside_its_field() {
        let schema = json!({ "type": "object", "properties": {
            "number": { "type": "integer" }, "list": { "type": "array" },
        } });
        for (name, value) in [
            ("body/number", "x"),
            ("body/number", "\"1\""),
            ("body/number", "1,\"b\":2"),
            ("body/number", "1 2"),
            ("body/list", "[1"),
            ("body/list", "1}"),
            ("body/list", "[],\"x\":1"),
        ] {
            let mut filled = filled(&[(name, value)]);
            body(&schema).json(&mut filled);
            assert!(filled.wrong.contains_key(name), "{name} {value}");
            let shown = body(&schema).show(&filled).into_string();
            assert!(shown.contains("aria-invalid=\"true\""), "{shown}");
            assert!(shown.contains(&maud::html! { (value) }.into_string()), "what was typed stays: {shown}");
        }
    }

    #[test]
    fn a_schema_that_contains_itself_has_an_end() {
        let tree = json!({ "$defs": { "Tree": { "type": "object", "properties": {
            "left": { "$ref": "#/$defs/Tree" }, "loop": { "$ref": "#/$defs/Loop" },
        } }, "Loop": { "$ref": "#/$defs/Loop" } }, "$ref": "#/$defs/Tree" });
        let shown = body(&tree).show(&Filled::default()).into_string();
        assert!(shown.contains("textarea") && shown.len() < 100_000);
    }
}
