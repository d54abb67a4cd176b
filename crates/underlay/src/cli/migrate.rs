use std::io::Write;

use clap::{Arg, ArgAction, ArgMatches};
use underlay_core::adapter::{Migrations, OptionValues};

use super::print_json;
use crate::ExitError;

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

pub(super) async fn run(
    migrations: &dyn Migrations,
    database: &str,
    options: &OptionValues,
    matches: &ArgMatches,
) -> Result<(), ExitError> {
    let login = matches.get_one::<String>("grant").map(String::as_str);
    if matches.get_flag("print") {
        let script = migrations.migration_script(database, options, login).await?;
        if script.is_empty() {
            writeln!(std::io::stderr(), "the schema is up to date: there is nothing to run")?;
        }
        return Ok(write!(std::io::stdout().lock(), "{script}")?);
    }
    let applied = migrations.migrate(database, options, login).await?;
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
