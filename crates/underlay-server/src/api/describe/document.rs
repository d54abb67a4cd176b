//! The document: every address with what it takes and answers, as OpenAPI 3.1 has it.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use underlay_core::Json;
use underlay_runtime::Registry;

use super::components::{Components, reference};
use super::decisions::{self, Decision};
use super::description::{Description, Group, Told};
use super::rows;
use crate::api::router::{Described, described};
use crate::app::App;
use crate::door::roles::Use;
use crate::parameters::Parameters;
use crate::problem::Problem;
use crate::{LogReaders, ServerConfig};

const OPENAPI: &str = "3.1.0";
/// The version of the API, which its addresses begin with.
const API: &str = "1";

/// What each status of a problem says.
const PROBLEMS: [(u16, &str); 16] = [
    (400, "The request is wrong; the detail says what would be right."),
    (401, "The request does not say who asks, or not truly."),
    (403, "It is known who asks, and they may not."),
    (404, "It is not there."),
    (408, "The body took too long to arrive."),
    (409, "It does not fit what is there now."),
    (412, "What is there is not at the version that the request names."),
    (413, "The body is too large."),
    (415, "A body is `application/json`."),
    (421, "The service does not answer for this host."),
    (422, "The domain says no, or a rule of the store does not hold."),
    (428, "The request does not say which version it has seen."),
    (429, "The caller asks for too much at once. Retry-After says when to come back."),
    (500, "The service failed."),
    (503, "Nothing was done. Retry-After says when to come back."),
    (504, "It took too long."),
];
/// Those that every address may answer with, and those that one of a tenant's data may answer with besides.
const OF_ALL: [u16; 4] = [400, 403, 421, 500];
const OF_A_TENANT: [u16; 3] = [429, 503, 504];

/// The document of a service.
pub(crate) struct Document {
    value: Value,
    text: Bytes,
}

impl Document {
    /// Describes a service.
    pub(crate) fn of(registry: &Registry, config: &ServerConfig) -> Self {
        let mut components = Components::new();
        let events: Vec<_> = {
            let declared: Vec<&str> = registry
                .aggregates()
                .iter()
                .flat_map(|of| of.events.iter().map(|event| event.name))
                .collect();
            let all = registry.event_schemas().into_iter();
            all.filter(|(event, _)| declared.contains(&event.name)).collect()
        };
        decisions::take_events(&mut components, &events);
        let mut writer = Writer { registry, config, components, paths: Map::new() };
        for address in described() {
            writer.write(&address);
        }
        let Writer { components, paths, .. } = writer;
        let responses = PROBLEMS.map(|(status, about)| (format!("Problem{status}"), problem(status, about)));
        let mut value = json!({
            "openapi": OPENAPI,
            "info": {
                "title": config.service,
                "description": config.about.as_deref().unwrap_or("An event-sourced service."),
                "version": API,
            },
            "tags": Group::ALL.map(|group| json!({ "name": group.name(), "description": group.about() })),
            "paths": paths,
            "components": {
                "schemas": components.into_value(),
                "responses": Map::from_iter(responses),
                "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" } },
            },
        });
        if !config.base_path.is_empty() {
            value["servers"] = json!([{ "url": config.base_path }]);
        }
        let text = value.to_string().into();
        Self { value, text }
    }

    pub(super) fn value(&self) -> &Value {
        &self.value
    }
}

/// What the API of a service takes and answers, as OpenAPI 3.1: the text of `/openapi.json`.
#[must_use]
pub fn openapi(registry: &Registry, config: &ServerConfig) -> Json {
    Json::from_stored(Document::of(registry, config).value.to_string())
}

/// `GET /openapi.json`.
pub(crate) async fn show(State(app): State<App>, parameters: Parameters) -> Result<Response, Problem> {
    parameters.finish(&[])?;
    let json = HeaderValue::from_static("application/json");
    Ok(([(CONTENT_TYPE, json)], app.document().text.clone()).into_response())
}

fn problem(status: u16, about: &str) -> Value {
    let mut told = json!({
        "description": about,
        "content": { "application/problem+json": { "schema": reference("Problem") } },
    });
    if matches!(status, 429 | 503) {
        let seconds = json!({ "description": "Seconds.", "schema": { "type": "integer", "minimum": 1 } });
        told["headers"] = json!({ "Retry-After": seconds });
    }
    told
}

/// An address as the document gets it.
struct Operation<'a> {
    path: String,
    id: String,
    summary: String,
    about: String,
    parameters: Vec<Value>,
    body: Option<(Value, bool)>,
    /// A body that the service gives as an example.
    example: Option<Value>,
    answers: Vec<(u16, Value)>,
    problems: Vec<(u16, Value)>,
    /// The roles one of which it asks for; none where it asks for none.
    roles: Vec<String>,
    address: &'a Described,
}

struct Writer<'a> {
    registry: &'a Registry,
    config: &'a ServerConfig,
    components: Components,
    paths: Map<String, Value>,
}

impl Writer<'_> {
    fn write(&mut self, address: &Described) {
        match address.to {
            Some(Use::Command) => self.write_decisions(address, true),
            Some(Use::Operation) => self.write_decisions(address, false),
            Some(Use::View) => self.write_views(address),
            Some(Use::Entity) => self.write_entities(address),
            _ => {
                let operation = self.plain(address);
                self.put(operation);
            }
        }
    }

    /// What is the same wherever an address stands for several.
    fn plain<'b>(&self, address: &'b Described) -> Operation<'b> {
        let says: Description = address.says;
        let config = self.config;
        let problems = OF_ALL.iter().chain(address.to.iter().flat_map(|_| &OF_A_TENANT)).chain(says.problems);
        let mut problems: Vec<u16> = problems.copied().collect();
        if address.to.is_some() && !config.is_open() {
            problems.push(401);
        }
        let answered = |status| says.answers.iter().any(|(answered, _)| *answered == status);
        problems.retain(|status| !answered(*status));
        problems.sort_unstable();
        problems.dedup();
        Operation {
            path: address.path.replace("{*", "{"),
            id: says.id.to_owned(),
            summary: says.summary.to_owned(),
            about: says.about.to_owned(),
            parameters: says.parameters.iter().map(|parameter| parameter.told(config)).collect(),
            body: says.body.map(|name| (reference(name), true)),
            example: None,
            answers: says.answers.iter().map(|(status, told)| (*status, answer(*status, *told))).collect(),
            problems: problems.into_iter().map(|status| (status, response(status))).collect(),
            roles: self.roles(address.to),
            address,
        }
    }

    fn roles(&self, to: Option<Use>) -> Vec<String> {
        match to {
            Some(Use::Log) => match &self.config.log_readers {
                LogReaders::Everybody => Vec::new(),
                LogReaders::Roles(roles) => roles.clone(),
            },
            Some(Use::Work) => self.config.operators.clone(),
            _ => Vec::new(),
        }
    }

    /// One address for each command, or for each operation.
    fn write_decisions(&mut self, address: &Described, of_aggregates: bool) {
        for info in self.registry.decisions() {
            if info.category.is_some() != of_aggregates {
                continue;
            }
            let decision = Decision::take(&mut self.components, &info);
            let mut operation = self.plain(address);
            operation.path = match info.category {
                Some(category) => {
                    operation.path.replace("{category}", category).replace("{command}", info.name)
                }
                None => operation.path.replace("{name}", info.name),
            };
            operation.id = decision.id;
            operation.summary = first_sentence(&decision.about, info.name);
            operation.about = match decision.codes.as_slice() {
                [] => decision.about,
                codes => format!("{}\n\nIt may be refused: {}.", decision.about, codes.join(", ")),
            };
            operation.body = Some((decision.body, decision.needs_body));
            if let Some(example) = self.config.example(info.category, info.name) {
                operation.example = serde_json::from_str(&example.body).ok();
                let id = example.target.split('/').nth(1).filter(|_| info.category.is_some());
                if let (Some(id), Some(parameter)) = (id, operation.parameters.first_mut()) {
                    parameter["example"] = Value::from(id);
                }
            }
            operation.problems.push((422, refused(&decision.refusal)));
            operation.problems.sort_by_key(|(status, _)| *status);
            operation.roles = info.roles.iter().map(|role| (*role).to_owned()).collect();
            self.put(operation);
        }
    }

    /// One address for each view.
    fn write_views(&mut self, address: &Described) {
        for view in self.registry.views() {
            let (row, page) = rows::take(&mut self.components, &view);
            let mut operation = self.plain(address);
            let is_row = operation.path.contains("{key}");
            operation.path = operation.path.replace("{view}", &view.name);
            operation.id = format!("{}.{}", operation.id, view.name);
            operation.summary = match is_row {
                true => format!("One row of {}", view.name),
                false => format!("A page of {}", view.name),
            };
            if !is_row {
                let mut parameters = rows::parameters(&view);
                parameters.append(&mut operation.parameters);
                operation.parameters = parameters;
            }
            let schema = if is_row { row } else { page };
            operation.answers = vec![(200, json_answer(200, &schema))];
            operation.roles =
                self.registry.view_roles(&view.name).iter().map(|&role| role.to_owned()).collect();
            self.put(operation);
        }
    }

    /// One address for each kind of entity.
    fn write_entities(&mut self, address: &Described) {
        for schema in self.registry.entities() {
            let of = rows::take_entity(&mut self.components, &schema);
            let mut operation = self.plain(address);
            let is_one = operation.path.contains("{key}");
            operation.path = operation.path.replace("{entity}", &schema.name);
            operation.id = format!("{}.{}", operation.id, schema.name);
            operation.summary = format!("{}: {}", operation.summary, schema.name);
            match (address.method, is_one) {
                ("GET", false) => {
                    let mut parameters = rows::parameters(&schema);
                    parameters.append(&mut operation.parameters);
                    operation.parameters = parameters;
                    operation.answers = vec![(200, json_answer(200, &of.page))];
                }
                ("GET", true) => {
                    operation.answers =
                        vec![(200, entity_answer(200, &of.entity)), (304, answer(304, Told::Nothing))];
                }
                ("POST", _) => {
                    operation.answers = vec![(201, entity_answer(201, &of.entity))];
                    operation.body = Some((of.new, true));
                }
                ("PUT", _) => {
                    operation.answers =
                        vec![(200, entity_answer(200, &of.entity)), (201, entity_answer(201, &of.entity))];
                    operation.body = Some((of.values, true));
                }
                _ => {}
            }
            operation.roles =
                self.registry.entity_roles(&schema.name).iter().map(|&role| role.to_owned()).collect();
            self.put(operation);
        }
    }

    fn put(&mut self, operation: Operation<'_>) {
        let says = &operation.address.says;
        let mut told = json!({
            "operationId": operation.id,
            "tags": [says.group.name()],
            "summary": operation.summary,
            "parameters": operation.parameters,
        });
        if !operation.about.is_empty() {
            told["description"] = Value::from(operation.about);
        }
        if let Some((schema, required)) = operation.body {
            let mut content = json!({ "schema": schema });
            if let Some(example) = operation.example {
                content["example"] = example;
            }
            told["requestBody"] = json!({ "required": required, "content": { "application/json": content } });
        }
        let answers = operation.answers.into_iter().chain(operation.problems);
        told["responses"] =
            answers.map(|(status, told)| (status.to_string(), told)).collect::<Map<_, _>>().into();
        for media_type in says.also_as {
            told["responses"]["200"]["content"][media_type] = json!({});
        }
        for link in says.links {
            told["responses"][link.status.to_string()]["links"][link.to] = link.told();
        }
        if operation.address.to.is_some() && !self.config.is_open() {
            let one_of = |role: &String| json!({ "bearer": [role] });
            told["security"] = match operation.roles.as_slice() {
                [] => json!([{ "bearer": [] }]),
                roles => roles.iter().map(one_of).collect(),
            };
        }
        let path = self.paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.address.method.to_ascii_lowercase()] = told;
    }
}

fn answer(status: u16, told: Told) -> Value {
    let about = if status < 300 { meaning(status) } else { "The same, for people." };
    match told {
        Told::Json(name) => json_answer(status, &reference(name)),
        Told::AnyJson => {
            json!({ "description": about, "content": { "application/json": { "schema": { "type": "object" } } } })
        }
        Told::Html => json!({ "description": about, "content": { "text/html": {} } }),
        Told::File(media_type) => json!({ "description": about, "content": { media_type: {} } }),
        Told::Nothing => json!({ "description": meaning(status) }),
    }
}

fn json_answer(status: u16, schema: &Value) -> Value {
    let mut told = json!({
        "description": meaning(status),
        "content": { "application/json": { "schema": schema } },
    });
    if status == 202 {
        told["headers"] = json!({
            "Location": { "description": "Where to ask.", "schema": { "type": "string" } },
            "Retry-After": { "description": "When to ask, in seconds.", "schema": { "type": "integer", "minimum": 1 } },
        });
    }
    told
}

/// An answer that is one entity.
fn entity_answer(status: u16, schema: &Value) -> Value {
    let mut told = json_answer(status, schema);
    let text = |about: &str| json!({ "description": about, "schema": { "type": "string" } });
    told["headers"] = json!({ "ETag": text("The version, in quotes.") });
    if status == 201 {
        told["headers"]["Location"] = text("Where it is.");
    }
    told
}

fn meaning(status: u16) -> &'static str {
    match status {
        202 => "The command is stored; ask what became of it.",
        304 => "It has the version that was named.",
        _ => "It was done, or is there.",
    }
}

/// A problem whose answer is the same at every address.
fn response(status: u16) -> Value {
    json!({ "$ref": format!("#/components/responses/Problem{status}") })
}

fn refused(schema: &Value) -> Value {
    json!({
        "description": "The domain says no. The code names the rule, and further members say what was wrong.",
        "content": { "application/problem+json": { "schema": schema } },
    })
}

/// What stands in a list of many.
fn first_sentence(about: &str, name: &str) -> String {
    let sentence = about.split("\n\n").next().unwrap_or_default().replace('\n', " ");
    let end = sentence.find(". ").unwrap_or_else(|| sentence.trim_end_matches('.').len());
    match sentence[..end].trim() {
        "" => name.to_owned(),
        sentence => sentence.to_owned(),
    }
}
