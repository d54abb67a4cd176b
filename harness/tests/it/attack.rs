use std::process::Command;

use serde_json::Value;

/// Runs the attack; its JSON answer, or none where there is no server for it.
fn attack(arguments: &[&str]) -> Option<Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    let output = command.arg("attack").arg("--json").args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    if text.starts_with("SKIP") {
        println!("{text}");
        // Where servers are required the harness has failed.
        assert!(output.status.success(), "it must not be skipped here");
        return None;
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let answer: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{errors}"));
    assert!(output.status.success(), "{answer:#}");
    Some(answer)
}

#[test]
fn no_tenant_reaches_another_on_postgres_and_holes_are_found() {
    let holes = ["for the session", "see everything"];
    let mut arguments = vec!["--store", "postgres", "--quick", "--compare"];
    arguments.extend(holes.iter().flat_map(|hole| ["--only", hole]));
    let Some(answer) = attack(&arguments) else { return };
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
