//! Which of the servers of an address is the one to be connected to.
//!
//! After a failover the one that was the primary may come back as a standby. What a standby says of the
//! log may be old, and it stores nothing, so it is asked for at connecting and not used. It is asked in
//! every transaction besides, see [`Sessions`](crate::connections::session::Sessions): behind a pooler the server may
//! change under a connection.

use tokio_postgres::Client;

use crate::error::Failure;

/// What a server must be, in the words of libpq's `target_session_attrs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Target {
    /// `any`: it is not asked. A transaction on a standby fails all the same.
    Any,
    /// `read-write`: no standby, and not set to be read-only.
    ReadWrite,
    /// `primary`: no standby.
    #[default]
    Primary,
}

impl Target {
    const OPTION: &str = "target_session_attrs";

    /// Takes the option out of an address, in either of the forms an address has.
    pub(crate) fn take(address: &str) -> Result<(String, Self), Failure> {
        let (rest, value) = if address.contains("://") { of_url(address) } else { of_pairs(address) };
        let target = match value.as_deref() {
            None => Self::default(),
            Some("any") => Self::Any,
            Some("read-write") => Self::ReadWrite,
            Some("primary") => Self::Primary,
            Some(other) => {
                return Err(Failure::refused(format!(
                    "{}={other}: it is any, read-write or primary; a store writes, and reads on a standby are \
                     not offered",
                    Self::OPTION
                )));
            }
        };
        Ok((rest, target))
    }

    /// Refuses a server that is not meant.
    pub(crate) async fn check(self, client: &Client) -> Result<(), Failure> {
        if self == Self::Any {
            return Ok(());
        }
        let row = client.query_typed_one(include_str!("../sql/select_target.sql"), &[]).await?;
        if row.try_get(0)? {
            return Err(Failure::ReadsOnly("it is a standby".to_owned()));
        }
        if self == Self::ReadWrite && row.try_get(1)? {
            return Err(Failure::ReadsOnly("it is set to be read-only".to_owned()));
        }
        Ok(())
    }
}

/// Of `postgres://…?a=b&c=d`; the last of several counts.
fn of_url(address: &str) -> (String, Option<String>) {
    let Some((place, options)) = address.split_once('?') else { return (address.to_owned(), None) };
    let is_ours = |option: &&str| option.split_once('=').is_some_and(|(name, _)| name == Target::OPTION);
    let (ours, others): (Vec<&str>, Vec<&str>) = options.split('&').partition(is_ours);
    let value = ours.last().and_then(|option| option.split_once('=')).map(|(_, value)| value.to_owned());
    (if others.is_empty() { place.to_owned() } else { format!("{place}?{}", others.join("&")) }, value)
}

/// Of `a=b c='d e'`; the last of several counts.
fn of_pairs(address: &str) -> (String, Option<String>) {
    let mut others = String::with_capacity(address.len());
    let mut value = None;
    let mut rest = address;
    while let Some(at) = rest.find(|c: char| !c.is_whitespace()) {
        let (pair, after) = rest[at..].split_at(end_of_pair(&rest[at..]));
        match pair.split_once('=') {
            Some((name, found)) if name.trim() == Target::OPTION => {
                value = Some(found.trim().trim_matches('\'').to_owned());
            }
            _ => {
                others.push_str(pair);
                others.push(' ');
            }
        }
        rest = after;
    }
    (others.trim_end().to_owned(), value)
}

/// Where a pair ends that begins here: white space may stand around `=` and between quotes.
fn end_of_pair(text: &str) -> usize {
    let Some(equals) = text.find('=') else { return text.len() };
    let value = &text[equals + 1..];
    let skipped = value.len() - value.trim_start().len();
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in value[skipped..].char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\'' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => return equals + 1 + skipped + at,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_taken_out_of_either_form_of_an_address() {
        for (address, rest, target) in [
            ("postgres://u@h/d", "postgres://u@h/d", Target::Primary),
            ("postgres://h1,h2:5433/d?target_session_attrs=any", "postgres://h1,h2:5433/d", Target::Any),
            (
                "postgres://h/d?sslmode=disable&target_session_attrs=primary&user=u",
                "postgres://h/d?sslmode=disable&user=u",
                Target::Primary,
            ),
            ("host=h target_session_attrs=read-write port=1", "host=h port=1", Target::ReadWrite),
            ("host=h target_session_attrs = 'any'", "host=h", Target::Any),
            (
                r"password='a target_session_attrs=any \' b' user = u",
                r"password='a target_session_attrs=any \' b' user = u",
                Target::Primary,
            ),
        ] {
            let taken = Target::take(address).unwrap();
            assert_eq!(taken, (rest.to_owned(), target), "{address}");
        }
    }

    #[test]
    fn a_standby_is_not_to_be_asked_for() {
        for value in ["standby", "prefer-standby", "read-only", "", "Primary"] {
            let refused = Target::take(&format!("postgres://h/d?target_session_attrs={value}")).unwrap_err();
            assert!(refused.to_string().contains("any, read-write or primary"), "{refused}");
        }
    }
}
