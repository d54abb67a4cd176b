//! Every table, every verb, every role, with every way to have named no tenant, another one, or
//! something that is no tenant.

use super::declared::{May, Verb, may, readable_columns, works_across_tenants};
use super::marks::{self, Marked};
use super::place::{Place, Relation};
use super::population::{Population, digest};
use super::session::{Session, Told, literal};
use super::tally::Attack;
use crate::Result;

/// A way to have named a tenant, or not.
pub(super) struct Setting {
    name: String,
    /// What is run in the transaction before.
    sql: String,
    /// Whose rows may be seen.
    own: Option<(String, u32)>,
    /// Whether it is one of the few that everything is tried with.
    is_plain: bool,
}

/// Ways to have named none.
const WITHOUT_TENANT: [(&str, &str); 5] = [
    ("no tenant", "SELECT 1"),
    ("row_security off", "SET LOCAL row_security = off"),
    ("after a reset", "SET LOCAL underlay.tenant = 'acme'; RESET underlay.tenant"),
    ("after a savepoint", "SAVEPOINT s; SET LOCAL underlay.tenant = 'acme'; ROLLBACK TO s"),
    ("another setting", "SET LOCAL underlay.tenants = 'acme'; SET LOCAL tenant.underlay = 'acme'"),
];
/// Texts that are no tenant's name, and close to one, or to all.
const NOBODY: [&str; 13] = [
    "",
    " ",
    "_%",
    "*",
    ".*",
    "''",
    "acme' OR 'a'='a",
    "ACMe",
    "\u{feff}acme",
    "acme;acm",
    " acm ",
    "acm,acme",
    "public",
];

/// A statement that one verb is tried by.
struct Try {
    verb: Verb,
    sql: String,
}

/// All settings, or a few of every kind: those of tenants that are there, and those that are nobody.
pub(super) fn settings(population: &Population, all: bool) -> Vec<Setting> {
    const FEW: usize = 4;
    let nobody = |name: String, sql: String| Setting { name, sql, own: None, is_plain: false };
    let mut settings: Vec<Setting> =
        WITHOUT_TENANT.iter().map(|(name, sql)| nobody((*name).to_owned(), (*sql).to_owned())).collect();
    settings[0].is_plain = true;
    settings.extend(NOBODY.iter().map(|text| nobody(format!("{text:?}"), named(text))));
    let tenants = population.tenants.iter().map(|tenant| (tenant.id.as_str().to_owned(), tenant.number));
    let tenants = tenants.take(if all { usize::MAX } else { FEW });
    let hostile = population.hostile.iter().take(if all { usize::MAX } else { FEW }).cloned();
    for (name, number) in tenants.chain(hostile) {
        let short: String = name.chars().take(20).collect();
        settings.push(Setting {
            name: format!("{short:?}"),
            sql: named(&name),
            is_plain: number == population.tenants[0].number,
            own: Some((name, number)),
        });
    }
    settings
}

/// Names a tenant for the transaction.
pub(super) fn named(tenant: &str) -> String {
    format!("SELECT set_config('underlay.tenant', {}, true)", literal(tenant))
}

/// Tries everything.
pub(super) async fn attack(
    place: &Place,
    admin: &Session,
    population: &Population,
    settings: &[Setting],
    roles: &[&str],
) -> Result<Attack> {
    let mut attack = Attack::new("every table, verb, role and tenant setting");
    let relations = place.relations(admin).await?;
    let of_tenants: Vec<String> =
        relations.iter().filter(|relation| relation.of_tenants).map(Relation::path).collect();
    let victim = &population.tenants[1];
    for role in roles.iter().copied() {
        let acting = Acting { place, admin, role, victim, of_tenants: &of_tenants };
        for relation in &relations {
            let tries = tries(admin, relation, role, victim).await?;
            for one in &tries {
                // Where nothing may be done at all, one tenant is as good as another.
                let own = may(role, relation, one.verb) == Some(May::Own);
                let settings = settings.iter().filter(|setting| own || setting.is_plain);
                for setting in settings {
                    acting.attempt(relation, setting, one, &mut attack).await?;
                }
            }
        }
        acting.see_own(&relations, settings, &mut attack).await?;
    }
    Ok(attack)
}

/// The statements that are tried on a relation.
async fn tries(admin: &Session, relation: &Relation, role: &str, victim: &Marked) -> Result<Vec<Try>> {
    let table = relation.path();
    let columns = readable_columns(role, relation).unwrap_or("*");
    let one = |verb, sql: String| Try { verb, sql };
    let mut tries = vec![
        one(Verb::Select, format!("SELECT {columns} FROM {table}")),
        one(Verb::Truncate, format!("TRUNCATE {table}")),
        one(Verb::Lock, format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")),
        one(Verb::Alter, format!("ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")),
        one(Verb::Alter, format!("ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")),
        one(Verb::Alter, format!("CREATE POLICY mine ON {table} USING (true)")),
        one(
            Verb::Alter,
            format!(
                "CREATE TRIGGER mine BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"
            ),
        ),
        one(Verb::Alter, format!("CREATE RULE mine AS ON DELETE TO {table} DO INSTEAD NOTHING")),
    ];
    if columns != "*" {
        tries.push(one(Verb::Alter, format!("SELECT event_id FROM {table}")));
        tries.push(one(Verb::Alter, format!("SELECT * FROM {table}")));
    }
    if relation.kind != "r" {
        tries.truncate(1);
        return Ok(tries);
    }
    let first = format!(
        "SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = {}::regclass AND attnum = 1",
        literal(&table)
    );
    let first = admin.lines(&first).await?.pop().unwrap_or_default();
    tries.push(one(Verb::Update, format!("UPDATE {table} SET {first} = {first}")));
    tries.push(one(Verb::Update, format!("SELECT {columns} FROM {table} FOR UPDATE")));
    tries.push(one(Verb::Update, format!("SELECT {columns} FROM {table} FOR KEY SHARE")));
    tries.push(one(Verb::Delete, format!("DELETE FROM {table}")));
    tries.push(one(Verb::Insert, format!("INSERT INTO {table} DEFAULT VALUES")));
    if relation.of_tenants {
        let victims = literal(victim.id.as_str());
        // Rows of the victim are taken, moved away, and given to it.
        tries.push(one(Verb::Update, format!("UPDATE {table} SET tenant = 'acme'")));
        tries.push(one(Verb::Update, format!("UPDATE {table} SET tenant = {victims}")));
        tries.push(one(Verb::Delete, format!("DELETE FROM {table} WHERE tenant = {victims}")));
        tries.push(one(Verb::Select, format!("SELECT {columns} FROM {table} WHERE tenant = {victims}")));
        tries.push(one(
            Verb::Select,
            format!("SELECT {columns} FROM {table} WHERE tenant <> current_setting('underlay.tenant', true)"),
        ));
        tries.push(one(
            Verb::Select,
            format!("SELECT a.* FROM {table} AS a RIGHT JOIN {table} AS b ON a.tenant <> b.tenant OR true LIMIT 1000"),
        ));
        let sql = format!("SELECT to_jsonb(t) FROM {table} AS t WHERE tenant = {victims} LIMIT 1");
        if let Some(row) = admin.lines(&sql).await?.pop() {
            let row = literal(&row);
            let insert =
                format!("INSERT INTO {table} SELECT * FROM jsonb_populate_record(NULL::{table}, {row})");
            tries.push(one(Verb::Insert, format!("{insert} ON CONFLICT DO NOTHING")));
            tries.push(one(Verb::Insert, insert));
        }
    }
    Ok(tries)
}

struct Acting<'a> {
    place: &'a Place,
    admin: &'a Session,
    role: &'a str,
    victim: &'a Marked,
    of_tenants: &'a [String],
}

impl Acting<'_> {
    /// Runs one statement, and judges what it gave and what it changed.
    async fn attempt(
        &self,
        relation: &Relation,
        setting: &Setting,
        one: &Try,
        attack: &mut Attack,
    ) -> Result<()> {
        let what = || format!("{}, {}: {}", self.role, setting.name, one.sql);
        let Some(may) = may(self.role, relation, one.verb) else {
            attack.judge(false, String::new);
            // Nobody has said what it is for; what it gives is judged all the same.
            attack.control(false, || format!("{} is not declared", relation.path()));
            let told = self.act(setting, &one.sql).await?;
            if let Some(sign) = self.sign(setting, &told) {
                attack.leak(format!("{}: {sign}", what()));
            }
            return Ok(());
        };
        self.admin.begin(&format!("{}; SET LOCAL ROLE {}", setting.sql, self.place.role(self.role))).await?;
        let told = self.admin.tell(&one.sql).await?;
        let changes = !matches!(one.verb, Verb::Select);
        // Whoever works across tenants may change their rows; of the others' nothing may be changed.
        let own = setting.own.as_ref().map(|(name, _)| name.as_str());
        let digest = if told.done() && changes && told.rows > 0 && may == May::Own {
            self.admin.run("RESET ROLE").await?;
            let after = digest(self.admin, own, self.of_tenants).await?;
            self.admin.run("ROLLBACK").await?;
            Some((digest(self.admin, own, self.of_tenants).await?, after))
        } else {
            self.admin.run("ROLLBACK").await?;
            None
        };
        attack.control(!told.is_nonsense(), || format!("{}: {}", what(), told.short()));
        let across = works_across_tenants(self.role);
        let reason = match may {
            May::All if across => None,
            May::All => self.sign(setting, &told),
            May::No => reason_of_no(one.verb, &told).or_else(|| self.sign(setting, &told)),
            May::Own => self.reason_of_own(setting, one, &told).or_else(|| {
                digest
                    .filter(|(before, after)| before != after)
                    .map(|_| "rows of others have changed".to_owned())
            }),
        };
        attack.judge(reason.is_some(), || format!("{}: {}", what(), reason.unwrap_or_default()));
        Ok(())
    }

    async fn act(&self, setting: &Setting, sql: &str) -> Result<Told> {
        let before = format!("{}; SET LOCAL ROLE {}", setting.sql, self.place.role(self.role));
        self.admin.act(&before, sql).await
    }

    /// What the role was told of somebody else.
    fn sign(&self, setting: &Setting, told: &Told) -> Option<String> {
        let own = setting.own.as_ref().map(|(_, number)| *number);
        marks::foreign(own, &told.text).map(|sign| format!("was told {sign}"))
    }

    fn reason_of_own(&self, setting: &Setting, one: &Try, told: &Told) -> Option<String> {
        if let Some(sign) = self.sign(setting, told) {
            return Some(sign);
        }
        let own = setting.own.as_ref().map(|(name, _)| name.as_str());
        if own.is_none() && told.done() && told.rows > 0 {
            return Some(format!("{} rows with no tenant", told.rows));
        }
        let inserts_of_victim = one.verb == Verb::Insert
            && one.sql.contains("jsonb_populate_record")
            && own != Some(self.victim.id.as_str());
        // A constraint that complains was reached, and it stands behind the wall.
        (inserts_of_victim && !told.is_denied()).then(|| format!("it got past the policy: {}", told.short()))
    }

    /// That the tries reach what they attack: a role sees the rows that are its own.
    async fn see_own(&self, relations: &[Relation], settings: &[Setting], attack: &mut Attack) -> Result<()> {
        for relation in relations.iter().filter(|relation| relation.of_tenants) {
            if may(self.role, relation, Verb::Select) != Some(May::Own) {
                continue;
            }
            let sql = format!("SELECT * FROM {}", relation.path());
            for setting in settings {
                let Some((name, number)) = &setting.own else { continue };
                let told = self.act(setting, &sql).await?;
                let sees = told.text.contains(&marks::mark(*number));
                attack.control(sees, || format!("{} as {name:?} sees nothing: {}", self.role, told.short()));
            }
        }
        Ok(())
    }
}

/// Why something that must not work did.
fn reason_of_no(verb: Verb, told: &Told) -> Option<String> {
    match &told.code {
        None if matches!(verb, Verb::Truncate | Verb::Alter | Verb::Lock) || told.rows > 0 => {
            Some(format!("it was done: {}", told.short()))
        }
        // What stands behind the right and the policy was reached.
        Some(code) if code.starts_with("23") => Some(format!("a constraint was reached: {}", told.short())),
        _ => None,
    }
}
