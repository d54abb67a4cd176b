//! Mail to members, through the whole program: into a folder, and to a real mail server that is stopped, and that
//! refuses.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::payments::{events, wait_for_more};
use crate::program::{Ledger, Serving, text};

/// How long anything may take, with pauses after failures.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a service answers: the status and the body, whatever they are.
struct Told {
    status: u16,
    body: String,
}

fn agent() -> ureq::Agent {
    ureq::Agent::new_with_config(ureq::Agent::config_builder().http_status_as_error(false).build())
}

fn get(address: &str) -> Told {
    let mut told = agent().get(address).call().unwrap();
    Told { status: told.status().as_u16(), body: told.body_mut().read_to_string().unwrap() }
}

fn post(address: &str, body: &str) -> Told {
    let sent = agent().post(address).header("content-type", "application/json").send(body.as_bytes());
    let mut told = sent.unwrap();
    Told { status: told.status().as_u16(), body: told.body_mut().read_to_string().unwrap() }
}

/// Presses the button on the page of a link.
fn press(link: &str) -> Told {
    let mut told = agent().post(link).send_empty().unwrap();
    Told { status: told.status().as_u16(), body: told.body_mut().read_to_string().unwrap() }
}

fn member(address: &str, member: &str, command: &str, body: &Value) {
    let told = post(&format!("{address}/v1/member/{member}/{command}"), &body.to_string());
    assert_eq!(told.status, 200, "{}", told.body);
}

fn register(address: &str, name: &str) {
    member(address, name, "register", &json!({ "email": format!("{name}@example.com") }));
}

/// Waits until there are so many events of a type, and gives them.
fn wait_for(address: &str, kind: &str, count: usize) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let found: Vec<Value> = events(address).into_iter().filter(|event| event["type"] == kind).collect();
        if found.len() >= count {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{} of {count} {kind}", found.len());
        wait_for_more(address);
    }
}

/// Waits until the command line answers what is wanted.
#[cfg(any(feature = "postgres", feature = "mail-smtp"))]
fn wait_until<T>(ledger: &Ledger, arguments: &[&str], wanted: impl Fn(&[Value]) -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        let lines: Vec<Value> =
            ledger.answer(arguments).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        if let Some(found) = wanted(&lines) {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{arguments:?}: {lines:?}");
    }
}

/// The link in the text of a mail.
fn link_in(mail: &str) -> String {
    let from = mail.find("http://").unwrap_or_else(|| panic!("no link in {mail}"));
    mail[from..].split_whitespace().next().unwrap().to_owned()
}

/// A folder of mail beside the database.
struct Folder(PathBuf);

impl Folder {
    fn of(ledger: &Ledger) -> Self {
        Self(ledger.directory.path().join("mail"))
    }

    fn address(&self) -> String {
        format!("folder:{}", self.0.display())
    }

    /// Every mail to an address.
    fn mails(&self, to: &str) -> Vec<String> {
        let Ok(files) = std::fs::read_dir(&self.0) else { return Vec::new() };
        let mails = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
        mails.filter(|mail| mail.contains(&format!("\r\nTo: {to}\r\n"))).collect()
    }
}

fn serve(ledger: &Ledger, mail: &str, more: &[&str]) -> (Serving, String) {
    // PostgreSQL is for several machines, so there the key has a file that is named.
    let key = ledger.directory.path().join("key");
    if !key.exists() {
        std::fs::write(&key, "5a".repeat(32)).unwrap();
    }
    let key = key.display().to_string();
    let mut arguments = vec!["--mail-address", mail];
    if !ledger.database.starts_with("sqlite:") {
        arguments.extend(["--links-key-file", &key]);
    }
    arguments.extend(more);
    ledger.serve_with(&arguments)
}

#[test]
fn a_member_follows_the_link_in_the_mail() {
    let ledger = Ledger::new();
    let folder = Folder::of(&ledger);
    let (_serving, address) = serve(&ledger, &folder.address(), &[]);
    register(&address, "ann");
    wait_for(&address, "member-link-sent", 1);
    let mails = folder.mails("ann@example.com");
    assert_eq!(mails.len(), 1);
    assert!(mails[0].contains("Subject: Please confirm your address, ann\r\n"), "{}", mails[0]);
    assert!(
        mails[0].contains("From: \"The Ledger\" <ledger@localhost>") && mails[0].contains("7 days"),
        "{}",
        mails[0]
    );
    let link = link_in(&mails[0]);
    assert!(link.starts_with(&format!("{address}/links/member/")), "{link}");
    assert!(ledger.directory.path().join("ledger.db.link-key").exists());

    // Programs that look at links verify nobody.
    let before = events(&address).len();
    for _ in 0..2 {
        let page = get(&link);
        assert!(page.status == 200 && page.body.contains("<button"), "{}", page.body);
    }
    assert_eq!(events(&address).len(), before);
    let page = press(&link);
    assert!(page.status == 200 && page.body.contains("is confirmed"), "{} {}", page.status, page.body);
    assert_eq!(wait_for(&address, "member-verified", 1).len(), 1);
    let position = events(&address).last().unwrap()["position"].as_str().unwrap().to_owned();
    let row = get(&format!("{address}/v1/views/members/ann?min_position={position}&wait=30"));
    let row: Value = serde_json::from_str(&row.body).unwrap();
    assert_eq!((&row["status"], &row["links_sent"]), (&"verified".into(), &1.into()), "{row}");

    // Used, it says so kindly, and nothing happens again.
    let page = press(&link);
    assert!(page.status == 200 && page.body.contains("was confirmed before"), "{}", page.body);
    assert_eq!(events(&address).iter().filter(|event| event["type"] == "member-verified").count(), 1);

    // What is secret is in no event, in no command and in no log.
    let secret = link.split("/links/member/").nth(1).unwrap().split('?').next().unwrap().to_owned();
    assert_eq!(secret.len(), 40);
    assert!(!ledger.events().contains(&secret));
    let exported = ledger.directory.path().join("log.ndjson").display().to_string();
    ledger.answer(&["export", &exported]);
    assert!(!std::fs::read_to_string(&exported).unwrap().contains(&secret));
}

#[test]
fn a_wrong_link_gets_a_clear_page_and_stores_nothing() {
    let ledger = Ledger::new();
    let folder = Folder::of(&ledger);
    let (_serving, address) = serve(&ledger, &folder.address(), &[]);
    register(&address, "ann");
    register(&address, "bob");
    wait_for(&address, "member-link-sent", 2);
    let [anns, bobs] = ["ann", "bob"].map(|name| link_in(&folder.mails(&format!("{name}@example.com"))[0]));
    let before = ledger.events();
    let secret =
        |link: &str| link.split("/links/member/").nth(1).unwrap().split('?').next().unwrap().to_owned();
    let id = |link: &str| link.rsplit("id=").next().unwrap().to_owned();
    let wrong = [
        anns.replace(&secret(&anns), &secret(&bobs)),
        anns.replace(&id(&anns), &id(&bobs)),
        anns.replace("subject=ann", "subject=bob"),
        anns.replace("subject=ann", "subject="),
        anns.replace("subject=ann", "subject=%ff"),
        anns.replace("tenant=main", "tenant=other"),
        anns.replace("tenant=main", "tenant=main&tenant=main"),
        anns.replace("/links/member/", "/links/members/"),
        anns[..anns.len() - 1].to_owned(),
        anns.split('?').next().unwrap().to_owned(),
        anns.replace(&secret(&anns), "%3Cscript%3Ealert(1)%3C%2Fscript%3E"),
    ];
    let expected = get(&wrong[0]).body;
    assert!(expected.contains("leads nowhere"), "{expected}");
    for link in &wrong {
        for page in [get(link), press(link)] {
            assert_eq!((page.status, &page.body), (404, &expected), "{link}");
        }
    }
    assert_eq!(ledger.events(), before);
    assert_eq!(press(&anns).status, 200);
}

#[test]
fn a_link_that_is_over_says_so_and_another_one_is_sent() {
    let ledger = Ledger::new();
    let folder = Folder::of(&ledger);
    let (serving, address) = serve(&ledger, &folder.address(), &["--members-link-good-for", "1s"]);
    register(&address, "ann");
    let sent = wait_for(&address, "member-link-sent", 1);
    let good_until: jiff::Timestamp = sent[0]["payload"]["good_until"].as_str().unwrap().parse().unwrap();
    while jiff::Timestamp::now() <= good_until {
        wait_for_more(&address);
    }
    let link = link_in(&folder.mails("ann@example.com")[0]);
    let page = press(&link);
    assert!(page.status == 410 && page.body.contains("no longer good"), "{} {}", page.status, page.body);
    drop(serving);

    // The key is the same after a restart.
    let (_serving, address) = serve(&ledger, &folder.address(), &[]);
    let path = link.split_once("/links/").unwrap().1;
    assert_eq!(press(&format!("{address}/links/{path}")).status, 410);
    member(&address, "ann", "send-link", &json!({}));
    wait_for(&address, "member-link-sent", 2);
    let mails = folder.mails("ann@example.com");
    assert_eq!(mails.len(), 2);
    let newer = mails.iter().map(|mail| link_in(mail)).find(|other| *other != link).unwrap();
    assert_eq!(press(&newer).status, 200);
    wait_for(&address, "member-verified", 1);
}

#[test]
fn an_invitation_arrives_and_nothing_in_it_becomes_html() {
    let ledger = Ledger::new();
    let folder = Folder::of(&ledger);
    let (serving, address) = serve(&ledger, &folder.address(), &[]);
    member(&address, "bob", "invite", &json!({ "email": "bob@example.com" }));
    wait_for(&address, "member-link-sent", 1);
    let mails = folder.mails("bob@example.com");
    assert!(mails[0].contains("Subject: A member invites you"), "{}", mails[0]);
    assert_eq!(press(&link_in(&mails[0])).status, 200);
    wait_for(&address, "member-verified", 1);
    drop(serving);

    let tokens = ledger.directory.path().join("tokens.json").display().to_string();
    let who = ["--tokens", &tokens, "token", "new", "--tenant", "main", "--actor", "<b>Eve</b>", "--json"];
    let made = ledger.run(&who);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let token = made["secret"].as_str().or(made["token"].as_str()).unwrap_or_else(|| panic!("{made}"));
    let (_serving, address) = serve(&ledger, &folder.address(), &["--tokens", &tokens]);
    let sent = agent()
        .post(&format!("{address}/v1/member/carl/invite"))
        .header("content-type", "application/json")
        .header("authorization", &format!("Bearer {token}"))
        .send(br#"{"email":"carl@example.com"}"#);
    assert_eq!(sent.unwrap().status(), 200);
    let begun = Instant::now();
    while folder.mails("carl@example.com").is_empty() {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
    let mail = &folder.mails("carl@example.com")[0];
    assert!(mail.contains("Subject: <b>Eve</b> invites you"), "{mail}");
    assert!(
        mail.contains("<p>&lt;b&gt;Eve&lt;/b&gt; invites you") || mail.contains("&lt;b&gt;Eve"),
        "{mail}"
    );
    assert!(!mail.split("text/html").nth(1).unwrap().contains("<b>"), "{mail}");
    // The page asks for no credentials, with them or without.
    assert_eq!(get(&link_in(mail)).status, 200);
}

#[test]
fn the_configuration_of_mail_is_checked_and_shows_no_password() {
    let ledger = Ledger::new();
    let config = |arguments: &[&str]| ledger.run(&[arguments, &["config"]].concat());
    let told = |arguments: &[&str]| {
        let output = config(arguments);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
        let told = text(&output.stderr);
        assert!(!told.contains("hunter2"), "{told}");
        told
    };
    let shown = text(&config(&[]).stdout);
    for option in ["mail.address", "folder:ledger.mail", "mail.from", "The Ledger <ledger@localhost>"] {
        assert!(shown.contains(option), "{shown}");
    }
    for (wrong, right) in
        [("pop3://me:hunter2@h", "folder:PATH"), ("folder:", "folder:mail"), ("", "folder:PATH")]
    {
        if !wrong.is_empty() {
            let told = told(&["--mail-address", wrong]);
            assert!(told.contains("--mail-address") && told.contains(right), "{told}");
        }
    }
    assert!(told(&["--mail-from", "The Ledger"]).contains("--mail-from"));
    assert!(told(&["--links-public-address", "bank.example"]).contains("https://bank.example"));
    let smtp = ["--mail-address", "smtps://me:hunter2@mail.example.com"];
    if cfg!(feature = "mail-smtp") {
        let shown = text(&config(&smtp).stdout);
        assert!(shown.contains("smtps://me:***@mail.example.com") && !shown.contains("hunter2"), "{shown}");
        let told = told(&["--mail-address", "smtps://me:hunter2@mail.example.com?from=a%40b"]);
        assert!(told.contains("mail.from"), "{told}");
    } else {
        let told = told(&smtp);
        assert!(told.contains("--features mail-smtp"), "{told}");
    }
    assert_eq!(std::fs::read_dir(ledger.directory.path()).unwrap().count(), 0, "nothing was made");
}

#[cfg(feature = "postgres")]
#[test]
fn without_a_key_mail_waits_on_postgres_and_says_why() {
    let Some(place) = crate::postgres::Place::new() else { return };
    let ledger = Ledger::at(place.address());
    let folder = Folder::of(&ledger);
    let (serving, address) = ledger.serve_with(&["--mail-address", &folder.address()]);
    register(&address, "ann");
    wait_until(&ledger, &["outbox", "list", "--receiver", "member-mail", "--json"], |lines| {
        let told = lines.first()?["last_error"].as_str()?;
        assert!(told.contains("links.key_file"), "{told}");
        Some(())
    });
    drop(serving);
    let (_serving, address) = serve(&ledger, &folder.address(), &[]);
    wait_for(&address, "member-link-sent", 1);
    assert_eq!(press(&link_in(&folder.mails("ann@example.com")[0])).status, 200);
}

#[cfg(feature = "mail-smtp")]
mod exim {
    use std::collections::BTreeSet;

    use servers::{AddressAnswer, Exim, Missing};

    use super::*;

    /// Runs a test with a server, or says that it is skipped.
    fn with_server(test: impl FnOnce(Exim)) {
        match Exim::start() {
            Ok(server) => test(server),
            Err(reason) => Missing::new("exim", reason).skip_test(),
        }
    }

    fn serve_with(ledger: &Ledger, server: &Exim) -> (Serving, String) {
        serve(
            ledger,
            &format!("smtp://127.0.0.1:{}", server.port()),
            &["--mail-from", "The Bank <bank@example.com>"],
        )
    }

    /// The mails to an address that have arrived.
    fn mails(server: &Exim, to: &str) -> Vec<String> {
        let mails = server.arrived().unwrap().into_iter().map(|mail| text(&mail).replace("\r\n", "\n"));
        mails.filter(|mail| mail.contains(&format!("\nTo: {to}\n"))).collect()
    }

    /// Ends every connection: on one that is kept, the server answers as it did before.
    fn reconnect(server: &mut Exim) {
        server.stop().unwrap();
        server.resume().unwrap();
    }

    fn letters(ledger: &Ledger, count: usize) -> Vec<Value> {
        let list = ["dead-letters", "list", "--receiver", "member-mail", "--json"];
        wait_until(ledger, &list, |lines| (lines.len() == count).then(|| lines.to_vec()))
    }

    fn check_mail_arrives_and_its_link_works(ledger: &Ledger, server: &Exim) {
        let (_serving, address) = serve_with(ledger, server);
        register(&address, "ann");
        member(&address, "bob", "invite", &json!({ "email": "bob@example.com" }));
        wait_for(&address, "member-link-sent", 2);
        for (name, subject) in [("ann", "Subject: Please confirm"), ("bob", "Subject: A member invites you")]
        {
            let mails = mails(server, &format!("{name}@example.com"));
            assert_eq!(mails.len(), 1, "{name}");
            assert!(mails[0].contains(subject) && mails[0].contains("The Bank"), "{}", mails[0]);
            let page = press(&link_in(&mails[0]));
            assert_eq!(page.status, 200, "{}", page.body);
        }
        wait_for(&address, "member-verified", 2);
    }

    /// While the server is stopped nothing is lost and attempts go on, also over a kill of the program. Once it is
    /// back, each mail arrives once.
    fn check_mail_waits_for_a_server_that_is_stopped(ledger: &Ledger, mut server: Exim) {
        let names = ["ann", "bob", "carl"];
        server.stop().unwrap();
        let (serving, address) = serve_with(ledger, &server);
        names.iter().for_each(|name| register(&address, name));
        let waiting = ["outbox", "list", "--receiver", "member-mail", "--json"];
        let attempts = |more: u64| {
            wait_until(ledger, &waiting, |lines| {
                assert_eq!(lines.len(), names.len(), "nothing is lost, and nothing given up: {lines:?}");
                let is_tried = |line: &Value| line["attempts"].as_u64().unwrap() >= more;
                lines.iter().all(is_tried).then(|| lines.to_vec())
            })
        };
        for line in attempts(2) {
            assert!(line["last_error"].as_str().unwrap().contains("was not taken"), "{line}");
        }
        drop(serving);
        let (_serving, address) = serve_with(ledger, &server);
        attempts(4);
        assert!(events(&address).iter().all(|event| event["type"] != "member-link-sent"));
        server.resume().unwrap();
        wait_for(&address, "member-link-sent", names.len());
        for name in names {
            assert_eq!(mails(&server, &format!("{name}@example.com")).len(), 1, "{name}");
        }
        let ids: BTreeSet<String> = server
            .arrived()
            .unwrap()
            .iter()
            .flat_map(|mail| {
                text(mail).lines().find(|line| line.starts_with("Message-ID: ")).map(str::to_owned)
            })
            .collect();
        assert_eq!(ids.len(), names.len(), "{ids:?}");
        assert_eq!(ledger.answer(&waiting), "");
    }

    fn check_addresses_refused_for_good_are_dead_letters(ledger: &Ledger, mut server: Exim) {
        let names = ["ann", "bob", "carl", "dora"];
        let refused = ["ann", "bob", "carl"];
        let answer = |server: &Exim, name: &str, answer| {
            server.answer(&format!("{name}@example.com"), answer).unwrap();
        };
        refused.iter().for_each(|name| answer(&server, name, AddressAnswer::RefusedForGood));
        let (_serving, address) = serve_with(ledger, &server);
        names.iter().for_each(|name| register(&address, name));
        wait_for(&address, "member-link-sent", 1);
        let dead = letters(ledger, refused.len());
        let id_of = |member: &str| {
            let letter = dead.iter().find(|letter| letter["key"] == member).unwrap();
            assert_eq!(
                (&letter["attempts"], &letter["name"]),
                (&1.into(), &"verify-address".into()),
                "{letter}"
            );
            assert!(letter["last_error"].as_str().unwrap().contains("nobody here has this name"), "{letter}");
            letter["work_id"].as_str().unwrap().to_owned()
        };
        let ids = refused.map(id_of);
        let shown = ledger.answer(&["dead-letters", "show", &ids[0]]);
        for told in ["member-mail (message)", "ann@example.com", "final", "5.1.1 nobody here has this name"] {
            assert!(shown.contains(told), "{told} is not in\n{shown}");
        }
        let listed = ledger.answer(&["dead-letters", "list", "--key", "bob"]);
        assert!(listed.contains(&ids[1]) && !listed.contains(&ids[0]), "{listed}");

        // One by its id, then what a filter finds; what is still refused is a dead letter again.
        answer(&server, "ann", AddressAnswer::Taken);
        reconnect(&mut server);
        ledger.answer(&["dead-letters", "replay", &ids[0], "--as", "night shift"]);
        wait_for(&address, "member-link-sent", 2);
        assert_eq!(mails(&server, "ann@example.com").len(), 1);
        answer(&server, "bob", AddressAnswer::Taken);
        reconnect(&mut server);
        let filter = ["dead-letters", "replay", "--receiver", "member-mail"];
        assert!(ledger.answer(&filter).contains("2 dead letters of tenant main would be replayed"));
        letters(ledger, 2);
        let told = ledger.answer(&[&filter[..], &["--yes", "--as", "night shift"]].concat());
        assert!(told.contains("2 dead letters of tenant main are replayed"), "{told}");
        wait_for(&address, "member-link-sent", 3);
        let left = letters(ledger, 1);
        assert_eq!(left[0]["key"], "carl", "{left:?}");
        // Refused for good, it is tried once each time a person says so.
        assert_eq!(left[0]["is_final"], true, "{left:?}");
        ledger.answer(&["dead-letters", "discard", &ids[2], "--as", "night shift"]);
        letters(ledger, 0);
        assert_eq!(ledger.run(&["dead-letters", "show", &ids[2]]).status.code(), Some(3));

        // The line of the member is free: a mail to the right address goes out.
        member(&address, "carl", "send-link", &json!({ "email": "carl@example.org" }));
        wait_for(&address, "member-link-sent", 4);
        assert_eq!(press(&link_in(&mails(&server, "carl@example.org")[0])).status, 200);
        for name in names {
            assert_eq!(
                mails(&server, &format!("{name}@example.com")).len(),
                usize::from(name != "carl"),
                "{name}"
            );
        }
    }

    #[test]
    fn mail_arrives_and_its_link_works() {
        with_server(|server| check_mail_arrives_and_its_link_works(&Ledger::new(), &server));
    }

    #[test]
    fn mail_waits_for_a_server_that_is_stopped() {
        with_server(|server| check_mail_waits_for_a_server_that_is_stopped(&Ledger::new(), server));
    }

    #[test]
    fn addresses_refused_for_good_are_dead_letters() {
        with_server(|server| check_addresses_refused_for_good_are_dead_letters(&Ledger::new(), server));
    }

    #[cfg(feature = "postgres")]
    mod postgres {
        use super::*;
        use crate::postgres::Place;

        fn with_place(test: impl FnOnce(&Ledger, Exim)) {
            let Some(place) = Place::new() else { return };
            with_server(|server| test(&Ledger::at(place.address()), server));
        }

        #[test]
        fn mail_arrives_and_its_link_works() {
            with_place(|ledger, server| check_mail_arrives_and_its_link_works(ledger, &server));
        }

        #[test]
        fn mail_waits_for_a_server_that_is_stopped() {
            with_place(check_mail_waits_for_a_server_that_is_stopped);
        }

        #[test]
        fn addresses_refused_for_good_are_dead_letters() {
            with_place(check_addresses_refused_for_good_are_dead_letters);
        }
    }
}
