//! What a server says of a mail, and what becomes of it.

use servers::{AddressAnswer, Exim};
use underlay_core::{Email, MailError, Mailbox};

use super::exim::{arrived, config, mail_to, open, with_server};
use crate::arrived::shown;

#[test]
fn the_envelope_has_the_addresses_and_a_repeat_the_same_id() {
    with_server(Exim::start(), async |server| {
        let mail = open(&format!("smtp://127.0.0.1:{}", server.port()), config());
        let to = Mailbox::parse("Änne O'Brien <o'brien+tag@example.com>").unwrap();
        let welcome = Email::new(to, "Willkommen — 安全", "Grüße!\n").unwrap();
        let own = welcome.clone().with_from(Mailbox::new("other@example.org").unwrap());
        for mail_sent in [&welcome, &welcome, &own] {
            mail.send("0190a1b2-0000-7000-8000-000000000001", mail_sent).await.unwrap();
        }
        let bytes = server.arrived().unwrap();
        for text in bytes.iter().map(|bytes| shown(bytes)) {
            assert!(text.contains("Envelope-to: o'brien+tag@example.com\n"), "{text}");
            let from =
                if text.contains("other@example.org") { "other@example.org" } else { "bank@example.com" };
            assert!(text.contains(&format!("Return-path: <{from}>\n")), "{text}");
            // It calls itself what the sender's domain is called.
            assert!(text.contains("helo=example.com"), "{text}");
        }
        let arrived = arrived(&server);
        assert_eq!(arrived.len(), 3);
        let ids: Vec<&str> = arrived.iter().map(|arrived| arrived.id.as_str()).collect();
        assert_eq!(ids.iter().filter(|id| id.ends_with("@example.com")).count(), 2, "{ids:?}");
        let parts: Vec<&str> = ids.iter().filter_map(|id| id.split('@').next()).collect();
        assert!(parts.iter().all(|part| *part == parts[0]), "one key, one name: {ids:?}");
        assert!(arrived.iter().all(|arrived| arrived.mail.text() == "Grüße!\n"));
    });
}

#[test]
fn a_refusal_says_what_the_server_said_and_where() {
    with_server(Exim::start(), async |server| {
        let mail = open(&format!("smtp://127.0.0.1:{}", server.port()), config());
        server.answer("gone@example.com", AddressAnswer::RefusedForGood).unwrap();
        server.answer("busy@example.com", AddressAnswer::RefusedForNow).unwrap();
        let members = format!("ann@{}", Exim::LOGIN_DOMAIN);
        let unwanted = format!("something {}", Exim::UNWANTED);
        type Is = fn(&MailError) -> bool;
        let cases: [(&str, &str, Is, &[&str]); 4] = [
            (
                "gone@example.com",
                "a",
                |error| matches!(error, MailError::Refused(_)),
                &["550", "this name", "address"],
            ),
            (
                "busy@example.com",
                "a",
                |error| matches!(error, MailError::Deferred(_)),
                &["451", "later", "address"],
            ),
            (
                "ann@example.com",
                &unwanted,
                |error| matches!(error, MailError::Refused(_)),
                &["550", "wants this", "content"],
            ),
            (&members, "a", |error| matches!(error, MailError::Denied(_)), &["530", "log in first"]),
        ];
        // Again on the connection that was refused before.
        for round in 0..2 {
            for (address, subject, is_right, parts) in cases {
                let error = mail.send("key", &mail_to(address, subject)).await.unwrap_err();
                assert!(is_right(&error), "{address}: {error:?}");
                let told = error.to_string();
                assert!(parts.iter().all(|part| told.contains(part)), "{address}: {told}");
            }
            mail.send("key", &mail_to("ann@example.com", &format!("taken {round}"))).await.unwrap();
        }
        assert_eq!(arrived(&server).len(), 2);
    });
}

#[test]
fn one_connection_takes_many_mails_and_further_ones_wait_for_it() {
    with_server(Exim::start(), async |server| {
        let config = config().with_connections_max(1);
        let mail = open(&format!("smtp://127.0.0.1:{}", server.port()), config);
        let sends = (0..50).map(|number| {
            let mail = mail.clone();
            let welcome = mail_to("ann@example.com", &format!("mail {number}"));
            tokio::spawn(async move { mail.send(&format!("key {number}"), &welcome).await })
        });
        for send in sends.collect::<Vec<_>>() {
            send.await.unwrap().unwrap();
        }
        assert_eq!(arrived(&server).len(), 50);
    });
}

#[test]
fn a_connection_that_the_server_has_closed_costs_no_mail() {
    with_server(Exim::start(), async |mut server| {
        let mail = open(&format!("smtp://127.0.0.1:{}", server.port()), config());
        for round in 0..3 {
            mail.send(&format!("key {round}"), &mail_to("ann@example.com", "a")).await.unwrap();
            server.stop().unwrap();
            server.resume().unwrap();
        }
        assert_eq!(arrived(&server).len(), 3);
    });
}
