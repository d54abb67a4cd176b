//! The schemas of the document, by name.

use serde_json::{Map, Value, json};
use underlay_core::Json;

/// Those that are the same for every service.
const OWN: &str = include_str!("schemas.json");
/// Where a schema of its own names its parts, and where the document has them.
const DEFINED: &str = "#/$defs/";
const COMPONENTS: &str = "#/components/schemas/";

/// The schemas that the document refers to.
pub(super) struct Components(Map<String, Value>);

impl Components {
    pub(super) fn new() -> Self {
        // It is written by hand, and a test reads it.
        Self(serde_json::from_str(OWN).unwrap_or_default())
    }

    /// Takes in a schema of something that is declared, and gives what refers to it.
    pub(super) fn take(&mut self, name: &str, schema: &Json) -> Value {
        // Whoever writes a schema by hand may write what is none: then everything fits.
        let mut schema: Value = schema.decode().unwrap_or(Value::Bool(true));
        self.take_parts(name, &mut schema);
        self.put(name, schema)
    }

    /// The same of a schema without parts.
    pub(super) fn put(&mut self, name: &str, schema: Value) -> Value {
        self.0.insert(name.to_owned(), schema);
        reference(name)
    }

    /// A schema that is there.
    pub(super) fn find(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub(super) fn find_mut(&mut self, name: &str) -> Option<&mut Value> {
        self.0.get_mut(name)
    }

    /// A schema names its parts from its own beginning; in the document they have names of their own.
    pub(super) fn take_parts(&mut self, name: &str, schema: &mut Value) {
        let parts = schema.as_object_mut().and_then(|members| members.remove("$defs"));
        rename_parts(name, schema);
        if let Some(Value::Object(parts)) = parts {
            for (part, mut schema) in parts {
                rename_parts(name, &mut schema);
                self.0.insert(format!("{name}.{part}"), schema);
            }
        }
    }

    pub(super) fn into_value(self) -> Value {
        Value::Object(self.0)
    }
}

/// What refers to a schema of the document.
pub(super) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("{COMPONENTS}{name}") })
}

/// The name that a reference holds.
pub(super) fn referred(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.strip_prefix(COMPONENTS)
}

fn rename_parts(name: &str, schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            for (keyword, value) in members {
                match value {
                    Value::String(target) if keyword == "$ref" => {
                        if let Some(part) = target.strip_prefix(DEFINED) {
                            *target = format!("{COMPONENTS}{name}.{part}");
                        } else if target == "#" {
                            *target = format!("{COMPONENTS}{name}");
                        }
                    }
                    value => rename_parts(name, value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename_parts(name, item)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schemas_of_every_service_can_be_read() {
        let Components(own) = Components::new();
        assert!(own.len() > 20, "{own:?}");
    }

    #[test]
    fn a_schema_that_holds_itself_refers_to_the_document() {
        let text = r##"{"$ref":"#/$defs/Tree","$defs":{"Tree":{"items":{"$ref":"#/$defs/Tree"}}}}"##;
        let mut components = Components::new();
        components.take("event.grown", &Json::from_stored(text));
        let part = "#/components/schemas/event.grown.Tree";
        assert_eq!(components.find("event.grown").unwrap()["$ref"], part);
        assert_eq!(components.find("event.grown.Tree").unwrap()["items"]["$ref"], part);
    }
}
