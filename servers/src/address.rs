//! Addresses of PostgreSQL servers, and where tests are told of one.

/// Names the address of a PostgreSQL server for tests, as its administrator.
pub const POSTGRES_VARIABLE: &str = "UNDERLAY_TEST_POSTGRES_URL";
/// Names the address of a pooler for tests; it leads to the server the tests use.
pub const PGBOUNCER_VARIABLE: &str = "UNDERLAY_TEST_PGBOUNCER_URL";
/// Names the address of a server of the newest PostgreSQL, as its administrator.
pub const POSTGRES_NEWEST_VARIABLE: &str = "UNDERLAY_TEST_POSTGRES_NEWEST_URL";

/// A server's address with another database, and another user where one is given. Nothing is encrypted
/// where the server's address does not ask for it.
#[must_use]
pub fn address_in(server: &str, database: &str, user: Option<&str>) -> String {
    let (place, options) = server.split_once('?').unwrap_or((server, ""));
    let (scheme, place) = place.split_once("://").unwrap_or(("postgres", place));
    let host = place.split('/').next().unwrap_or(place);
    let (given, host) = host.rsplit_once('@').unwrap_or(("", host));
    let user = user.unwrap_or(given);
    let user = if user.is_empty() { String::new() } else { format!("{user}@") };
    let address = format!("{scheme}://{user}{host}/{database}");
    if options.contains("sslmode=") {
        format!("{address}?{options}")
    } else {
        with_option(&with_options(address, options), "sslmode", "disable")
    }
}

/// An address with one more option; its value may hold anything.
#[must_use]
pub fn with_option(address: &str, name: &str, value: &str) -> String {
    with_options(address.to_owned(), &format!("{name}={}", percent_encoded(value)))
}

fn with_options(address: String, options: &str) -> String {
    let joined = if address.contains('?') { '&' } else { '?' };
    if options.is_empty() { address } else { format!("{address}{joined}{options}") }
}

pub(crate) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_named_in_the_address_of_its_server() {
        for (server, meant) in [
            (
                "postgres://postgres@127.0.0.1:5499/postgres",
                "postgres://postgres@127.0.0.1:5499/mine?sslmode=disable",
            ),
            ("postgresql://a:b%40@h/x?sslmode=require", "postgresql://a:b%40@h/mine?sslmode=require"),
            ("postgres://h?connect_timeout=3", "postgres://h/mine?connect_timeout=3&sslmode=disable"),
        ] {
            assert_eq!(address_in(server, "mine", None), meant);
        }
        let at = address_in("postgres://postgres@h:1/postgres", "mine", Some("me:a%20b"));
        assert_eq!(at, "postgres://me:a%20b@h:1/mine?sslmode=disable");
    }

    #[test]
    fn an_option_may_hold_an_address() {
        let address = with_option("postgres://h/d?sslmode=disable", "listen", "postgres://a:b c@h:1/d?x=y");
        assert_eq!(
            address,
            "postgres://h/d?sslmode=disable&listen=postgres%3A%2F%2Fa%3Ab%20c%40h%3A1%2Fd%3Fx%3Dy"
        );
    }
}
