//! Holds every answer that a test gets against what is said of the API.
//!
//! A status, a media type or a member that is not described fails the test that saw it, and so does a request that was
//! done and is not what is described.

use std::collections::HashMap;
use std::sync::Mutex;

use axum::http::{HeaderMap, Method, StatusCode, Uri};
use jsonschema::Validator;
use serde_json::{Value, json};
use underlay_runtime::Registry;
use underlay_server::{ServerConfig, openapi};

use crate::place::Answer;

pub struct Contract {
    document: Value,
    /// By the text of their schemas.
    validators: Mutex<HashMap<String, Validator>>,
}

/// A request as it was sent.
pub struct Sent {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Contract {
    pub fn of(registry: &Registry, config: &ServerConfig) -> Self {
        Self { document: openapi(registry, config).decode().unwrap(), validators: Mutex::default() }
    }

    /// Holds an answer against what is said of its address.
    #[track_caller]
    pub fn check(&self, sent: &Sent, answer: &Answer) {
        let what = format!("{} {} answered {}: {}", sent.method, sent.uri, answer.status, answer.shown());
        // What a browser asks ahead of a request is no address of its own.
        if sent.method == Method::OPTIONS && answer.status == StatusCode::NO_CONTENT {
            return;
        }
        // Pages are for people, and may change.
        let is_of_console = sent.uri.path() == "/" || sent.uri.path().starts_with("/console/");
        if is_of_console && answer.header("content-type") != Some("application/problem+json") {
            return;
        }
        let Some((path, told)) = self.find(sent) else {
            assert!(!answer.status.is_success(), "{what}\nand is not described");
            return self.check_problem(answer, &what);
        };
        let status = answer.status.as_u16().to_string();
        let response = &told["responses"][&status];
        let response = response["$ref"].as_str().map_or(response, |reference| self.refer(reference));
        assert!(response.is_object(), "{what}\nof which the description knows nothing");
        let media_type = answer.header("content-type").unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        if answer.body.is_empty() && sent.method != Method::HEAD {
            assert!(response["content"].is_null(), "{what}\nwithout a body, and it is described: {response}");
            return;
        }
        let content = &response["content"][media_type];
        assert!(content.is_object(), "{what}\nand {media_type} is not among what is described: {response}");
        if let Some(schema) = content.get("schema") {
            self.check_value(schema, &answer.json(), &what);
        }
        if answer.status.is_success() {
            self.check_sent(path, told, sent, &what);
        }
    }

    /// What was done was asked for as it is described.
    #[track_caller]
    fn check_sent(&self, path: &str, told: &Value, sent: &Sent, what: &str) {
        let body = &told["requestBody"];
        if sent.body.is_empty() {
            assert_ne!(body["required"], true, "{what}\nwithout a body, which is required");
        } else if body.is_object() {
            let schema = &body["content"]["application/json"]["schema"];
            let text = String::from_utf8_lossy(&sent.body);
            self.check_value(
                schema,
                &serde_json::from_slice(&sent.body).unwrap(),
                &format!("{what}\nto {text}"),
            );
        }
        let parameters = told["parameters"].as_array().unwrap();
        let mut known = Vec::new();
        for parameter in parameters {
            let (name, place) = (parameter["name"].as_str().unwrap(), parameter["in"].as_str().unwrap());
            let values = match place {
                "query" => {
                    known.push(name);
                    let query = pairs(&sent.uri);
                    query.into_iter().filter(|(named, _)| named == name).map(|(_, value)| value).collect()
                }
                "header" => {
                    let values = sent.headers.get_all(name).iter();
                    values.map(|value| value.to_str().unwrap_or_default().to_owned()).collect()
                }
                _ => vec![in_path(path, sent.uri.path(), name)],
            };
            assert!(!values.is_empty() || parameter["required"] != true, "{what}\nwithout {name}");
            let schema = &parameter["schema"];
            let schema = if schema["type"] == "array" { &schema["items"] } else { schema };
            for value in values {
                self.check_text(schema, &value, &format!("{what}\nto {name}={value}"));
            }
        }
        for (name, _) in pairs(&sent.uri) {
            // What others add to the address of a link is passed over.
            let is_known = known.contains(&name.as_str()) || path.starts_with("/links/");
            assert!(is_known, "{what}\nto {name}, which is not described");
        }
    }

    /// What is at no address is answered by a problem.
    #[track_caller]
    fn check_problem(&self, answer: &Answer, what: &str) {
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{what}");
        self.check_value(&json!({ "$ref": "#/components/schemas/Problem" }), &answer.json(), what);
    }

    /// What is said of the address that a request is for.
    fn find(&self, sent: &Sent) -> Option<(&str, &Value)> {
        let method = if sent.method == Method::HEAD { "get" } else { sent.method.as_str() };
        let paths = self.document["paths"].as_object().unwrap();
        let told = |(path, methods): (&'_ String, &'_ Value)| {
            methods.get(method.to_ascii_lowercase()).is_some() && is_at(path, sent.uri.path())
        };
        // What is spelled out comes before what varies.
        let mut found: Vec<_> = paths.iter().filter(|(path, methods)| told((path, methods))).collect();
        found.sort_by_key(|(path, _)| path.matches('{').count());
        let (path, methods) = *found.first()?;
        Some((path.as_str(), &methods[method.to_ascii_lowercase()]))
    }

    fn refer(&self, reference: &str) -> &Value {
        self.document.pointer(reference.trim_start_matches('#')).unwrap()
    }

    /// A parameter is a text, and stands for a value of its schema.
    #[track_caller]
    fn check_text(&self, schema: &Value, text: &str, what: &str) {
        let resolved = schema["$ref"].as_str().map_or(schema, |reference| self.refer(reference));
        let value = match resolved["type"].as_str() {
            Some("integer" | "boolean") => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
            _ => json!(text),
        };
        self.check_value(schema, &value, what);
    }

    #[track_caller]
    fn check_value(&self, schema: &Value, value: &Value, what: &str) {
        let mut validators = self.validators.lock().unwrap();
        let validator = validators.entry(schema.to_string()).or_insert_with(|| {
            // References are to the schemas of the document, from its beginning.
            let whole = json!({ "allOf": [schema], "components": self.document["components"] });
            jsonschema::options().should_validate_formats(true).build(&whole).unwrap()
        });
        let wrong: Vec<String> =
            validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        drop(validators);
        assert!(wrong.is_empty(), "{what}\nwhich does not fit what is described:\n{}", wrong.join("\n"));
    }
}

/// The last parts that may hold slashes.
const REST: [&str; 2] = ["{key}", "{instance}"];

/// Whether a path is at an address of the description.
fn is_at(described: &str, path: &str) -> bool {
    let parts = described.split('/').count();
    let limit = if described.ends_with(REST[0]) || described.ends_with(REST[1]) { parts } else { usize::MAX };
    let given: Vec<&str> = path.splitn(limit, '/').collect();
    let fits =
        |(wanted, given): (&str, &&str)| wanted == *given || (wanted.starts_with('{') && !given.is_empty());
    given.len() == parts && described.split('/').zip(&given).all(fits)
}

/// What stands in a path where the description has a name.
fn in_path(described: &str, path: &str, name: &str) -> String {
    let at = described.split('/').position(|part| part == format!("{{{name}}}")).unwrap();
    let limit = if REST.contains(&format!("{{{name}}}").as_str()) { at + 1 } else { usize::MAX };
    decoded(path.splitn(limit, '/').nth(at).unwrap())
}

fn pairs(uri: &Uri) -> Vec<(String, String)> {
    let query = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    query
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decoded(&name.replace('+', " ")), decoded(&value.replace('+', " "))))
        .collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).unwrap()
}
