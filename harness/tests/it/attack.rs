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

#[test]
fn no_tenant_reaches_another_by_the_ports_of_a_store_without_walls() {
    for store in ["sqlite", "memory"] {
        let mut attack = Command::new(env!("CARGO_BIN_EXE_harness"));
        let output = attack.args(["attack", "--json", "--store", store]).output().unwrap();
        let (answer, content) = answer_or_skip(&output).unwrap();
        assert!(content, "{store}: {answer:#}");
        for attack in answer["attacks"].as_array().unwrap() {
            assert_eq!(attack["leaks"], 0, "{store}: {attack:#}");
            assert!(attack["tries"].as_u64().unwrap() > 500, "{store}: {attack:#}");
        }
        assert_eq!(answer["methods_without_an_attack"].as_array().unwrap().len(), 0, "{answer:#}");
    }
}

#[test]
fn no_tenant_reaches_another_by_what_is_kept_beside_the_log() {
    for beside in ["mongodb", "redis"] {
        let mut attack = Command::new(env!("CARGO_BIN_EXE_harness"));
        let arguments = ["attack", "--json", "--quick", "--store", "memory", "--beside", beside];
        let Some((answer, content)) = answer_or_skip(&attack.args(arguments).output().unwrap()) else {
            continue;
        };
        assert!(content, "{beside}: {answer:#}");
        for attack in answer["attacks"].as_array().unwrap() {
            assert_eq!(attack["leaks"], 0, "{beside}: {attack:#}");
            assert!(attack["tries"].as_u64().unwrap() > 300, "{beside}: {attack:#}");
        }
    }
}

#[test]
fn a_store_without_walls_has_none_to_make_holes_in() {
    let mut attack = Command::new(env!("CARGO_BIN_EXE_harness"));
    let output = attack.args(["attack", "--store", "sqlite", "--compare"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("no walls below its ports"), "{told}");
}
