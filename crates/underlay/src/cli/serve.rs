use std::io::Write;

use tokio::net::TcpListener;
use tracing::level_filters::LevelFilter;
use underlay_server::{OneTenant, ServerConfig};

use super::App;
use crate::ExitError;
use crate::retention::forget_regularly;

pub(super) fn command() -> clap::Command {
    clap::Command::new("serve").about("Serve the HTTP API and keep the views, until ctrl-c")
}

pub(super) async fn run(app: &App) -> Result<(), ExitError> {
    let filter = tracing_subscriber::fmt().with_max_level(LevelFilter::WARN).with_writer(std::io::stderr);
    // A program that embeds the service may have set its own.
    let _set_before = filter.try_init();
    let listener = TcpListener::bind(&app.listen).await.map_err(|error| {
        ExitError::failed(format!(
            "cannot listen on {}: {error}; choose another address with --listen ADDR",
            app.listen
        ))
    })?;
    let address = listener.local_addr().map_err(|error| ExitError::failed(format!("no address: {error}")))?;
    let mut config =
        ServerConfig::new(&app.name).with_credentials(OneTenant::new(app.tenant.clone())).with_one_tenant();
    config.about.clone_from(&app.about);
    config.examples.clone_from(&app.examples);
    config.hosts_allowed.clone_from(&app.hosts_allowed);
    let router = underlay_server::router(app.engine.clone(), config)?;
    let views = app.engine.start_views();
    announce(app, &format!("http://{address}"))?;
    let ports = app.store.ports();
    let served = tokio::select! {
        served = underlay_server::serve(listener, router, shutdown_signal()) => served,
        never = forget_regularly(app.store.retention(), &*ports.clock, app.kept) => match never {},
    };
    views.stop().await;
    served.map_err(|error| ExitError::failed(format!("serving ended: {error}")))?;
    Ok(writeln!(std::io::stdout().lock(), "stopped")?)
}

fn announce(app: &App, address: &str) -> Result<(), ExitError> {
    let first = match app.examples.first() {
        Some(example) => format!("curl --json '{}' {address}/v1/{}", example.body, example.target),
        None => format!("curl {address}/v1/views"),
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
