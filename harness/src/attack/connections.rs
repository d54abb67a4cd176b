//! A connection that is used again, by the product's own way to begin: neither role nor tenant is left
//! on it, however the transaction ended. Also through a pooler, where others use it before and after.

use std::future::poll_fn;
use std::time::Duration;

use tokio_postgres::{AsyncMessage, NoTls};
use underlay_core::{Commit, CommitId, EventStore, ExpectedVersion, ReadModels, StreamName, Version};
use underlay_postgres::{Listen, PostgresStore};

use super::marks;
use super::place::{LOGIN, Place, SCHEMA, STRANGER, VIEWS};
use super::population::{Population, SHARED_KEY, SHARED_STREAM, event, own_stream};
use super::session::Session;
use super::tally::Attack;
use crate::Result;
use crate::subject::OpenStore;

/// What leaves nothing on a connection.
const CLEAN: &str = "SELECT 1";
/// How a transaction can end.
const ENDS: [&str; 8] = [
    "COMMIT",
    "ROLLBACK",
    "SELECT 1 / 0; ROLLBACK",
    "SELECT 1 / 0; COMMIT",
    "SAVEPOINT s; SELECT 1 / 0; ROLLBACK TO s; COMMIT",
    "SELECT * FROM nothing; COMMIT",
    "SELECT 'a\\000b'::bytea::text::json; COMMIT",
    // Canceled by the server, as by a caller.
    "SET LOCAL statement_timeout = 10; SELECT pg_sleep(60); ROLLBACK",
];

/// What a transaction begins with.
pub(super) type Begin<'a> = &'a (dyn Fn(&str, &str) -> String + Sync);

/// Ends transactions in every way, and looks at what is left.
pub(super) async fn reused(place: &Place, population: &Population, begin: Begin<'_>) -> Result<Attack> {
    let mut attack = Attack::new("a connection that is used again");
    let session = place.session(LOGIN).await?;
    for tenant in population.tenants.iter().take(3) {
        for role in ["reader", "writer", "worker"] {
            for end in ENDS {
                session.run(&format!("BEGIN; {}", begin(&place.role(role), tenant.id.as_str()))).await?;
                finish(&session, end).await?;
                left(&session, place, None, &format!("{role} for {}, {end}", tenant.id), &mut attack).await?;
                // Whoever comes next names another tenant, or forgets to.
                let next = &population.tenants[3];
                session.run(&format!("BEGIN; {}", begin(&place.role("reader"), next.id.as_str()))).await?;
                let told = session.tell(&format!("SELECT * FROM {SCHEMA}.events")).await?;
                let sign = marks::foreign(Some(next.number), &told.text);
                attack.judge(sign.is_some(), || format!("{} after {}: {sign:?}", next.id, tenant.id));
                attack.control(told.rows > 0, || format!("{} sees nothing: {}", next.id, told.short()));
                session.run("ROLLBACK").await?;
                session.run(&format!("BEGIN; SET LOCAL ROLE {}", place.role("reader"))).await?;
                let told = session.tell(&format!("SELECT * FROM {SCHEMA}.events")).await?;
                attack.judge(told.rows > 0, || format!("{} rows of {} after {end}", told.rows, tenant.id));
                session.run("ROLLBACK").await?;
            }
        }
    }
    Ok(attack)
}

/// Ends a transaction.
async fn finish(session: &Session, end: &str) -> Result<()> {
    for statement in end.split("; ") {
        session.tell(statement).await?;
    }
    Ok(())
}

/// What is left on a connection: nobody's role, nobody's tenant, no row.
async fn left(
    session: &Session,
    place: &Place,
    login: Option<&str>,
    what: &str,
    attack: &mut Attack,
) -> Result<()> {
    let told = session
        .lines("SELECT current_user || '|' || coalesce(current_setting('underlay.tenant', true), '')")
        .await?;
    let name = login.map_or_else(|| place.role(LOGIN), str::to_owned);
    attack.judge(told != [format!("{name}|")], || format!("left after {what}: {told:?}"));
    for table in [format!("{SCHEMA}.events"), format!("{SCHEMA}.commits"), format!("{VIEWS}.accounts_1")] {
        let told = session.tell(&format!("SELECT * FROM {table}")).await?;
        attack.judge(told.rows > 0, || format!("{} rows of {table} after {what}", told.rows));
    }
    let cursors = session.lines("SELECT name FROM pg_cursors").await?;
    attack.judge(!cursors.is_empty(), || format!("cursors {cursors:?} after {what}"));
    Ok(())
}

/// The same through a pooler: the product's calls and others' share the server's connections.
pub(super) async fn pooled(place: &Place, population: &Population) -> Result<Attack> {
    let mut attack = Attack::new("connections shared through a pooler");
    let Some(address) = place.pooled_address() else {
        attack.skip("there is no pooler");
        return Ok(attack);
    };
    let config = place.config().with_connections_max(4).with_listen(Listen::Off);
    let store = PostgresStore::connect(&address, config).await?;
    let login = Session::open(&address).await?.lines("SELECT session_user").await?.pop().unwrap_or_default();
    let poison = [
        CLEAN.to_owned(),
        format!("SET underlay.tenant = '{}'", population.tenants[1].id),
        format!("SET ROLE {}", place.role("worker")),
        "SET search_path = pg_temp; CREATE TEMP TABLE IF NOT EXISTS events AS SELECT 1 AS position"
            .to_owned(),
    ];
    for poison in &poison {
        for (own, victim) in [(3, 1), (1, 3), (4, 5)] {
            let (own, victim) = (&population.tenants[own], &population.tenants[victim]);
            // Others leave something on every connection there is.
            for _ in 0..8 {
                Session::open(&address).await?.run(poison).await?;
            }
            let theirs = store.read_stream(&own.id, &own_stream(victim)?, Version::NONE, 10).await?;
            attack.judge(theirs.version != Version::NONE, || {
                format!("after {poison}: a stream of {}", victim.id)
            });
            let shared = StreamName::parse(SHARED_STREAM)?;
            let shared = format!("{:?}", store.read_stream(&own.id, &shared, Version::NONE, 10).await?);
            let sign = marks::foreign(Some(own.number), &shared);
            attack.judge(sign.is_some(), || format!("after {poison}: read_stream: {sign:?}"));
            attack.control(shared.contains(&own.mark()), || format!("after {poison}: {shared}"));
            let row = store.get(&population.tables[0], &own.id, SHARED_KEY).await;
            let row = format!("{row:?}");
            attack
                .judge(marks::foreign(Some(own.number), &row).is_some(), || format!("after {poison}: {row}"));
            attack.control(row.contains(&own.mark()), || format!("after {poison}: {row}"));
            // A call that fails, and one whose caller goes away.
            let nul = store.get(&population.tables[0], &own.id, "a\0b").await;
            attack.control(nul.is_err() || nul.is_ok_and(|row| row.is_none()), || "NUL is a key".to_owned());
            drop(tokio::time::timeout(Duration::ZERO, store.versions(&own.id, &[own_stream(own)?])).await);
            let commit = Commit::new(CommitId::draw()).expect(own_stream(victim)?, ExpectedVersion::Exists);
            let conflict = store.commit(&own.id, commit).await;
            attack.judge(conflict.is_ok(), || format!("after {poison}: a stream of {} exists", victim.id));
            // What the product leaves on them.
            for _ in 0..8 {
                let session = Session::open(&address).await?;
                if poison == CLEAN {
                    left(&session, place, Some(&login), "the product's calls", &mut attack).await?;
                }
                session.run("RESET ROLE; RESET underlay.tenant; RESET search_path").await?;
            }
        }
    }
    store.close().await?;
    Ok(attack)
}

/// What commits tell those who listen.
pub(super) async fn hints(place: &Place, store: &OpenStore, population: &Population) -> Result<Attack> {
    let mut attack = Attack::new("hints of new commits");
    let config: tokio_postgres::Config = place.address(STRANGER).parse()?;
    let (client, mut connection) = config.connect(NoTls).await?;
    let (said, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let listening = tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(hint) = message {
                said.send(format!("{} {}", hint.channel(), hint.payload())).ok();
            }
        }
    });
    client.batch_execute(&format!("LISTEN {SCHEMA}")).await?;
    for tenant in &population.tenants {
        let stream = StreamName::parse(&format!("hint-{}", tenant.mark()))?;
        let hinted = event(tenant, 950)?;
        let commit = Commit::new(CommitId::draw()).append(stream, ExpectedVersion::Any, vec![hinted]);
        store.store.commit(&tenant.id, commit).await?;
        let hint = tokio::time::timeout(Duration::from_secs(10), heard.recv()).await;
        let Ok(Some(hint)) = hint else {
            attack.control(false, || format!("no hint of a commit of {}", tenant.id));
            continue;
        };
        attack.judge(hint != format!("{SCHEMA} "), || format!("a hint says {hint:?}"));
    }
    drop(client);
    listening.abort();
    Ok(attack)
}
