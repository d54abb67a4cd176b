//! Ways around a policy that databases are known for: conditions that tell what they are shown, names
//! that stand in the way of others, plans and errors that tell what is there, statements that outlive
//! the tenant they were made for, dumps.

use std::pin::pin;

use futures_util::TryStreamExt as _;

use super::declared::{May, Verb, may, readable_columns};
use super::marks::{self, Marked};
use super::place::{LOGIN, Place, Relation, SCHEMA};
use super::population::{Population, SHARED_STREAM};
use super::session::{Session, literal};
use super::tables::named;
use super::tally::Attack;
use crate::Result;

/// Who is given rows of one tenant.
const ROLES: [&str; 3] = ["reader", "writer", LOGIN];

/// Every row is looked at then, and the cheapest condition is asked first.
const WITHOUT_INDEXES: &str = "SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off; \
                               SET LOCAL enable_bitmapscan = off";
/// Makes what is used against the policies; as the login, for itself.
const FUNCTIONS: &str = "
    CREATE FUNCTION pg_temp.leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000000001 AS
    $$ BEGIN IF $1 ~ 'mk[0-9]{3}qz' AND $1 !~ current_setting('attack.own') THEN RAISE EXCEPTION 'saw %', $1; END IF; RETURN true; END $$;
    CREATE FUNCTION pg_temp.leak_two(text, text) RETURNS boolean LANGUAGE plpgsql COST 0.0000000001 AS
    $$ BEGIN IF $1 ~ 'mk[0-9]{3}qz' AND $1 !~ current_setting('attack.own') THEN RAISE EXCEPTION 'saw %', $1; END IF; RETURN true; END $$;
    CREATE OPERATOR pg_temp.<<< (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_temp.leak_two,
        RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
    CREATE OPERATOR pg_temp.=== (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_temp.leak_two,
        RESTRICT = eqsel, JOIN = eqjoinsel);";

/// The tables of which a role is given the rows of one tenant.
fn shared_tables<'r>(role: &str, relations: &'r [Relation]) -> Vec<&'r Relation> {
    relations
        .iter()
        .filter(|relation| {
            // What nobody has declared is attacked like what everybody may read.
            relation.of_tenants && matches!(may(role, relation, Verb::Select), Some(May::Own) | None)
        })
        .collect()
}

/// Conditions and operators of the reader's own, which tell what they are shown.
pub(super) async fn leaky(place: &Place, admin: &Session, population: &Population) -> Result<Attack> {
    let mut attack = Attack::new("conditions that tell what they see");
    let relations = place.relations(admin).await?;
    let session = place.session(LOGIN).await?;
    session.run(FUNCTIONS).await?;
    let own = &population.tenants[0];
    for role in ROLES {
        for relation in shared_tables(role, &relations) {
            let table = relation.path();
            let mut conditions = vec![
                "pg_temp.leak(t::text)".to_owned(),
                "pg_temp.leak(tenant || t::text)".to_owned(),
                "t::text OPERATOR(pg_temp.<<<) 'x'".to_owned(),
                "t::text OPERATOR(pg_temp.===) 'x'".to_owned(),
                "tenant OPERATOR(pg_temp.===) 'x' OR t::text OPERATOR(pg_temp.===) 'x'".to_owned(),
                "length(t::text)::text::integer > 0 AND pg_temp.leak(t::text)".to_owned(),
                // Errors of the server's own conversions quote the value.
                "t::text::integer > 0".to_owned(),
                "1 / (length(t::text) - length(t::text)) > 0".to_owned(),
                "CASE WHEN pg_temp.leak(t::text) THEN true END".to_owned(),
                "EXISTS (SELECT WHERE pg_temp.leak(t::text))".to_owned(),
            ];
            // Cheaper than the policy: it would be asked first.
            let columns = format!(
                "SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = {}::regclass AND attnum > 0 \
                 AND atttypid = 'text'::regtype",
                literal(&table)
            );
            let columns = admin.lines(&columns).await?;
            conditions.extend(columns.iter().map(|column| format!("pg_temp.leak(t.{column})")));
            for condition in conditions {
                for (tenant, mark) in [(own.id.as_str(), own.mark()), ("", "nobody".to_owned())] {
                    let before = format!(
                        "SET LOCAL ROLE {}; {}; SELECT set_config('attack.own', '{mark}', true)",
                        place.role(role),
                        named(tenant)
                    );
                    for planner in ["SELECT 1", WITHOUT_INDEXES] {
                        let before = format!("{before}; {planner}");
                        for sql in [
                            format!("SELECT 1 FROM {table} AS t WHERE {condition}"),
                            format!("EXPLAIN SELECT 1 FROM {table} AS t WHERE {condition}"),
                            format!(
                                "SELECT 1 FROM {table} AS t JOIN {table} AS u ON pg_temp.leak(t::text || u::text)"
                            ),
                        ] {
                            let told = session.act(&before, &sql).await?;
                            let number = (tenant == own.id.as_str()).then_some(own.number);
                            let sign = marks::foreign(number, &told.text);
                            // An error of nobody's rows is a row that was looked at.
                            let looked =
                                number.is_none() && matches!(told.code.as_deref(), Some("22012" | "22P02"));
                            attack.judge(sign.is_some() || looked, || {
                                format!("{role}, tenant {tenant:?}: {sql}: {}", told.short())
                            });
                            attack
                                .control(!told.is_nonsense(), || format!("{role}: {sql}: {}", told.short()));
                        }
                    }
                }
            }
        }
    }
    Ok(attack)
}

/// Tables, functions and settings of the caller's own that have the names of the product's.
pub(super) async fn shadows(place: &Place, population: &Population) -> Result<Attack> {
    let mut attack = Attack::new("names that stand before the product's");
    let own = &population.tenants[0];
    let victim = literal(population.tenants[1].id.as_str());
    for path in ["pg_temp, underlay, pg_catalog", "pg_temp, pg_catalog, underlay", "pg_catalog, underlay"] {
        let session = place.session(LOGIN).await?;
        session
            .run(&format!(
                "CREATE FUNCTION pg_temp.current_setting(text, boolean) RETURNS text LANGUAGE sql AS $$ SELECT {victim} $$;
                 CREATE FUNCTION pg_temp.text_same(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$;
                 CREATE OPERATOR pg_temp.= (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_temp.text_same);
                 CREATE TEMP TABLE commits (sequence bigint, position bigint, recorded_at bigint);
                 CREATE TEMP TABLE log_head (one integer);
                 CREATE TEMP TABLE fences (writer uuid, attempt bigint, raised_at timestamptz);
                 CREATE TEMP TABLE leases (name text, holder text, term bigint, expires_at bigint);
                 SET search_path = {path}"
            ))
            .await?;
        let reader = place.role("reader");
        for table in ["events", "commits", "snapshots"] {
            let sql = format!("SELECT * FROM {SCHEMA}.{table}");
            let before = format!("SET LOCAL ROLE {reader}; {}", named(own.id.as_str()));
            let told = session.act(&before, &sql).await?;
            let sign = marks::foreign(Some(own.number), &told.text);
            attack.judge(sign.is_some(), || format!("search_path {path}: {sql}: {}", told.short()));
        }
        // The functions look at the log, and not at what has its names.
        let truth =
            place.admin().await?.lines(&format!("SELECT max(sequence) FROM {SCHEMA}.commits")).await?;
        let told = session.tell(&format!("SELECT {SCHEMA}.last_sequence()")).await?;
        let said = told.text.trim();
        attack.judge(truth != [said], || {
            format!("search_path {path}: last_sequence says {said:?}, not {truth:?}")
        });
        let told = session.tell(&format!("SELECT head > 0 FROM {SCHEMA}.log_bound(0, 1)")).await?;
        let said = told.text.trim();
        attack.judge(said != "t", || format!("search_path {path}: log_bound says {said:?}"));
    }
    Ok(attack)
}

/// Plans, counts and constraints: an answer with what another tenant has is the same as one with what
/// nobody has.
pub(super) async fn oracles(place: &Place, admin: &Session, population: &Population) -> Result<Attack> {
    let mut attack = Attack::new("plans and errors that tell what is there");
    let relations = place.relations(admin).await?;
    let session = place.session(LOGIN).await?;
    let (own, victim) = (&population.tenants[0], &population.tenants[1]);
    let nobody = Marked { id: underlay_core::TenantId::new("nobodyatall")?, number: 998 };
    for role in ["reader", "writer"] {
        for relation in shared_tables(role, &relations) {
            let before = |planner: &str| {
                format!("SET LOCAL ROLE {}; {}; {planner}", place.role(role), named(own.id.as_str()))
            };
            for planner in [
                "SELECT 1",
                "SET LOCAL enable_seqscan = off",
                "SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off",
                "SET LOCAL enable_bitmapscan = off; SET LOCAL enable_seqscan = off",
                "SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_hashjoin = off",
            ] {
                for condition in guesses(relation) {
                    let ask = |tenant: &Marked| {
                        let sql = format!(
                            "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT * FROM {} WHERE {}",
                            relation.path(),
                            guess(condition, tenant)
                        );
                        (before(planner), sql)
                    };
                    let (there, not_there) = (ask(victim), ask(&nobody));
                    let one = session.act(&there.0, &there.1).await?;
                    let two = session.act(&not_there.0, &not_there.1).await?;
                    attack.judge(counts(&one.text) != counts(&two.text), || {
                        format!(
                            "{role}, {planner}: {}: {}, and of nobody {}",
                            there.1,
                            one.short(),
                            two.short()
                        )
                    });
                    attack.control(one.done(), || format!("{role}: {}: {}", there.1, one.short()));
                }
            }
        }
    }
    // A key that is another tenant's is refused as one that is nobody's.
    for conflict in ["", "ON CONFLICT DO NOTHING", "ON CONFLICT (tenant, stream) DO UPDATE SET version = 5"] {
        let insert = |tenant: &Marked| {
            format!(
                "INSERT INTO {SCHEMA}.snapshots VALUES ({}, '{SHARED_STREAM}', 1, gen_random_uuid(), '\\x00', '{{}}') {conflict}",
                literal(tenant.id.as_str())
            )
        };
        let before = format!("SET LOCAL ROLE {}; {}", place.role("writer"), named(own.id.as_str()));
        let one = session.act(&before, &insert(victim)).await?;
        let two = session.act(&before, &insert(&nobody)).await?;
        attack.judge(one.text != two.text || one.code != two.code || one.done(), || {
            format!("{}: {}, and of nobody {}", insert(victim), one.short(), two.short())
        });
    }
    Ok(attack)
}

/// What a plan counted of the rows it met. Which plan it is depends on what is estimated.
fn counts(plan: &str) -> u64 {
    let number = |text: &str| -> u64 {
        text.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or_default()
    };
    let after =
        |sign: &str| plan.match_indices(sign).map(|(at, _)| number(&plan[at + sign.len()..])).sum::<u64>();
    after("actual rows=") + after("Rows Removed by Filter: ") + after("Rows Removed by Index Recheck: ")
}

/// Conditions that are true of what a tenant has; `{tenant}`, `{mark}` and `{id}` stand for that.
fn guesses(relation: &Relation) -> &'static [&'static str] {
    match relation.name.as_str() {
        "events" => &[
            "tenant = '{tenant}'",
            "tenant = '{tenant}' AND stream = 'account-1'",
            "tenant = '{tenant}' AND stream = 'account-{mark}' AND version = 1",
            "tenant >= '{tenant}' AND tenant <= '{tenant}'",
            "tenant = '{tenant}' AND event_id = '{id}'",
            "stream = 'account-{mark}'",
            "event_id = '{id}'",
        ],
        "commits" => {
            &["tenant = '{tenant}'", "tenant = '{tenant}' AND kind = 'refused'", "message = 'not {mark}'"]
        }
        "snapshots" => &["tenant = '{tenant}'", "stream = 'account-{mark}'"],
        "work" | "work_later" | "dead_letters" => &[
            "tenant = '{tenant}'",
            "tenant = '{tenant}' AND \"key\" = 'shared'",
            "tenant = '{tenant}' AND receiver = 'mail'",
            "payload::text LIKE '%{mark}%'",
        ],
        "schedules" => &[
            "tenant = '{tenant}'",
            "tenant = '{tenant}' AND name = 'nightly'",
            "definition::text LIKE '%{mark}%'",
        ],
        _ => &[
            "tenant = '{tenant}'",
            "tenant = '{tenant}' AND \"key\" = 'shared'",
            "\"key\" = 'key-{mark}'",
            "tenant = '{tenant}' AND number > 0",
            "tenant = '{tenant}' AND title >= 'title'",
        ],
    }
}

fn guess(condition: &str, tenant: &Marked) -> String {
    condition
        .replace("{tenant}", tenant.id.as_str())
        .replace("{mark}", &tenant.mark())
        .replace("{id}", &tenant.uuid(1).to_string())
}

/// Statements and cursors that outlive the tenant, or the role, they were made for.
pub(super) async fn prepared(place: &Place, population: &Population) -> Result<Attack> {
    let mut attack = Attack::new("statements prepared for another");
    let (own, victim) = (&population.tenants[0], &population.tenants[1]);
    for plan in ["auto", "force_generic_plan", "force_custom_plan"] {
        let session = place.session(LOGIN).await?;
        for (number, role) in ["worker", "reader", "writer"].into_iter().enumerate() {
            // A worker sees no entities, and a writer nothing else of these.
            let entities = ["underlay_entities.account"].as_slice();
            let others = ["underlay.events", "underlay.commits", "underlay_views.accounts_1"].as_slice();
            let tables = match role {
                "worker" => vec![others],
                "writer" => vec![entities],
                _ => vec![others, entities],
            };
            for table in tables.concat() {
                let name = format!("p{number}_{}", table.replace('.', "_"));
                let (making, using) = (place.role(role), place.role("reader"));
                session
                    .run(&format!(
                        "SET plan_cache_mode = {plan}; BEGIN; SET LOCAL ROLE {making}; {}; \
                         PREPARE {name} AS SELECT * FROM {table}",
                        named(victim.id.as_str())
                    ))
                    .await?;
                for _ in 0..6 {
                    session.run(&format!("EXECUTE {name}")).await?;
                }
                session.run("COMMIT").await?;
                for (tenant, mark) in [(own.id.as_str(), Some(own.number)), ("", None)] {
                    let before = format!("SET LOCAL ROLE {using}; {}", named(tenant));
                    let told = session.act(&before, &format!("EXECUTE {name}")).await?;
                    let sign = marks::foreign(mark, &told.text);
                    attack.judge(sign.is_some() || mark.is_none() && told.rows > 0, || {
                        format!(
                            "made as {role} for {}, run as reader for {tenant:?}: {}",
                            victim.id,
                            told.short()
                        )
                    });
                    attack.control(told.done(), || format!("EXECUTE: {}", told.short()));
                }
            }
        }
    }
    Ok(attack)
}

/// COPY, which is not a query.
pub(super) async fn copies(place: &Place, admin: &Session, population: &Population) -> Result<Attack> {
    let mut attack = Attack::new("COPY");
    let relations = place.relations(admin).await?;
    let own = &population.tenants[0];
    for role in ["reader", "writer", LOGIN, "app", "switch", super::place::STRANGER, "owner"] {
        for relation in &relations {
            let columns = readable_columns(role, relation).unwrap_or("*");
            let path = relation.path();
            for (tenant, number) in [(own.id.as_str(), Some(own.number)), ("", None)] {
                let before = format!("SET LOCAL ROLE {}; {}", place.role(role), named(tenant));
                for sql in [
                    format!("COPY {path} TO STDOUT"),
                    format!("COPY (SELECT {columns} FROM {path}) TO STDOUT"),
                ] {
                    let text = session_copy(admin, &before, &sql).await?;
                    let sign = marks::foreign(number, &text);
                    attack.judge(sign.is_some(), || {
                        format!("{role}, {tenant:?}: {sql}: {}", sign.unwrap_or_default())
                    });
                }
            }
            // A connection of its own: one on which this is refused answers the next call wrongly.
            let session = place.admin().await?;
            session
                .begin(&format!("SET LOCAL ROLE {}; {}", place.role(role), named(own.id.as_str())))
                .await?;
            let sql = format!("COPY {path} FROM STDIN");
            let taken = match session.client.copy_in::<_, &[u8]>(&sql).await {
                // Of no rows at all; that it begins is enough.
                Ok(sink) => pin!(sink).finish().await.is_ok(),
                Err(_) => false,
            };
            let may = may(role, relation, Verb::Insert) == Some(May::All);
            attack.judge(taken && !may, || format!("{role}: {sql}"));
        }
    }
    Ok(attack)
}

/// What COPY gives in a transaction that is rolled back, or how it was refused.
async fn session_copy(session: &Session, before: &str, sql: &str) -> Result<String> {
    session.begin(before).await?;
    let text = match session.client.copy_out(sql).await {
        Ok(stream) => {
            let parts: std::result::Result<Vec<_>, _> = stream.try_collect().await;
            match parts {
                Ok(parts) => parts.iter().map(|part| String::from_utf8_lossy(part).into_owned()).collect(),
                Err(error) => format!("{error:?}"),
            }
        }
        Err(error) => format!("{error:?}"),
    };
    session.run("ROLLBACK").await?;
    Ok(text)
}
