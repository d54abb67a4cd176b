use std::collections::BTreeSet;
use std::io::Write;

use clap::{Arg, ArgAction, ArgMatches};
use underlay_core::adapter::{Migrations, OptionValues};

use super::print_json;
use crate::config::Config;
use crate::{Adapters, ExitError};

pub(super) fn command() -> clap::Command {
    clap::Command::new("migrate")
        .about("Make or bring up to date the schema of a postgres:// database, as its administrator")
        .arg(
            Arg::new("print")
                .long("print")
                .action(ArgAction::SetTrue)
                .help("Print the SQL that is missing and run nothing"),
        )
        .arg(
            Arg::new("grant")
                .long("grant")
                .value_name("LOGIN")
                .help("Grant this login the use of the store: the one the service connects with"),
        )
}

/// Brings every database up to date that the service uses: that of the store, then those of entities and of the
/// rows of views.
pub(super) async fn run(config: &Config, adapters: &Adapters, matches: &ArgMatches) -> Result<(), ExitError> {
    let login = matches.get_one::<String>("grant").map(String::as_str);
    let targets = targets(config, adapters)?;
    if matches.get_flag("print") {
        return print(&targets, login).await;
    }
    let mut applied = Vec::new();
    for target in &targets {
        applied.extend(target.migrations.migrate(target.address, &target.options, login).await?);
    }
    if matches.get_flag("json") {
        return print_json(&serde_json::json!({ "applied": applied, "granted": login }));
    }
    let mut out = super::out();
    if applied.is_empty() {
        writeln!(out, "the schema is up to date: nothing changed")?;
    } else {
        writeln!(out, "applied {}", applied.join(", "))?;
    }
    if let Some(login) = login {
        writeln!(out, "{login} may use the store")?;
    }
    Ok(())
}

/// A database whose schema is brought up to date.
struct Target<'a> {
    address: &'a str,
    options: OptionValues,
    migrations: &'a dyn Migrations,
}

fn targets<'a>(config: &'a Config, adapters: &'a Adapters) -> Result<Vec<Target<'a>>, ExitError> {
    let database = config.settings.database.as_str();
    let others = config.settings.other_addresses().map(|(_, address)| address);
    let addresses: BTreeSet<&str> = others.filter(|address| *address != database).collect();
    let mut targets = Vec::new();
    for address in [database].into_iter().chain(addresses) {
        if let Some(migrations) = adapters.of(address)?.migrations() {
            targets.push(Target { address, options: config.options_of(adapters, address), migrations });
        }
    }
    if targets.is_empty() {
        // Of the store it is said that there is nothing to migrate.
        adapters.migrations(database)?;
    }
    Ok(targets)
}

async fn print(targets: &[Target<'_>], login: Option<&str>) -> Result<(), ExitError> {
    let mut scripts = String::new();
    for target in targets {
        scripts += &target.migrations.migration_script(target.address, &target.options, login).await?;
    }
    if scripts.is_empty() {
        writeln!(std::io::stderr(), "the schema is up to date: there is nothing to run")?;
    }
    Ok(write!(std::io::stdout().lock(), "{scripts}")?)
}
