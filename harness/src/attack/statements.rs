//! Every statement of the product, run by roles it is not meant for, with another tenant's ids, and
//! with its own condition on the tenant taken out.

use super::marks::{self, Marked};
use super::place::{ENTITIES, Place, Relation, SCHEMA, STRANGER, VIEWS};
use super::population::{Population, SHARED_STREAM, digest, own_commit, own_stream};
use super::session::{Session, Told, literal};
use super::tally::Attack;
use crate::Result;

/// A statement of the adapter.
struct Statement {
    /// Its file, without the end.
    name: &'static str,
    sql: &'static str,
    /// Who runs it in the product.
    role: &'static str,
    /// The types of its parameters, where the statement does not tell them.
    types: &'static str,
    /// Its values, of one tenant; those that are missing are NULL.
    values: fn(&Values) -> Vec<String>,
    /// Whether the product shows what it gives to a tenant.
    shows: bool,
}

/// What statements are given: literals.
struct Values {
    tenant: String,
    stream: String,
    commit: String,
    event: String,
}

macro_rules! statements {
    ($($name:literal $role:literal $shows:literal ($types:literal) |$values:ident| [$($value:expr),*];)*) => {
        &[$(Statement {
            name: $name,
            sql: include_str!(concat!("../../../crates/underlay-postgres/src/sql/", $name, ".sql")),
            role: $role,
            types: $types,
            values: |$values| vec![$(String::from($value)),*],
            shows: $shows,
        }),*]
    };
}

/// All of them; a test compares the list with the folder.
const STATEMENTS: &[Statement] = statements! {
    "acquire_lease" "worker" false ("text, text, bigint, bigint, uuid") |v| ["'view:accounts'", "'me'", "1000000", "NULL", &v.event];
    "advance_schedule" "worker" false ("text, text, bigint, bigint, bigint") |v| [&v.tenant, "'nightly'", "1", "NULL", "NULL"];
    "append_commit" "writer" false ("") |_v| [];
    "append_commits" "writer" false ("") |_v| [];
    "append_with_entities" "writer" false ("") |_v| [];
    "begin_work" "worker" false ("smallint[], bigint[], uuid[], integer[], bigint[], integer[], bigint, bigint, uuid") |v| ["'{1}'", "'{1}'", format!("ARRAY[{}]::uuid[]", v.event), "'{1}'", "'{1024}'", "'{1}'"];
    "delete_checkpoint" "worker" false ("text, integer") |_v| ["'accounts'", "1"];
    "delete_discarded_generation" "worker" false ("text, integer") |_v| ["'mine'", "9"];
    "delete_generation" "worker" false ("text, integer") |_v| ["'accounts'", "1"];
    "delete_parked_events" "worker" false ("text, integer") |_v| ["'accounts'", "1"];
    "delete_snapshot" "writer" false ("text, text") |v| [&v.tenant, &v.stream];
    "delete_view_stop" "worker" false ("text, integer") |_v| ["'accounts'", "1"];
    "discard_work" "worker" false ("text, uuid[], bigint") |v| [&v.tenant, format!("ARRAY[{}]::uuid[]", v.event), "NULL"];
    "exists_migrations" "owner" false ("") |_v| [];
    "expect_commit" "writer" false ("") |_v| [];
    "forget_bodies" "worker" false ("bigint, bigint") |_v| ["9000000000000000000", "1000"];
    "forget_commits" "worker" false ("bigint, bigint") |_v| ["0", "1000"];
    "grant_use" "owner" false ("") |_v| [];
    "guard_transaction" "worker" false ("bigint") |_v| ["60000"];
    "import_commits" "worker" false ("") |_v| [];
    "insert_checkpoint" "worker" false ("text, integer, uuid, bigint, uuid") |v| ["'mine'", "1", &v.event, "1", &v.event];
    "insert_discarded_generation" "worker" false ("text, integer") |_v| ["'mine'", "9"];
    "insert_entity_definition" "worker" false ("text, text") |_v| ["'mine'", "'{}'"];
    "insert_generation" "worker" false ("text, integer, bytea, text") |_v| ["'mine'", "1", "'\\x00'", "'{}'"];
    "insert_migration" "owner" false ("") |_v| [];
    "insert_parked_events" "worker" false ("text, integer, text[], bigint[], text[], bigint[], uuid[], text[]") |v| ["'mine'", "1", format!("ARRAY[{}]", v.tenant), "'{1}'", format!("ARRAY[{}]", v.stream), "'{1}'", format!("ARRAY[{}]::uuid[]", v.event), "'{no}'"];
    "insert_replaced_generation" "worker" false ("text, integer, bytea, text, bigint") |_v| ["'mine'", "1", "'\\x00'", "'{}'", "0"];
    "insert_skipped_event" "worker" false ("text, text, bigint, uuid, text") |v| [&v.tenant, "'mine'", "1", &v.event, "'{}'"];
    "insert_view" "worker" false ("text") |_v| ["'mine'"];
    "leave_work" "worker" false ("uuid") |v| [&v.event];
    "lock_discarded_generations" "worker" false ("") |_v| [];
    "lock_entity_definition" "worker" false ("text") |_v| ["'account'"];
    "lock_generation" "worker" false ("text, integer") |_v| ["'accounts'", "1"];
    "lock_migrations" "owner" false ("") |_v| [];
    "lock_view" "worker" false ("text") |_v| ["'accounts'"];
    "move_checkpoint" "worker" false ("") |_v| ["'accounts'", "1"];
    "move_subscription" "worker" false ("text, uuid, bigint, uuid, uuid, bigint, uuid, text, text, bigint, uuid, bigint") |v| ["'mine'", "NULL", "NULL", "NULL", &v.event, "1", &v.event, "'{}'"];
    "notify_channel" "login" false ("text, text") |_v| ["'underlay'", "'ffffffffffff'"];
    "prepare_installation" "owner" false ("") |_v| [];
    "put_schedule" "writer" false ("text, text, text, bigint, bigint") |v| [&v.tenant, "'mine'", "'{}'", "0", "10"];
    "put_view_order" "worker" false ("text, bigint, text") |_v| ["'mine'", "0", "'{}'"];
    "raise_fence" "writer" false ("") |v| [&v.event, "1", "60000"];
    "release_lease" "worker" false ("text, bigint, uuid") |v| ["'view:accounts'", "1", &v.event];
    "release_shards" "worker" false ("smallint[], bigint[], uuid[]") |v| ["'{1}'", "'{1}'", format!("ARRAY[{}]::uuid[]", v.event)];
    "remove_schedule" "writer" false ("text, text") |v| [&v.tenant, "'nightly'"];
    "renew_lease" "worker" false ("text, bigint, bigint, bigint, uuid") |v| ["'view:accounts'", "1", "1000000", "NULL", &v.event];
    "replay_work" "worker" false ("text, uuid[], bigint") |v| [&v.tenant, format!("ARRAY[{}]::uuid[]", v.event), "NULL"];
    "select_active_generation" "worker" false ("text") |_v| ["'accounts'"];
    "select_all_letters" "worker" false ("text, text, text, bigint, bigint, boolean") |_v| ["NULL", "NULL", "NULL", "0", "1000", "false"];
    "select_all_work" "worker" false ("text, text, text, bigint, bigint, integer") |_v| ["NULL", "NULL", "NULL", "0", "1000", "16"];
    "select_checkpoint" "worker" false ("text, integer") |_v| ["'accounts'", "1"];
    "select_commit_events" "reader" true ("bigint, bigint") |_v| ["0", "1000000"];
    "select_commits" "reader" true ("bigint, bigint, text, bigint") |v| ["0", "1000000", &v.tenant, "1000000"];
    "select_due_schedules" "worker" false ("bigint, bigint, text, text, bigint") |_v| ["9000000000000000000", "-9000000000000000000", "''", "''", "1000"];
    "select_due_work" "worker" false ("smallint, bigint, bigint[], text, bigint, bigint, text[], bigint, bigint") |v| ["1::smallint", "NULL", "'{}'", &v.tenant, "-1", "0", "'{}'", "1000", "10000"];
    "select_entity_definition" "worker" false ("text") |_v| ["'account'"];
    "select_event_id" "worker" false ("bigint") |_v| ["2"];
    "select_events_of_commits" "reader" true ("bigint[], integer[]") |_v| [array(|number| number), array(|_| 1)];
    "select_fence" "worker" false ("uuid, bigint") |v| [&v.event, "1"];
    "select_filtered_events" "worker" false ("bigint, bigint, text[], text[], bigint") |_v| ["0", "1000000", "'{}'", "'{}'", "1000000"];
    "select_generations" "worker" false ("text") |_v| ["'accounts'"];
    "select_head" "worker" false ("") |_v| [];
    "select_holders" "reader" true ("text, text, text, text, bigint, bigint") |v| [&v.tenant, "NULL", "'mail'", "'shared'", "0", "1000"];
    "select_known_commits" "reader" true ("text[], uuid[]") |v| [format!("ARRAY[{}]", v.tenant), format!("ARRAY[{}]::uuid[]", v.commit)];
    "select_last_sequence" "reader" false ("") |_v| [];
    "select_lease" "worker" false ("text, bigint") |_v| ["'view:accounts'", "NULL"];
    "select_log_bound" "reader" false ("bigint, bigint") |_v| ["0", "3"];
    "select_log_events" "worker" false ("bigint, bigint") |_v| ["0", "1000000"];
    "select_migrations" "owner" false ("") |_v| [];
    "select_open_wall" "login" false ("") |_v| [];
    "select_order_number" "worker" false ("text") |_v| ["'mine'"];
    "select_parked_events" "worker" false ("text, integer, bigint, bigint") |_v| ["'accounts'", "1", "0", "1000"];
    "select_position_at" "worker" false ("bigint") |_v| ["9000000000000000000"];
    "select_queue_depths" "worker" false ("bigint, integer, bigint") |_v| ["1000", "16", "NULL"];
    "select_ready_work" "worker" false ("smallint, smallint, text, bigint, text[], bigint, bigint") |v| ["1::smallint", "1::smallint", &v.tenant, "0", "'{}'", "1000", "10000"];
    "select_schedule" "writer" false ("text, text") |v| [&v.tenant, "'nightly'"];
    "select_schedules" "worker" false ("text, text, bigint") |_v| ["''", "''", "1000"];
    "select_sent_work" "reader" true ("text, uuid, bigint, integer") |v| [&v.tenant, &v.commit, "0", "16"];
    "select_server" "login" false ("text, text[]") |_v| ["'postgres'", "'{postgres}'"];
    "select_skipped_events" "worker" false ("text") |_v| ["'accounts'"];
    "select_snapshot" "writer" true ("text, text") |v| [&v.tenant, &v.stream];
    "select_store_id" "login" false ("") |_v| [];
    "select_stream_events" "reader" true ("text, text, bigint, bigint") |v| [&v.tenant, &v.stream, "0", "1000000"];
    "select_stream_version" "reader" false ("text, text") |v| [&v.tenant, &v.stream];
    "select_streams" "reader" true ("text, text, text, bigint") |v| [&v.tenant, "''", "'{'", "1000"];
    "select_strong_role" "login" false ("") |_v| [];
    "select_subscription" "worker" false ("text") |_v| ["'mine'"];
    "select_subscriptions" "worker" false ("") |_v| [];
    "select_table_shape" "worker" false ("text") |_v| ["'accounts_1'"];
    "select_target" "login" false ("") |_v| [];
    "select_tenant_depths" "reader" false ("text, bigint, integer, bigint") |v| [&v.tenant, "1000", "16", "NULL"];
    "select_tenant_events" "reader" true ("bigint, text, text[], text[], bigint, bigint") |v| ["0", &v.tenant, "'{}'", "'{}'", "1000000", "1000000"];
    "select_tenant_letters" "reader" true ("text, text, text, text, bigint, bigint, boolean") |v| [&v.tenant, "NULL", "NULL", "NULL", "0", "1000", "false"];
    "select_tenant_schedules" "reader" true ("text, text, text, bigint") |v| [&v.tenant, "''", "''", "1000"];
    "select_tenant_work" "reader" true ("text, text, text, text, bigint, bigint, integer") |v| [&v.tenant, "NULL", "NULL", "NULL", "0", "1000", "16"];
    "select_versions" "reader" false ("text, text[]") |v| [&v.tenant, format!("ARRAY[{}]", v.stream)];
    "select_view_position" "reader" false ("text, integer") |_v| ["'accounts'", "1"];
    "select_view_stop" "worker" false ("text, integer, bigint") |_v| ["'accounts'", "1", "1"];
    "select_views" "worker" false ("") |_v| [];
    "set_drop_timeout" "login" false ("") |_v| [];
    "set_extend_timeout" "login" false ("") |_v| [];
    "set_query" "login" false ("text, text") |_v| ["'5000'", "'2500'"];
    "set_transaction" "login" false ("") |_v| [];
    "set_unit" "writer" false ("bigint") |_v| ["60000"];
    "settle_work" "worker" false ("smallint[], bigint[], uuid[], integer[], bigint[], text[], bigint[], text[], boolean[], boolean[], bigint, bigint, uuid") |v| ["'{1}'", "'{1}'", format!("ARRAY[{}]::uuid[]", v.event), "'{1}'", "'{1024}'"];
    "share_shards" "worker" false ("uuid, text, text, bigint, bigint, smallint[], bigint[], bigint[], bigint, uuid") |v| [&v.event, "'me'", "'embedded'", "1000000"];
    "take_replaced_generation" "worker" false ("text") |_v| ["'accounts'"];
    "update_active_generation" "worker" false ("text, integer") |_v| ["'accounts'", "2"];
    "update_entity_definition" "worker" false ("text, text") |_v| ["'account'", "'{}'"];
    "update_last_generation" "worker" false ("text") |_v| ["'accounts'"];
    "upsert_snapshot" "writer" false ("text, text, bigint, uuid, bytea, text") |v| [&v.tenant, &v.stream, "99", &v.event, "'\\x00'", "'{}'"];
    "upsert_view_stop" "worker" false ("text, integer, bigint, text, bigint, uuid") |v| ["'mine'", "1", "1", "'{}'", "1", &v.event];
};

/// Runs every statement.
pub(super) async fn attack(place: &Place, admin: &Session, population: &Population) -> Result<Attack> {
    let mut attack = Attack::new("every statement of the product");
    let relations = place.relations(admin).await?;
    let tables: Vec<String> = relations.iter().filter(|table| table.of_tenants).map(Relation::path).collect();
    let (own, victim) = (&population.tenants[0], &population.tenants[1]);
    let run = Run { place, admin, own, tables: &tables };
    for statement in STATEMENTS.iter().filter(|statement| statement.name != "set_transaction") {
        for role in ["reader", "writer", "login", "app", "switch", STRANGER] {
            for named in [own.id.as_str(), "", "%%", "x' OR true --"] {
                for tenant in [victim, own] {
                    for sql in variants(statement) {
                        run.attempt(statement, &sql, role, named, tenant, &mut attack).await?;
                    }
                }
            }
        }
        run.works(statement, &mut attack).await?;
    }
    Ok(attack)
}

/// The statement, and the statement as it would be if the tenant had been forgotten in it.
fn variants(statement: &Statement) -> Vec<String> {
    let mut variants = vec![statement.sql.to_owned()];
    for value in ["$1", "$2", "$3", "asked.tenant"] {
        let condition = format!("tenant = {value}");
        if statement.sql.contains(&condition) {
            let forgotten =
                ["events.", "commits.", "w.", ""].iter().fold(statement.sql.to_owned(), |sql, table| {
                    let always = format!("{value} IS NOT DISTINCT FROM {value}");
                    sql.replace(&format!("{table}{condition}"), &always)
                });
            variants.push(forgotten);
        }
    }
    variants
}

struct Run<'a> {
    place: &'a Place,
    admin: &'a Session,
    own: &'a Marked,
    tables: &'a [String],
}

impl Run<'_> {
    async fn attempt(
        &self,
        statement: &Statement,
        sql: &str,
        role: &str,
        named: &str,
        tenant: &Marked,
        attack: &mut Attack,
    ) -> Result<()> {
        let what = || format!("{} as {role}, tenant {named:?}, values of {}", statement.name, tenant.id);
        let own = (named == self.own.id.as_str()).then_some(self.own.number);
        let told = self.execute(statement, sql, role, named, tenant).await?;
        let writes = !sql.trim_start().starts_with("SELECT");
        let changed = if told.done() && writes {
            self.admin.run("RESET ROLE").await?;
            let mine = own.map(|_| self.own.id.as_str());
            let after = digest(self.admin, mine, self.tables).await?;
            self.admin.run("ROLLBACK").await?;
            digest(self.admin, mine, self.tables).await? != after
        } else {
            self.admin.run("ROLLBACK").await?;
            false
        };
        // Without a right to the schema, nothing in it has a name.
        let blind = matches!(role, "switch" | STRANGER);
        attack.control(blind || !told.is_nonsense(), || format!("{}: {}", what(), told.short()));
        let sign = marks::foreign(own, &told.text);
        attack.judge(sign.is_some(), || format!("{}: was told {}", what(), sign.unwrap_or_default()));
        attack.judge(changed, || format!("{}: rows of others have changed", what()));
        Ok(())
    }

    /// That a statement does what it is for, by whom it is for.
    async fn works(&self, statement: &Statement, attack: &mut Attack) -> Result<()> {
        if statement.role == "owner"
            || statement.name.starts_with("append")
            || statement.name == "import_commits"
        {
            return Ok(());
        }
        let told =
            self.execute(statement, statement.sql, statement.role, self.own.id.as_str(), self.own).await?;
        self.admin.run("ROLLBACK").await?;
        // Functions of ours refuse what does not fit, in their own words.
        let ours = told.code.as_deref().is_some_and(|code| code.starts_with("UL"));
        attack.control(told.done() || ours, || format!("{} fails: {}", statement.name, told.short()));
        let shown = told.text.contains(&self.own.mark());
        attack.control(shown || !statement.shows, || {
            format!("{} shows nothing: {}", statement.name, told.short())
        });
        Ok(())
    }

    /// Runs a statement as the product does, in a transaction that stays open.
    async fn execute(
        &self,
        statement: &Statement,
        sql: &str,
        role: &str,
        named: &str,
        tenant: &Marked,
    ) -> Result<Told> {
        let sql = self.filled(sql);
        let name = self.place.role(role);
        // A prepared statement outlives its transaction.
        let settle = format!("DEALLOCATE ALL; {}", begin(&name, named));
        if ["prepare_installation", "grant_use"].contains(&statement.name) {
            let stranger = self.place.role(STRANGER);
            self.admin.begin(&format!("{settle}; SET LOCAL underlay.login = '{stranger}'")).await?;
            return self.admin.tell(&sql).await;
        }
        let count = (1..).take_while(|number| sql.contains(&format!("${number}"))).count();
        let mut values = (statement.values)(&Values::of(tenant)?);
        values.resize(count, "NULL".to_owned());
        if sql.starts_with("CALL") {
            // A call cannot be prepared. The last first, so that $1 is not found in $10.
            let called = (1..).zip(&values).collect::<Vec<_>>().into_iter().rev();
            let called = called.fold(sql, |sql, (number, value)| sql.replace(&format!("${number}"), value));
            self.admin.begin(&settle).await?;
            return self.admin.tell(&called).await;
        }
        let types = if statement.types.is_empty() { String::new() } else { format!("({})", statement.types) };
        self.admin.begin(&settle).await?;
        let prepared = self.admin.tell(&format!("PREPARE attack {types} AS {sql}")).await?;
        if !prepared.done() {
            return Ok(prepared);
        }
        let values = if count == 0 { String::new() } else { format!("({})", values.join(", ")) };
        self.admin.tell(&format!("EXECUTE attack{values}")).await
    }

    fn filled(&self, sql: &str) -> String {
        let mut sql =
            sql.replace("{schema}", SCHEMA).replace("{views}", VIEWS).replace("{entities}", ENTITIES);
        sql = sql.replace("{number}", "99").replace("{name}", "mine").replace("{checksum}", "00");
        for role in super::place::ROLES {
            sql = sql.replace(&format!("{{{role}}}"), &self.place.role(role));
        }
        sql
    }
}

/// An array of as many numbers as there are positions, and more.
fn array(number: impl Fn(u32) -> u32) -> String {
    let numbers: Vec<String> = (1..=200).map(|at| number(at).to_string()).collect();
    literal(&format!("{{{}}}", numbers.join(",")))
}

impl Values {
    fn of(tenant: &Marked) -> Result<Self> {
        let stream = if tenant.number.is_multiple_of(2) {
            own_stream(tenant)?.as_str().to_owned()
        } else {
            SHARED_STREAM.to_owned()
        };
        Ok(Self {
            tenant: literal(tenant.id.as_str()),
            stream: literal(&stream),
            commit: literal(&own_commit(tenant).to_string()),
            event: literal(&tenant.uuid(1).to_string()),
        })
    }
}

/// What the product begins every transaction with, by its own statement.
pub(super) fn begin(role: &str, tenant: &str) -> String {
    let path = format!("pg_catalog, {SCHEMA}, {VIEWS}, pg_temp");
    let mut sql = include_str!("../../../crates/underlay-postgres/src/sql/set_transaction.sql").to_owned();
    for (number, value) in (1..).zip([role, tenant, &path, "30000", "30000"]) {
        sql = sql.replace(&format!("${number}"), &literal(value));
    }
    sql
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_statement_of_the_product_is_attacked() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/underlay-postgres/src/sql");
        let files =
            fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut files: Vec<String> = files.map(|name| name.trim_end_matches(".sql").to_owned()).collect();
        files.sort();
        let listed: Vec<&str> = STATEMENTS.iter().map(|statement| statement.name).collect();
        assert_eq!(listed, files, "a statement without an attack, or an attack without a statement");
    }

    #[test]
    fn a_statement_can_forget_its_tenant() {
        let find = |name| STATEMENTS.iter().find(|statement| statement.name == name).unwrap();
        let forgotten = &variants(find("select_known_commits"))[1];
        assert!(!forgotten.contains("commits.tenant ="), "{forgotten}");
        assert_eq!(variants(find("select_head")).len(), 1);
    }
}
