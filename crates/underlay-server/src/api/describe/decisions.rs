//! What is said of a command or an operation: its body, what it gives, and how it says no.

use serde_json::{Map, Value, json};
use underlay_core::{EventDescriptor, Json};
use underlay_runtime::DecisionInfo;

use super::components::{Components, reference};
use crate::problem::member_name;

/// A command or an operation, with its schemas among those of the document.
pub(super) struct Decision {
    /// Its name in the document.
    pub(super) id: String,
    /// What it does, in the words of its declaration.
    pub(super) about: String,
    pub(super) body: Value,
    /// Whether an answer needs more of a body than none.
    pub(super) needs_body: bool,
    pub(super) refusal: Value,
    /// The codes of its refusals.
    pub(super) codes: Vec<&'static str>,
}

impl Decision {
    /// Takes in the schemas of a decision.
    pub(super) fn take(components: &mut Components, info: &DecisionInfo) -> Self {
        let id = match info.category {
            Some(category) => format!("{category}.{}", info.name),
            None => format!("operation.{}", info.name),
        };
        let body = components.take(&format!("body.{id}"), &info.body);
        let schema = components.find(&format!("body.{id}"));
        let about = schema.and_then(|schema| schema["description"].as_str()).unwrap_or_default();
        // What links to a place in the code, when it is read there.
        let about = about.replace("[`", "`").replace("`]", "`");
        let needs_body = schema.is_some_and(|schema| match info.category {
            // Nothing stands for an operation without fields.
            None => schema.get("required").is_some(),
            Some(_) => !schema["type"].as_array().is_some_and(|types| types.iter().any(|of| of == "null")),
        });
        let refusal = take_refusals(components, &id, info);
        let codes = info.refusals.iter().map(|(code, _)| *code).collect();
        Self { id, about, body, needs_body, refusal, codes }
    }
}

/// A refusal by its code. A repeat may get one that an older program gave: what is not known is not described.
fn take_refusals(components: &mut Components, id: &str, info: &DecisionInfo) -> Value {
    let owner = info.category.unwrap_or(id);
    let name = format!("refusal.{owner}");
    if info.category.is_some() && components.find(&name).is_some() {
        return reference(&name);
    }
    let mut known = Vec::new();
    for (code, fields) in &info.refusals {
        let mut schema: Value = fields.decode().unwrap_or(Value::Bool(true));
        components.take_parts(&format!("refusal.{owner}.{code}"), &mut schema);
        let fields = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        let taken: Vec<&str> = fields.keys().map(String::as_str).collect();
        let members: Map<String, Value> = fields
            .iter()
            .map(|(field, schema)| (member_name(field, |name| taken.contains(&name)), schema.clone()))
            .collect();
        known.push(json!({
            "if": { "properties": { "code": { "const": code } } },
            "then": {
                "title": code,
                "description": schema.get("description").cloned().unwrap_or(Value::String(String::new())),
                "properties": members,
            },
        }));
    }
    let mut schema = json!({ "$ref": reference("Refusal")["$ref"] });
    if !known.is_empty() {
        schema["allOf"] = Value::Array(known);
    }
    components.put(&name, schema)
}

/// Takes in what each declared type of an event holds. What is stored may be of an older version, or of a type that is no
/// longer declared.
pub(super) fn take_events(components: &mut Components, events: &[(EventDescriptor, Json)]) {
    let mut known = Vec::new();
    for (event, schema) in events {
        let payload = components.take(&format!("event.{}", event.name), schema);
        known.push(json!({
            "if": {
                "properties": {
                    "type": { "const": event.name },
                    "schema_version": { "const": event.version },
                    "encoding": false,
                },
            },
            "then": { "properties": { "payload": payload } },
        }));
    }
    if let Some(event) = components.find_mut("Event").filter(|_| !known.is_empty()) {
        event["allOf"] = Value::Array(known);
    }
}
