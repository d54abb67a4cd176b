use serde_json::Value;

use crate::{harness, harness_or_skip, run};

#[test]
fn what_was_promised_survives_a_kill() {
    let (answer, content) = harness(&["crash", "--rounds", "15", "--seed", "1", "--json"]);
    assert!(content, "{answer:#}");
    assert_eq!(answer["violations"].as_array().unwrap().len(), 0);
    assert_eq!(answer["rounds"], 15);
    assert!(answer["acknowledged"].as_u64().unwrap() > 15, "{answer:#}");
    assert!(answer["repeats"].as_u64().unwrap() > 0, "{answer:#}");
}

#[test]
fn what_was_promised_survives_a_kill_on_postgres() {
    let arguments = ["crash", "--store", "postgres", "--rounds", "12", "--seed", "1", "--json"];
    let Some((answer, content)) = harness_or_skip(&arguments) else { return };
    assert!(content, "{answer:#}");
    assert_eq!(answer["violations"].as_array().unwrap().len(), 0);
    assert!(answer["acknowledged"].as_u64().unwrap() > 12, "{answer:#}");
}

#[test]
fn what_was_promised_survives_a_crash_of_the_server() {
    let arguments =
        ["crash", "--store", "postgres", "--server-crash", "--rounds", "6", "--seed", "1", "--json"];
    let Some((answer, content)) = harness_or_skip(&arguments) else { return };
    assert!(content, "{answer:#}");
    assert_eq!(answer["violations"].as_array().unwrap().len(), 0);
    let crashes = &answer["server_crashes"];
    let count = |how: &str| crashes[how].as_u64().unwrap();
    assert!(count("sessions_killed") + count("immediate_stops") > 0, "{answer:#}");
}

/// The log is a file, and another server keeps the rows, which is killed too.
fn rows_survive(rows: &str) {
    let arguments = ["crash", "--rows", rows, "--server-crash", "--rounds", "8", "--seed", "1", "--json"];
    let Some((answer, content)) = harness_or_skip(&arguments) else { return };
    assert!(content, "{answer:#}");
    assert_eq!(answer["violations"].as_array().unwrap().len(), 0);
    assert!(answer["acknowledged"].as_u64().unwrap() > 8, "{answer:#}");
    assert!(answer["server_crashes"]["rows_server_kills"].as_u64().unwrap() > 0, "{answer:#}");
}

#[test]
fn rows_on_mongodb_are_those_of_the_log_after_kills() {
    rows_survive("mongodb");
}

#[test]
fn rows_on_redis_are_those_of_the_log_after_kills() {
    rows_survive("redis");
}

/// Nothing was found, and something happened.
fn assert_work_flowed(answer: &Value, content: bool) {
    assert!(content, "{answer:#}");
    let findings = &answer["work"]["findings"];
    for fault in ["lost", "twice", "reordered", "untrue"] {
        assert_eq!(findings[fault], 0, "{fault}: {answer:#}");
    }
    assert!(findings["delivered"].as_u64().unwrap() > 0, "{answer:#}");
    assert!(answer["work"]["kills"].as_u64().unwrap() >= 6, "{answer:#}");
}

#[test]
fn work_survives_kills_and_is_done_once() {
    let (answer, content) = harness(&["crash", "--work", "--rounds", "10", "--seed", "1", "--json"]);
    assert_work_flowed(&answer, content);
}

#[test]
fn work_survives_kills_and_is_done_once_on_postgres() {
    let arguments = ["crash", "--work", "--store", "postgres", "--rounds", "8", "--seed", "1", "--json"];
    let Some((answer, content)) = harness_or_skip(&arguments) else { return };
    assert_work_flowed(&answer, content);
}

#[test]
fn work_that_temporal_drives_survives_kills_and_is_done_once() {
    let arguments = ["crash", "--work", "--scheduler", "temporal", "--rounds", "6", "--seed", "1", "--json"];
    let Some((answer, content)) = harness_or_skip(&arguments) else { return };
    assert_work_flowed(&answer, content);
    let happened = &answer["work"]["scheduler"];
    let fallen: u64 = happened["fallen"].as_array().unwrap().iter().filter_map(Value::as_u64).sum();
    assert!(fallen > 0 && happened["server_stops"].as_u64().unwrap() > 0, "{answer:#}");
}

#[test]
fn work_that_changes_hands_between_schedulers_is_done_once() {
    let arguments = ["crash", "--work", "--scheduler", "both", "--rounds", "10", "--seed", "3", "--json"];
    let Some((answer, content)) = harness_or_skip(&arguments) else { return };
    assert_work_flowed(&answer, content);
    assert!(answer["work"]["scheduler"]["switches"].as_u64().unwrap() > 1, "{answer:#}");
}

#[test]
fn work_survives_a_power_cut_and_is_done_once() {
    if skips(&["crash", "--power-loss", "--rounds", "1"]) {
        return;
    }
    let arguments = ["crash", "--work", "--power-loss", "--rounds", "6", "--seed", "2", "--json"];
    let (answer, content) = harness(&arguments);
    assert_work_flowed(&answer, content);
    assert!(answer["work"]["power_cuts"].as_u64().unwrap() > 0, "{answer:#}");
}

/// Whether a power cut can be made here; says so where it cannot.
fn skips(arguments: &[&str]) -> bool {
    let output = run(arguments);
    let text = String::from_utf8_lossy(&output.stdout);
    let skips = text.starts_with("SKIP");
    if skips {
        println!("{text}");
        assert!(output.status.success(), "it must not be skipped here");
    }
    skips
}

#[test]
fn what_was_promised_survives_a_power_cut() {
    if skips(&["crash", "--power-loss", "--rounds", "1"]) {
        return;
    }
    let arguments = ["crash", "--power-loss", "--rounds", "15", "--seed", "2", "--json"];
    let (answer, content) = harness(&arguments);
    assert!(content, "{answer:#}");
    assert_eq!(answer["violations"].as_array().unwrap().len(), 0);
    assert!(answer["acknowledged"].as_u64().unwrap() > 15, "{answer:#}");
}

#[test]
fn a_flush_that_does_nothing_is_found() {
    if skips(&["crash", "--power-loss", "--rounds", "1"]) {
        return;
    }
    let arguments = ["crash", "--power-loss", "--break-sync", "--rounds", "15", "--seed", "3", "--json"];
    let (answer, content) = harness(&arguments);
    assert!(content, "{answer:#}");
    let found = answer["violations"].to_string();
    // What was lost may have been stored anew since, for whoever asked again: then it has two answers.
    assert!(
        ["lost", "damaged", "cannot be read", ", and Done"].iter().any(|word| found.contains(word)),
        "{answer:#}"
    );
}
