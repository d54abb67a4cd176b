//! What a JSON Schema says of the values it describes, and nothing of how the code says it.
//!
//! Two schemas of one type differ where a comment was written, a Rust type renamed, a field or variant
//! moved: a comment on a variant alone takes it out of the list of the others. Stored values are the
//! same, so what is compared over time is the shape.
//!
//! | In a schema | In its shape |
//! |---|---|
//! | `title`, `description`, `$comment`, `examples`, `deprecated` | nothing |
//! | `default` of a property that is required | nothing: what is always written needs none |
//! | `default` of another property | itself: it is what an absent value means |
//! | `required`, `enum`, `type`, `oneOf` | sets, in one order; of `anyOf` the first that fits is read |
//! | `const`, and `type: null` | an `enum` of one |
//! | `type` beside an `enum` of such values | nothing |
//! | `enum`s that stand side by side in `oneOf` or `anyOf` | one |
//! | `oneOf` or `anyOf` of one | that one; `anyOf` within `anyOf` is its parts |
//! | `{}` | `true` |
//! | the names in `$defs`, which are of Rust types | a name from what stands there |
//!
//! Whatever else a schema has stays as it is.

use std::collections::BTreeMap;
use std::fmt;

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value};

use crate::words::{Fingerprint, Json};

/// Keywords that explain.
const ANNOTATIONS: [&str; 5] = ["title", "description", "$comment", "examples", "deprecated"];
/// Keywords with a schema.
const OF_ONE: [&str; 11] = [
    "items",
    "contains",
    "additionalProperties",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "not",
    "if",
    "then",
    "else",
    "contentSchema",
];
/// Keywords with a list of schemas.
const OF_MANY: [&str; 4] = ["oneOf", "anyOf", "allOf", "prefixItems"];
/// Keywords with schemas by name.
const BY_NAME: [&str; 3] = ["properties", "patternProperties", "dependentSchemas"];
const DEFINED: &str = "#/$defs/";

/// The shape of the values that a JSON Schema describes; equal for schemas that say the same of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaShape(Value);

impl SchemaShape {
    /// The shape of a schema. The shape of a shape is itself.
    #[must_use]
    pub fn of(schema: &Value) -> Self {
        let defined = schema.get("$defs").and_then(Value::as_object).cloned().unwrap_or_default();
        let names = names_by_content(&defined);
        let mut shape = shape(schema, &names);
        let used: BTreeMap<&String, Value> = defined
            .iter()
            .filter_map(|(name, schema)| Some((names.get(name)?, self::shape(schema, &names))))
            .collect();
        if let Value::Object(members) = &mut shape
            && !used.is_empty()
        {
            let used = used.into_iter().map(|(name, schema)| (name.clone(), schema)).collect();
            insert_in_order(members, "$defs", Value::Object(used));
        }
        Self(shape)
    }

    /// As JSON, its keys in order.
    #[must_use]
    pub fn into_value(self) -> Value {
        self.0
    }
}

impl fmt::Display for SchemaShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The JSON Schema of a stored shape as it is written, under a title. It holds no name of a Rust type but where a type
/// holds itself.
pub(crate) fn schema_of<T: JsonSchema>(title: &str) -> Json {
    titled_schema::<T>(title, settings().for_serialize())
}

/// The same of what is sent by others: every form that is read, and not only the one that is written.
pub(crate) fn sent_schema_of<T: JsonSchema>(title: &str) -> Json {
    let decimals = |schema: &mut Schema| {
        // What is said of a decimal that is read. A fraction would be a float in JSON, and is refused.
        if schema.get("type").is_some_and(|is| *is == serde_json::json!(["string", "number"])) {
            schema.insert("type".to_owned(), serde_json::json!(["string", "integer"]));
        }
    };
    let settings = settings().for_deserialize().with_transform(RecursiveTransform(decimals));
    titled_schema::<T>(title, settings)
}

fn settings() -> SchemaSettings {
    SchemaSettings::draft2020_12().with(|settings| {
        settings.meta_schema = None;
        settings.inline_subschemas = true;
    })
}

fn titled_schema<T: JsonSchema>(title: &str, settings: SchemaSettings) -> Json {
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), Value::from(title));
    Json::from_stored(schema.as_value().to_string())
}

/// A name for each schema in `$defs`, by what stands there. Where they name each other, what is known of
/// them grows with every round, and ends to grow after as many rounds as there are names.
fn names_by_content(defined: &Map<String, Value>) -> BTreeMap<String, String> {
    let mut names: BTreeMap<String, String> =
        defined.keys().map(|name| (name.clone(), String::new())).collect();
    for _ in 0..defined.len() {
        let next = defined.iter().map(|(name, schema)| {
            let text = shape(schema, &names).to_string();
            (name.clone(), Fingerprint::of([text.as_bytes()]).to_string())
        });
        names = next.collect();
    }
    names
}

fn shape(schema: &Value, names: &BTreeMap<String, String>) -> Value {
    let Value::Object(members) = schema else { return schema.clone() };
    let mut shaped: BTreeMap<String, Value> = BTreeMap::new();
    for (keyword, value) in members {
        let keyword = keyword.as_str();
        let value = match value {
            _ if ANNOTATIONS.contains(&keyword) || keyword == "$defs" => continue,
            Value::Array(schemas) if OF_MANY.contains(&keyword) => {
                Value::Array(schemas.iter().map(|schema| shape(schema, names)).collect())
            }
            Value::Object(schemas) if BY_NAME.contains(&keyword) => {
                let required = if keyword == "properties" { members.get("required") } else { None };
                Value::Object(
                    schemas
                        .iter()
                        .map(|(name, schema)| (name.clone(), property(name, schema, required, names)))
                        .collect::<BTreeMap<_, _>>()
                        .into_iter()
                        .collect(),
                )
            }
            value if OF_ONE.contains(&keyword) => shape(value, names),
            Value::String(target) if keyword == "$ref" => {
                let name = target.strip_prefix(DEFINED).and_then(|name| names.get(name));
                Value::String(name.map_or_else(|| target.clone(), |name| format!("{DEFINED}{name}")))
            }
            value => value.clone(),
        };
        shaped.insert(keyword.to_owned(), value);
    }
    as_sets(&mut shaped);
    simplified(shaped)
}

/// A property; whether it is always written is said beside it.
fn property(name: &str, schema: &Value, required: Option<&Value>, names: &BTreeMap<String, String>) -> Value {
    let is_required = required
        .and_then(Value::as_array)
        .is_some_and(|required| required.iter().any(|required| required.as_str() == Some(name)));
    match schema {
        Value::Object(members) if is_required && members.contains_key("default") => {
            let mut members = members.clone();
            members.remove("default");
            shape(&Value::Object(members), names)
        }
        schema => shape(schema, names),
    }
}

/// Brings what is a set into one order.
fn as_sets(shaped: &mut BTreeMap<String, Value>) {
    if let Some(only) = shaped.remove("const") {
        // A schema with both would be of the values in both; nobody writes one.
        shaped.entry("enum".to_owned()).or_insert_with(|| Value::Array(vec![only]));
    }
    if shaped.len() == 1 && shaped.get("type").is_some_and(|is| is == "null") {
        *shaped = BTreeMap::from([("enum".to_owned(), Value::Array(vec![Value::Null]))]);
    }
    for keyword in ["required", "enum", "type"] {
        if let Some(Value::Array(items)) = shaped.get_mut(keyword) {
            in_order(items);
        }
    }
    if let Some(Value::Array(types)) = shaped.get_mut("type")
        && types.len() == 1
        && let Some(only) = types.pop()
    {
        shaped.insert("type".to_owned(), only);
    }
    if shaped.get("required").is_some_and(|required| required.as_array().is_some_and(Vec::is_empty)) {
        shaped.remove("required");
    }
    if let (Some(Value::Array(values)), Some(types)) = (shaped.get("enum"), shaped.get("type"))
        && values.iter().all(|value| is_of(value, types))
    {
        shaped.remove("type");
    }
    for keyword in ["oneOf", "anyOf"] {
        if let Some(Value::Array(parts)) = shaped.get_mut(keyword) {
            side_by_side(keyword, parts);
        }
    }
}

/// The parts of a `oneOf` or `anyOf`: values that are listed in several of them are listed in one.
fn side_by_side(keyword: &str, parts: &mut Vec<Value>) {
    if keyword == "anyOf" {
        let within = std::mem::take(parts);
        parts.extend(within.into_iter().flat_map(|part| match only_member(&part, "anyOf") {
            Some(Value::Array(parts)) => parts.clone(),
            _ => vec![part],
        }));
    }
    let mut listed = Vec::new();
    let mut place = None;
    for part in std::mem::take(parts) {
        match only_member(&part, "enum") {
            Some(Value::Array(values)) => {
                place.get_or_insert(parts.len());
                listed.extend(values.iter().cloned());
            }
            _ => parts.push(part),
        }
    }
    if let Some(place) = place {
        in_order(&mut listed);
        parts.insert(place, Value::Object(Map::from_iter([("enum".to_owned(), Value::Array(listed))])));
    }
    if keyword == "oneOf" {
        in_order(parts);
    }
}

/// A schema of one thing is that thing.
fn simplified(mut shaped: BTreeMap<String, Value>) -> Value {
    if shaped.is_empty() {
        return Value::Bool(true);
    }
    if shaped.len() == 1 {
        for keyword in ["oneOf", "anyOf"] {
            if let Some(Value::Array(parts)) = shaped.get_mut(keyword)
                && parts.len() == 1
                && let Some(only) = parts.pop()
            {
                return only;
            }
        }
    }
    Value::Object(shaped.into_iter().collect())
}

fn only_member<'a>(schema: &'a Value, keyword: &str) -> Option<&'a Value> {
    schema.as_object().filter(|members| members.len() == 1)?.get(keyword)
}

fn in_order(items: &mut Vec<Value>) {
    items.sort_by_cached_key(Value::to_string);
    items.dedup();
}

/// Whether a value is of one of the types.
fn is_of(value: &Value, types: &Value) -> bool {
    let named: &[&str] = match value {
        Value::Null => &["null"],
        Value::Bool(_) => &["boolean"],
        Value::Number(number) if number.is_f64() => &["number"],
        Value::Number(_) => &["number", "integer"],
        Value::String(_) => &["string"],
        Value::Array(_) => &["array"],
        Value::Object(_) => &["object"],
    };
    let is_named = |is: &Value| is.as_str().is_some_and(|is| named.contains(&is));
    is_named(types) || types.as_array().is_some_and(|types| types.iter().any(is_named))
}

/// Keys stay in order, whatever the map keeps.
fn insert_in_order(members: &mut Map<String, Value>, keyword: &str, value: Value) {
    let mut all: BTreeMap<String, Value> = std::mem::take(members).into_iter().collect();
    all.insert(keyword.to_owned(), value);
    *members = all.into_iter().collect();
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shape_of(schema: Value) -> Value {
        let shape = SchemaShape::of(&schema);
        assert_eq!(SchemaShape::of(&shape.clone().into_value()), shape, "the shape of a shape is itself");
        shape.into_value()
    }

    #[track_caller]
    fn same(one: Value, other: Value) {
        assert_eq!(shape_of(one), shape_of(other));
    }

    #[track_caller]
    fn different(one: Value, other: Value) {
        assert_ne!(shape_of(one), shape_of(other));
    }

    #[test]
    fn prose_is_no_shape_and_a_property_may_be_called_like_it() {
        same(
            json!({"title": "T", "description": "d", "$comment": "c", "examples": [1], "deprecated": true, "type": "string"}),
            json!({"type": "string"}),
        );
        let named = |name: &str| json!({"type": "object", "properties": {name: {"type": "string"}}});
        different(named("title"), named("description"));
        different(named("title"), json!({"type": "object", "properties": {}}));
        // A field of any type, explained.
        same(json!({"description": "d"}), json!(true));
    }

    #[test]
    fn a_variant_that_is_explained_is_still_one_of_the_others() {
        let plain = json!({"type": "string", "enum": ["a", "b", "c"]});
        let explained = json!({"oneOf": [
            {"type": "string", "enum": ["c", "a"]},
            {"type": "string", "const": "b", "description": "The second."},
        ]});
        same(plain.clone(), explained.clone());
        same(
            json!({"type": ["string", "null"], "enum": ["a", "b", "c", null]}),
            json!({"anyOf": [explained, {"type": "null"}]}),
        );
        different(plain.clone(), json!({"type": "string", "enum": ["a", "b"]}));
        different(plain.clone(), json!({"type": ["string", "null"], "enum": ["a", "b", "c", null]}));
        different(plain, json!({"type": "string"}));
        // Beside a variant with fields.
        let fields = json!({"type": "object", "properties": {"d": {"type": "string"}}, "required": ["d"]});
        same(
            json!({"oneOf": [{"type": "string", "enum": ["a", "b"]}, fields]}),
            json!({"oneOf": [fields, {"const": "a", "type": "string"}, {"const": "b", "description": "B"}]}),
        );
    }

    #[test]
    fn a_default_counts_where_a_value_may_be_absent() {
        let with = |default: Value, required: Value| json!({"type": "object", "properties": {"a": {"type": "integer", "default": default}}, "required": required});
        same(with(json!(1), json!(["a"])), with(json!(2), json!(["a"])));
        different(with(json!(1), json!([])), with(json!(2), json!([])));
        different(with(json!(1), json!([])), with(json!(1), json!(["a"])));
    }

    #[test]
    fn sets_have_no_order_and_lists_have() {
        same(json!({"required": ["a", "b"]}), json!({"required": ["b", "a"]}));
        same(json!({"type": ["null", "string"]}), json!({"type": ["string", "null"]}));
        same(json!({"type": ["string"]}), json!({"type": "string"}));
        let (one, two) = (json!({"type": "string"}), json!({"type": "integer"}));
        same(json!({"oneOf": [one, two]}), json!({"oneOf": [two, one]}));
        // The first that fits is read.
        different(json!({"anyOf": [one, two]}), json!({"anyOf": [two, one]}));
        different(json!({"prefixItems": [one, two]}), json!({"prefixItems": [two, one]}));
        different(json!({"anyOf": [one, two]}), json!({"oneOf": [one, two]}));
    }

    #[test]
    fn what_is_stored_is_in_the_shape() {
        for (one, other) in [
            (json!({"type": "integer", "format": "int64"}), json!({"type": "integer", "format": "uint64"})),
            (json!({"type": "string", "pattern": "a"}), json!({"type": "string", "pattern": "b"})),
            (json!({"items": {"type": "string"}}), json!({"items": {"type": "integer"}})),
            (json!({"additionalProperties": false}), json!({"additionalProperties": true})),
            (json!({"const": {"title": "a"}}), json!({"const": {"title": "b"}})),
            (json!({"enum": [1]}), json!({"enum": ["1"]})),
            (json!(true), json!(false)),
        ] {
            different(one, other);
        }
    }

    #[test]
    fn types_that_name_themselves_are_compared_by_what_they_are() {
        let tree = |name: &str, leaf: &str| {
            let own = format!("#/$defs/{name}");
            json!({
                "type": "object",
                "properties": {"root": {"$ref": own}},
                "$defs": {name: {
                    "description": format!("A {name}."),
                    "type": "object",
                    "properties": {"leaf": {"type": leaf}, "children": {"items": {"$ref": own, "description": "d"}}},
                }},
            })
        };
        same(tree("Tree", "string"), tree("Node", "string"));
        different(tree("Tree", "string"), tree("Tree", "integer"));
        // Two that name each other, and differ far from where they are named.
        let pair = |(one, two): (&str, &str), end: &str| {
            let of = |name: &str| format!("#/$defs/{name}");
            json!({
                "$ref": of(one),
                "$defs": {
                    one: {"properties": {"next": {"$ref": of(two)}}},
                    two: {"properties": {"next": {"$ref": of(one)}, "end": {"type": end}}},
                },
            })
        };
        same(pair(("A", "B"), "string"), pair(("B", "A"), "string"));
        different(pair(("A", "B"), "string"), pair(("A", "B"), "integer"));
    }
}
