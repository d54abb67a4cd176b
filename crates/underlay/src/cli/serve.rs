use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;

use tokio::net::TcpListener;
use tracing::level_filters::LevelFilter;
use underlay_server::{ServerConfig, check_listener};

use super::App;
use crate::ExitError;
use crate::retention::{Kept, forget_regularly};

pub(super) fn command() -> clap::Command {
    clap::Command::new("serve").about("Serve the HTTP API and keep the views, until ctrl-c")
}

pub(super) async fn run(app: &App) -> Result<(), ExitError> {
    let filter = tracing_subscriber::fmt().with_max_level(LevelFilter::WARN).with_writer(std::io::stderr);
    // A program that embeds the service may have set its own.
    let _set_before = filter.try_init();
    let settings = &app.config.settings;
    let config = config(app);
    let listener = listen(app, &config).await?;
    let address = listener.local_addr().map_err(|error| ExitError::failed(format!("no address: {error}")))?;
    // A name may have led elsewhere in the meantime.
    check_listener(&config, &[address])?;
    if app.door.credentials.is_some() && !address.ip().to_canonical().is_loopback() {
        tracing::warn!(
            "{address} can be reached from other machines, and tokens travel as they are: put a proxy that \
             speaks TLS before this service, and let nobody else reach it"
        );
    }
    let router = underlay_server::router(app.engine.clone(), config)?;
    let views = app.engine.start_views();
    announce(app, &format!("http://{address}"))?;
    let served = tokio::select! {
        served = underlay_server::serve_within(settings.serving, listener, router, shutdown_signal()) => served,
        never = forget(app, settings.kept) => match never {},
    };
    views.stop().await;
    served.map_err(|error| ExitError::failed(format!("serving ended: {error}")))?;
    Ok(writeln!(std::io::stdout().lock(), "stopped")?)
}

/// Forgets what is no longer owed, where the store can forget.
async fn forget(app: &App, kept: Kept) -> Infallible {
    match app.store.retention() {
        Some(retention) => forget_regularly(retention, &**app.engine.clock(), kept).await,
        None => std::future::pending().await,
    }
}

/// How the service is served: to whoever has credentials, or where there are none to everybody, as one
/// tenant.
fn config(app: &App) -> ServerConfig {
    let config = app.config.settings.server.clone();
    let mut config = match &app.door.credentials {
        Some(credentials) => config.with_shared_credentials(credentials.clone()),
        None => config.open_to(app.tenant.clone()),
    };
    if let Some(readers) = &app.door.log_readers {
        config.log_readers = readers.clone();
    }
    config
}

/// Listens where `--listen` says, once that is known to be allowed: what a name leads to is looked at, and
/// nothing else is listened on.
async fn listen(app: &App, config: &ServerConfig) -> Result<TcpListener, ExitError> {
    let listen = &app.config.settings.listen;
    let cannot = |error| {
        ExitError::failed(format!(
            "cannot listen on {listen}: {error}; choose another address with --listen ADDR"
        ))
    };
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host(listen).await.map_err(cannot)?.collect();
    check_listener(config, &addresses).map_err(|error| {
        let mut told = ExitError::from(error);
        told.message = format!(
            "{}; --tokens FILE and --jwt-issuer URL give it credentials, and `{} token new` makes a token",
            told.message, app.name
        );
        told
    })?;
    TcpListener::bind(addresses.as_slice()).await.map_err(cannot)
}

fn announce(app: &App, address: &str) -> Result<(), ExitError> {
    let who = if app.door.credentials.is_some() { "-H \"Authorization: Bearer $TOKEN\" " } else { "" };
    let first = match app.config.settings.server.examples.first() {
        Some(example) => format!("curl {who}--json '{}' {address}/v1/{}", example.body, example.target),
        None => format!("curl {who}{address}/v1/views"),
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} is listening on {address}", app.name)?;
    writeln!(out, "  database {}", app.database)?;
    writeln!(out, "  try      {first}")?;
    writeln!(out, "  stop     ctrl-c")?;
    Ok(out.flush()?)
}

/// Ends at ctrl-c, or when the machine asks the program to end.
async fn shutdown_signal() {
    let interrupt = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
}
