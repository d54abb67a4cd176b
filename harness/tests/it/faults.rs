use crate::harness;

/// The faults that take seconds; `cargo xtask faults` does them all, and for longer.
const SHORT: [&str; 6] = [
    "restart-immediate",
    "connection-limit",
    "lost-answer",
    "older-backup",
    "migrate-without-superuser",
    "old-statistics",
];

#[test]
fn short_faults_break_no_promise() {
    let Some(ledger) = std::env::var_os("UNDERLAY_TEST_LEDGER") else {
        let reason = "UNDERLAY_TEST_LEDGER does not name the program of the ledger";
        return servers::Missing::new("faults", reason).skip_test();
    };
    let ledger = ledger.to_str().unwrap();
    // Tests share the machine: what is true must be, how soon it is so is measured elsewhere.
    let mut arguments = vec!["faults", "--quick", "--json", "--resume-seconds-max", "60", "--ledger", ledger];
    arguments.extend(SHORT.iter().flat_map(|name| ["--only", name]));
    let (answer, kept) = harness(&arguments);
    assert!(kept, "{answer:#}");
    for (line, name) in answer["lines"].as_array().unwrap().iter().zip(SHORT) {
        assert_eq!(line["name"], name);
        assert!(!line["seen"].as_array().unwrap().is_empty(), "{line:#}");
    }
}
