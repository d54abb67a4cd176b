use crate::harness;

/// The faults of a store that take seconds; `cargo xtask faults` does them all, and for longer.
const POSTGRES: [&str; 6] = [
    "restart-immediate",
    "connection-limit",
    "lost-answer",
    "older-backup",
    "migrate-without-superuser",
    "old-statistics",
];
const MONGODB: [&str; 3] = ["mongodb-killed", "mongodb-steps-down", "mongodb-answers-lost"];
const REDIS: [&str; 4] = ["redis-killed", "redis-read-only", "redis-answers-lost", "cache-killed"];

#[test]
fn short_faults_break_no_promise() {
    keeps_promises("postgres", &POSTGRES);
}

#[test]
fn short_faults_of_mongodb_break_no_promise() {
    keeps_promises("mongodb", &MONGODB);
}

#[test]
fn short_faults_of_redis_break_no_promise() {
    keeps_promises("redis", &REDIS);
}

fn keeps_promises(store: &str, names: &[&str]) {
    let Some(ledger) = std::env::var_os("UNDERLAY_TEST_LEDGER") else {
        let reason = "UNDERLAY_TEST_LEDGER does not name the program of the ledger";
        return servers::Missing::new("faults", reason).skip_test();
    };
    let ledger = ledger.to_str().unwrap();
    // Tests share the machine: what is true must be, how soon it is so is measured elsewhere.
    let mut arguments = vec!["faults", "--quick", "--json", "--resume-seconds-max", "60", "--ledger", ledger];
    arguments.extend(["--store", store]);
    arguments.extend(names.iter().flat_map(|name| ["--only", name]));
    let (answer, kept) = harness(&arguments);
    assert!(kept, "{answer:#}");
    for (line, name) in answer["lines"].as_array().unwrap().iter().zip(names) {
        assert_eq!(line["name"], *name);
        match line["skipped"].as_str() {
            Some(reason) => println!("{reason}"),
            None => assert!(!line["seen"].as_array().unwrap().is_empty(), "{line:#}"),
        }
    }
}
