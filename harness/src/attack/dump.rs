//! pg_dump, as everybody who can log in.

use servers::{output, postgres_program};

use super::marks;
use super::place::{LOGIN, Place, STRANGER};
use super::population::Population;
use super::tally::Attack;
use crate::Result;

/// What is dumped.
const TABLES: [&str; 9] = [
    "underlay.events",
    "underlay.commits",
    "underlay.snapshots",
    "underlay.work",
    "underlay.work_later",
    "underlay.dead_letters",
    "underlay.schedules",
    "underlay_views.*",
    "underlay_entities.*",
];

/// Dumps the database in every way a login can ask for.
pub(super) async fn attack(place: &Place, population: &Population) -> Result<Attack> {
    let mut attack = Attack::new("dumps");
    let own = &population.tenants[0];
    for login in [LOGIN, STRANGER] {
        for role in ["", "reader", "writer"] {
            for security in ["", "--enable-row-security"] {
                for tenant in [None, Some(own)] {
                    for table in TABLES {
                        let mut dump = postgres_program("pg_dump")?;
                        dump.arg("--data-only").arg("--inserts").arg("--table").arg(table);
                        dump.args((!security.is_empty()).then_some(security));
                        if !role.is_empty() {
                            dump.arg(format!("--role={}", place.role(role)));
                        }
                        if let Some(tenant) = tenant {
                            dump.env("PGOPTIONS", format!("-c underlay.tenant={}", tenant.id));
                        }
                        dump.arg(place.address(login));
                        let said = tokio::task::spawn_blocking(move || output(&mut dump)).await?;
                        let text = said.unwrap_or_else(|error| error.to_string());
                        let number = tenant.map(|tenant| tenant.number);
                        let sign = marks::foreign(number, &text);
                        attack.judge(sign.is_some(), || {
                            format!("{login}, {role}, {table}: {}", sign.unwrap_or_default())
                        });
                        let sees = text.contains(&own.mark());
                        let should = login == LOGIN
                            && role == "reader"
                            && tenant.is_some()
                            && !security.is_empty()
                            && table != "underlay.snapshots";
                        attack.control(sees || !should, || format!("{login}, {role}, {table}: {text}"));
                    }
                }
            }
        }
    }
    Ok(attack)
}
