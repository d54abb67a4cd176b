//! The command line every service has.

mod archive;
mod check;
mod command;
mod config;
mod credentials;
mod dead_letters;
mod duties;
mod entity;
mod events;
mod followers;
mod help;
mod json_lines;
mod log;
mod migrate;
mod moments;
mod outbox;
mod pages;
mod print;
mod process;
mod progress;
mod pump;
mod schedule;
mod serve;
mod shutdown;
mod stream;
mod tls;
mod token;
mod user;
mod view;
mod view_orders;
mod worker;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, value_parser};
use underlay_core::adapter::without_password;
use underlay_core::options::OptionKind;
use underlay_core::{Clock, Error, SystemClock, TenantId};
use underlay_runtime::Engine;

use self::credentials::Door;
use self::log::log_to_stderr;
use self::print::{ForPeople, or_dash, out, print_json, print_list, print_table};
use crate::config::{Catalogue, Config, FILE, Key, Sources};
use crate::scheduler::SchedulerInUse;
use crate::telemetry::Telemetry;
use crate::{Exit, ExitError, Links, Service, Store};

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
    /// What it was configured with.
    pub(crate) config: Config,
    /// The address of the store, without what is secret in it.
    pub(crate) database: String,
    pub(crate) door: Door,
    /// Who has its work done.
    pub(crate) scheduler: SchedulerInUse,
    /// What it is made of.
    pub(crate) service: Service,
}

impl App {
    /// The kind of store, as its address has it.
    fn scheme(&self) -> &str {
        self.database.split_once(':').map_or("sqlite", |(scheme, _)| scheme)
    }
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

    /// Looks at what it is given, before a store is opened or made: so a name that was mistyped makes none.
    ///
    /// # Errors
    /// The exit code and a text for a person.
    fn check(&self, matches: &ArgMatches) -> Result<(), ExitError> {
        let _ = matches;
        Ok(())
    }

    /// Does it. Answers go to standard output; the error's text goes to standard error.
    ///
    /// # Errors
    /// The exit code and a text for a person.
    async fn run(&self, app: &App, matches: &ArgMatches) -> Result<(), ExitError>;
}

pub(crate) fn main(service: &Service, args: impl IntoIterator<Item = OsString>) -> Exit {
    // Lines of help are as wide as the terminal; elsewhere they are not broken.
    let program = arguments(service).term_width(print::terminal_width().unwrap_or_default());
    let matches = match program.try_get_matches_from(args) {
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
    let ended = runtime.block_on(dispatch(service, &matches));
    // Nobody waits for what was given up.
    runtime.shutdown_background();
    match ended {
        Ok(()) => Exit::Done,
        Err(error) => complain(&error),
    }
}

fn complain(error: &ExitError) -> Exit {
    if error.exit != Exit::Done {
        // Where standard error is gone too, the exit code is all that is left to say.
        let _unheard = writeln!(ForPeople(std::io::stderr().lock()), "error: {error}");
    }
    error.exit
}

pub(crate) fn arguments(service: &Service) -> clap::Command {
    let name = &service.name;
    let catalogue = Catalogue::new(&service.settings, &service.adapters, name);
    let mut common: Vec<Arg> = catalogue.keys().iter().map(option).collect();
    common.push(
        Arg::new(FILE)
            .long(FILE)
            .value_name("FILE")
            .global(true)
            .value_parser(value_parser!(PathBuf))
            .help(format!("The file of options, in place of {name}.toml")),
    );
    common.push(
        Arg::new("json")
            .long("json")
            .action(ArgAction::SetTrue)
            .global(true)
            .help("Answer as JSON, for programs: one object on each line"),
    );
    let own = service.commands.iter().map(|command| command.command());
    let commands = [
        serve::command(),
        worker::command(),
        stream::command(),
        events::command(),
        view::command(),
        entity::command(),
        command::command(),
        schedule::command(),
        process::command(),
        outbox::command(),
        dead_letters::command(),
        pump::command(),
        check::command(),
        archive::export_command(),
        archive::import_command(),
        migrate::command(),
        config::command(),
        token::command(),
        help::completions_command(),
        help::man_command(),
    ];
    let commands =
        commands.into_iter().chain(own).map(|command| help::without_common(command, name, &common));
    clap::Command::new(name.clone())
        .about(format!("{name}: an event-sourced service. Without a command it serves."))
        .after_help(help::after(name))
        .disable_help_subcommand(true)
        .subcommands(commands)
        .args(common.clone())
}

/// The flag of an option. Its value is read with the rest of the configuration, so that all mistakes are
/// told together.
fn option(key: &Key) -> Arg {
    let spec = &key.spec;
    let default = spec.default.as_ref().filter(|_| !spec.secret);
    let default = default.map(|text| if spec.is_address { without_password(text) } else { text.clone() });
    let default = default.map_or_else(String::new, |default| format!(" [default: {default}]"));
    let arg = Arg::new(key.written())
        .long(key.flag())
        .value_name(spec.value_name)
        .help(format!("{}{default}", key.meaning))
        .global(true);
    let arg = match spec.kind {
        OptionKind::Flag => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        OptionKind::List => arg.action(ArgAction::Append),
        _ => arg,
    };
    match key.section {
        "" => arg,
        // The many bounds are for those who ask for them: `-h` leaves them out, `--help` has them.
        section => arg.hide_short_help(true).help_heading(format!("Options of [{section}]")),
    }
}

/// Reads the configuration, once for all that is done.
fn configure(service: &Service, matches: &ArgMatches) -> Result<Config, ExitError> {
    let sources = Sources {
        service: &service.name,
        folder: Path::new(""),
        environment: std::env::vars_os().collect(),
        flags: matches,
    };
    Ok(Config::read(&service.settings, &service.adapters, &sources)?)
}

async fn dispatch(service: &Service, matches: &ArgMatches) -> Result<(), ExitError> {
    let (name, matches) = matches.subcommand().unwrap_or(("serve", matches));
    // What is about the program itself needs no configuration.
    match name {
        "completions" => return help::complete(service, matches),
        "man" => return help::man(service, matches),
        _ => {}
    }
    let config = configure(service, matches)?;
    let service = &service.configured(&config.settings)?;
    let (adapters, database) = (&service.adapters, config.settings.database.as_str());
    let options = config.store_options(adapters);
    // What needs no store, and what comes before there is one to open.
    match name {
        "config" => return config::run(&config, matches),
        "token" => return token::run(&config.settings, matches).await,
        "migrate" => return migrate::run(&config, adapters, matches).await,
        "import-log" => archive::check_file(matches)?,
        "check" => {
            check::check_lock(service, matches)?;
            if !check::needs_store(matches) {
                return Ok(());
            }
        }
        _ => {}
    }
    let own = service.commands.iter().find(|command| command.command().get_name() == name);
    if let Some(command) = own {
        command.check(matches)?;
    }
    let makes_store =
        own.map_or(matches!(name, "serve" | "worker" | "import-log"), |command| command.makes_store());
    let door = match name {
        "serve" => credentials::read(service, &config.settings, &(Arc::new(SystemClock) as Arc<dyn Clock>))?,
        // Whoever is at the command line has come in already.
        _ => Door { credentials: None, log_readers: None },
    };
    if door.credentials.is_some() && matches.contains_id("tenant") {
        return Err(ExitError::invalid(
            "--tenant is for a service without credentials: they name the tenant",
        ));
    }
    if name == "serve" {
        serve::check_address(&config.settings, &door, &service.name).await?;
    }
    // Who only answers has it too: it tells of timers that its commits set.
    let scheduler = match name {
        "serve" | "worker" => SchedulerInUse(service.open_scheduler(&config.settings)?),
        _ => SchedulerInUse(None),
    };
    let shown = adapters.shown(database);
    let opened = match makes_store {
        true => adapters.open(database, &options).await?,
        false => {
            let opened = adapters.open_existing(database, &options).await;
            opened.map_err(|error| missing(error, service, database))?
        }
    };
    if opened.store.is_none() {
        return Err(ExitError::invalid(format!(
            "{shown} keeps no log, and `--database` names the store of the log; entities may be kept there, by `store` in \
             the section [entities]"
        )));
    }
    let opened = config.settings.views.open(opened, &config, adapters).await?;
    let mut store = Store::of(opened)?;
    for (name, address) in &service.rows {
        let opened = adapters.open(address, &config.options_of(adapters, address)).await;
        store = store.with_rows(name, opened.map_err(|error| of_rows(name, error))?)?;
    }
    // What has nothing to do with entities works also where their stores are away.
    let needs_entities = match name {
        "serve" | "worker" | "entity" => true,
        "check" => check::needs_entities(matches),
        _ => own.is_some(),
    };
    let service = &match needs_entities {
        true => {
            store = config.settings.entities.open(store, &config, adapters, makes_store).await?;
            service.clone()
        }
        false => service.clone().without_entities(),
    };
    if needs_entities || name == "pump" {
        store = config.settings.cache.open(store, &config, adapters).await?;
    }
    let telemetry = match name {
        "serve" | "worker" => {
            Telemetry::begin(&config.settings.telemetry, &service.name, |name| std::env::var(name).ok())?
        }
        _ => Telemetry::none(),
    };
    let app = App {
        name: service.name.clone(),
        engine: service.open_as(
            &store,
            telemetry.of_engine(config.settings.engine.clone()),
            scheduler.0.clone(),
        )?,
        scheduler,
        store: store.clone(),
        tenant: config.settings.tenant()?,
        json: matches.get_flag("json"),
        config,
        database: shown,
        door,
        service: service.clone(),
    };
    let done = match name {
        "serve" => serve::run(&app, matches).await,
        "worker" => worker::run(&app).await,
        "stream" => stream::run(&app, matches).await,
        "events" => events::run(&app, matches).await,
        "view" => view::run(&app, matches).await,
        "entity" => entity::run(&app, matches).await,
        "command" => command::run(&app, matches).await,
        "schedule" => schedule::run(&app, matches).await,
        "process" => process::run(&app, matches).await,
        "outbox" => outbox::run(&app, matches).await,
        "dead-letters" => dead_letters::run(&app, matches).await,
        "pump" => pump::run(&app, matches).await,
        "check" => check::run(&app, matches).await,
        "export" => archive::export(&app, matches).await,
        "import-log" => archive::import(&app, matches).await,
        name => match own {
            Some(command) => command.run(&app, matches).await,
            None => Err(ExitError::invalid(format!("there is no command {name:?}"))),
        },
    };
    drop(app);
    if matches!(&done, Err(error) if shutdown::is_at_once(error)) {
        return done;
    }
    let closed = store.close().await;
    telemetry.end().await;
    done?;
    Ok(closed?)
}

/// Says of which store of rows it is that an address or an option is wrong.
fn of_rows(name: &str, error: Error) -> Error {
    match error {
        Error::Invalid(wrong) => Error::invalid(format!("the store {name:?} of rows: {wrong}")),
        error => error,
    }
}

/// Says of a store that is not there what makes it, and which ones lie beside it.
fn missing(error: Error, service: &Service, database: &str) -> ExitError {
    let Error::NotFound(_) = error else { return error.into() };
    if !matches!(database.split_once(':'), None | Some(("sqlite", _))) {
        let message = format!(
            "{error}; an administrator makes it, with CREATE DATABASE say, and then `{} migrate` its schema",
            service.name
        );
        return ExitError { exit: Exit::NotFound, message };
    }
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

/// Says at the start what keeps links from being made, rather than with the first mail.
fn warn_of_links(app: &App) {
    if let Some(Err(error)) = app.service.links.as_ref().map(Links::check) {
        tracing::warn!("no link can be made, so what sends one waits: {error}");
    }
}
