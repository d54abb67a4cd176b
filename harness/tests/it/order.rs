use serde_json::Value;

use crate::{harness, harness_or_skip, run};

const FAULTS: [&str; 7] =
    ["lost", "duplicated", "reordered", "half_seen", "version_holes", "misanswered", "uneven"];

fn assert_clean(row: &Value) {
    let findings = &row["findings"];
    for fault in FAULTS {
        assert_eq!(findings[fault], 0, "{fault}: {findings:#}");
    }
    // It was an attack: there were commits, conflicts and readers.
    for count in ["committed", "conflicts", "seen"] {
        assert!(findings[count].as_u64().unwrap() > 50, "{count}: {findings:#}");
    }
}

/// Work flowed while those who did it were killed and stopped.
fn assert_work_is_clean(row: &Value) {
    assert!(row["name"].as_str().unwrap().ends_with(", work"), "{row:#}");
    let findings = &row["findings"];
    for fault in FAULTS {
        assert_eq!(findings[fault], 0, "{fault}: {row:#}");
    }
    assert!(findings["seen"].as_u64().unwrap() > 0, "{row:#}");
    assert!(row["done_besides"]["processes_killed"].as_u64().unwrap() > 0, "{row:#}");
}

#[test]
fn nothing_is_lost_in_memory() {
    let (answer, content) = harness(&["order", "--store", "memory", "--seconds", "2", "--json"]);
    assert!(content, "{answer:#}");
    assert_clean(&answer["rows"][0]);
}

#[test]
fn nothing_is_lost_on_sqlite_and_every_mistake_is_found() {
    let (answer, content) = harness(&["order", "--seconds", "3", "--compare", "--json"]);
    assert!(content, "{answer:#}");
    let rows = answer["rows"].as_array().unwrap();
    assert_clean(&rows[0]);
    assert_work_is_clean(&rows[1]);
    assert!(rows.len() > 2, "no mistake was made");
    let mut made: Vec<&str> = Vec::new();
    for row in &rows[2..] {
        let fault = row["made_on_purpose"].as_str().unwrap();
        assert!(row["findings"][fault].as_u64().unwrap() > 0, "{row:#}");
        made.push(fault);
    }
    for fault in FAULTS {
        assert!(made.contains(&fault), "nobody makes {fault} on purpose");
    }
}

#[test]
fn nothing_is_lost_on_postgres_whatever_else_happens_there_and_every_mistake_is_found() {
    // Other tests share this machine; how long a reader may stand still is not what is shown here.
    let mut arguments = vec!["order", "--store", "postgres", "--seconds", "6", "--compare", "--json"];
    arguments.extend(["--stall-millis-max", "30000"]);
    let Some((answer, content)) = harness_or_skip(&arguments) else { return };
    assert!(content, "{answer:#}");
    let rows = answer["rows"].as_array().unwrap();
    assert_clean(&rows[0]);
    let besides = &rows[0]["done_besides"];
    for count in ["processes_killed", "sessions_ended", "transactions_held", "appends_abandoned", "moves"] {
        assert!(besides[count].as_u64().unwrap() > 0, "{count}: {besides:#}");
    }
    assert_work_is_clean(&rows[1]);
    let made: Vec<&str> = rows[2..].iter().map(|row| row["made_on_purpose"].as_str().unwrap()).collect();
    for consequence in ["lost", "half_seen", "stall"] {
        assert!(made.contains(&consequence), "nobody makes {consequence} on purpose: {made:?}");
    }
}

#[test]
fn a_reader_that_stands_still_fails_the_run() {
    // No reader is that fast.
    let output = run(&["order", "--store", "memory", "--seconds", "1", "--stall-millis-max", "0"]);
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("stood still"), "{text}");
}
