use std::process::Command;

use crate::answer_or_skip;

#[test]
fn no_tenant_reaches_another_on_postgres_and_holes_are_found() {
    let holes = ["for the session", "see everything"];
    let mut attack = Command::new(env!("CARGO_BIN_EXE_harness"));
    attack.args(["attack", "--json", "--store", "postgres", "--quick", "--compare"]);
    attack.args(holes.iter().flat_map(|hole| ["--only", hole]));
    let Some((answer, content)) = answer_or_skip(&attack.output().unwrap()) else { return };
    assert!(content, "{answer:#}");
    let attacks = answer["attacks"].as_array().unwrap();
    assert!(attacks.len() >= 15, "{answer:#}");
    for attack in attacks {
        assert_eq!(attack["leaks"], 0, "{attack:#}");
        assert_eq!(attack["not_an_attack"], 0, "{attack:#}");
        // Only a pooler may be missing.
        let tried = attack["tries"].as_u64().unwrap() > 0;
        assert!(tried || attack["skipped"] == "there is no pooler", "{attack:#}");
    }
    let found = answer["holes"].as_array().unwrap();
    assert_eq!(found.len(), 3, "{answer:#}");
    for hole in found {
        assert!(hole["leaks"].as_u64().unwrap() > 0, "{hole:#}");
    }
}
