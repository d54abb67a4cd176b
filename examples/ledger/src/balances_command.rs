//! `ledger balances`: every balance that is not zero.

use std::io::Write;
use std::time::Duration;

use serde::Serialize;
use underlay::clap::{self, Arg, ArgMatches};
use underlay::domain::Direction;
use underlay::words::limits::PAGE_ROWS_MAX;
use underlay::{App, CliCommand, Decimal, Engine, Error, ExitError, Query, Row, TenantId, View};

use crate::balances::{Balance, Balances};

/// How long the view may take to reach the head of the log.
const CATCH_UP_MAX: Duration = Duration::from_secs(600);

/// The command.
#[derive(Clone, Copy, Debug)]
pub struct PrintBalances;

/// A line of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BalanceLine {
    /// The account.
    pub account: String,
    /// Of what.
    pub commodity: String,
    /// How much.
    pub balance: Decimal,
}

/// Every balance of a tenant that is not zero, in order of account and commodity. The view must
/// run, here or in another process: this waits until it shows all that is in the log now.
///
/// # Errors
/// [`Error::Unavailable`] where the view does not get there; otherwise what the store says.
pub async fn balances(engine: &Engine, tenant: &TenantId) -> Result<Vec<BalanceLine>, Error> {
    let head = engine.store().head().await?;
    engine.wait_for_view(Balances::NAME, head, CATCH_UP_MAX).await?;
    let mut lines = Vec::new();
    let mut query = Query::default().sort("account", Direction::Ascending).limit(PAGE_ROWS_MAX);
    loop {
        let page = engine.query(tenant, Balances::NAME, &query).await?.page;
        for (key, values) in page.rows {
            let Balance { account, commodity, balance, .. } = Balance::from_values(values)
                .map_err(|column| Error::Damaged(format!("balance {key}: column {column} does not fit")))?;
            if !balance.is_zero() {
                lines.push(BalanceLine { account, commodity, balance });
            }
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(lines),
        }
    }
}

#[underlay::async_trait]
impl CliCommand for PrintBalances {
    fn command(&self) -> clap::Command {
        clap::Command::new("balances").about("Print every balance that is not zero").arg(
            Arg::new("format")
                .long("format")
                .value_name("FORMAT")
                .default_value("table")
                .value_parser(["table", "csv", "json"])
                .help("How to print them; --json is the same as --format json"),
        )
    }

    async fn run(&self, app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
        let views = app.engine.start_views();
        let lines = balances(&app.engine, &app.tenant).await;
        views.stop().await;
        let lines = lines?;
        let format =
            if app.json { "json" } else { matches.get_one("format").map_or("table", String::as_str) };
        match format {
            "json" => print_json(&lines),
            "csv" => print_csv(&lines),
            _ => print_table(&lines),
        }
    }
}

fn print_json(lines: &[BalanceLine]) -> Result<(), ExitError> {
    let mut out = std::io::stdout().lock();
    for line in lines {
        serde_json::to_writer(&mut out, line)?;
        writeln!(out)?;
    }
    Ok(())
}

fn print_csv(lines: &[BalanceLine]) -> Result<(), ExitError> {
    let mut out = csv::Writer::from_writer(std::io::stdout().lock());
    let mut write = || -> Result<(), csv::Error> {
        out.write_record(["account", "commodity", "balance"])?;
        for line in lines {
            out.write_record([&line.account, &line.commodity, &line.balance.to_string()])?;
        }
        Ok(out.flush()?)
    };
    write().map_err(|error| match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        kind => ExitError::failed(format!("the balances have no CSV form: {kind:?}")),
    })
}

fn print_table(lines: &[BalanceLine]) -> Result<(), ExitError> {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(["account", "commodity", "balance"]);
    for line in lines {
        let balance = comfy_table::Cell::new(line.balance).set_alignment(comfy_table::CellAlignment::Right);
        table.add_row([(&line.account).into(), (&line.commodity).into(), balance]);
    }
    Ok(writeln!(std::io::stdout().lock(), "{}", table.trim_fmt())?)
}
