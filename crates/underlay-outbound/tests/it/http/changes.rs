//! Changes whose answer is lost, or is none that says what was done.

use underlay_core::Error;

use super::script::{
    Act, JSON, Script, answer, change, create, delete, lost, missing, problem, rate, raw_rate, update,
};

/// Makes a change while the service does these things; gives what became of it, and which requests there were.
async fn changed(
    made: underlay_core::EntityChange,
    acts: impl IntoIterator<Item = Act>,
) -> (Result<u64, Error>, String) {
    let (script, rates) = Script::with_rates(acts).await;
    let became = change(&rates, made).await;
    (became, script.methods())
}

fn is_uncertain(became: &Result<u64, Error>) -> bool {
    matches!(became, Err(error) if error.is_retryable() && error.to_string().contains("uncertain"))
}

fn conflict(became: Result<u64, Error>) -> String {
    match became {
        Err(Error::EntityConflict(conflict)) => conflict.to_string(),
        other => panic!("no conflict: {other:?}"),
    }
}

#[tokio::test]
async fn a_lost_update_that_was_made_is_found_and_not_made_again() {
    for answered in [
        lost(),
        Act::Silent,
        Act::Cut(raw_rate(4, "2")[..40].to_owned()),
        answer(500, &[], ""),
        answer(502, &[], ""),
        answer(503, &[("content-type", "text/html")], "a gateway"),
        answer(200, &[JSON], "garbage"),
        answer(200, &[("content-type", "text/html")], "<html>"),
    ] {
        let (became, methods) = changed(update(3, "2"), [answered, rate(4, "2")]).await;
        assert_eq!((became.unwrap(), methods.as_str()), (4, "PUT GET"));
    }
}

#[tokio::test]
async fn a_lost_update_that_was_not_made_is_made_once_more() {
    let (script, rates) = Script::with_rates([lost(), rate(3, "1"), rate(4, "2")]).await;
    assert_eq!(change(&rates, update(3, "2")).await.unwrap(), 4);
    assert_eq!(script.methods(), "PUT GET PUT");
    let heard = script.heard();
    assert_eq!((heard[0].header("if-match"), heard[2].header("if-match")), (Some("\"3\""), Some("\"3\"")));
    assert_eq!(heard[0].body, heard[2].body);
    assert_eq!(heard[0].body, r#"{"base":"EUR","note":null,"value":"2"}"#);
    assert_eq!(heard[0].target, "/v1/entities/rate/eur");
}

#[tokio::test]
async fn the_first_of_two_updates_is_found_where_the_second_is_refused() {
    let stale = problem(412, "precondition-failed", r#","actual":4"#);
    // It arrived late: after it was looked for, and before it was sent again.
    let (became, methods) = changed(update(3, "2"), [lost(), rate(3, "1"), stale, rate(4, "2")]).await;
    assert_eq!((became.unwrap(), methods.as_str()), (4, "PUT GET PUT GET"));
}

#[tokio::test]
async fn an_update_that_comes_too_late_is_a_conflict_whether_it_is_answered_or_lost() {
    let stale = problem(412, "precondition-failed", r#","actual":7"#);
    let (became, methods) = changed(update(3, "2"), [stale]).await;
    assert_eq!(
        (conflict(became).as_str(), methods.as_str()),
        ("conflict on rate eur: expected version 3, found 7", "PUT")
    );
    let gone = problem(412, "precondition-failed", r#","actual":null"#);
    assert_eq!(
        conflict(changed(update(3, "2"), [gone]).await.0),
        "conflict on rate eur: expected version 3, found none"
    );
    // Another one made the version that this one would have made.
    let (became, methods) = changed(update(3, "2"), [lost(), rate(4, "9")]).await;
    assert_eq!(
        (conflict(became).as_str(), methods.as_str()),
        ("conflict on rate eur: expected version 3, found 4", "PUT GET")
    );
}

#[tokio::test]
async fn what_cannot_be_told_is_said_to_be_uncertain() {
    let away = || answer(503, &[("retry-after", "60")], "");
    for (made, acts, methods) in [
        // Written on since, or gone.
        (update(3, "2"), vec![lost(), rate(5, "2")], "PUT GET"),
        (update(3, "2"), vec![lost(), missing()], "PUT GET"),
        (update(3, "2"), vec![lost(), rate(2, "2")], "PUT GET"),
        (create("2"), vec![lost(), rate(2, "2")], "PUT GET"),
        (delete(None), vec![lost(), rate(3, "1")], "DELETE GET"),
        // Nobody can be asked.
        (update(3, "2"), vec![lost(), away()], "PUT GET"),
        (update(3, "2"), vec![lost(), answer(200, &[JSON], "garbage")], "PUT GET"),
        // It is as it was, and the service does not come to an end.
        (
            update(3, "2"),
            vec![
                answer(500, &[], ""),
                rate(3, "1"),
                answer(500, &[], ""),
                rate(3, "1"),
                answer(500, &[], ""),
                rate(3, "1"),
            ],
            "PUT GET PUT GET PUT GET",
        ),
        // Sent again, and refused for another reason.
        (
            update(3, "2"),
            vec![lost(), rate(3, "1"), problem(422, "rule-violation", ""), rate(6, "1")],
            "PUT GET PUT GET",
        ),
        // Sent again, and turned away for longer than the call may take.
        (
            update(3, "2"),
            vec![
                lost(),
                rate(3, "1"),
                Act::Answer(super::script::raw(
                    503,
                    &[("retry-after", "60"), ("content-type", "application/problem+json")],
                    r#"{"type":"urn:underlay:problem:unavailable","detail":"d"}"#,
                )),
            ],
            "PUT GET PUT",
        ),
    ] {
        let (became, asked) = changed(made.clone(), acts).await;
        assert!(is_uncertain(&became), "{made:?} {methods}: {became:?}");
        assert_eq!(asked, methods, "{made:?}");
    }
}

#[tokio::test]
async fn a_lost_creation_is_found_or_made_again_and_made_once() {
    let created = || Act::Answer(raw_rate(1, "2").replacen("200", "201", 1));
    let (became, methods) = changed(create("2"), [lost(), rate(1, "2")]).await;
    assert_eq!((became.unwrap(), methods.as_str()), (1, "PUT GET"));
    let (script, rates) = Script::with_rates([lost(), missing(), created()]).await;
    assert_eq!(change(&rates, create("2")).await.unwrap(), 1);
    assert_eq!(script.methods(), "PUT GET PUT");
    assert!(
        script
            .heard()
            .iter()
            .all(|heard| heard.method == "GET" || heard.header("if-none-match") == Some("*"))
    );
    // Somebody else created it.
    let (became, _) = changed(create("2"), [lost(), rate(1, "9")]).await;
    assert_eq!(conflict(became), "conflict on rate eur: expected none, found version 1");
    let there = problem(412, "precondition-failed", r#","actual":6"#);
    assert_eq!(
        conflict(changed(create("2"), [there]).await.0),
        "conflict on rate eur: expected none, found version 6"
    );
}

#[tokio::test]
async fn a_lost_removal_is_found_or_made_again_where_it_names_a_version() {
    let gone = || answer(204, &[], "");
    assert_eq!(changed(delete(Some(3)), [lost(), missing()]).await.0.unwrap(), 0);
    let (became, methods) = changed(delete(Some(3)), [lost(), rate(3, "1"), gone()]).await;
    assert_eq!((became.unwrap(), methods.as_str()), (0, "DELETE GET DELETE"));
    assert_eq!(changed(delete(None), [lost(), missing()]).await.0.unwrap(), 0);
    let (became, _) = changed(delete(Some(3)), [lost(), rate(4, "1")]).await;
    assert_eq!(conflict(became), "conflict on rate eur: expected version 3, found 4");
    let missing = changed(delete(None), [missing()]).await.0;
    assert!(matches!(&missing, Err(Error::NotFound(text)) if text.contains("eur")), "{missing:?}");
}

#[tokio::test]
async fn what_was_certainly_not_done_is_done_again_in_a_while() {
    let busy = || problem(503, "overloaded", "");
    let (became, methods) =
        changed(update(3, "2"), [busy(), problem(429, "too-many-requests", ""), rate(4, "2")]).await;
    assert_eq!((became.unwrap(), methods.as_str()), (4, "PUT PUT PUT"));
    // An unconditional removal too: nothing was done.
    let (became, methods) = changed(delete(None), [busy(), answer(204, &[], "")]).await;
    assert_eq!((became.unwrap(), methods.as_str()), (0, "DELETE DELETE"));
    let (became, methods) = changed(update(3, "2"), [busy(), busy(), busy()]).await;
    assert!(matches!(&became, Err(error) if error.is_retryable()) && !is_uncertain(&became), "{became:?}");
    assert_eq!(methods, "PUT PUT PUT");
}

#[tokio::test]
async fn a_version_that_goes_back_and_another_entity_are_damage() {
    for (made, answered) in [
        (update(3, "2"), rate(3, "2")),
        (update(3, "2"), rate(2, "2")),
        (update(3, "2"), rate(5, "2")),
        (create("2"), rate(2, "2")),
    ] {
        let (became, _) = changed(made, [answered]).await;
        let named = |text: &str| text.contains("rate") && text.contains("eur") && text.contains("version");
        assert!(matches!(&became, Err(Error::Damaged(text)) if named(text)), "{became:?}");
    }
}
