use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, value_parser};
use underlay_core::{LogScope, TenantId};

use super::pages::many;
use super::progress::{CHECKED, COMMITS, EVENTS, bar};
use super::{App, print_json};
use crate::archive_file::{ArchiveError, LogImport, export_log, import_log, verify_tenants};
use crate::{Exit, ExitError};

/// Tenants of a file that a complaint names.
const TENANTS_SHOWN: usize = 5;

fn file() -> Arg {
    Arg::new("file")
        .required(true)
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("The exported file")
}

pub(super) fn export_command() -> clap::Command {
    clap::Command::new("export")
        .about(
            "Write the log with its outcomes to a file: all of it, or with --tenant one tenant's part. Work that \
             is left is not in it, and neither are schedules",
        )
        .arg(file())
}

pub(super) fn import_command() -> clap::Command {
    clap::Command::new("import-log")
        .about(
            "Store the commits of an exported file, or with --tenant only that tenant's. Commits that are stored \
             already stay as they are",
        )
        .arg(file())
}

pub(super) async fn export(app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
    let path = path(matches)?;
    let archive = app.store.archive()?;
    let scope = scope(app, matches);
    let failed = |error: std::io::Error| ExitError::failed(format!("{}: {error}", path.display()));
    if path.exists() {
        return Err(ExitError::invalid(format!(
            "{} exists already, and an export writes a new file; choose another name",
            path.display()
        )));
    }
    // Whoever finds the file under its name finds it whole.
    let mut partial = path.clone().into_os_string();
    partial.push(".partial");
    let mut out = BufWriter::new(File::create(&partial).map_err(failed)?);
    // The log of every tenant ends at its head; how much of it is one tenant's is not known before.
    let total = match &scope {
        LogScope::EveryTenant => Some(app.store.head().await?.number()),
        LogScope::Tenant(_) => None,
    };
    let bar = bar(app, EVENTS, total);
    let store = app.store.store_id();
    let count = export_log(archive, store, &scope, &mut out, |count| bar.set_position(count.events)).await;
    bar.finish_and_clear();
    let count = count.map_err(|error| explain(&path, error))?;
    if let LogScope::Tenant(tenant) = &scope
        && count.commits == 0
    {
        drop(out);
        std::fs::remove_file(&partial).map_err(failed)?;
        return Err(nothing_of(tenant, "this store", &BTreeSet::new()));
    }
    out.into_inner().map_err(|error| failed(error.into_error()))?.sync_all().map_err(failed)?;
    std::fs::rename(&partial, &path).map_err(failed)?;
    tell_left_behind(app, &scope).await?;
    if app.json {
        return print_json(&count);
    }
    let (commits, events) = (many(count.commits, "commit"), many(count.events, "event"));
    Ok(writeln!(super::out(), "{}: {commits}, {events}", path.display())?)
}

/// Says what of the store is not in the file, so that nobody takes the store for moved who lets it go now.
async fn tell_left_behind(app: &App, scope: &LogScope) -> Result<(), ExitError> {
    let Ok(queue) = app.engine.queue() else { return Ok(()) };
    let (tenant, whose) = match scope {
        LogScope::EveryTenant => (None, "--every-tenant".to_owned()),
        LogScope::Tenant(tenant) => (Some(tenant), format!("--tenant {tenant}")),
    };
    let depths = queue.queue_depths(tenant).await?;
    let left: u64 = depths.iter().map(|depth| depth.ready + depth.later + depth.dead).sum();
    if left > 0 {
        let name = &app.name;
        let _unread = writeln!(
            std::io::stderr().lock(),
            "work is left ({left}), and no export holds any: commands, messages and timers that wait do not run in \
             a store that imports this. `{name} outbox --all {whose}` shows them; let them end before you move the \
             store, and put its schedules again there. What was cancelled counts until its moment, and may stay"
        );
    }
    Ok(())
}

/// Looks whether the file to import is there, before a store is made for it.
pub(super) fn check_file(matches: &ArgMatches) -> Result<(), ExitError> {
    open(&path(matches)?).map(drop)
}

fn open(path: &Path) -> Result<File, ExitError> {
    File::open(path).map_err(|error| explain(path, error.into()))
}

pub(super) async fn import(app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
    let path = path(matches)?;
    let archive = app.store.archive()?;
    let scope = scope(app, matches);
    // The whole file is checked first, so a damaged one stores nothing.
    let mut tenants = BTreeSet::new();
    let file = open(&path)?;
    let checking = bar(app, CHECKED, file.metadata().ok().map(|file| file.len()));
    let count = verify_tenants(BufReader::new(checking.wrap_read(file)), |tenant| {
        if !tenants.contains(tenant) {
            tenants.insert(tenant.clone());
        }
    });
    checking.finish_and_clear();
    let count = count.map_err(|error| explain(&path, error))?;
    if let LogScope::Tenant(tenant) = &scope
        && !tenants.contains(tenant)
    {
        return Err(nothing_of(tenant, &path.display().to_string(), &tenants));
    }
    let bar = bar(app, COMMITS, Some(count.commits));
    let file = BufReader::new(open(&path)?);
    let imported = import_log(archive, &scope, file, |commits| bar.set_position(commits)).await;
    bar.finish_and_clear();
    let imported = imported.map_err(|error| explain(&path, error))?;
    if app.json {
        return print_json(&imported);
    }
    let LogImport { stored, known, left_out } = imported;
    let others =
        if left_out == 0 { String::new() } else { format!("; {left_out} of other tenants left out") };
    let note = if stored == 0 { ": nothing changed" } else { "" };
    Ok(writeln!(
        super::out(),
        "{}: {stored} stored, {known} already there{note}{others}",
        many(stored + known, "commit")
    )?)
}

/// The tenant that was asked for by name; the one that is there by default does not stand for all.
fn scope(app: &App, matches: &ArgMatches) -> LogScope {
    match matches.value_source("tenant") {
        Some(ValueSource::CommandLine) => LogScope::Tenant(app.tenant.clone()),
        _ => LogScope::EveryTenant,
    }
}

/// Who asks for a tenant by name wants what it has; a file without any of it would pass for a backup.
fn nothing_of(tenant: &TenantId, place: &str, tenants: &BTreeSet<TenantId>) -> ExitError {
    let known: Vec<&str> = tenants.iter().take(TENANTS_SHOWN).map(TenantId::as_str).collect();
    let known =
        if known.is_empty() { String::new() } else { format!(" (there are those of: {})", known.join(", ")) };
    let message = format!("{place} holds no commits of tenant {tenant}{known}; nothing was stored");
    ExitError { exit: Exit::NotFound, message }
}

fn path(matches: &ArgMatches) -> Result<PathBuf, ExitError> {
    matches.get_one::<PathBuf>("file").cloned().ok_or_else(|| ExitError::invalid("which file?"))
}

fn explain(path: &Path, error: ArchiveError) -> ExitError {
    match error {
        ArchiveError::Line { .. } => ExitError::invalid(format!("{}: {error}", path.display())),
        ArchiveError::File(error) => ExitError::failed(format!("{}: {error}", path.display())),
        ArchiveError::Store(error) => error.into(),
    }
}
