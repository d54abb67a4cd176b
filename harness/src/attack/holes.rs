//! Walls with holes, made on purpose in copies of the database, to see that the attack finds each.

use super::place::{Installation, Place, ROLES};
use super::population::Population;
use super::statements;
use super::tally::Tally;
use super::{Part, attack_sql};
use crate::Result;

/// A hole.
pub(super) struct Hole {
    /// What is wrong.
    pub(super) name: &'static str,
    /// What makes it, as the administrator of a copy; `{role}` stands for a role's name.
    make: &'static [&'static str],
    /// What takes back of it what is not in the copy alone.
    undo: &'static [&'static str],
    /// What is to find it, each for itself.
    found_by: &'static [Part],
    /// What a program does wrong, which no database can know.
    begin: fn(&str, &str) -> String,
}

/// What one hole came to.
pub(super) struct Found {
    pub(super) name: &'static str,
    pub(super) leaks: u64,
    /// The attacks that were to find it.
    pub(super) by: Vec<&'static str>,
    /// Those of them that did not.
    pub(super) missed_by: Vec<&'static str>,
}

const fn hole(name: &'static str, found_by: &'static [Part], make: &'static [&'static str]) -> Hole {
    Hole { name, make, undo: &[], found_by, begin: statements::begin }
}

const HOLES: &[Hole] = &[
    hole(
        "a table without row-level security",
        &[
            Part::Rights,
            Part::Tables,
            Part::Statements,
            Part::Conditions,
            Part::Copies,
            Part::Reuse,
            Part::Dumps,
        ],
        &["ALTER TABLE underlay.commits DISABLE ROW LEVEL SECURITY"],
    ),
    hole(
        "row-level security that is not forced",
        &[Part::Rights, Part::Tables],
        &["ALTER TABLE underlay.events NO FORCE ROW LEVEL SECURITY"],
    ),
    hole(
        "a view's table made without a policy",
        &[Part::Rights, Part::Tables],
        &[
            "ALTER TABLE underlay_views.balances_2 DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY",
            "DROP POLICY of_tenant ON underlay_views.balances_2",
        ],
    ),
    hole(
        "entities whose maker sees them",
        &[Part::Rights, Part::Tables],
        &[
            "GRANT SELECT ON underlay_entities.account TO {worker}",
            "CREATE POLICY open ON underlay_entities.account FOR SELECT TO {worker} USING (true)",
        ],
    ),
    hole(
        "entities that a writer may give to another tenant",
        &[Part::Tables],
        &["CREATE POLICY open ON underlay_entities.account TO {writer} \
           USING (tenant = current_setting('underlay.tenant', true)) WITH CHECK (true)"],
    ),
    hole(
        "a policy that lets a reader see everything",
        &[Part::Tables, Part::Conditions, Part::Oracles, Part::Copies],
        &["CREATE POLICY open ON underlay_views.accounts_1 FOR SELECT TO {reader} USING (true)"],
    ),
    hole(
        "a policy that lets everything pass where no tenant is named",
        &[Part::Tables, Part::Statements, Part::Conditions, Part::Reuse],
        &["CREATE POLICY open ON underlay.events FOR SELECT TO {reader} \
           USING (coalesce(current_setting('underlay.tenant', true), '') = '')"],
    ),
    hole(
        "a policy that takes the tenant for a pattern",
        &[Part::Tables],
        &["CREATE POLICY open ON underlay.commits FOR SELECT TO {reader} \
           USING (tenant LIKE current_setting('underlay.tenant', true))"],
    ),
    hole(
        "a policy that takes upper case for lower case",
        &[Part::Tables],
        &["CREATE POLICY open ON underlay.events FOR SELECT TO {reader} \
           USING (lower(tenant) = lower(current_setting('underlay.tenant', true)))"],
    ),
    hole(
        "a policy that compares the beginning of the tenant",
        &[Part::Tables],
        &["CREATE POLICY open ON underlay_views.accounts_2 FOR SELECT TO {reader} \
           USING (starts_with(tenant, current_setting('underlay.tenant', true)))"],
    ),
    hole(
        "a policy that trims the tenant",
        &[Part::Tables],
        &["CREATE POLICY open ON underlay.events FOR SELECT TO {reader} \
           USING (trim(tenant) = trim(current_setting('underlay.tenant', true)))"],
    ),
    hole(
        "a policy that takes a list of tenants",
        &[Part::Tables],
        &["CREATE POLICY open ON underlay.events FOR SELECT TO {reader} \
           USING (tenant = ANY (string_to_array(current_setting('underlay.tenant', true), ',')))"],
    ),
    hole(
        "a policy that does not check what is written",
        &[Part::Tables, Part::Oracles],
        &["CREATE POLICY open ON underlay.snapshots TO {writer} USING (false) WITH CHECK (true)"],
    ),
    hole(
        "a view instead of a policy",
        &[Part::Rights, Part::Conditions],
        &[
            "CREATE VIEW underlay.my_events AS SELECT * FROM underlay.events \
             WHERE tenant = current_setting('underlay.tenant', true)",
            "GRANT SELECT ON underlay.my_events TO {reader}, {writer}",
        ],
    ),
    hole(
        "a copy of the rows for a report",
        &[Part::Rights, Part::Tables, Part::Copies],
        &[
            "CREATE MATERIALIZED VIEW underlay.report AS SELECT tenant, stream, payload::text FROM underlay.events",
            "GRANT SELECT ON underlay.report TO {reader}",
        ],
    ),
    hole(
        "a function with its owner's rights for everybody",
        &[Part::Rights],
        &["CREATE FUNCTION underlay.find(text) RETURNS SETOF underlay.events LANGUAGE sql SECURITY DEFINER \
             AS 'SELECT * FROM underlay.events WHERE stream = $1'"],
    ),
    hole(
        "a function that everybody may call",
        &[Part::Rights],
        &["GRANT EXECUTE ON FUNCTION underlay.append TO PUBLIC"],
    ),
    hole(
        "a function that takes names from its caller",
        &[Part::Rights, Part::Shadows],
        &["ALTER FUNCTION underlay.last_sequence RESET search_path"],
    ),
    hole(
        "events that a worker may change",
        &[Part::Rights, Part::Tables],
        &[
            "GRANT UPDATE ON underlay.events TO {worker}",
            "CREATE POLICY open ON underlay.events FOR UPDATE TO {worker} USING (true)",
            "DROP TRIGGER events_are_not_changed ON underlay.events",
        ],
    ),
    hole(
        "ids of events in what every reader sees",
        &[Part::Rights, Part::Tables, Part::Statements],
        &["GRANT SELECT ON underlay.view_checkpoints TO {reader}"],
    ),
    hole(
        "leases that a reader may read",
        &[Part::Rights, Part::Tables],
        &[
            "GRANT SELECT ON underlay.leases TO {reader}",
            "CREATE POLICY open ON underlay.leases TO {reader} USING (true)",
        ],
    ),
    hole(
        "a schema in which a login makes things",
        &[Part::Rights],
        &["GRANT CREATE ON SCHEMA underlay TO {app}"],
    ),
    Hole {
        name: "a login that is a worker without asking",
        found_by: &[Part::Rights, Part::Tables, Part::Dumps],
        make: &["GRANT {worker} TO {app}"],
        undo: &["REVOKE {worker} FROM {app}"],
        begin: statements::begin,
    },
    Hole {
        name: "a reader that passes over policies",
        found_by: &[Part::Rights, Part::Tables],
        make: &["ALTER ROLE {reader} BYPASSRLS"],
        undo: &["ALTER ROLE {reader} NOBYPASSRLS"],
        begin: statements::begin,
    },
    Hole {
        name: "a login that is granted the owner",
        found_by: &[Part::Logins],
        make: &["GRANT {owner} TO {login}"],
        undo: &["REVOKE {owner} FROM {login}"],
        begin: statements::begin,
    },
    Hole {
        name: "a tenant set for the session",
        found_by: &[Part::Reuse],
        make: &[],
        undo: &[],
        begin: |role, tenant| {
            statements::begin(role, tenant).replace("true)", "false)").replace(
                &format!("set_config('role', '{role}', false)"),
                &format!("set_config('role', '{role}', true)"),
            )
        },
    },
    Hole {
        name: "a role set for the session",
        found_by: &[Part::Reuse],
        make: &[],
        undo: &[],
        begin: |role, tenant| {
            statements::begin(role, tenant).replace(
                &format!("set_config('role', '{role}', true)"),
                &format!("set_config('role', '{role}', false)"),
            )
        },
    },
];

/// Makes every hole in a copy of a database, and attacks that.
pub(super) async fn make_all(
    installation: &Installation<'_>,
    template: &Place,
    population: &Population,
    only: &[String],
) -> Result<Vec<Found>> {
    let mut all = Vec::new();
    let wanted = |hole: &&Hole| only.is_empty() || only.iter().any(|text| hole.name.contains(text.as_str()));
    for hole in HOLES.iter().filter(wanted) {
        template.empty_of_sessions().await?;
        let copy = installation.copy(template).await?;
        let tally = attack_with(&copy, hole, population).await;
        let undone = undo(&copy, hole).await;
        let (tally, ()) = (tally.map_err(|error| format!("{}: {error}", hole.name))?, undone?);
        let missed = tally.attacks.iter().filter(|attack| attack.leaks.count == 0);
        let found = Found {
            name: hole.name,
            leaks: tally.leaks(),
            by: tally.attacks.iter().map(|attack| attack.name).collect(),
            missed_by: missed.map(|attack| attack.name).collect(),
        };
        // It takes a while; whoever waits sees it go on.
        let verdict = if found.missed_by.is_empty() { "found" } else { "NOT FOUND" };
        eprintln!("{verdict}: {} ({} leaks)", found.name, found.leaks);
        all.push(found);
    }
    Ok(all)
}

async fn attack_with(place: &Place, hole: &Hole, population: &Population) -> Result<Tally> {
    let admin = place.admin().await?;
    for sql in hole.make {
        admin.run(&filled(place, sql)).await?;
    }
    let mut tally = Tally::default();
    attack_sql(place, population, hole.found_by, false, &hole.begin, &mut tally).await?;
    Ok(tally)
}

async fn undo(place: &Place, hole: &Hole) -> Result<()> {
    let admin = place.admin().await?;
    for sql in hole.undo {
        admin.run(&filled(place, sql)).await?;
    }
    Ok(())
}

fn filled(place: &Place, sql: &str) -> String {
    ROLES
        .into_iter()
        .chain(["login"])
        .fold(sql.to_owned(), |sql, role| sql.replace(&format!("{{{role}}}"), &place.role(role)))
}
