//! Every right in the catalogue, compared with what is declared, and the walls themselves.

use super::declared::{May, Verb, callers, may, readable_columns};
use super::place::{ENTITIES, LOGIN, Place, ROLES, Relation, SCHEMA, STRANGER, VIEWS};
use super::session::{Session, literal};
use super::tally::Attack;
use crate::Result;

const PRIVILEGES: [(&str, Verb); 7] = [
    ("SELECT", Verb::Select),
    ("INSERT", Verb::Insert),
    ("UPDATE", Verb::Update),
    ("DELETE", Verb::Delete),
    ("TRUNCATE", Verb::Truncate),
    ("REFERENCES", Verb::Alter),
    ("TRIGGER", Verb::Alter),
];

/// Reads every right.
pub(super) async fn attack(place: &Place, admin: &Session) -> Result<Attack> {
    let mut attack = Attack::new("rights in the catalogue");
    let relations = place.relations(admin).await?;
    for relation in &relations {
        walls(admin, relation, &mut attack).await?;
        for role in ROLES.into_iter().chain([LOGIN, STRANGER]) {
            privileges(place, admin, relation, role, &mut attack).await?;
        }
    }
    functions(place, admin, &mut attack).await?;
    roles(place, admin, &mut attack).await?;
    Ok(attack)
}

/// That a relation is a table, with row-level security, forced, and a policy.
async fn walls(admin: &Session, relation: &Relation, attack: &mut Attack) -> Result<()> {
    let path = relation.path();
    attack.judge(relation.kind != "r", || format!("{path} is no table, so it has no row-level security"));
    if relation.kind != "r" {
        return Ok(());
    }
    let sql = format!(
        "SELECT relrowsecurity AND relforcerowsecurity AND EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid) \
         FROM pg_class AS c WHERE c.oid = {}::regclass",
        literal(&path)
    );
    let walled = admin.lines(&sql).await?;
    attack.judge(walled != ["t"], || format!("{path} has no forced row-level security with a policy"));
    // Policies that a role does not have named for it are for everybody.
    let sql = format!(
        "SELECT polname FROM pg_policy WHERE polrelid = {}::regclass AND (0 = ANY (polroles) OR NOT polpermissive)",
        literal(&path)
    );
    let public = admin.lines(&sql).await?;
    attack.judge(!public.is_empty(), || format!("{path} has a policy for everybody: {public:?}"));
    Ok(())
}

async fn privileges(
    place: &Place,
    admin: &Session,
    relation: &Relation,
    role: &str,
    attack: &mut Attack,
) -> Result<()> {
    let (path, name) = (literal(&relation.path()), place.role(role));
    for (privilege, verb) in PRIVILEGES {
        let declared = may(role, relation, verb);
        attack.control(declared.is_some(), || format!("{} is not declared", relation.path()));
        // The owner has rights to its tables; that it sees no row in them is tried elsewhere.
        let owns = role == "owner" && relation.schema == SCHEMA;
        if declared == Some(May::All) && !matches!(verb, Verb::Select) || owns {
            continue;
        }
        let whole = format!("has_table_privilege('{name}', {path}, '{privilege}')");
        let any = match privilege {
            "DELETE" | "TRUNCATE" | "TRIGGER" => whole.clone(),
            _ => format!("has_any_column_privilege('{name}', {path}, '{privilege}')"),
        };
        let told = admin.lines(&format!("SELECT {whole} || ' ' || {any}")).await?.pop().unwrap_or_default();
        let leaked = match declared {
            Some(May::No) | None => told != "false false",
            Some(_) => false,
        };
        attack.judge(leaked, || format!("{role} has {privilege} on {}: {told}", relation.path()));
    }
    if let Some(columns) = readable_columns(role, relation)
        && matches!(may(role, relation, Verb::Select), Some(May::Own | May::All))
    {
        let sql = format!(
            "SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = {path}::regclass \
             AND attnum > 0 AND has_column_privilege('{name}', attrelid, attnum, 'SELECT')"
        );
        let told = admin.lines(&sql).await?.pop().unwrap_or_default();
        attack.judge(told != columns, || format!("{role} may read {told} of {}", relation.path()));
    }
    Ok(())
}

async fn functions(place: &Place, admin: &Session, attack: &mut Attack) -> Result<()> {
    let sql = format!(
        "SELECT p.oid || '|' || p.proname || '|' || p.prosecdef || '|' || \
         coalesce((SELECT c FROM unnest(p.proconfig) AS c WHERE c LIKE 'search_path=%'), '') || '|' || \
         p.proowner::regrole FROM pg_proc AS p WHERE p.pronamespace IN ('{SCHEMA}'::regnamespace, \
         '{VIEWS}'::regnamespace, '{ENTITIES}'::regnamespace) ORDER BY 1"
    );
    for line in admin.lines(&sql).await? {
        let parts: Vec<&str> = line.split('|').collect();
        let [oid, name, definer, path, owner] = parts.as_slice() else {
            return Err(format!("a function's name holds a bar: {line}").into());
        };
        let pinned = path.starts_with("search_path=pg_catalog,") && path.ends_with("pg_temp");
        attack.judge(*definer == "true" && !pinned, || {
            format!("{name} runs with its owner's rights and with its caller's search_path: {path:?}")
        });
        attack.judge(*definer == "true" && *owner != place.role("append"), || {
            format!("{name} runs with the rights of {owner}")
        });
        let Some(callers) = callers(name) else {
            attack.control(false, || format!("the function {name} is not declared"));
            continue;
        };
        for role in ROLES.into_iter().chain([LOGIN, STRANGER]) {
            // Who owns a function may call it, and the owner is who made it.
            let owns = *owner == place.role(role) || role == "owner";
            let inherits = matches!(role, "login" | "app")
                && (callers.contains(&"reader") || callers.contains(&"writer"));
            let sql = format!("SELECT has_function_privilege('{}', {oid}, 'EXECUTE')", place.role(role));
            let may = admin.lines(&sql).await? == ["t"];
            attack.judge(may && !(callers.contains(&role) || inherits || owns), || {
                format!("{role} may call {name}")
            });
            attack.control(may || !callers.contains(&role), || format!("{role} may not call {name}"));
        }
    }
    Ok(())
}

/// What roles are, and what they may become.
async fn roles(place: &Place, admin: &Session, attack: &mut Attack) -> Result<()> {
    for role in ROLES.into_iter().chain([LOGIN, STRANGER]) {
        let name = place.role(role);
        let sql = format!(
            "SELECT rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication OR \
             (rolcanlogin AND rolname NOT IN ('{}', '{}')) FROM pg_roles WHERE rolname = '{name}'",
            place.role(LOGIN),
            place.role(STRANGER)
        );
        let strong = admin.lines(&sql).await?;
        attack.judge(strong != ["f"], || format!("{role} has an attribute that passes over the walls"));
        let admins = format!(
            "SELECT roleid::regrole FROM pg_auth_members WHERE member = '{name}'::regrole AND admin_option"
        );
        let admins = admin.lines(&admins).await?;
        attack.judge(!admins.is_empty(), || format!("{role} may give others the role {admins:?}"));
        let usable = used_by(role);
        for other in ROLES {
            if other == role {
                continue;
            }
            let sql = format!("SELECT pg_has_role('{name}', '{}', 'USAGE')", place.role(other));
            let uses = admin.lines(&sql).await? == ["t"];
            attack.judge(uses && !usable.contains(&other), || format!("{role} has the rights of {other}"));
        }
        let workers = ["owner", "worker"];
        for (schema, makers) in [(SCHEMA, ["owner", ""]), (VIEWS, workers), (ENTITIES, workers)] {
            let sql = format!("SELECT has_schema_privilege('{name}', '{schema}', 'CREATE')");
            let may = admin.lines(&sql).await? == ["t"];
            attack.judge(may && !makers.contains(&role), || format!("{role} may make things in {schema}"));
        }
    }
    Ok(())
}

/// The roles whose rights a role has without asking for them.
fn used_by(role: &str) -> &'static [&'static str] {
    match role {
        "app" => &["reader", "writer", "switch"],
        "login" => &["app", "reader", "writer", "switch"],
        _ => &[],
    }
}
