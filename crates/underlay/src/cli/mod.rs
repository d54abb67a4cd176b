//! The command line every service has.

mod archive;
mod check;
mod credentials;
mod events;
mod migrate;
mod serve;
mod stream;
mod token;
mod view;

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, value_parser};
use underlay_core::limits::LEASE_SECONDS_MAX;
use underlay_core::{Clock, Error, SystemClock, TenantId};
use underlay_runtime::{Engine, EngineConfig};
use underlay_server::Example;

use self::credentials::Door;
use crate::retention::Kept;
use crate::{Exit, ExitError, Service, Store};

/// Where `serve` listens when nothing else is said: this machine only.
const LISTEN_DEFAULT: &str = "127.0.0.1:7070";
/// The tenant when nothing else is said.
const TENANT_DEFAULT: &str = "main";

/// Names of files told to who named one that is not there.
const BESIDE_MAX: usize = 5;

/// What a command of the command line works with.
#[derive(Debug)]
pub struct App {
    /// The name of the service.
    pub name: String,
    /// The engine, over the store that `--database` names. No view runs unless started.
    pub engine: Engine,
    /// The store, for closing.
    pub store: Store,
    /// The tenant that `--tenant` names.
    pub tenant: TenantId,
    /// Whether programs read the answer: `--json`.
    pub json: bool,
    pub(crate) database: String,
    pub(crate) listen: String,
    pub(crate) hosts_allowed: Vec<String>,
    pub(crate) about: Option<String>,
    pub(crate) examples: Vec<Example>,
    pub(crate) kept: Kept,
    pub(crate) door: Door,
}

/// A command a service adds to its command line.
#[async_trait::async_trait]
pub trait CliCommand: Send + Sync + 'static {
    /// Its name, arguments and help.
    fn command(&self) -> clap::Command;

    /// Whether it may run where there is no store yet, and makes one. A command that only looks does not:
    /// of a name that was mistyped it would make an empty store, and say that there is nothing in it.
    fn makes_store(&self) -> bool {
        false
    }

    /// Does it. Answers go to standard output; the error's text goes to standard error.
    ///
    /// # Errors
    /// The exit code and a text for a person.
    async fn run(&self, app: &App, matches: &ArgMatches) -> Result<(), ExitError>;
}

pub(crate) fn main(service: &Service, args: impl IntoIterator<Item = OsString>) -> Exit {
    let matches = match arguments(service).try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) => {
            // Help and version are asked for and go to standard output; the rest is wrong usage.
            let exit = if error.use_stderr() { Exit::Invalid } else { Exit::Done };
            return if error.print().is_ok() { exit } else { Exit::Failed };
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&ExitError::failed(format!("the runtime does not start: {error}"))),
    };
    match runtime.block_on(dispatch(service, &matches)) {
        Ok(()) => Exit::Done,
        Err(error) => complain(&error),
    }
}

fn complain(error: &ExitError) -> Exit {
    if error.exit != Exit::Done {
        // Where standard error is gone too, the exit code is all that is left to say.
        let _unheard = writeln!(std::io::stderr().lock(), "error: {error}");
    }
    error.exit
}

fn arguments(service: &Service) -> clap::Command {
    let option = |name: &'static str, value: &'static str, help: String| {
        Arg::new(name).long(name).value_name(value).help(help).global(true)
    };
    clap::Command::new(service.name.clone())
        .about(format!("{}: an event-sourced service. Without a command it serves.", service.name))
        .disable_help_subcommand(true)
        .arg(
            option(
                "database",
                "ADDRESS",
                "The store: sqlite:PATH, postgres://USER@HOST/DATABASE, or memory:".to_owned(),
            )
            .default_value(format!("sqlite:{}.db", service.name)),
        )
        .arg(option("listen", "ADDR", "Where `serve` listens".to_owned()).default_value(LISTEN_DEFAULT))
        .arg(
            option(
                "allow-host",
                "NAME",
                "A name `serve` may be asked by, such as bank.example, besides localhost and addresses; \
                 may be repeated"
                    .to_owned(),
            )
            .action(ArgAction::Append),
        )
        .arg(
            option(
                "view-lease",
                "SECONDS",
                "How long views stay with a process that does not answer, before another takes over"
                    .to_owned(),
            )
            .value_parser(value_parser!(u64).range(1..=LEASE_SECONDS_MAX)),
        )
        .arg(
            option("tenant", "TENANT", "Whose data".to_owned())
                .default_value(TENANT_DEFAULT)
                .value_parser(value_parser!(TenantId)),
        )
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .global(true)
                .help("Answer as JSON, for programs"),
        )
        .args(credentials::arguments())
        .subcommand(serve::command())
        .subcommand(stream::command())
        .subcommand(events::command())
        .subcommand(view::command())
        .subcommand(check::command())
        .subcommand(archive::export_command())
        .subcommand(archive::import_command())
        .subcommand(migrate::command())
        .subcommand(token::command())
        .subcommands(service.commands.iter().map(|command| command.command()))
}

async fn dispatch(service: &Service, matches: &ArgMatches) -> Result<(), ExitError> {
    let (name, matches) = matches.subcommand().unwrap_or(("serve", matches));
    let text = |name: &str| matches.get_one::<String>(name).cloned().unwrap_or_default();
    let tenant = matches.get_one::<TenantId>("tenant").cloned();
    let database = text("database");
    if name == "migrate" {
        // Before there is anything to open.
        return migrate::run(&database, matches).await;
    }
    if name == "token" {
        return token::run(matches).await;
    }
    if name == "check" {
        check::check_lock(service, matches)?;
        if !check::needs_store(matches) {
            return Ok(());
        }
    }
    let own = service.commands.iter().find(|command| command.command().get_name() == name);
    let makes_store = own.map_or(matches!(name, "serve" | "import-log"), |command| command.makes_store());
    let door = match name {
        "serve" => credentials::read(service, matches, &(Arc::new(SystemClock) as Arc<dyn Clock>))?,
        // Whoever is at the command line has come in already.
        _ => Door { credentials: None, log_readers: None },
    };
    if door.credentials.is_some() && matches.value_source("tenant") == Some(ValueSource::CommandLine) {
        return Err(ExitError::invalid(
            "--tenant is for a service without credentials: they name the tenant",
        ));
    }
    let mut service = service.clone();
    if let Some(seconds) = matches.get_one::<u64>("view-lease") {
        let view_lease = Duration::from_secs(*seconds);
        service = service.engine_config(|config| EngineConfig { view_lease, ..config });
    }
    let store = match makes_store {
        true => Store::open(&database).await?,
        false => {
            Store::open_existing(&database).await.map_err(|error| missing(error, &service, &database))?
        }
    };
    let app = App {
        name: service.name.clone(),
        engine: service.open(&store)?,
        store: store.clone(),
        tenant: tenant.ok_or_else(|| ExitError::invalid("--tenant is empty"))?,
        json: matches.get_flag("json"),
        database,
        listen: text("listen"),
        hosts_allowed: matches.get_many("allow-host").unwrap_or_default().cloned().collect(),
        about: service.about.clone(),
        examples: service.examples.clone(),
        kept: service.kept,
        door,
    };
    let done = match name {
        "serve" => serve::run(&app).await,
        "stream" => stream::run(&app, matches).await,
        "events" => events::run(&app, matches).await,
        "view" => view::run(&app, matches).await,
        "check" => check::run(&app).await,
        "export" => archive::export(&app, matches).await,
        "import-log" => archive::import(&app, matches).await,
        name => match own {
            Some(command) => command.run(&app, matches).await,
            None => Err(ExitError::invalid(format!("there is no command {name:?}"))),
        },
    };
    drop(app);
    let closed = store.close().await;
    done?;
    Ok(closed?)
}

/// Says of a store that is not there what makes it, and which ones lie beside it.
fn missing(error: Error, service: &Service, database: &str) -> ExitError {
    let Error::NotFound(_) = error else { return error.into() };
    let beside = match beside(Path::new(database.split_once(':').map_or(database, |(_, path)| path))) {
        names if names.is_empty() => String::new(),
        names if names.len() == 1 => format!("; beside it there is: {}", names.join(", ")),
        names => format!("; beside it there are: {}", names.join(", ")),
    };
    let message = format!("{error}; `{} serve` makes one{beside}", service.name);
    ExitError { exit: Exit::NotFound, message }
}

/// The names of some files of the same kind in the folder of a file that is not there.
fn beside(path: &Path) -> Vec<String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let alike = entries
        .filter(|other| other.extension() == path.extension() && other.file_name() != path.file_name());
    let mut names: Vec<String> = alike
        .filter(|other| other.is_file())
        .filter_map(|other| Some(other.file_name()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    names.truncate(BESIDE_MAX);
    names
}

/// Writes one JSON value on a line of its own.
fn print_json(value: &impl serde::Serialize) -> Result<(), ExitError> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, value)?;
    Ok(writeln!(out)?)
}

/// Writes a table for people: a line of headings, then the rows.
fn print_table(headings: &[&str], rows: Vec<Vec<String>>) -> Result<(), ExitError> {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(headings);
    table.add_rows(rows);
    Ok(writeln!(std::io::stdout().lock(), "{}", table.trim_fmt())?)
}
