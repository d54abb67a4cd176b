//! `cargo xtask ops`: what is in `ops/` is right, and is about the metrics that there are.
//!
//! `promtool` checks the rules and runs their tests, checks the metrics of a ledger that serves, and parses every
//! expression of the dashboard. Every metric that a rule or the dashboard names stands in `docs/metrics.md`, and every
//! alert has its section in `docs/runbook.md`.
//!
//! promtool is of Debian's package `prometheus`. Where it cannot be had, that is said with the reason; with
//! `REQUIRE_SERVERS=1` it is a failure.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::ArgMatches;
use serde_json::{Value, json};
use servers::{Missing, is_required, promtool};
use tempfile::TempDir;

use crate::cargo::run as run_program;
use crate::ledger::{self, Ledger};
use crate::{Result, repository};

const RULES: &str = "ops/prometheus/underlay.rules.yml";
const TESTS: &str = "ops/prometheus/underlay.test.yml";
const DASHBOARD: &str = "ops/grafana/underlay.json";
const METRICS: &str = "docs/metrics.md";
const RUNBOOK: &str = "docs/runbook.md";
/// How long the ledger may take to answer a scrape.
const SCRAPE_MAX: Duration = Duration::from_secs(10);

pub(crate) fn command() -> clap::Command {
    clap::Command::new("ops").about("Checks the alert rules, the dashboard and the metrics they are about")
}

pub(crate) fn run(_: &ArgMatches) -> Result<()> {
    check(&repository::root()?)
}

/// Checks what is in `ops/`.
///
/// # Errors
/// What is wrong; or that promtool cannot be had, where it must be there.
pub(crate) fn check(root: &Path) -> Result<()> {
    let read = |path: &str| {
        fs::read_to_string(root.join(path)).map_err(|error| format!("{path} cannot be read: {error}"))
    };
    let (rules, dashboard, metrics) = (read(RULES)?, read(DASHBOARD)?, read(METRICS)?);
    let expressions = expressions(&serde_json::from_str(&dashboard)?);
    if expressions.is_empty() {
        return Err(format!("{DASHBOARD} shows nothing").into());
    }
    let alerts = after_each(&rules, "- alert: ");
    check_runbook(&alerts, &rules, &read(RUNBOOK)?)?;
    check_tests(&alerts, &read(TESTS)?)?;
    let known: BTreeSet<&str> =
        metrics.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    check_names(RULES, after_each(&rules, " expr: "), &known)?;
    check_names(DASHBOARD, expressions.iter().map(String::as_str), &known)?;
    let folder = TempDir::new()?;
    let promtool = match promtool(&crate::cargo::target_directory(root)?.join("tools")) {
        Ok(promtool) => promtool,
        Err(reason) => {
            let missing = Missing::new("promtool", reason);
            if is_required() {
                return Err(missing.skip_line().into());
            }
            println!("{}", missing.skip_line());
            return Ok(());
        }
    };
    run_program(Command::new(&promtool).args(["check", "rules"]).arg(root.join(RULES)))?;
    run_program(Command::new(&promtool).args(["test", "rules"]).arg(root.join(TESTS)))?;
    let shown = folder.path().join("dashboard.json");
    // JSON is YAML too.
    fs::write(&shown, recorded(&expressions).to_string())?;
    println!("{} expressions of {DASHBOARD}", expressions.len());
    run_program(Command::new(&promtool).args(["check", "rules"]).arg(&shown))?;
    println!("metrics of a ledger");
    check_metrics(&promtool, &scrape(&Ledger::start(&ledger::program(root)?, &folder, &[])?)?)
}

/// What follows a word in each line that has it.
fn after_each<'t>(text: &'t str, before: &'t str) -> Vec<&'t str> {
    text.lines().filter_map(|line| Some(line.split_once(before)?.1.trim())).collect()
}

/// Every expression of a dashboard, with what Grafana puts in filled in.
fn expressions(dashboard: &Value) -> Vec<String> {
    match dashboard {
        Value::Object(members) => {
            let own = members.get("expr").and_then(Value::as_str);
            let own = own.map(|expression| expression.replace("$__rate_interval", "5m"));
            own.into_iter().chain(members.values().flat_map(expressions)).collect()
        }
        Value::Array(values) => values.iter().flat_map(expressions).collect(),
        _ => Vec::new(),
    }
}

/// The expressions as rules that promtool can parse.
fn recorded(expressions: &[String]) -> Value {
    let rule = |(number, expression): (usize, &String)| json!({ "record": format!("shown:{number}"), "expr": expression });
    let rules: Vec<Value> = expressions.iter().enumerate().map(rule).collect();
    json!({ "groups": [{ "name": "dashboard", "rules": rules }] })
}

/// Every alert names its section, and there is no section of none.
fn check_runbook(alerts: &[&str], rules: &str, runbook: &str) -> Result<()> {
    let sections: BTreeSet<&str> = after_each(runbook, "## ").into_iter().collect();
    let known: BTreeSet<&str> = alerts.iter().copied().collect();
    if sections != known {
        let odd: Vec<&&str> = sections.symmetric_difference(&known).collect();
        return Err(format!("{RULES} and {RUNBOOK} do not have the same alerts: {odd:?}").into());
    }
    let links: Vec<String> =
        alerts.iter().map(|alert| format!("{RUNBOOK}#{}", alert.to_ascii_lowercase())).collect();
    if after_each(rules, " runbook: ") != links {
        return Err(format!("an alert of {RULES} does not lead to its section of {RUNBOOK}").into());
    }
    Ok(())
}

/// Every alert has a test of its own.
fn check_tests(alerts: &[&str], tests: &str) -> Result<()> {
    let tested = after_each(tests, "- name: ");
    match alerts.iter().find(|alert| !tested.contains(alert)) {
        None => Ok(()),
        Some(untested) => Err(format!("{TESTS} has no test of {untested}").into()),
    }
}

/// Every metric that is named stands in the table. `up` is of Prometheus itself.
fn check_names<'e>(
    path: &str,
    expressions: impl IntoIterator<Item = &'e str>,
    known: &BTreeSet<&str>,
) -> Result<()> {
    for expression in expressions {
        let words = expression.split(|sign: char| !(sign.is_ascii_alphanumeric() || sign == '_'));
        let named = words.filter(|word| word.starts_with("underlay_") || word.starts_with("process_"));
        for name in named {
            let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            if !known.contains(name) && !of_histogram.is_some_and(|name| known.contains(name)) {
                return Err(
                    format!("{path} names {name}, which {METRICS} does not have: {expression}").into()
                );
            }
        }
    }
    Ok(())
}

/// The metrics of a ledger, once it has done something.
fn scrape(ledger: &Ledger) -> Result<String> {
    let (head, _) = ask(ledger, "GET /v1/views HTTP/1.1")?;
    if !head.starts_with("HTTP/1.1 200") {
        return Err(format!("the ledger answers {head}").into());
    }
    let (head, metrics) = ask(ledger, "GET /metrics HTTP/1.1")?;
    if !head.starts_with("HTTP/1.1 200") {
        return Err(format!("the ledger answers a scrape by {head}").into());
    }
    Ok(metrics)
}

/// The head and the body of an answer.
fn ask(ledger: &Ledger, asked: &str) -> Result<(String, String)> {
    let host = ledger.address().trim_start_matches("http://");
    let mut connection = TcpStream::connect(host)?;
    connection.set_read_timeout(Some(SCRAPE_MAX))?;
    write!(connection, "{asked}\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("the ledger answers nothing")?;
    Ok((head.to_owned(), body.to_owned()))
}

fn check_metrics(promtool: &Path, metrics: &str) -> Result<()> {
    let mut child = Command::new(promtool).args(["check", "metrics"]).stdin(Stdio::piped()).spawn()?;
    // Dropped where it is written to its end, so the tool knows that it has all.
    child.stdin.take().ok_or("promtool takes no input")?.write_all(metrics.as_bytes())?;
    match child.wait()?.success() {
        true => Ok(()),
        false => Err("promtool finds fault with the metrics, as said above".into()),
    }
}
