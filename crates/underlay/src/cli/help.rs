//! What the program says about itself: its help, completions for shells, and pages for `man`.

use std::io::Write;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, value_parser};
use clap_complete::Shell;

use super::arguments;
use crate::{ExitError, Service};

/// What every exit code means, for help and pages. `Exit` has the same list.
const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  it failed
  2  the input was wrong or refused; nothing was stored of what was wrong
  3  what was asked for does not exist
  4  not now: nothing was stored, and the same call may succeed later
  5  it may or may not be stored; the message says by which id to find out";

/// What stands below the help of the program.
pub(super) fn after(service: &str) -> String {
    format!(
        "Every option may also stand in {service}.toml, in .env and in the environment; `{service} config` prints them \
         all, each with its value and where it comes from.\n\n{EXIT_CODES}"
    )
}

/// A command whose help leaves out the options that every command takes, and says where they are. It takes them all the same.
pub(super) fn without_common(command: clap::Command, service: &str, common: &[Arg]) -> clap::Command {
    // What a command has itself, by this name, goes before.
    let is_own = |arg: &&Arg| {
        let mut own = command.get_arguments();
        own.any(|own| {
            own.get_id() == arg.get_id() || (own.get_long().is_some() && own.get_long() == arg.get_long())
        })
    };
    let hidden: Vec<Arg> =
        common.iter().filter(|arg| !is_own(arg)).map(|arg| arg.clone().hide(true)).collect();
    pointing(command.args(hidden), service)
}

/// Says below the help of a command, and of those in it, where the rest is.
fn pointing(command: clap::Command, service: &str) -> clap::Command {
    let pointer = format!(
        "Every command also takes the options of the program, such as --database, --tenant and --json: see \
         `{service} --help`."
    );
    let text = match command.get_after_help() {
        Some(own) => format!("{own}\n\n{pointer}"),
        None => pointer,
    };
    let names: Vec<String> = command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
    let command = command.after_help(text);
    names
        .into_iter()
        .fold(command, |command, name| command.mut_subcommand(name, |inner| pointing(inner, service)))
}

pub(super) fn completions_command() -> clap::Command {
    clap::Command::new("completions")
        .about("Print what makes a shell complete commands and options")
        .arg(Arg::new("shell").value_name("SHELL").required(true).value_parser(value_parser!(Shell)).help("The shell"))
        .after_help(
            "For bash: put the output into ~/.local/share/bash-completion/completions/, into a file of the program's \
             name. For zsh: into a file of the name _PROGRAM in a folder of $fpath. For fish: into \
             ~/.config/fish/completions/PROGRAM.fish.",
        )
}

pub(super) fn man_command() -> clap::Command {
    clap::Command::new("man")
        .about("Print the manual page of the program, or write one for each of its commands")
        .arg(
            Arg::new("to")
                .long("to")
                .value_name("FOLDER")
                .value_parser(value_parser!(PathBuf))
                .help("Write a page for the program and for each of its commands into this folder"),
        )
}

pub(super) fn complete(service: &Service, matches: &ArgMatches) -> Result<(), ExitError> {
    let shell = matches.get_one::<Shell>("shell").copied();
    let shell = shell.ok_or_else(|| ExitError::invalid("which shell?"))?;
    // What writes it cannot fail, so it is written into memory first.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut arguments(service), service.name.clone(), &mut script);
    Ok(std::io::stdout().lock().write_all(&script)?)
}

pub(super) fn man(service: &Service, matches: &ArgMatches) -> Result<(), ExitError> {
    let page = page(service)?;
    let Some(folder) = matches.get_one::<PathBuf>("to") else {
        return Ok(std::io::stdout().lock().write_all(&page)?);
    };
    let failed = |error: std::io::Error| ExitError::failed(format!("{}: {error}", folder.display()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(arguments(service), folder).map_err(failed)?;
    std::fs::write(folder.join(format!("{}.1", service.name)), page).map_err(failed)
}

/// The page of the program. Its synopsis says that there are options: all of them would fill the first screen.
fn page(service: &Service) -> Result<Vec<u8>, ExitError> {
    let man = clap_mangen::Man::new(arguments(service));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    let name = service.name.replace('-', "\\-");
    writeln!(page, ".SH SYNOPSIS\n\\fB{name}\\fR [\\fIOPTIONS\\fR] [\\fICOMMAND\\fR]")?;
    man.render_description_section(&mut page)?;
    man.render_subcommands_section(&mut page)?;
    man.render_options_section(&mut page)?;
    man.render_extra_section(&mut page)?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service() -> Service {
        Service::new("bank")
    }

    #[test]
    fn the_command_line_is_sound() {
        arguments(&service()).debug_assert();
    }

    #[test]
    fn options_of_every_command_stand_once_in_help() {
        let mut program = arguments(&service()).term_width(0);
        program.build();
        let whole = program.render_long_help().to_string();
        for part in ["--database", "--listen", "Exit codes:", "5  it may or may not be stored"] {
            assert!(whole.contains(part), "{part}: {whole}");
        }
        assert_below(&program, &mut 0);
    }

    fn assert_below(command: &clap::Command, seen: &mut usize) {
        for inner in command.get_subcommands() {
            *seen += 1;
            let help = inner.clone().render_long_help().to_string();
            assert!(help.contains("see `bank --help`"), "{help}");
            let (own, _) = help.split_once("Every command also").unwrap();
            for option in ["--database", "--listen", "--config <", "--json\n"] {
                assert!(!own.contains(option), "{} says {option}: {help}", inner.get_name());
            }
            assert_below(inner, seen);
        }
    }

    #[test]
    fn a_hidden_option_is_taken_wherever_it_stands() {
        for line in [
            &["bank", "--database", "memory:", "events", "--json"][..],
            &["bank", "events", "--database", "memory:", "--json"],
            &["bank", "outbox", "list", "--database", "memory:", "--json"],
            &["bank", "outbox", "--database", "memory:", "--json", "list"],
        ] {
            let matches = arguments(&service()).try_get_matches_from(line).unwrap();
            let (_, mut matches) = matches.subcommand().unwrap();
            while let Some((_, inner)) = matches.subcommand() {
                matches = inner;
            }
            assert_eq!(
                matches.get_one::<String>("database").map(String::as_str),
                Some("memory:"),
                "{line:?}"
            );
            assert!(matches.get_flag("json"), "{line:?}");
        }
    }

    #[test]
    fn shells_and_man_know_every_command() {
        let page = String::from_utf8(page(&service()).unwrap()).unwrap();
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut arguments(&service()), "bank", &mut script);
            let script = String::from_utf8(script).unwrap();
            for command in ["serve", "events", "dead-letters", "completions"] {
                assert!(script.contains(command), "{shell}: {command}");
                assert!(page.contains(&command.replace('-', "\\-")), "{command}: {page}");
            }
        }
    }
}
