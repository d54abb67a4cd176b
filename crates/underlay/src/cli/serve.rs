use std::io::Write;
use std::net::SocketAddr;
use std::pin::pin;

use clap::{Arg, ArgMatches};
use tokio::net::TcpListener;
use underlay_core::TenantId;
use underlay_server::{ServerConfig, Start, check_listener};

use super::duties::{Duties, forget};
use super::shutdown::until_told;
use super::tls::{Certificate, certificate, shown};
use super::{App, Door, log_to_stderr, warn_of_links};
use crate::ExitError;
use crate::config::Settings;

/// The part of a process that answers.
const HTTP: &str = "http";

pub(super) fn command() -> clap::Command {
    clap::Command::new("serve")
        .about("Serve the HTTP API, keep the views, do the work that commits send on and run the pumps, until ctrl-c")
        .arg(Arg::new("only").long("only").value_name("PART").value_parser([HTTP]).help(
            "Serve HTTP and nothing else; processes of `worker` keep the views and do the work",
        ))
}

pub(super) async fn run(app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
    let _last_lines = log_to_stderr(&app.config.settings, app.config.settings.server.access_log);
    // Without a command there is no such option.
    let is_only_http = matches!(matches.try_get_one::<String>("only"), Ok(Some(_)));
    if is_only_http {
        check_others_can_work(app)?;
    }
    let settings = &app.config.settings;
    app.scheduler.check_at_start(&**app.engine.clock()).await?;
    let certificate = certificate(app)?;
    let config = config(app, certificate.as_ref());
    let listener = listen(&settings.listen, &config, &app.name).await?;
    let address = listener.local_addr().map_err(|error| ExitError::failed(format!("no address: {error}")))?;
    // A name may have led elsewhere in the meantime.
    check_listener(&config, &[address])?;
    if app.door.credentials.is_some() && certificate.is_none() && !address.ip().to_canonical().is_loopback() {
        tracing::warn!(
            "{address} can be reached from other machines, and tokens travel as they are: give this service a \
             certificate (--tls-certificate), or put a proxy that speaks TLS before it and let nobody else reach it"
        );
    }
    let scheme = if certificate.is_some() { "https" } else { "http" };
    let start = Start::to_come();
    let router = underlay_server::router(app.engine.clone(), config.with_start(start.clone()))?;
    if let Some(links) = &app.service.links {
        links.listen_at(address, scheme);
    }
    warn_of_links(app);
    until_told(|told| async move {
        let (limits, told) = (settings.serving, told.wait());
        let tls = certificate.as_ref().map(shown);
        let serving = async {
            match certificate {
                None => underlay_server::serve_within(limits, listener, router, told).await,
                #[cfg(feature = "tls")]
                Some(certificate) => {
                    underlay_server::serve_tls_within(limits, listener, certificate, router, told).await
                }
                #[cfg(not(feature = "tls"))]
                Some(never) => match never {},
            }
        };
        let mut serving = pin!(serving);
        // Meanwhile it says that it begins, and answers nothing else.
        let duties = tokio::select! {
            duties = Duties::begin(&app.engine, !is_only_http) => duties?,
            served = serving.as_mut() => return ended(served),
        };
        start.begun();
        announce(app, &format!("{scheme}://{address}"), tls.as_deref(), is_only_http)?;
        let served = tokio::select! {
            served = serving.as_mut() => served,
            never = forget(app) => match never {},
        };
        duties.end(&app.engine).await;
        ended(served)
    })
    .await
}

/// How it ended, for whoever reads it.
fn ended(served: std::io::Result<()>) -> Result<(), ExitError> {
    served.map_err(|error| ExitError::failed(format!("serving ended: {error}")))?;
    Ok(writeln!(super::out(), "stopped")?)
}

/// Refuses to leave the work to others where there can be none.
fn check_others_can_work(app: &App) -> Result<(), ExitError> {
    if app.scheme() == "memory" {
        return Err(ExitError::invalid(
            "a store in memory is of one process, so nobody else could keep its views and do its work; leave out \
             --only",
        ));
    }
    Ok(())
}

/// How the service is served.
fn config(app: &App, certificate: Option<&Certificate>) -> ServerConfig {
    let mut config = let_in(app.config.settings.server.clone(), &app.door, &app.tenant);
    if let Some(readers) = &app.door.log_readers {
        config.log_readers = readers.clone();
    }
    config.store_operators.extend(app.config.settings.credentials.store_operators.iter().cloned());
    #[cfg(feature = "tls")]
    if let Some(certificate) = certificate {
        config = config.with_part(certificate.clone());
    }
    #[cfg(not(feature = "tls"))]
    let _ = certificate;
    app.service.with_links(config)
}

/// Serves to whoever has credentials, or where there are none to everybody, as one tenant.
fn let_in(config: ServerConfig, door: &Door, tenant: &TenantId) -> ServerConfig {
    match &door.credentials {
        Some(credentials) => config.with_shared_credentials(credentials.clone()),
        None => config.open_to(tenant.clone()),
    }
}

/// Sees that the service can listen where it is to, before a store is made for it.
pub(super) async fn check_address(settings: &Settings, door: &Door, name: &str) -> Result<(), ExitError> {
    let config = let_in(settings.server.clone(), door, &settings.tenant()?);
    listen(&settings.listen, &config, name).await.map(drop)
}

/// Listens where `--listen` says, once that is known to be allowed: what a name leads to is looked at, and
/// nothing else is listened on.
async fn listen(listen: &str, config: &ServerConfig, name: &str) -> Result<TcpListener, ExitError> {
    let cannot = |error| {
        ExitError::failed(format!(
            "cannot listen on {listen}: {error}; choose another address with --listen ADDR"
        ))
    };
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host(listen).await.map_err(cannot)?.collect();
    check_listener(config, &addresses).map_err(|error| {
        let mut told = ExitError::from(error);
        told.message = format!(
            "{}; --tokens FILE and --jwt-issuer URL give it credentials, and `{name} token new` makes a token",
            told.message
        );
        told
    })?;
    TcpListener::bind(addresses.as_slice()).await.map_err(cannot)
}

fn announce(app: &App, address: &str, tls: Option<&str>, is_only_http: bool) -> Result<(), ExitError> {
    let who = if app.door.credentials.is_some() { "-H \"Authorization: Bearer $TOKEN\" " } else { "" };
    let first = match app.config.settings.server.examples.first() {
        Some(example) => format!("curl {who}--json '{}' {address}/v1/{}", example.body, example.target),
        None => format!("curl {who}{address}/v1/views"),
    };
    let mut out = super::out();
    writeln!(out, "{} is listening on {address}", app.name)?;
    writeln!(out, "  database {}", app.database)?;
    if let Some(tls) = tls {
        writeln!(out, "  tls      {tls}")?;
    }
    writeln!(out, "  try      {first}")?;
    if is_only_http {
        let where_else = if app.scheme() == "sqlite" { ", on this machine" } else { "" };
        writeln!(out, "  work     is left to others: run `{} worker` beside this one{where_else}", app.name)?;
    } else {
        app.scheduler.announce(&app.config.settings.scheduler.address, &mut out)?;
    }
    writeln!(out, "  stop     ctrl-c")?;
    Ok(out.flush()?)
}
