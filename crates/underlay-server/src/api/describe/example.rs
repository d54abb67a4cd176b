//! Values to begin with, by their schemas.

use serde_json::{Map, Value, json};

use super::components::referred;

/// How deep a value goes: a schema may hold itself.
const DEPTH_MAX: usize = 6;

/// A value that fits a schema of the document, mostly.
pub(super) fn example(document: &Value, schema: &Value) -> Value {
    of(document, schema, 0)
}

fn of(document: &Value, schema: &Value, depth: usize) -> Value {
    if let Some(name) = referred(schema) {
        return of(document, &document["components"]["schemas"][name], depth);
    }
    for given in ["default", "const"] {
        if let Some(value) = schema.get(given) {
            return value.clone();
        }
    }
    for listed in ["examples", "enum"] {
        if let Some(value) = schema[listed].get(0) {
            return value.clone();
        }
    }
    for parts in ["oneOf", "anyOf", "allOf"] {
        let first = schema[parts].get(0).filter(|part| part.get("if").is_none());
        if let Some(part) = first.filter(|_| depth < DEPTH_MAX) {
            return of(document, part, depth + 1);
        }
    }
    let first = schema["type"].get(0).unwrap_or(&schema["type"]);
    match first.as_str().unwrap_or_default() {
        "object" => object(document, schema, depth),
        "array" if depth < DEPTH_MAX && schema.get("items").is_some() => {
            json!([of(document, &schema["items"], depth + 1)])
        }
        "array" => json!([]),
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        "boolean" => json!(false),
        "string" => text(schema),
        "null" => Value::Null,
        _ => json!({}),
    }
}

fn object(document: &Value, schema: &Value, depth: usize) -> Value {
    let properties = schema["properties"].as_object().into_iter().flatten();
    let required = |name: &str| {
        schema["required"].as_array().is_some_and(|required| required.iter().any(|of| of == name))
    };
    let wanted = properties.filter(|(name, _)| depth < DEPTH_MAX && required(name));
    wanted.map(|(name, schema)| (name.clone(), of(document, schema, depth + 1))).collect::<Map<_, _>>().into()
}

fn text(schema: &Value) -> Value {
    let takes_numbers = schema["pattern"].as_str().is_some_and(|pattern| pattern.starts_with("^-?"));
    json!(match schema["format"].as_str().unwrap_or_default() {
        "date" => "2026-01-31",
        "date-time" => "2026-01-31T12:00:00Z",
        "uuid" => "00000000-0000-4000-8000-000000000000",
        _ if takes_numbers => "10",
        _ => "",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_what_is_required() {
        let document = json!({ "components": { "schemas": { "Amount": { "type": "string", "pattern": "^-?[0-9]+$" } } } });
        let schema = json!({
            "type": "object",
            "properties": {
                "amount": { "$ref": "#/components/schemas/Amount" },
                "day": { "type": "string", "format": "date" },
                "note": { "type": "string" },
                "kind": { "enum": ["real", "virtual"] },
                "parts": { "type": "array", "items": { "type": ["integer", "null"] } },
            },
            "required": ["amount", "day", "kind", "parts"],
        });
        let expected = json!({ "amount": "10", "day": "2026-01-31", "kind": "real", "parts": [1] });
        assert_eq!(example(&document, &schema), expected);
    }

    #[test]
    fn a_schema_that_holds_itself_ends() {
        let document = json!({ "components": { "schemas": { "Tree": {
            "type": "array", "items": { "$ref": "#/components/schemas/Tree" },
        } } } });
        let text = example(&document, &json!({ "$ref": "#/components/schemas/Tree" })).to_string();
        assert!(text.len() < 50, "{text}");
    }
}
