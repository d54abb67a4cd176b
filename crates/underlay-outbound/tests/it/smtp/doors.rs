//! How a server is entered: encrypted or not, with a login or without, and what is said where it cannot be.

use servers::Exim;
use underlay_core::{Error, MailError};
use underlay_outbound::mail;

use super::exim::{arrived, config, mail_to, open, with_server};
use crate::certificates::Certificates;

/// A login of the server in percent encoding.
const LOGIN: &str = "bank%40example.com:p%40ss%20w%2Frd%3A%25";
const WRONG_LOGIN: &str = "bank%40example.com:the-wrong-secret";

fn server(certificates: &Certificates) -> servers::Result<Exim> {
    Exim::start_with_tls(&certificates.certificate, &certificates.key)
}

#[test]
fn mail_is_encrypted_and_handed_in_by_those_who_log_in() {
    let certificates = Certificates::new();
    with_server(server(&certificates), async |server| {
        let members = format!("ann@{}", Exim::LOGIN_DOMAIN);
        for (scheme, port) in [("smtps", server.tls_port()), ("smtp+starttls", server.port())] {
            let address = format!("{scheme}://{LOGIN}@localhost:{port}");
            let mail = open(&address, config().with_root_certificates(certificates.file("own.pem")));
            for number in 0..2 {
                mail.send(&format!("{scheme} {number}"), &mail_to(&members, scheme)).await.unwrap();
            }
        }
        let bytes = server.arrived().unwrap();
        assert_eq!(bytes.len(), 4);
        for text in bytes.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()) {
            // With TLS, by somebody who has logged in.
            assert!(text.contains("esmtpsa"), "{text}");
        }
    });
}

#[test]
fn a_password_goes_in_plain_text_to_this_machine_alone() {
    with_server(Exim::start(), async |server| {
        let members = format!("ann@{}", Exim::LOGIN_DOMAIN);
        let mail = open(&format!("smtp://{LOGIN}@127.0.0.1:{}", server.port()), config());
        mail.send("key", &mail_to(&members, "a")).await.unwrap();
        assert_eq!(arrived(&server).len(), 1);
    });
}

#[test]
fn who_is_not_let_in_is_told_why_and_no_mail_is_given_up() {
    let certificates = Certificates::new();
    with_server(server(&certificates), async |server| {
        let (port, tls_port) = (server.port(), server.tls_port());
        let (own, other) = (Some("own.pem"), Some("other.pem"));
        for (address, roots, parts) in [
            (format!("smtps://{WRONG_LOGIN}@localhost:{tls_port}"), own, ["535", "logging in"]),
            (format!("smtp+starttls://{WRONG_LOGIN}@localhost:{port}"), own, ["535", "logging in"]),
            (format!("smtps://{LOGIN}@localhost:{tls_port}"), other, ["TLS", "certificate"]),
            (format!("smtps://{LOGIN}@localhost:{tls_port}"), None, ["TLS", "certificate"]),
            (format!("smtp+starttls://{LOGIN}@localhost:{port}"), other, ["TLS", "certificate"]),
            // The certificate is of another name.
            (format!("smtps://{LOGIN}@127.0.0.1:{tls_port}"), own, ["TLS", "certificate"]),
            // Somebody speaks there, and not TLS.
            (format!("smtps://{LOGIN}@localhost:{port}"), own, ["TLS", "localhost"]),
        ] {
            let config = roots
                .map(|file| certificates.file(file))
                .into_iter()
                .fold(config(), |config, file| config.with_root_certificates(file));
            let mail = open(&address, config);
            let error = mail.send("key", &mail_to("ann@example.com", "a")).await.unwrap_err();
            assert!(matches!(error, MailError::Denied(_)) && !error.is_final(), "{address}: {error:?}");
            let told = error.to_string();
            assert!(parts.iter().all(|part| told.contains(part)), "{address}: {told}");
            assert!(!told.contains("secret") && !told.contains("p@ss"), "{address}: {told}");
        }
        assert!(arrived(&server).is_empty());
    });
}

#[test]
fn encryption_that_is_asked_for_is_never_left_out() {
    with_server(Exim::start(), async |server| {
        let address = format!("smtp+starttls://{LOGIN}@localhost:{}", server.port());
        let error = open(&address, config()).send("key", &mail_to("ann@example.com", "a")).await.unwrap_err();
        assert!(matches!(&error, MailError::Denied(told) if told.contains("STARTTLS")), "{error:?}");
        assert!(arrived(&server).is_empty());
    });
}

#[test]
fn what_cannot_be_opened_says_why() {
    let certificates = Certificates::new();
    let wrong = |address: &str, file: &str| {
        let opened = mail::open(address, config().with_root_certificates(certificates.file(file)));
        opened.map(drop).unwrap_err()
    };
    assert!(
        matches!(wrong("smtps://u:p@h", "none.pem"), Error::Backend { doing, .. } if doing.contains("none.pem"))
    );
    assert!(wrong("smtps://u:p@h", "empty.pem").to_string().contains("empty.pem holds no certificate"));
    for (address, part) in [
        ("smtps://u:secret@h?send_timeout=soon", "send_timeout"),
        ("smtps://u:secret@h?connections_max=0", "at least 1"),
        ("smtps://u:secret@h?hello_name=a%20b", "hello_name"),
        ("smtps://u:secret@h?tls=off", "tls"),
    ] {
        let told = wrong(address, "own.pem").to_string();
        assert!(told.contains(part) && !told.contains("secret"), "{address}: {told}");
        assert!(mail::options_in(address).is_err());
    }
    let options = mail::options_in("smtps://h?send_timeout=10s&from=bank%40example.com").unwrap();
    assert_eq!(options["send_timeout"], "10s");
    assert_eq!(mail::shown("smtps://u:secret@h?send_timeout=10s"), "smtps://u:***@h?send_timeout=10s");
}
