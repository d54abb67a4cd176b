use std::io::Write;

use super::duties::{Duties, forget};
use super::shutdown::until_told;
use super::{App, log_to_stderr, warn_of_links};
use crate::ExitError;

pub(super) fn command() -> clap::Command {
    clap::Command::new("worker").about(
        "Keep the views, do the work that commits send on and run the pumps, without HTTP, until ctrl-c",
    )
}

pub(super) async fn run(app: &App) -> Result<(), ExitError> {
    let _last_lines = log_to_stderr(&app.config.settings, false);
    app.scheduler.check_at_start(&**app.engine.clock()).await?;
    warn_of_links(app);
    until_told(|told| async move {
        let duties = Duties::begin(&app.engine, true).await?;
        announce(app)?;
        tokio::select! {
            () = told.wait() => {}
            never = forget(app) => match never {},
        }
        duties.end(&app.engine).await;
        Ok(writeln!(super::out(), "stopped")?)
    })
    .await
}

fn announce(app: &App) -> Result<(), ExitError> {
    let registry = app.engine.registry();
    let names = |names: Vec<String>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let mut out = super::out();
    writeln!(out, "{} works", app.name)?;
    writeln!(out, "  database {}", app.database)?;
    writeln!(out, "  views    {}", names(registry.views().into_iter().map(|view| view.rows.name).collect()))?;
    writeln!(out, "  handlers {}", names(registry.handlers().into_iter().map(str::to_owned).collect()))?;
    writeln!(out, "  pumps    {}", names(registry.pumps().into_iter().map(str::to_owned).collect()))?;
    app.scheduler.announce(&app.config.settings.scheduler.address, &mut out)?;
    writeln!(out, "  stop     ctrl-c")?;
    Ok(out.flush()?)
}
