//! Entities: what is stored as it is, read and changed by its id.
//!
//! | Method | Headers | What it does |
//! |---|---|---|
//! | `POST` | | creates an entity: 201, or 409 where there is one of its id |
//! | `PUT` | `If-None-Match: *` | creates it under the id in the address: 201, or 412 where there is one |
//! | `PUT` | `If-Match: "3"` | replaces the values of version 3: 200, or 412 where it has another version or is gone |
//! | `PUT` | neither | 428 |
//! | `DELETE` | `If-Match: "3"`, or none | removes version 3, or whatever is there: 204 |
//!
//! A body has every column that cannot be empty. It may have the id, and to change an entity also the version, so what was
//! read can be sent back; both are what address and header say, or the request is wrong.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{ETAG, IF_MATCH, IF_NONE_MATCH, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use underlay_core::{
    Actor, Column, EntityJson, EntitySchema, EntityVersion, Error, GivenEntity, StoredEntity, TenantId,
};
use underlay_runtime::{Request, StoredRepository};

use crate::answer::Answer;
use crate::app::App;
use crate::door::credentials::Caller;
use crate::door::roles::{operates_store, suffice};
use crate::edge::asked;
use crate::links::encoded;
use crate::parameters::Parameters;
use crate::path::Segments;
use crate::problem::Problem;
use crate::request_body::JsonText;
use crate::request_headers::{single, tagged_version};
use crate::view_query::PageQuery;
use crate::views::{ColumnBody, cut_rows};

/// A kind of entity.
#[derive(Debug, Serialize)]
pub(crate) struct EntityKindBody {
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) columns: Vec<EntityColumnBody>,
    /// Who uses it has one of these; none where everybody may.
    pub(crate) roles: &'static [&'static str],
    /// Where it is kept. It is about the installation, so it is told to operators of the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) store: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct EntityColumnBody {
    #[serde(flatten)]
    pub(crate) column: ColumnBody,
    pub(crate) unique: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct EntityKindsBody {
    entities: Vec<EntityKindBody>,
}

/// `GET /v1/entities`: the kinds of entities that the caller may use.
pub(crate) async fn list(
    State(app): State<App>,
    Caller(principal): Caller,
    parameters: Parameters,
) -> Result<Answer<EntityKindsBody>, Problem> {
    parameters.finish(&[])?;
    Ok(Answer(EntityKindsBody { entities: kinds(&app, &principal.actor) }))
}

/// The kinds that somebody may use, by name.
pub(crate) fn kinds(app: &App, actor: &Actor) -> Vec<EntityKindBody> {
    let registry = app.engine().registry();
    let places = if operates_store(app, actor) { app.engine().entity_places() } else { Vec::new() };
    let kind = |schema: Arc<EntitySchema>| {
        let roles = registry.entity_roles(&schema.name);
        let place = places.iter().find(|(entity, _)| *entity == schema.name);
        let column = |column: &Column| EntityColumnBody {
            column: ColumnBody::from(column),
            unique: schema.is_unique(&column.name),
        };
        suffice(actor, roles).then(|| EntityKindBody {
            name: schema.name.clone(),
            version: schema.version,
            columns: schema.columns.iter().map(column).collect(),
            roles,
            store: place.map(|(_, store)| store.clone()),
        })
    };
    registry.entities().into_iter().filter_map(kind).collect()
}

#[derive(Debug, Serialize)]
pub(crate) struct EntitiesBody {
    pub(crate) entities: Vec<EntityJson>,
    /// What `cursor` is for the next page; null where this is the last.
    pub(crate) next: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) count: Option<u64>,
}

/// `GET /v1/entities/{entity}`: a page of entities.
pub(crate) async fn query(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments(entity): Segments<String>,
    parameters: Parameters,
) -> Result<Answer<EntitiesBody>, Problem> {
    let entities = repository(&app, &principal.tenant, &entity)?;
    let asked = PageQuery::parse(parameters, entities.schema())?;
    Ok(Answer(page(&app, &entities, &asked).await?))
}

/// A page of a tenant's entities.
pub(crate) async fn page(
    app: &App,
    entities: &StoredRepository,
    PageQuery { query, count }: &PageQuery,
) -> Result<EntitiesBody, Error> {
    let schema = entities.schema();
    let mut page = entities.query(query).await?;
    let bytes_max = app.config().page_bytes_max;
    cut_rows(&mut page.entities, &mut page.next, (schema, &query.sort), bytes_max);
    let count = match count {
        true => Some(entities.count(query).await?),
        false => None,
    };
    let body = |entity| EntityJson { schema: schema.clone(), entity };
    Ok(EntitiesBody {
        entities: page.entities.into_iter().map(body).collect(),
        next: page.next.map(|cursor| cursor.to_text(&query.sort)),
        count,
    })
}

/// `POST /v1/entities/{entity}`: creates an entity.
pub(crate) async fn create(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments(entity): Segments<String>,
    parameters: Parameters,
    JsonText(body): JsonText,
) -> Result<Response, Problem> {
    parameters.finish(&[])?;
    let entities = repository(&app, &principal.tenant, &entity)?;
    let GivenEntity { id, version, values } = given(&body, entities.schema())?;
    let id = id.ok_or_else(|| wrong("the member id is missing"))?;
    check_member("version", version.map(|given| given.0), None)?;
    let created = entities.create(&id, values).await?;
    Ok(answer(StatusCode::CREATED, &entities, created))
}

/// `GET /v1/entities/{entity}/{key}`: one entity, by its id. It may hold slashes.
pub(crate) async fn find(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments((entity, id)): Segments<(String, String)>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, Problem> {
    parameters.finish(&[])?;
    let entities = repository(&app, &principal.tenant, &entity)?;
    let known = single(&headers, &IF_NONE_MATCH)?;
    let found = entities.get(&id).await?;
    if known.is_some_and(|tags| is_among(found.version, tags)) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, etag(found.version))]).into_response());
    }
    Ok(answer(StatusCode::OK, &entities, found))
}

/// `PUT /v1/entities/{entity}/{key}`: changes an entity, or creates it.
pub(crate) async fn put(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments((entity, id)): Segments<(String, String)>,
    headers: HeaderMap,
    parameters: Parameters,
    JsonText(body): JsonText,
) -> Result<Response, Problem> {
    parameters.finish(&[])?;
    let entities = repository(&app, &principal.tenant, &entity)?;
    let condition = Condition::read(&headers)?;
    let given = given(&body, entities.schema())?;
    check_member("id", given.id.as_deref(), Some(id.as_str()))?;
    match condition {
        Condition::New => {
            check_member("version", given.version.map(|given| given.0), None)?;
            let created = entities.create(&id, given.values).await.map_err(Problem::of_condition)?;
            Ok(answer(StatusCode::CREATED, &entities, created))
        }
        Condition::At(version) => {
            check_member("version", given.version.map(|given| given.0), Some(version.0))?;
            let updated = entities.update(&id, version, given.values).await.map_err(Problem::of_condition)?;
            Ok(answer(StatusCode::OK, &entities, updated))
        }
        Condition::None => Err(Problem::new(
            StatusCode::PRECONDITION_REQUIRED,
            "precondition-required",
            "Precondition required",
            "say which version was seen, with If-Match: \"3\", or create the entity with If-None-Match: *",
        )),
    }
}

/// `DELETE /v1/entities/{entity}/{key}`: removes an entity.
pub(crate) async fn remove(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments((entity, id)): Segments<(String, String)>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, Problem> {
    parameters.finish(&[])?;
    let entities = repository(&app, &principal.tenant, &entity)?;
    let expected = match Condition::read(&headers)? {
        Condition::None => None,
        Condition::At(version) => Some(version),
        Condition::New => return Err(Problem::invalid("If-None-Match is for what is created, not removed")),
    };
    entities.delete(&id, expected).await.map_err(Problem::of_condition)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The entities of a tenant, in the trace of the request.
pub(crate) fn repository(app: &App, tenant: &TenantId, entity: &str) -> Result<StoredRepository, Error> {
    let request = Request { traceparent: asked::traceparent(), ..Request::new(tenant.clone()) };
    app.engine().repositories(&request).named(entity)
}

/// What a body says of an entity.
fn given(text: &str, schema: &EntitySchema) -> Result<GivenEntity, Problem> {
    GivenEntity::parse(schema, text).map_err(|error| wrong(error.to_string()))
}

/// Whether a version is among the tags of `If-None-Match`, where any will do and a weak one is as good.
fn is_among(version: EntityVersion, tags: &str) -> bool {
    tags.split(',')
        .map(str::trim)
        .any(|tag| tag == "*" || tagged_version(tag.strip_prefix("W/").unwrap_or(tag)) == Some(version.0))
}

fn etag(version: EntityVersion) -> String {
    format!("\"{version}\"")
}

fn answer(status: StatusCode, entities: &StoredRepository, entity: StoredEntity) -> Response {
    let version = etag(entity.version);
    let location = format!("/v1/entities/{}/{}", entities.schema().name, encoded(&entity.id));
    let mut response = Answer(EntityJson { schema: entities.schema().clone(), entity }).into_response();
    *response.status_mut() = status;
    let mut insert = |name, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            response.headers_mut().insert(name, value);
        }
    };
    insert(ETAG, &version);
    if status == StatusCode::CREATED {
        insert(LOCATION, &location);
    }
    response
}

/// The condition that a change is made under.
enum Condition {
    None,
    /// There is no such entity.
    New,
    /// It has this version.
    At(EntityVersion),
}

impl Condition {
    fn read(headers: &HeaderMap) -> Result<Self, Problem> {
        match (single(headers, &IF_MATCH)?, single(headers, &IF_NONE_MATCH)?) {
            (None, None) => Ok(Self::None),
            (None, Some("*")) => Ok(Self::New),
            (Some(text), None) => match tagged_version(text).filter(|version| *version > 0) {
                Some(version) => Ok(Self::At(EntityVersion(version))),
                None => Err(Problem::invalid(format!(
                    "If-Match is one version of the entity, such as \"3\"; it is {text:?}"
                ))),
            },
            (None, Some(text)) => Err(Problem::invalid(format!(
                "If-None-Match is * where an entity is created; it is {text:?}"
            ))),
            (Some(_), Some(_)) => Err(Problem::invalid(
                "If-Match is for an entity that is there and If-None-Match for one that is not; send one of them",
            )),
        }
    }
}

/// Refuses a member of the body that says something else than the address or a header.
fn check_member<T: PartialEq + std::fmt::Debug>(
    name: &str,
    given: Option<T>,
    right: Option<T>,
) -> Result<(), Problem> {
    match (given, right) {
        (None, _) => Ok(()),
        (given, right) if given == right => Ok(()),
        (Some(_), None) => Err(wrong(format!("the member {name} is for an entity that is there"))),
        (Some(given), Some(right)) => {
            Err(wrong(format!("the member {name} is {given:?}, and the request is about {right:?}")))
        }
    }
}

fn wrong(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid-body", "Invalid body", detail)
}
