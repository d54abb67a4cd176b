//! `token new`, `token list`, `token revoke`: changes the file that `serve --tokens` reads. No store is
//! opened.

use std::io::Write;

use clap::{Arg, ArgAction, ArgMatches};
use serde_json::json;
use underlay_core::{Clock, SystemClock, TenantId, Timestamp};
use underlay_server::{TOKENS_REVOKED_WITHIN, Token, TokenFile, TokenRequest};

use super::moments::read_moment;
use super::{credentials, or_dash, print_json, print_list, print_table};
use crate::ExitError;
use crate::config::Settings;

pub(super) fn command() -> clap::Command {
    let value = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    clap::Command::new("token")
        .about("Make, list and revoke the tokens in the file of --tokens")
        .subcommand_required(true)
        .subcommand(
            clap::Command::new("new")
                .about("Make a token of the tenant of --tenant, and print it: it is never shown again")
                .arg(
                    value("actor", "NAME", "Who holds it; stored with every event they cause").required(true),
                )
                .arg(
                    value("role", "ROLE", "A role its holder has; may be repeated").action(ArgAction::Append),
                )
                .arg(value(
                    "expires",
                    "TIME",
                    "When it ends: 90d, 12h, 30m, or a time such as 2030-01-31T00:00:00Z",
                ))
                .arg(value("note", "TEXT", "What it is for, for people")),
        )
        .subcommand(clap::Command::new("list").about("List the tokens, without their secrets"))
        .subcommand(
            clap::Command::new("revoke")
                .about("Remove a token: running services let its holder in no longer")
                .arg(Arg::new("id").value_name("ID").required(true).help("Its id, as `token list` shows it")),
        )
}

pub(super) async fn run(settings: &Settings, matches: &ArgMatches) -> Result<(), ExitError> {
    let json = matches.get_flag("json");
    let file = credentials::token_file(settings)
        .ok_or_else(|| ExitError::invalid("say which file with --tokens FILE"))?;
    match matches.subcommand() {
        Some(("new", matches)) => new(&file, matches, json).await,
        Some(("revoke", matches)) => revoke(&file, matches, json).await,
        _ => list(&file, json),
    }
}

async fn new(file: &TokenFile, matches: &ArgMatches, json: bool) -> Result<(), ExitError> {
    let tenant = matches
        .get_one::<String>("tenant")
        .ok_or_else(|| ExitError::invalid("say whose data the token opens with --tenant TENANT"))?;
    let tenant = TenantId::new(tenant)?;
    let now = SystemClock.now();
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let request = TokenRequest {
        tenant,
        actor: text("actor").unwrap_or_default(),
        roles: matches.get_many("role").unwrap_or_default().cloned().collect(),
        expires: text("expires").map(|text| read_end(&text, now)).transpose()?,
        note: text("note"),
    };
    let (secret, token) = file.change(&SystemClock, |list| list.add(request, now)).await?;
    let printed = if json {
        let mut shown = shown(&token);
        shown["token"] = secret.reveal().into();
        print_json(&shown)
    } else {
        tell(&format!(
            "token {} lets {} in as tenant {}; what follows is shown once",
            token.id, token.actor, token.tenant
        ));
        writeln!(std::io::stdout().lock(), "{}", secret.reveal()).map_err(ExitError::from)
    };
    printed.map_err(|mut error| {
        // Nobody has seen it, and it opens.
        error.message += &format!("; the token was made and not shown: revoke {}", token.id);
        error
    })
}

fn list(file: &TokenFile, json: bool) -> Result<(), ExitError> {
    let list = file.read()?;
    if json {
        return print_list(list.tokens().iter().map(shown));
    }
    let row = |token: &Token| {
        let roles = token.roles.join(", ");
        vec![
            token.id.clone(),
            token.tenant.to_string(),
            token.actor.clone(),
            or_dash(Some(roles).filter(|roles| !roles.is_empty())),
            token.created.to_string(),
            or_dash(token.expires),
            or_dash(token.note.as_ref()),
        ]
    };
    let headings = ["id", "tenant", "actor", "roles", "created", "expires", "note"];
    print_table(&headings, list.tokens().iter().map(row).collect())
}

async fn revoke(file: &TokenFile, matches: &ArgMatches, json: bool) -> Result<(), ExitError> {
    let id = matches.get_one::<String>("id").cloned().unwrap_or_default();
    // Where there is no file there is no token, and none is made.
    file.read()?;
    let token = file.change(&SystemClock, |list| list.remove(&id)).await?;
    if json {
        return print_json(&shown(&token));
    }
    let seconds = TOKENS_REVOKED_WITHIN.as_secs();
    let told = format!(
        "token {} of {} ({}) is revoked; running services let it in for at most {seconds} s more",
        token.id, token.actor, token.tenant
    );
    Ok(writeln!(std::io::stdout().lock(), "{told}")?)
}

/// A token without what was drawn for it.
fn shown(token: &Token) -> serde_json::Value {
    json!({
        "id": token.id,
        "tenant": token.tenant,
        "actor": token.actor,
        "roles": token.roles,
        "created": token.created,
        "expires": token.expires,
        "note": token.note,
    })
}

/// For the person at the terminal, beside the answer.
fn tell(text: &str) {
    // Where nobody can read it, the answer is still there.
    let _unread = writeln!(std::io::stderr().lock(), "{text}");
}

/// A time, or how long from now.
fn read_end(text: &str, now: Timestamp) -> Result<Timestamp, ExitError> {
    read_moment(text, now).ok_or_else(|| {
        ExitError::invalid(format!(
            "--expires {text}: write how long, as in 90d, 12h or 30m, or a time such as 2030-01-31T00:00:00Z"
        ))
    })
}
