use std::io::Write;

use clap::{Arg, ArgAction, ArgMatches};

use super::print_json;
use crate::{ExitError, Store};

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

pub(super) async fn run(database: &str, matches: &ArgMatches) -> Result<(), ExitError> {
    let login = matches.get_one::<String>("grant").map(String::as_str);
    if matches.get_flag("print") {
        let script = Store::migration_script(database, login).await?;
        if script.is_empty() {
            writeln!(std::io::stderr(), "the schema is up to date: there is nothing to run")?;
        }
        return Ok(write!(std::io::stdout().lock(), "{script}")?);
    }
    let applied = Store::migrate(database, login).await?;
    if matches.get_flag("json") {
        return print_json(&serde_json::json!({ "applied": applied, "granted": login }));
    }
    let mut out = std::io::stdout().lock();
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
