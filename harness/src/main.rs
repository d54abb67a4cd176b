//! Attacks on the stores from outside, and the benchmarks.
//!
//! A command attacks a guarantee, and is a folder here: `crash` what is durable and answered once, `order`
//! what is ordered without loss, `line` what one workflow does for a key, `attack` what is isolated, `faults` what is promised while a server fails;
//! `sim` plays the whole engine with faults from a seed; `bench` measures. Each is written once over any [`subject`]; what one store alone can suffer stands in
//! the folder of the guarantee that it attacks.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for a terminal: what it prints is its answer"
)]

mod attack;
mod balances;
mod bench;
mod child;
mod crash;
mod dice;
mod faults;
mod journal;
mod line;
mod order;
mod run_folder;
mod sim;
mod subject;
mod terminal;
mod work;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The error is one sentence for the person at the terminal.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Attacks stores: kills, power loss, many writers and readers.
#[derive(Debug, Parser)]
#[command(name = "harness")]
struct Harness {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Attack(attack::Arguments),
    Crash(crash::Arguments),
    #[command(hide = true)]
    CrashChild(crash::ChildArguments),
    Bench(bench::Arguments),
    Faults(faults::Arguments),
    Line(line::Arguments),
    Order(order::Arguments),
    Sim(sim::Arguments),
    #[command(hide = true)]
    OrderWriter(order::WriterArguments),
    #[command(hide = true)]
    OrderReader(order::ReaderArguments),
    #[command(hide = true)]
    WorkChild(work::ChildArguments),
}

fn main() -> ExitCode {
    match run(Harness::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("harness: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprintln!("  because: {cause}");
                source = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}

/// True where nothing was found that should not be.
fn run(command: Command) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Attack(arguments) => attack::run(arguments).await,
            Command::Crash(arguments) => crash::run(arguments).await,
            Command::CrashChild(arguments) => crash::run_child(arguments).await.map(|()| true),
            Command::Bench(arguments) => bench::run(&arguments).await.map(|()| true),
            Command::Faults(arguments) => faults::run(arguments).await,
            Command::Line(arguments) => line::run(arguments).await,
            Command::Order(arguments) => order::run(arguments).await,
            // Each program that it plays has a runtime of its own, which needs a thread that is in none.
            Command::Sim(arguments) => tokio::task::spawn_blocking(move || sim::run(&arguments)).await?,
            Command::OrderWriter(arguments) => order::run_writer(arguments).await.map(|()| true),
            Command::OrderReader(arguments) => order::run_reader(arguments).await.map(|()| true),
            Command::WorkChild(arguments) => work::run_child(arguments).await.map(|()| true),
        }
    })
}
