use crate::harness;

#[test]
fn no_promise_is_broken_and_a_seed_is_the_same_when_it_is_played_again() {
    let (answer, content) = harness(&["sim", "--seeds", "30", "--check", "--json"]);
    assert!(content, "{answer:#}");
    assert_eq!(answer["played"], 30);
    assert_eq!(answer["checked"], 30, "{answer:#}");
    // There was trouble, and work in it.
    for count in
        ["commits", "deliveries", "repeated_deliveries", "faults", "kills", "pauses", "endings", "letters"]
    {
        assert!(answer["done"][count].as_u64().unwrap() > 10, "{count}: {answer:#}");
    }
}

#[test]
fn every_mistake_that_is_made_on_purpose_is_found() {
    let (answer, content) = harness(&["sim", "--seeds", "1", "--compare", "--json"]);
    assert!(content, "{answer:#}");
    let mistakes = answer["mistakes"].as_array().unwrap();
    assert!(mistakes.len() >= 6, "{answer:#}");
    for mistake in mistakes {
        assert!(mistake["found_by_seed"].as_u64().is_some(), "{mistake:#}");
    }
}
