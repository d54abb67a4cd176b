use std::convert::Infallible;
use std::io::Write;

use tokio::net::TcpListener;
use tracing::level_filters::LevelFilter;
use underlay_server::OneTenant;

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
    let listener = TcpListener::bind(&settings.listen).await.map_err(|error| {
        ExitError::failed(format!(
            "cannot listen on {}: {error}; choose another address with --listen ADDR",
            settings.listen
        ))
    })?;
    let address = listener.local_addr().map_err(|error| ExitError::failed(format!("no address: {error}")))?;
    let config = settings.server.clone().with_credentials(OneTenant::new(app.tenant.clone()));
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

fn announce(app: &App, address: &str) -> Result<(), ExitError> {
    let first = match app.config.settings.server.examples.first() {
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
