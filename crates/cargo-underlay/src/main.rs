//! `cargo underlay new NAME`: the package of a new service. `cargo underlay lint`: see [`lint`].
//!
//! ```text
//!  name and folder checked ─► files made from templates ─► written into a folder beside ─► renamed
//!            │                                                       │                        │
//!            └─ wrong: 2, nothing is written                         └─ failed: 1, removed ◄──┘
//! ```
//!
//! A killed program may leave the folder beside, whose name begins with a dot. Nothing is ever half made under the name itself.

mod folder;
mod lint;
mod name;
mod origin;
mod package;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::name::PackageName;
use crate::origin::Origin;
use crate::package::{Kind, Package};

/// What cargo gives a program of its own as first argument.
const SUBCOMMAND: &str = "underlay";

fn main() -> ExitCode {
    let matches = match command().try_get_matches_from(arguments(std::env::args_os())) {
        Ok(matches) => matches,
        Err(error) => {
            // Help and version are asked for and go to standard output; the rest is wrong usage.
            let wrong = error.use_stderr();
            return match (error.print(), wrong) {
                (Ok(()), false) => ExitCode::SUCCESS,
                (Ok(()), true) => Failure::WRONG.into(),
                (Err(_), _) => ExitCode::FAILURE,
            };
        }
    };
    let made = match matches.subcommand() {
        Some(("new", matches)) => new(matches),
        Some(("lint", matches)) => lint::run(matches),
        _ => Err(Failure::wrong(
            "say what to do: `cargo underlay new NAME` makes a service, `cargo underlay lint` looks through one".to_owned(),
        )),
    };
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, message }) => {
            // Where standard error is gone too, the exit code is all that is left to say.
            let _unheard = writeln!(io::stderr().lock(), "error: {message}");
            code.into()
        }
    }
}

/// Why the program ends with another exit code than 0.
#[derive(Debug)]
struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// The exit code of a failure.
    const FAILED: u8 = 1;
    /// The exit code of wrong input, as services have it.
    const WRONG: u8 = 2;

    fn wrong(message: String) -> Self {
        Self { code: Self::WRONG, message }
    }

    fn failed(message: String) -> Self {
        Self { code: Self::FAILED, message }
    }
}

/// The arguments as they are where the program is started by itself.
fn arguments(given: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut given: Vec<OsString> = given.collect();
    if given.get(1).is_some_and(|first| first == SUBCOMMAND) {
        given.remove(1);
    }
    given
}

fn command() -> Command {
    Command::new("cargo-underlay")
        .bin_name("cargo underlay")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Makes services on Underlay, and looks through them")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommand(
            Command::new("new")
                .about(
                    "Make the package of a service: it builds, passes its tests and serves at the first try",
                )
                .arg(
                    Arg::new("name")
                        .value_name("NAME")
                        .required(true)
                        .help("The name of the package, of its folder, and of the program"),
                )
                .arg(
                    Arg::new("store-only")
                        .long("store-only")
                        .action(ArgAction::SetTrue)
                        .help("Make an axum program of your own that uses the event store alone"),
                )
                .arg(
                    Arg::new("path")
                        .long("path")
                        .value_name("DIR")
                        .value_parser(value_parser!(PathBuf))
                        .help(
                            "Take the crates of Underlay from this checkout, in place of a published version",
                        ),
                )
                .after_help(
                    "Exit codes: 0 the package is there; 1 it could not be written; 2 a name or a folder is wrong.",
                ),
        )
        .subcommand(lint::command())
}

fn new(matches: &ArgMatches) -> Result<(), Failure> {
    let name = matches.get_one::<String>("name").map_or("", String::as_str);
    let name = PackageName::parse(name).map_err(Failure::wrong)?;
    let origin = match matches.get_one::<PathBuf>("path") {
        Some(checkout) => Origin::checkout(checkout).map_err(Failure::wrong)?,
        None => Origin::Registry,
    };
    let kind = if matches.get_flag("store-only") { Kind::StoreOnly } else { Kind::Service };
    let here = std::env::current_dir()
        .map_err(|error| Failure::failed(format!("the current folder cannot be read: {error}")))?;
    let workspace = folder::workspace_above(&here);
    let package = Package { kind, name: &name, origin: &origin, is_below_workspace: workspace.is_some() };
    folder::make(&here, name.as_str(), &package.files())?;
    tell(&package, workspace.as_deref())
        .map_err(|error| Failure::failed(format!("{name} is there, and this cannot be printed: {error}")))
}

/// What a person does next.
fn tell(package: &Package<'_>, workspace: Option<&Path>) -> io::Result<()> {
    let Package { kind, name, origin, .. } = package;
    let mut out = io::stdout().lock();
    match kind {
        Kind::Service => writeln!(out, "{name} is a service with one aggregate and one view")?,
        Kind::StoreOnly => writeln!(out, "{name} is an axum program with an event store")?,
    }
    writeln!(out, "  look     cd {name}, and read README.md")?;
    writeln!(out, "  test     cargo test")?;
    writeln!(out, "  serve    cargo run")?;
    if *kind == Kind::StoreOnly {
        writeln!(out, "  in a program you have:")?;
        writeln!(out, "           {}", origin.add_command())?;
        writeln!(out, "           then copy the lines of src/main.rs that end in `// underlay`")?;
    }
    if let Some(workspace) = workspace {
        let manifest = workspace.display();
        writeln!(out, "  note     {manifest} is of a workspace, and {name} is one of its own inside it:")?;
        writeln!(out, "           to make it a member, remove [workspace] from {name}/Cargo.toml")?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn cargo_and_a_person_start_it_alike() {
        let read = |given: &[&str]| arguments(given.iter().map(OsString::from));
        let started: Vec<OsString> = ["cargo-underlay", "new", "shop"].map(OsString::from).to_vec();
        assert_eq!(read(&["cargo-underlay", "underlay", "new", "shop"]), started);
        assert_eq!(read(&["cargo-underlay", "new", "shop"]), started);
    }
}
