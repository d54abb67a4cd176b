use std::io::{Read, Write};
use std::net::TcpStream;

use crate::Result;

/// What is asked of a ledger before its pages are looked at. The last is refused, and the one before is never done: there
/// is no gateway.
const ASKED: [(&str, &str); 8] = [
    ("account/Assets:Cash/open", "{}"),
    ("account/Assets:Savings/open", "{}"),
    ("account/Assets:Cash/deposit", r#"{"amount":"100","commodity":"EUR"}"#),
    ("account/Assets:Cash/deposit", r#"{"amount":"20.50","commodity":"EUR"}"#),
    ("account/Assets:Cash/withdraw", r#"{"amount":"10","commodity":"EUR"}"#),
    (
        "operations/transfer",
        r#"{"amount":"40","commodity":"EUR","from":"Assets:Cash","to":"Assets:Savings"}"#,
    ),
    ("payment/rent/pay", r#"{"amount":"5","commodity":"EUR","from":"Assets:Cash","to":"Assets:Savings"}"#),
    ("account/Assets:Cash/withdraw", r#"{"amount":"1000","commodity":"EUR"}"#),
];

/// Fills a ledger, so that its pages have something to show.
pub(super) fn fill(address: &str) -> Result<()> {
    let host = address.trim_start_matches("http://");
    for (target, body) in ASKED {
        let mut connection = TcpStream::connect(host)?;
        let length = body.len();
        write!(
            connection,
            "POST /v1/{target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        if !status.starts_with('2') && status != "422" && status != "400" {
            return Err(format!("POST /v1/{target}: {answer}").into());
        }
    }
    Ok(())
}
