use std::io::{Read, Write};
use std::net::TcpStream;

use crate::Result;

/// Asks for a command to be stored, and done later.
const LATER: &str = "Prefer: respond-async\r\n";

/// What is asked of a ledger before its pages are looked at: method, address, header and body. The payment and the mail
/// stay under way, since there is neither a gateway nor a mail server, and the last is refused.
const ASKED: [(&str, &str, &str, &str); 13] = [
    ("POST", "account/Assets:Cash/open", "", "{}"),
    ("POST", "account/Assets:Savings/open", "", "{}"),
    ("POST", "account/Assets:Cash/deposit", "", r#"{"amount":"100","commodity":"EUR"}"#),
    ("POST", "account/Assets:Cash/deposit", "", r#"{"amount":"20.50","commodity":"EUR"}"#),
    ("POST", "account/Assets:Cash/withdraw", "", r#"{"amount":"10","commodity":"EUR"}"#),
    (
        "POST",
        "operations/transfer",
        "",
        r#"{"amount":"40","commodity":"EUR","from":"Assets:Cash","to":"Assets:Savings"}"#,
    ),
    (
        "POST",
        "payment/rent/pay",
        "",
        r#"{"account":"Assets:Cash","amount":"5","commodity":"EUR","payee":"landlord"}"#,
    ),
    ("POST", "member/ann/register", "", r#"{"email":"ann@example.com"}"#),
    (
        "POST",
        "account/Assets:Cash/deposit?due_at=2999-01-01T00:00:00Z",
        LATER,
        r#"{"amount":"1","commodity":"EUR"}"#,
    ),
    ("POST", "entities/rate", "", r#"{"id":"EUR@USD","base":"EUR","quote":"USD","value":"1.08"}"#),
    (
        "POST",
        "entities/statement_template",
        "",
        r#"{"id":"monthly","language":"en","text":"{account} has\n{balances}"}"#,
    ),
    (
        "PUT",
        "admin/schedules/interest",
        "",
        r#"{"for":"account/Assets:Savings/deposit","cron":"0 3 1 * *","zone":"Europe/Berlin","body":{"amount":"1","commodity":"EUR"}}"#,
    ),
    ("POST", "account/Assets:Cash/withdraw", "", r#"{"amount":"1000","commodity":"EUR"}"#),
];

/// Fills a ledger, so that its pages have something to show.
pub(super) fn fill(address: &str) -> Result<()> {
    let host = address.trim_start_matches("http://");
    for (method, target, header, body) in ASKED {
        let mut connection = TcpStream::connect(host)?;
        let length = body.len();
        write!(
            connection,
            "{method} /v1/{target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        if !status.starts_with('2') && status != "422" {
            return Err(format!("{method} /v1/{target}: {answer}").into());
        }
    }
    Ok(())
}
