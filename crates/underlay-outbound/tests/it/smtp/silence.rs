//! Whoever answers in the place of a mail server: nobody, somebody who falls silent, and somebody who answers
//! something else. Every send has an end, and none is told as taken that was not.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use underlay_core::{Mail, MailError};
use underlay_outbound::mail::MailConfig;

use super::exim::{config, mail_to, open};

const SHORT: Duration = Duration::from_millis(300);

/// What a server answers, in order; after the last it is silent. `\n` alone in an answer parts two.
type Answers = &'static [&'static str];

/// A server that answers what it is told to, on each connection from the start.
struct Scripted {
    port: u16,
    /// What was said to it, by connection.
    heard: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Scripted {
    async fn start(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard: Arc<Mutex<Vec<Vec<String>>>> = Arc::default();
        let told = heard.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = {
                    let mut told = told.lock().unwrap();
                    told.push(Vec::new());
                    told.len() - 1
                };
                tokio::spawn(answer(stream, answers, told.clone(), number));
            }
        });
        Self { port, heard }
    }

    fn open(&self, config: MailConfig) -> Arc<dyn Mail> {
        open(&format!("smtp://127.0.0.1:{}", self.port), config)
    }

    fn heard(&self) -> Vec<Vec<String>> {
        self.heard.lock().unwrap().clone()
    }
}

async fn answer(stream: TcpStream, answers: Answers, heard: Arc<Mutex<Vec<Vec<String>>>>, number: usize) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut in_content = false;
    for answer in answers {
        if write.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
        loop {
            let Ok(Some(line)) = lines.next_line().await else { return };
            let is_content = in_content && line != ".";
            if line == "DATA" {
                in_content = true;
            } else if !is_content {
                in_content = false;
            }
            if line == "QUIT" {
                // Who is told goodbye says it too; how that ends is of no interest.
                write.write_all(b"221 bye\r\n").await.ok();
                return;
            }
            if !is_content {
                heard.lock().unwrap()[number].push(line);
                break;
            }
        }
    }
    // Held open.
    std::future::pending::<()>().await;
}

/// Waits far longer than any limit.
async fn in_time<T>(call: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), call).await.expect("every wait has an end")
}

fn hasty() -> MailConfig {
    config().with_send_timeout(SHORT)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_answers_is_waited_for_so_long_and_no_longer() {
    // It takes connections, since the system does that, and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("smtp://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let welcome = mail_to("ann@example.com", "a");
    for (config, name) in
        [(hasty(), "send_timeout"), (config().with_connect_timeout(SHORT), "connect_timeout")]
    {
        let error = in_time(open(&address, config).send("key", &welcome)).await.unwrap_err();
        assert!(!error.is_final() && error.to_string().contains(name), "{error}");
        assert!(error.to_string().contains("300ms"), "{error}");
    }
    // Those who wait for a connection have the same time.
    let mail = open(&address, hasty().with_connections_max(1));
    let sends = (0..8).map(|number| {
        let (mail, welcome) = (mail.clone(), welcome.clone());
        tokio::spawn(async move { mail.send(&format!("key {number}"), &welcome).await })
    });
    for send in sends.collect::<Vec<_>>() {
        assert!(!in_time(send).await.unwrap().unwrap_err().is_final());
    }
}

#[tokio::test]
async fn where_nobody_listens_the_error_says_where() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let mail = open(&format!("smtp://127.0.0.1:{port}"), config());
    let error = in_time(mail.send("key", &mail_to("ann@example.com", "a"))).await.unwrap_err();
    assert!(matches!(&error, MailError::Unavailable(told) if told.contains(&port.to_string())), "{error:?}");
    let mail = open("smtp://no-such-host.invalid", config());
    let error = in_time(mail.send("key", &mail_to("ann@example.com", "a"))).await.unwrap_err();
    assert!(!error.is_final() && error.to_string().contains("no-such-host.invalid"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_a_server_falls_silent_the_send_ends_and_its_connection_with_it() {
    const ANSWERS: Answers =
        &["220 here\r\n", "250 hello\r\n", "250 sender\r\n", "250 address\r\n", "354 go on\r\n"];
    for count in 0..=ANSWERS.len() {
        let server = Scripted::start(&ANSWERS[..count]).await;
        let mail = server.open(hasty());
        for _ in 0..2 {
            let error = in_time(mail.send("key", &mail_to("ann@example.com", "a"))).await.unwrap_err();
            assert!(matches!(error, MailError::Unavailable(_)), "after {count} answers: {error:?}");
        }
        assert!(server.heard().len() <= 2, "each send has a connection of its own");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_out_of_place_is_no_success() {
    // An answer too many, slipped in at any place, would make every later one that of the question before.
    for answers in [
        &["220 here\r\n", "250 hello\r\n250 more\r\n", "250 sender\r\n", "250 address\r\n", "354 go on\r\n"]
            as Answers,
        &["220 here\r\n", "250 hello\r\n", "250 sender\r\n250 more\r\n", "250 address\r\n", "354 go on\r\n"],
        &["220 here\r\n", "250 hello\r\n", "250 sender\r\n", "250 address\r\n250 more\r\n", "354 go on\r\n"],
        &[
            "220 here\r\n",
            "250 hello\r\n",
            "250 sender\r\n",
            "250 address\r\n",
            "354 go on\r\n354 more\r\n",
            "550 no\r\n",
        ],
        &["220 here\r\n", "250 hello\r\n", "what?\r\n"],
        &["220 here\r\n", "250 hello\r\n", "999 what?\r\n"],
        &["HTTP/1.1 400 Bad Request\r\n\r\n"],
    ] {
        let server = Scripted::start(answers).await;
        let error = in_time(server.open(hasty()).send("key", &mail_to("ann@example.com", "a"))).await;
        assert!(matches!(error, Err(MailError::Unavailable(_))), "{answers:?}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_turns_everybody_away_gives_up_no_mail() {
    for (answers, is_right) in [
        (
            &["554 not you\r\n"] as Answers,
            (|error| matches!(error, MailError::Denied(_))) as fn(&MailError) -> bool,
        ),
        (&["421 too busy\r\n"], |error| matches!(error, MailError::Deferred(_))),
        (&["220 here\r\n", "421 going down\r\n"], |error| matches!(error, MailError::Deferred(_))),
        (&["220 here\r\n", "250 hello\r\n", "421 going down\r\n"], |error| {
            matches!(error, MailError::Deferred(_))
        }),
    ] {
        let server = Scripted::start(answers).await;
        let mail = server.open(config());
        for round in 1..=2 {
            let error = in_time(mail.send("key", &mail_to("ann@example.com", "a"))).await.unwrap_err();
            assert!(is_right(&error) && !error.is_final(), "{answers:?}: {error:?}");
            assert_eq!(server.heard().len(), round, "a connection that ends is not used again: {answers:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn content_ends_with_one_line_of_a_dot() {
    const ANSWERS: Answers = &[
        "220 here\r\n",
        "250-hello\r\n250 SIZE\r\n",
        "250 sender\r\n",
        "251 passed on\r\n",
        "354 go on\r\n",
        "250 taken\r\n",
        "250 reset\r\n",
    ];
    let server = Scripted::start(ANSWERS).await;
    let mail = server.open(hasty());
    mail.send("key", &mail_to("-flag@example.com", "a")).await.unwrap();
    let expected =
        ["EHLO example.com", "MAIL FROM:<bank@example.com>", "RCPT TO:<-flag@example.com>", "DATA", "."];
    assert_eq!(server.heard(), [expected]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_is_refused_is_no_fault_of_the_mail() {
    const ANSWERS: Answers =
        &["220 here\r\n", "250 hello\r\n", "550 not from you\r\n", "250 reset\r\n", "451 not now\r\n"];
    let server = Scripted::start(ANSWERS).await;
    let mail = server.open(config());
    let welcome = mail_to("ann@example.com", "a");
    let error = in_time(mail.send("key", &welcome)).await.unwrap_err();
    assert!(matches!(&error, MailError::Denied(told) if told.contains("not from you")), "{error:?}");
    let error = in_time(mail.send("key", &welcome)).await.unwrap_err();
    assert!(matches!(error, MailError::Deferred(_)), "{error:?}");
    assert_eq!(server.heard().len(), 1, "the connection is kept");
}
