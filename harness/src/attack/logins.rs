//! What a login can become, and what it can change: everything but what it was granted is refused.

use super::marks;
use super::place::{ENTITIES, LOGIN, Place, ROLES, SCHEMA, STRANGER, VIEWS};
use super::tally::Attack;
use crate::Result;

/// What nobody but an administrator may do; `{…}` stands for a role.
const CHANGES: [&str; 17] = [
    "ALTER ROLE {reader} BYPASSRLS",
    "ALTER ROLE {login} SUPERUSER",
    "CREATE ROLE {login}_two",
    "GRANT {worker} TO {reader}",
    "GRANT {owner} TO {login}",
    "GRANT {append} TO {login}",
    "GRANT SELECT ON underlay.events TO PUBLIC",
    "GRANT EXECUTE ON FUNCTION underlay.append TO PUBLIC",
    "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT SELECT ON TABLES TO PUBLIC",
    "ALTER SCHEMA underlay RENAME TO mine",
    "DROP SCHEMA underlay CASCADE",
    "SET session_replication_role = replica",
    "ALTER SYSTEM SET row_security = off",
    "CREATE EXTENSION dblink",
    "COPY (SELECT 1) TO PROGRAM 'cat'",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT lo_import('/etc/passwd')",
];

/// Tries every switch and every change.
pub(super) async fn attack(place: &Place) -> Result<Attack> {
    let mut attack = Attack::new("what a login can become");
    for login in [LOGIN, STRANGER] {
        let session = place.session(login).await?;
        for role in ROLES.into_iter().chain([LOGIN, STRANGER]) {
            // By design: reader and writer are for requests, and a program asks to be a worker.
            let may = role == login
                || login == LOGIN && matches!(role, "app" | "switch" | "reader" | "writer" | "worker");
            for from in ["SELECT 1", "SET LOCAL search_path = pg_temp"] {
                let told = session.act(from, &format!("SET LOCAL ROLE {}", place.role(role))).await?;
                attack.judge(told.done() && !may, || format!("{login} became {role}"));
                attack
                    .control(told.done() || !may, || format!("{login} may not be {role}: {}", told.short()));
            }
            let other = place.role(role);
            for sql in [
                format!("SET SESSION AUTHORIZATION {other}"),
                format!("SELECT set_config('session_authorization', '{other}', false)"),
            ] {
                let told = session.act("SELECT 1", &sql).await?;
                attack.judge(told.done() && role != login, || format!("{login}: {sql}"));
            }
        }
        for role in ["postgres", "pg_read_all_data", "pg_write_all_data", "pg_monitor", "pg_database_owner"] {
            let told = session.act("SELECT 1", &format!("SET LOCAL ROLE {role}")).await?;
            attack.judge(told.done(), || format!("{login} became {role}"));
        }
        for change in CHANGES {
            let mut sql = change.to_owned();
            for role in ROLES.into_iter().chain([LOGIN, STRANGER]) {
                sql = sql.replace(&format!("{{{role}}}"), &place.role(role));
            }
            let told = session.act("SELECT 1", &sql).await?;
            // A grant of what one does not have is a warning, and grants nothing.
            attack.judge(
                told.done() && !sql.starts_with("GRANT SELECT") && !sql.starts_with("GRANT EXECUTE"),
                || format!("{login}: {sql}"),
            );
        }
        catalogue(place, login, &mut attack).await?;
    }
    climbers(place, &mut attack).await?;
    Ok(attack)
}

/// What an administrator may have granted the login beside the use of the store: by each it comes past the
/// walls, and with each the product does not work for it.
async fn climbers(place: &Place, attack: &mut Attack) -> Result<()> {
    let admin = place.admin().await?;
    let (login, stranger) = (place.role(LOGIN), place.role(STRANGER));
    let take_down = format!("ALTER TABLE {SCHEMA}.events NO FORCE ROW LEVEL SECURITY");
    let (owner, append) = (place.role("owner"), place.role("append"));
    let all = format!("DO $$ BEGIN PERFORM FROM {SCHEMA}.events LIMIT 1; ASSERT FOUND; END $$");
    for (what, grant, revoke, climb, act) in [
        (
            "a member of the owner",
            format!("GRANT {owner} TO {login}"),
            format!("REVOKE {owner} FROM {login}"),
            &owner,
            &take_down,
        ),
        (
            "a member of a member of the owner",
            format!("GRANT {owner} TO {stranger}; GRANT {stranger} TO {login}"),
            format!("REVOKE {owner} FROM {stranger}; REVOKE {stranger} FROM {login}"),
            &owner,
            &take_down,
        ),
        (
            "a member of who writes the log",
            format!("GRANT {append} TO {login}"),
            format!("REVOKE {append} FROM {login}"),
            &append,
            &all,
        ),
        (
            "a member of a superuser",
            format!("ALTER ROLE {stranger} SUPERUSER; GRANT {stranger} TO {login}"),
            format!("ALTER ROLE {stranger} NOSUPERUSER; REVOKE {stranger} FROM {login}"),
            &stranger,
            &take_down,
        ),
    ] {
        admin.run(&grant).await?;
        let climbed = place.session(LOGIN).await?.act(&format!("SET LOCAL ROLE {climb}"), act).await?;
        attack.control(climbed.done(), || format!("{what} comes past the walls: {}", climbed.short()));
        let opened = place.store().await;
        attack.judge(opened.is_ok(), || format!("the product works for {what}"));
        let told = opened.err().map(|error| error.to_string()).unwrap_or_default();
        attack.control(told.contains("REVOKE"), || format!("{what} is told what mends it: {told}"));
        admin.run(&revoke).await?;
    }
    let opened = place.store().await;
    attack.control(opened.is_ok(), || "the product works for the login as it was".to_owned());
    Ok(())
}

/// Reads everything that the server itself tells, of statistics, sessions, locks and definitions.
async fn catalogue(place: &Place, login: &str, attack: &mut Attack) -> Result<()> {
    let session = place.session(login).await?;
    let relations = session
        .lines(
            "SELECT c.oid::regclass FROM pg_class AS c WHERE c.relnamespace IN \
             ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) AND c.relkind IN ('r', 'v') \
             ORDER BY 1",
        )
        .await?;
    attack.control(relations.len() > 100, || format!("the catalogue has {} relations", relations.len()));
    for relation in relations {
        let told = session.tell(&format!("SELECT * FROM {relation}")).await?;
        let sign = marks::foreign(None, &told.text);
        attack.judge(sign.is_some(), || format!("{login} reads in {relation}: {}", sign.unwrap_or_default()));
    }
    // Also as the reader it becomes.
    if login == LOGIN {
        session.run(&format!("SET ROLE {}", place.role("reader"))).await?;
        let sql = format!(
            "SELECT * FROM pg_stats WHERE schemaname IN ('{SCHEMA}', '{VIEWS}', '{ENTITIES}') AND \
             row_security_active((schemaname || '.' || quote_ident(tablename))::regclass)"
        );
        let told = session.tell(&sql).await?;
        attack.judge(told.rows > 0, || format!("a reader sees statistics of values: {}", told.short()));
    }
    Ok(())
}
