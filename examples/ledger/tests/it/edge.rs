//! The edge of the program, as an operator sets it and sees it.

#[cfg(unix)]
use std::io::{BufRead, BufReader, Read, Write};
#[cfg(unix)]
use std::net::TcpStream;
#[cfg(unix)]
use std::process::Stdio;

use crate::program::{Ledger, text};

#[test]
fn what_does_not_fit_is_refused_before_it_serves() {
    let ledger = Ledger::new();
    for (arguments, told) in [
        (&["--tls-key", "key.pem"][..], "--tls-certificate"),
        (&["--tls-certificate", "bank.pem"], "--tls-key"),
        (&["--tls-certificate", ""], "it is empty"),
        (&["--allow-origin", "app.example"], "is no origin"),
        (&["--allow-origin", "*"], "is no origin"),
        (&["--server-http2-streams-max", "0"], "at least 1"),
        (&["--server-request-wait-max", "0s"], "at least 1ms"),
    ] {
        let output = ledger.run(&[&["serve"], arguments].concat());
        let complained = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {complained}");
        assert!(complained.contains(told), "{arguments:?}: {complained}");
    }
}

/// An answer, with its head.
#[cfg(unix)]
fn ask(address: &str, path: &str) -> String {
    let mut socket = TcpStream::connect(address.trim_start_matches("http://")).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

/// Serves, is asked, is told to end and then to end at once; gives what it has logged.
#[cfg(unix)]
fn log_of(more: &[&str]) -> String {
    let ledger = Ledger::new();
    let mut command = ledger.command(&["serve", "--listen", "127.0.0.1:0", "--shutdown-delay", "600"]);
    let mut child = command.args(more).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut printed = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    printed.read_line(&mut first).unwrap();
    let address = first.trim().rsplit(' ').next().unwrap().to_owned();
    assert!(ask(&address, "/livez").starts_with("HTTP/1.1 200"));
    let process = child.id().to_string();
    let signal = || {
        let sent = std::process::Command::new("kill").args(["-s", "TERM", &process]).status();
        assert!(sent.unwrap().success());
    };
    signal();
    while !ask(&address, "/readyz").contains("urn:underlay:problem:stopping") {}
    assert!(ask(&address, "/v1/events?type=secret").starts_with("HTTP/1.1 200"), "it goes on as before");
    signal();
    let mut logged = String::new();
    child.stderr.take().unwrap().read_to_string(&mut logged).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{logged}");
    logged
}

#[cfg(unix)]
#[test]
fn a_program_that_is_told_to_end_says_so_and_logs_every_request() {
    let logged = log_of(&[]);
    for told in [
        r#"INFO access: request method="GET" route="/livez" status=200"#,
        r#"method="GET" route="/readyz" status=503"#,
        r#"method="GET" route="/v1/events" status=200"#,
        "ended at once, by a second signal",
    ] {
        assert!(logged.contains(told), "{told}: {logged}");
    }
    assert!(!logged.contains("secret"), "{logged}");
}

#[cfg(unix)]
#[test]
fn the_lines_of_requests_can_be_left_out() {
    let logged = log_of(&["--server-access-log=false"]);
    assert!(!logged.contains("access"), "{logged}");
}

#[cfg(unix)]
#[test]
fn a_program_reads_each_line_of_the_log_as_an_object() {
    let logged = log_of(&["--log-format", "json"]);
    let (lines, others): (Vec<_>, Vec<_>) = logged
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).map_err(|_| line))
        .partition(Result::is_ok);
    let lines: Vec<serde_json::Value> = lines.into_iter().flatten().collect();
    // The program's own complaint is for a person. What it gave up may log something behind it.
    let complaints: Vec<&str> = others.into_iter().filter_map(Result::err).collect();
    assert!(
        matches!(complaints[..], [one] if one.contains("ended at once, by a second signal")),
        "{complaints:?}"
    );
    let asked = lines.iter().find(|line| line["route"] == "/v1/events").unwrap_or_else(|| panic!("{logged}"));
    assert_eq!((&asked["level"], &asked["target"]), (&"INFO".into(), &"access".into()));
    assert_eq!((&asked["message"], &asked["status"]), (&"request".into(), &200.into()));
    assert_eq!(asked["tenant"], "main");
    assert!(asked["time"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    assert!(!logged.contains("secret"), "{logged}");
}
