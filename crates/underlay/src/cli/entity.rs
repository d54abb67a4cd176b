use std::io::Write;

use clap::{Arg, ArgAction, ArgMatches, value_parser};
use serde::Serialize;
use underlay_core::limits::PAGE_ROWS_MAX;
use underlay_core::{EntityJson, EntitySchema, EntityVersion, GivenEntity, StoredEntity, Value};
use underlay_runtime::{Request, StoredRepository};
use underlay_server::read_page_query;

use super::pages::{quoted, tell_more};
use super::{App, print_json, print_list, print_table};
use crate::ExitError;

/// Parameters of a page that are no filters.
const OPTIONS: [&str; 5] = ["sort", "cursor", "limit", "condition", "count"];

pub(super) fn command() -> clap::Command {
    let entity =
        || Arg::new("entity").required(true).value_name("ENTITY").help("Its kind, as `entity list` has it");
    let id = || Arg::new("id").required(true).value_name("ID").help("Its id");
    let body = |help: &'static str| Arg::new("body").required(true).value_name("BODY").help(help);
    let if_version = |help: &'static str| {
        Arg::new("if-version")
            .long("if-version")
            .value_name("VERSION")
            .value_parser(value_parser!(u64).range(1..))
            .help(help)
    };
    clap::Command::new("entity")
        .about("Look at entities of a tenant, and change them")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(clap::Command::new("list").about("Print the kinds of entities, and where each is kept"))
        .subcommand(clap::Command::new("get").about("Print one entity").arg(entity()).arg(id()))
        .subcommand(
            clap::Command::new("create")
                .about("Store a new entity")
                .arg(entity())
                .arg(id())
                .arg(body("Its columns, as a JSON object")),
        )
        .subcommand(
            clap::Command::new("update")
                .about("Replace all values of an entity")
                .arg(entity())
                .arg(id())
                .arg(body("All its columns, as a JSON object; one that is left out is emptied, where it can be empty"))
                .arg(
                    if_version("The version that was seen, as `entity get` prints it; where it has another, nothing changes")
                        .required(true),
                ),
        )
        .subcommand(
            clap::Command::new("delete")
                .about("Remove an entity")
                .arg(entity())
                .arg(id())
                .arg(if_version("Remove it only where it has this version; without, whatever is there")),
        )
        .subcommand(query_command().arg(entity()).arg(
            Arg::new("filters").num_args(0..).value_name("FILTER").help(
                "COLUMN=VALUE or COLUMN[HOW]=VALUE of an indexed column, such as 'value[ge]=1.5'; HOW is eq, lt, le, gt, ge or prefix",
            ),
        ))
}

fn query_command() -> clap::Command {
    let option = |name: &'static str, value: &'static str| Arg::new(name).long(name).value_name(value);
    clap::Command::new("query")
        .about("Print the entities that meet filters and a condition")
        .arg(
            option("sort", "COLUMN")
                .allow_hyphen_values(true)
                .help("An indexed column or id; with - before it the largest come first [default: id]"),
        )
        .arg(option("condition", "JSON").help(
            r#"What filters cannot say, such as '{"any":[{"column":"note","is_null":true},{"column":"base","eq":"EUR"}]}'"#,
        ))
        .arg(
            option("limit", "COUNT")
                .default_value("100")
                .allow_negative_numbers(true)
                .value_parser(value_parser!(u64).range(1..=PAGE_ROWS_MAX as u64))
                .help("How many are printed at most"),
        )
        .arg(option("after", "CURSOR").help("Print only what comes after this, as the end of a list that was cut says it"))
        .arg(
            Arg::new("count")
                .long("count")
                .action(ArgAction::SetTrue)
                .help("Print how many there are, in place of them"),
        )
}

pub(super) async fn run(app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
    match matches.subcommand() {
        Some(("get", matches)) => get(app, matches).await,
        Some(("create", matches)) => create(app, matches).await,
        Some(("update", matches)) => update(app, matches).await,
        Some(("delete", matches)) => delete(app, matches).await,
        Some(("query", matches)) => query(app, matches).await,
        _ => list(app),
    }
}

fn given<'a>(matches: &'a ArgMatches, name: &str) -> &'a str {
    matches.get_one::<String>(name).map_or("", String::as_str)
}

fn seen(matches: &ArgMatches) -> Option<EntityVersion> {
    matches.get_one("if-version").copied().map(EntityVersion)
}

fn repository(app: &App, matches: &ArgMatches) -> Result<StoredRepository, ExitError> {
    let request = Request::new(app.tenant.clone());
    Ok(app.engine.repositories(&request).named(given(matches, "entity"))?)
}

#[derive(Serialize)]
struct Kind<'a> {
    #[serde(flatten)]
    schema: &'a EntitySchema,
    roles: &'a [&'a str],
    kept_in: &'a str,
}

fn list(app: &App) -> Result<(), ExitError> {
    let registry = app.engine.registry();
    // Both are by name.
    let (schemas, places) = (registry.entities(), app.engine.entity_places());
    let kinds = schemas.iter().zip(&places).map(|(schema, (_, kept_in))| Kind {
        schema,
        roles: registry.entity_roles(&schema.name),
        kept_in,
    });
    if app.json {
        return print_list(kinds);
    }
    let row = |kind: Kind<'_>| {
        let column = |column: &underlay_core::Column| match (kind.schema.is_unique(&column.name), column) {
            (true, _) => format!("{} (unique)", column.name),
            (false, column) if column.indexed => format!("{} (indexed)", column.name),
            (false, _) => column.name.clone(),
        };
        let columns: Vec<String> = kind.schema.columns.iter().map(column).collect();
        let roles = if kind.roles.is_empty() { "everybody".to_owned() } else { kind.roles.join(", ") };
        vec![
            kind.schema.name.clone(),
            kind.schema.version.to_string(),
            columns.join(", "),
            roles,
            kind.kept_in.to_owned(),
        ]
    };
    print_table(&["entity", "version", "columns", "for", "kept in"], kinds.map(row).collect())
}

async fn get(app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
    let entities = repository(app, matches)?;
    let entity = entities.get(given(matches, "id")).await?;
    if app.json {
        return print_json(&EntityJson { schema: entities.schema().clone(), entity });
    }
    let own = [("id", entity.id), ("version", entity.version.to_string())];
    let own = own.into_iter().map(|(name, value)| vec![name.to_owned(), value]);
    let columns = entities.schema().columns.iter().zip(&entity.values);
    let columns = columns.map(|(column, value)| vec![column.name.clone(), shown(value)]);
    print_table(&["column", "value"], own.chain(columns).collect())
}

async fn create(app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
    let entities = repository(app, matches)?;
    let (id, given) = (given(matches, "id"), read(matches, &entities)?);
    if given.version.is_some() {
        return Err(ExitError::invalid("the member version is for an entity that is there"));
    }
    let created = entities.create(id, given.values).await?;
    stored(app, &entities, created)
}

async fn update(app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
    let entities = repository(app, matches)?;
    let (id, given) = (given(matches, "id"), read(matches, &entities)?);
    let seen = seen(matches).ok_or_else(|| ExitError::invalid("--if-version says which version was seen"))?;
    if given.version.is_some_and(|version| version != seen) {
        return Err(ExitError::invalid(format!("the body is of another version than --if-version {seen}")));
    }
    let updated = entities.update(id, seen, given.values).await?;
    stored(app, &entities, updated)
}

async fn delete(app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
    let entities = repository(app, matches)?;
    let (entity, id) = (&entities.schema().name, given(matches, "id"));
    entities.delete(id, seen(matches)).await?;
    if app.json {
        return print_json(&serde_json::json!({ "entity": entity, "id": id, "removed": true }));
    }
    Ok(writeln!(super::out(), "{entity} {id:?} is removed")?)
}

/// The body of a change, which may say the id again and nothing else of it.
fn read(matches: &ArgMatches, entities: &StoredRepository) -> Result<GivenEntity, ExitError> {
    let read = GivenEntity::parse(entities.schema(), given(matches, "body"))?;
    match read.id.as_deref() {
        Some(other) if other != given(matches, "id") => {
            Err(ExitError::invalid(format!("the body is of another id, {other:?}")))
        }
        _ => Ok(read),
    }
}

fn stored(app: &App, entities: &StoredRepository, entity: StoredEntity) -> Result<(), ExitError> {
    if app.json {
        return print_json(&EntityJson { schema: entities.schema().clone(), entity });
    }
    let StoredEntity { id, version, .. } = entity;
    Ok(writeln!(super::out(), "{} {id:?} is stored, at version {version}", entities.schema().name)?)
}

async fn query(app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
    let entities = repository(app, matches)?;
    let schema = entities.schema();
    let mut parameters = Vec::new();
    let filters: Vec<&String> = matches.get_many("filters").into_iter().flatten().collect();
    for filter in &filters {
        let (name, value) =
            filter.split_once('=').filter(|(name, _)| !OPTIONS.contains(name)).ok_or_else(|| {
                ExitError::invalid(format!(
                    "a filter is COLUMN=VALUE or COLUMN[HOW]=VALUE; {filter:?} is none"
                ))
            })?;
        parameters.push((name.to_owned(), value.to_owned()));
    }
    for (option, parameter) in [("sort", "sort"), ("condition", "condition"), ("after", "cursor")] {
        let value = matches.get_one::<String>(option).cloned();
        parameters.extend(value.map(|value| (parameter.to_owned(), value)));
    }
    parameters.extend(matches.get_one::<u64>("limit").map(|limit| ("limit".to_owned(), limit.to_string())));
    let (query, _) = read_page_query(schema, parameters)?;
    if matches.get_flag("count") {
        return count(app, entities.count(&query).await?);
    }
    let page = entities.query(&query).await?;
    if app.json {
        let json = |entity| EntityJson { schema: schema.clone(), entity };
        print_list(page.entities.into_iter().map(json))?;
    } else {
        let row = |entity: StoredEntity| {
            [entity.id, entity.version.to_string()]
                .into_iter()
                .chain(entity.values.iter().map(shown))
                .collect()
        };
        let columns = schema.columns.iter().map(|column| column.name.as_str());
        let headings: Vec<&str> = ["id", "version"].into_iter().chain(columns).collect();
        print_table(&headings, page.entities.into_iter().map(row).collect())?;
    }
    let Some(next) = page.next else { return Ok(()) };
    let words: Vec<String> = filters.into_iter().map(|filter| quoted(filter)).collect();
    let words = [&["entity query".to_owned(), schema.name.clone()], words.as_slice()].concat().join(" ");
    let kept: (&[&str], &[&str]) = (&["sort", "condition", "limit"], &[]);
    tell_more(app, matches, &words, kept, &next.to_text(&query.sort))
}

fn count(app: &App, count: u64) -> Result<(), ExitError> {
    if app.json {
        return print_json(&serde_json::json!({ "count": count }));
    }
    Ok(writeln!(super::out(), "{count}")?)
}

/// A value as a cell has it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Text(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Decimal(number) => number.to_string(),
        Value::Boolean(truth) => truth.to_string(),
        Value::Timestamp(time) => time.to_string(),
    }
}
