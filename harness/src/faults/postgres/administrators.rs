//! The schema is made and changed by administrators who are no superusers, as a managed service gives them:
//! on Debian's server, and on the newest there is.

use servers::{LOGIN, Postgres, connect};

use super::place::{DATABASE, Place};
use crate::Result;
use crate::faults::fault::Means;
use crate::faults::report::Measured;

pub(crate) const PROMISED: &str = "an administrator without superuser migrates and grants the use, also by the printed \
                                   script and a second time; who lacks a right is told the statement that gives it";

/// Who may make roles, and schemas in the database.
const BOSS: &str = "boss";
/// The same, later.
const OTHER: &str = "other";

pub(crate) async fn run(means: &Means) -> Result<Measured> {
    let mut measured = Measured::default();
    for what in ["Debian's", "the newest"] {
        let start = || if what == "the newest" { Postgres::start_newest(&[]) } else { Postgres::start(&[]) };
        match tokio::task::block_in_place(start) {
            Ok(server) => measured.add(what, on(means, server).await?),
            Err(reason) if servers::is_required() => {
                measured.hold(false, format!("{what}: {reason}"));
            }
            Err(reason) => measured.see(format!("{what}: skipped, {reason}")),
        }
    }
    Ok(measured)
}

async fn on(means: &Means, server: Postgres) -> Result<Measured> {
    let mut measured = Measured::default();
    measured.see(server.version()?);
    let mut place = Place::on(means, server);
    let admin = connect(&place.server.address()).await?;
    let make = format!(
        "CREATE ROLE {LOGIN} LOGIN; CREATE ROLE {BOSS} LOGIN CREATEROLE CREATEDB; \
         CREATE ROLE {OTHER} LOGIN CREATEDB; CREATE ROLE visitor LOGIN"
    );
    admin.batch_execute(&make).await?;
    for database in [DATABASE, "scripted"] {
        admin.batch_execute(&format!("CREATE DATABASE {database}")).await?;
        admin.batch_execute(&format!("GRANT CREATE ON DATABASE {database} TO {BOSS}")).await?;
    }
    let port = place.server.port();
    let address = |login: &str, database: &str| format!("postgres://{login}@127.0.0.1:{port}/{database}");
    let ledger = place.ledger().clone();
    let told = |login: &str, database: &str, arguments: &[&str]| -> Result<(bool, String)> {
        let output = tokio::task::block_in_place(|| ledger.run(&address(login, database), arguments))?;
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        Ok((output.status.success(), text.trim().to_owned()))
    };
    let grant = &["migrate", "--grant", LOGIN][..];

    let (done, text) = told("visitor", DATABASE, &["migrate"])?;
    measured.hold(!done && text.contains("CREATEROLE"), format!("who may make no roles: {text}"));
    let (done, text) = told(BOSS, DATABASE, grant)?;
    measured.hold(done, format!("migrate: {text}"));
    let (done, text) = told(BOSS, DATABASE, grant)?;
    measured.hold(done && text.contains("nothing changed"), format!("a second time: {text}"));
    let (done, script) = told(BOSS, "scripted", &["migrate", "--print", "--grant", LOGIN])?;
    measured.hold(done, "the script is printed".to_owned());
    let ran = connect(&address(BOSS, "scripted")).await?.batch_execute(&script).await;
    measured.hold(ran.is_ok(), format!("the script is run: {ran:?}"));

    // Another one: in a database where the schema is, the role of its owner is all it takes.
    let (done, text) = told(OTHER, DATABASE, &["migrate"])?;
    let missing = format!("GRANT underlay_owner TO {OTHER}");
    measured.hold(!done && text.contains(&missing), format!("another administrator: {text}"));
    connect(&address(BOSS, DATABASE)).await?.batch_execute(&missing).await?;
    let (done, text) = told(OTHER, DATABASE, &["migrate"])?;
    measured.hold(done, format!("once that was granted: {text}"));

    for database in [DATABASE, "scripted"] {
        let serving = place.serve_at(&address(LOGIN, database))?;
        let reply = serving.client().post("v1/account/a/open", "opened", "{}".to_owned()).await?;
        measured.hold(reply.status == 200, format!("{database}: a command is answered {}", reply.status));
    }
    let refused = place.serve_at(&address(BOSS, DATABASE)).map(drop);
    let text = refused.err().map_or_else(|| "it serves".to_owned(), |error| error.to_string());
    measured.hold(
        text.contains("walls between tenants") || text.contains("may not use"),
        format!("as the administrator: {text}"),
    );
    Ok(measured)
}
