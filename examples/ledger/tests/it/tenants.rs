//! Many tenants in one process: tokens made, used, listed and revoked, and where a service may listen.

use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::{Client, eur};
use crate::program::{Ledger, text};

/// Far above what is promised.
const PATIENCE: Duration = Duration::from_secs(30);

fn tokens(ledger: &Ledger) -> String {
    ledger.directory.path().join("tokens.json").to_str().unwrap().to_owned()
}

/// Makes a token: its text and its id.
fn new_token(ledger: &Ledger, tenant: &str, more: &[&str]) -> (String, String) {
    let file = tokens(ledger);
    let mut arguments =
        vec!["token", "new", "--json", "--tokens", &file, "--tenant", tenant, "--actor", "ada"];
    arguments.extend(more);
    let made: Value = serde_json::from_str(&ledger.answer(&arguments)).unwrap();
    (made["token"].as_str().unwrap().to_owned(), made["id"].as_str().unwrap().to_owned())
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn refused(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    text(&output.stderr)
}

#[test]
fn two_tenants_in_one_process_each_see_their_own() {
    let ledger = Ledger::new();
    let (acme, revoked) = new_token(&ledger, "acme", &["--role", "log-reader"]);
    let (zeta, _) = new_token(&ledger, "zeta", &[]);
    let file = tokens(&ledger);
    let (_serving, address) = ledger.serve_with(&["--tokens", &file]);
    let client = Client::new(address);
    let (by_acme, by_zeta) = (bearer(&acme), bearer(&zeta));
    let (acme, zeta) = ([("Authorization", by_acme.as_str())], [("Authorization", by_zeta.as_str())]);

    assert_eq!(client.post("account/Cash/open", &acme, &json!({})).0, 200);
    assert_eq!(client.post("account/Cash/deposit", &acme, &eur("5")).0, 200);
    assert_eq!(client.post("account/Cash/deposit", &zeta, &eur("5")).0, 422, "their account is not open");
    assert_eq!(client.post("account/Cash/open", &zeta, &json!({})).1["streams"][0]["version"], 1);
    assert_eq!(client.get_with("streams/account-Cash", &acme).1["events"].as_array().unwrap().len(), 2);
    let (status, problem) = client.get_with("streams/account-Cash", &zeta);
    assert_eq!((status, &problem["type"]), (403, &json!("urn:underlay:problem:role-required")));
    assert_eq!(client.get("views").0, 401);
    assert_eq!(client.get_with("views", &[("Authorization", "Bearer underlay_0000")]).0, 401);

    ledger.answer(&["token", "revoke", &revoked, "--tokens", &file]);
    let began = Instant::now();
    while client.get_with("views", &acme).0 != 401 {
        assert!(began.elapsed() < PATIENCE, "a revoked token opens for too long");
    }
    assert_eq!(client.get_with("views", &zeta).0, 200);
    // One that is made while it serves opens too.
    let (late, _) = new_token(&ledger, "late", &[]);
    let by_late = bearer(&late);
    let began = Instant::now();
    while client.get_with("views", &[("Authorization", by_late.as_str())]).0 != 200 {
        assert!(began.elapsed() < PATIENCE, "a new token is not taken");
    }
}

#[test]
fn a_token_is_shown_once_and_never_again() {
    let ledger = Ledger::new();
    let file = tokens(&ledger);
    let arguments =
        ["token", "new", "--tokens", &file, "--tenant", "acme", "--actor", "ada", "--note", "the till"];
    let output = ledger.run(&arguments);
    let token = text(&output.stdout).trim().to_owned();
    assert!(token.starts_with("underlay_") && !text(&output.stderr).contains(&token));
    let (_, id) = new_token(&ledger, "zeta", &["--role", "teller", "--role", "manager", "--expires", "90d"]);
    let listed = ledger.answer(&["token", "list", "--tokens", &file]);
    assert!(
        listed.contains("the till") && listed.contains("teller, manager") && listed.contains(&id),
        "{listed}"
    );
    let as_json = ledger.answer(&["token", "list", "--json", "--tokens", &file]);
    let listed_json: Vec<Value> = as_json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(listed_json.len(), 2);
    let stored = std::fs::read_to_string(&file).unwrap();
    for shown in [&listed, &as_json, &stored] {
        assert!(!shown.contains(&token) && !shown.contains(token.trim_start_matches("underlay_")));
    }
    for shown in [&listed, &as_json] {
        assert!(!shown.contains("sha256"));
    }
    assert!(!std::path::Path::new(&ledger.database["sqlite:".len()..]).exists(), "no store is opened for it");
}

#[test]
fn what_is_wrong_with_a_token_or_its_file_is_told() {
    let ledger = Ledger::new();
    let file = tokens(&ledger);
    let wrong = |arguments: &[&str], code: i32, told: &str| {
        let complained = refused(&ledger.run(arguments), code);
        assert!(complained.contains(told), "{arguments:?}: {complained}");
    };
    wrong(&["token", "new", "--tenant", "acme", "--actor", "ada"], 2, "--tokens FILE");
    wrong(&["token", "new", "--tokens", &file, "--actor", "ada"], 2, "--tenant TENANT");
    wrong(&["token", "new", "--tokens", &file, "--tenant", "acme"], 2, "--actor");
    let new = ["token", "new", "--tokens", &file, "--tenant", "acme", "--actor", "ada"];
    wrong(&[&new[..], &["--expires", "soon"]].concat(), 2, "90d");
    wrong(&[&new[..], &["--expires", "2001-01-01T00:00:00Z"]].concat(), 2, "in the future");
    wrong(&[&new[..], &["--role", "two words"]].concat(), 2, "no role");
    wrong(&["token", "list", "--tokens", &file], 3, "file of tokens");
    // What a variable leaves that nobody has set opens nothing to everybody.
    wrong(&["serve", "--tokens", ""], 2, "--tokens: it is empty");
    wrong(&["token", "revoke", "t1", "--tokens", &file], 3, "file of tokens");
    wrong(&["serve", "--tokens", &file], 3, "ledger token new");
    new_token(&ledger, "acme", &[]);
    wrong(&["token", "revoke", "t1", "--tokens", &file], 3, "token list");
    wrong(
        &["serve", "--tokens", &file, "--tenant", "acme"],
        2,
        "--tenant is for a service without credentials",
    );
    std::fs::write(&file, "{").unwrap();
    wrong(&["serve", "--tokens", &file], 2, "no list of tokens");
    wrong(&["token", "new", "--tokens", &file, "--tenant", "acme", "--actor", "ada"], 2, "no list of tokens");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "{", "what is damaged is left as it is");
    #[cfg(not(feature = "jwt"))]
    wrong(&["serve", "--jwt-issuer", "https://id.example"], 2, "without the feature `jwt`");
}

#[test]
fn without_credentials_a_service_listens_on_its_own_machine_only() {
    let ledger = Ledger::new();
    for other in ["0.0.0.0:0", "[::]:0", "[::ffff:0.0.0.0]:0", "192.0.2.1:7070"] {
        let complained = refused(&ledger.run(&["serve", "--listen", other]), 2);
        assert!(complained.contains("--tokens FILE") && complained.contains("127.0.0.1"), "{complained}");
    }
    let (_serving, address) = ledger.serve_with(&["--listen", "localhost:0"]);
    assert_eq!(Client::new(address).get("views").0, 200);
    let (token, _) = new_token(&ledger, "acme", &[]);
    let file = tokens(&ledger);
    let (_open, address) = ledger.serve_with(&["--listen", "0.0.0.0:0", "--tokens", &file]);
    let client = Client::new(address.replace("0.0.0.0", "127.0.0.1"));
    assert_eq!(client.get("views").0, 401);
    assert_eq!(client.get_with("views", &[("Authorization", &bearer(&token))]).0, 200);
}

#[cfg(feature = "jwt")]
#[test]
fn signed_tokens_are_let_in_by_the_command_line_too() {
    let ledger = Ledger::new();
    let wrong = |arguments: &[&str], told: &str| {
        let complained = text(&ledger.run(&[&["serve"], arguments].concat()).stderr);
        assert!(complained.contains(told), "{arguments:?}: {complained}");
    };
    let issuer = ["--jwt-issuer", "https://id.example"];
    wrong(&["--jwt-audience", "bank"], "--jwt-issuer");
    wrong(&issuer, "--jwt-keys");
    wrong(&[&issuer[..], &["--jwt-keys", "http://id.example/jwks"]].concat(), "https:");
    let keys = ["--jwt-keys", "http://127.0.0.1:1/jwks"];
    wrong(&[&issuer[..], &keys].concat(), "audience");
    wrong(
        &[&issuer[..], &keys, &["--jwt-audience", "bank", "--jwt-algorithm", "none"]].concat(),
        "no algorithm",
    );
    let (_serving, address) = ledger.serve_with(&[&issuer[..], &keys, &["--jwt-audience", "bank"]].concat());
    let client = Client::new(address);
    assert_eq!(client.get("views").0, 401);
    // Its issuer is away, so nobody can say who this is.
    let token = "Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.e30.AAAA";
    let (status, problem) = client.get_with("views", &[("Authorization", token)]);
    assert_eq!((status, &problem["type"]), (503, &json!("urn:underlay:problem:identity-away")));
}
