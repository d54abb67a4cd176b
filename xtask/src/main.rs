//! The project's own commands: `cargo xtask <command>`.
//!
//! Each command is a file named after it, with two functions: `command` describes its arguments,
//! `run` does the work. A new one is such a file and a line in [`COMMANDS`].

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for a terminal: what it prints is its answer"
)]

mod api;
mod attack;
mod bench;
mod cargo;
mod ci;
mod console;
mod contract;
mod crash;
mod deny;
mod faults;
mod harness;
mod ledger;
mod lint;
mod ops;
mod order;
mod package;
mod peers;
mod repository;
mod services;
mod sim;
mod test;
mod tidy;

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use clap::{ArgMatches, Command};

/// What a command ends with; the error is one sentence for the person at the terminal.
type Result<T> = servers::Result<T>;

/// The error of a command that has said already what went wrong.
#[derive(Debug)]
struct Told;

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it failed, as said above")
    }
}

impl Error for Told {}

type Entry = (fn() -> Command, fn(&ArgMatches) -> Result<()>);

const COMMANDS: &[Entry] = &[
    (ci::command, ci::run),
    (test::command, test::run),
    (services::command, services::run),
    (tidy::command, tidy::run),
    (lint::command, lint::run),
    (api::command, api::run),
    (contract::command, contract::run),
    (ops::command, ops::run),
    (console::command, console::run),
    (deny::command, deny::run),
    (package::command, package::run),
    (attack::command, attack::run),
    (crash::command, crash::run),
    (order::command, order::run),
    (sim::command, sim::run),
    (faults::command, faults::run),
    (bench::command, bench::run),
];

fn main() -> ExitCode {
    let xtask = Command::new("xtask")
        .bin_name("cargo xtask")
        .about("The project's own commands")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(COMMANDS.iter().map(|(command, _)| command()));
    match run(&xtask.get_matches()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is::<Told>() {
                eprintln!("xtask: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(matches: &ArgMatches) -> Result<()> {
    let Some((name, arguments)) = matches.subcommand() else { return Err("no command was given".into()) };
    match COMMANDS.iter().find(|(command, _)| command().get_name() == name) {
        Some((_, run)) => run(arguments),
        None => Err(format!("{name} is no command").into()),
    }
}
