//! The address of a database: what of it is PostgreSQL's, what is ours, and how it is connected to.
//!
//! Options of ours may stand in the address beside PostgreSQL's: `underlay_schema`,
//! `underlay_role_prefix`, `underlay_superuser=allow`, `underlay_listen=off` or an address in percent
//! encoding, `underlay_connections_max`, `underlay_query_connections_max`, and the limits of time, such as
//! `underlay_acquire_timeout=500ms` or `underlay_commit_timeout=5s`: `acquire`, `connect`, `statement`,
//! `query`, `transaction`, `commit` and `settle` with `_timeout`, and `underlay_poll_interval`. `sslrootcert` names a file of certificates.
//!
//! An address may name several servers, `postgres://u@h1:5432,h2:5433/db`: they are tried in turn, and the
//! first that is what `target_session_attrs` asks for is taken: `primary`, as it is where nothing is said,
//! `read-write` or `any`.
//!
//! TLS: with `sslmode=require` or an `sslrootcert` it must be there, with `disable` it is not asked for, and
//! otherwise it is used where the server offers it. Where it is used the server's certificate is verified,
//! and that it is for the host of the address; so `verify-ca` and `verify-full` are the same as `require`.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;
use underlay_core::Error;
use underlay_core::adapter::ReadLimits;

use crate::config::{Listen, PostgresConfig};
use crate::connections::target::Target;
use crate::error::Failure;

/// How long a connection may be silent before the system asks whether the other end is there, how long
/// it waits for the answer, and how often it asks.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;

/// Where a database is, ready to be connected to.
#[derive(Clone)]
pub(crate) struct Address {
    /// The servers, in the order they are tried.
    pub(crate) servers: Vec<tokio_postgres::Config>,
    pub(crate) target: Target,
    pub(crate) tls: MakeRustlsConnect,
    /// How long making a connection may take in all.
    pub(crate) connect_timeout: Duration,
}

impl Address {
    /// Reads an address without options of ours.
    pub(crate) fn parse(address: &str, config: &PostgresConfig) -> Result<Self, Failure> {
        let (address, target) = Target::take(address)?;
        let mut server: tokio_postgres::Config =
            address.parse().map_err(|error: tokio_postgres::Error| {
                // The address may hold a password, so it is not shown.
                Failure::refused(format!(
                    "the address of the PostgreSQL database cannot be read: {error}{}",
                    {
                        let source = std::error::Error::source(&error);
                        source.map_or_else(String::new, |source| format!(" ({source})"))
                    }
                ))
            })?;
        server.connect_timeout(config.connect_timeout);
        server.keepalives_idle(KEEPALIVE_IDLE);
        server.keepalives_interval(KEEPALIVE_INTERVAL);
        server.keepalives_retries(KEEPALIVE_RETRIES);
        server.tcp_user_timeout(config.commit_timeout);
        if server.get_application_name().is_none() {
            server.application_name("underlay");
        }
        // Who names an authority wants the server to be who it says, and not whoever answers in plain text.
        if config.root_certificates.is_some() && server.get_ssl_mode() == SslMode::Prefer {
            server.ssl_mode(SslMode::Require);
        }
        let tls = tls(&server, config)?;
        Ok(Self { servers: one_by_one(&server)?, target, tls, connect_timeout: config.connect_timeout })
    }
}

/// The servers of an address, each by itself.
fn one_by_one(all: &tokio_postgres::Config) -> Result<Vec<tokio_postgres::Config>, Failure> {
    let (hosts, addresses, ports) = (all.get_hosts(), all.get_hostaddrs(), all.get_ports());
    let count = hosts.len().max(addresses.len());
    let fits = |names: usize| names <= 1 || names == count;
    if count == 0 {
        return Err(Failure::refused("the address of the PostgreSQL database names no server"));
    }
    if !fits(ports.len()) || (!hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len()) {
        return Err(Failure::refused(format!(
            "the address of the PostgreSQL database names {} hosts, {} host addresses and {} ports; a port is \
             one for all or one for each",
            hosts.len(),
            addresses.len(),
            ports.len()
        )));
    }
    let one = |at: usize| {
        let mut server = without_hosts(all);
        match hosts.get(at) {
            Some(Host::Tcp(name)) => server.host(name),
            #[cfg(unix)]
            Some(Host::Unix(path)) => server.host_path(path),
            None => &mut server,
        };
        if let Some(address) = addresses.get(at) {
            server.hostaddr(*address);
        }
        if let Some(port) = ports.get(at).or_else(|| ports.first()) {
            server.port(*port);
        }
        server
    };
    Ok((0..count).map(one).collect())
}

/// All that an address says beside its servers.
fn without_hosts(all: &tokio_postgres::Config) -> tokio_postgres::Config {
    let mut server = tokio_postgres::Config::new();
    if let Some(user) = all.get_user() {
        server.user(user);
    }
    if let Some(password) = all.get_password() {
        server.password(password);
    }
    if let Some(database) = all.get_dbname() {
        server.dbname(database);
    }
    if let Some(options) = all.get_options() {
        server.options(options);
    }
    if let Some(name) = all.get_application_name() {
        server.application_name(name);
    }
    if let Some(timeout) = all.get_connect_timeout() {
        server.connect_timeout(*timeout);
    }
    if let Some(timeout) = all.get_tcp_user_timeout() {
        server.tcp_user_timeout(*timeout);
    }
    if let Some(interval) = all.get_keepalives_interval() {
        server.keepalives_interval(interval);
    }
    if let Some(retries) = all.get_keepalives_retries() {
        server.keepalives_retries(retries);
    }
    server
        .keepalives(all.get_keepalives())
        .keepalives_idle(all.get_keepalives_idle())
        .ssl_mode(all.get_ssl_mode())
        .ssl_negotiation(all.get_ssl_negotiation())
        .channel_binding(all.get_channel_binding())
        .load_balance_hosts(all.get_load_balance_hosts());
    server
}

impl PostgresConfig {
    /// Takes the options of ours out of an address: the rest is PostgreSQL's.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the option.
    pub fn with_options_of(mut self, address: &str) -> Result<(String, Self), Error> {
        let Some((place, options)) = address.split_once('?') else {
            return Ok((address.to_owned(), self));
        };
        let mut others = Vec::new();
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            if name == "sslmode" && ["verify-ca", "verify-full"].contains(&value) {
                others.push("sslmode=require");
                continue;
            }
            if name != "sslrootcert" && !name.starts_with("underlay_") {
                others.push(option);
                continue;
            }
            let value = decoded(value)
                .ok_or_else(|| Error::invalid(format!("the value of {name} is not percent encoding")))?;
            self = match (name, value.as_str()) {
                ("sslrootcert", file) => self.with_root_certificates(file),
                ("underlay_schema", schema) => self.with_schema(schema),
                ("underlay_role_prefix", prefix) => self.with_role_prefix(prefix),
                ("underlay_superuser", "allow") => self.with_superuser_allowed(true),
                ("underlay_listen", "off") => self.with_listen(Listen::Off),
                ("underlay_listen", address) => self.with_listen(Listen::At(address.to_owned())),
                ("underlay_connections_max", number) => self.with_connections_max(count(name, number)?),
                ("underlay_query_connections_max", number) => {
                    let limits = self.query_limits.clone();
                    let running_max = count(name, number)?;
                    self.with_query_limits(ReadLimits { running_max, ..limits })
                }
                (name, value) => self.with_time_of(name, value)?,
            };
        }
        let address =
            if others.is_empty() { place.to_owned() } else { format!("{place}?{}", others.join("&")) };
        Ok((address, self))
    }
}

impl PostgresConfig {
    /// Takes an option that is a time.
    fn with_time_of(self, name: &str, value: &str) -> Result<Self, Error> {
        let with = match name {
            "underlay_acquire_timeout" => Self::with_acquire_timeout,
            "underlay_connect_timeout" => Self::with_connect_timeout,
            "underlay_statement_timeout" => Self::with_statement_timeout,
            "underlay_query_timeout" => Self::with_query_timeout,
            "underlay_transaction_timeout" => Self::with_transaction_timeout,
            "underlay_commit_timeout" => Self::with_commit_timeout,
            "underlay_settle_timeout" => Self::with_settle_timeout,
            "underlay_poll_interval" => Self::with_poll_interval,
            _ => return Err(Error::invalid(format!("{name}={value} is no option"))),
        };
        let wrong = || Error::invalid(format!("{name}={value} is no time, such as 500ms or 5s"));
        Ok(with(self, time(value).ok_or_else(wrong)?))
    }
}

fn count(name: &str, number: &str) -> Result<usize, Error> {
    number.parse().map_err(|_| Error::invalid(format!("{name}: {number:?}")))
}

/// Milliseconds or seconds, such as `500ms` or `5s`; more than nothing.
fn time(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.find(|c: char| !c.is_ascii_digit())?)?;
    let number: u64 = number.parse().ok()?;
    let time = match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        _ => return None,
    };
    (!time.is_zero()).then_some(time)
}

fn tls(server: &tokio_postgres::Config, config: &PostgresConfig) -> Result<MakeRustlsConnect, Failure> {
    let mut roots = RootCertStore::empty();
    match &config.root_certificates {
        Some(file) => {
            let wrong = |error: &dyn std::fmt::Display| {
                Failure::refused(format!("the certificates in {}: {error}", file.display()))
            };
            for certificate in CertificateDer::pem_file_iter(file).map_err(|error| wrong(&error))? {
                let certificate = certificate.map_err(|error| wrong(&error))?;
                roots.add(certificate).map_err(|error| wrong(&error))?;
            }
            if roots.is_empty() {
                return Err(wrong(&"there are none"));
            }
        }
        None if server.get_ssl_mode() == SslMode::Disable => {}
        None => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::refused(format!("TLS cannot be used: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(client))
}

/// A text without its percent encoding; `None` where that is broken.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_options_are_taken_out_of_an_address() {
        let (address, config) = PostgresConfig::default()
            .with_options_of(
                "postgres://a@h/d?underlay_schema=books&sslmode=require&underlay_superuser=allow\
                 &underlay_listen=postgres%3A%2F%2Fa%40h2%2Fd&sslrootcert=ca.pem&underlay_connections_max=3\
                 &underlay_query_connections_max=2",
            )
            .unwrap();
        assert_eq!(address, "postgres://a@h/d?sslmode=require");
        assert_eq!(config.schema, "books");
        assert_eq!(config.listen, Listen::At("postgres://a@h2/d".to_owned()));
        assert_eq!(config.root_certificates.as_deref(), Some(std::path::Path::new("ca.pem")));
        assert!(config.superuser_allowed && config.connections_max == 3);
        assert_eq!(config.query_limits.running_max, 2);
    }

    #[test]
    fn limits_of_time_may_stand_in_the_address() {
        let options = [
            "acquire_timeout=1ms",
            "connect_timeout=2ms",
            "statement_timeout=3ms",
            "transaction_timeout=4ms",
            "commit_timeout=5s",
            "settle_timeout=6s",
            "poll_interval=7s",
            "query_timeout=8s",
        ];
        let address = format!("postgres://h/d?underlay_{}", options.join("&underlay_"));
        let (_, config) = PostgresConfig::default().with_options_of(&address).unwrap();
        let milliseconds = [
            config.acquire_timeout,
            config.connect_timeout,
            config.statement_timeout,
            config.transaction_timeout,
            config.commit_timeout,
            config.settle_timeout,
            config.poll_interval,
            config.query_timeout,
        ];
        assert_eq!(milliseconds.map(|time| time.as_millis()), [1, 2, 3, 4, 5_000, 6_000, 7_000, 8_000]);
        for wrong in ["", "5", "s", "0s", "-1s", "1.5s", "5 s", "5h", "99999999999999999999s"] {
            let address = format!("postgres://h/d?underlay_commit_timeout={wrong}");
            let error = PostgresConfig::default().with_options_of(&address).unwrap_err().to_string();
            assert!(error.contains("underlay_commit_timeout"), "{error}");
        }
    }

    #[test]
    fn an_unknown_option_is_named() {
        for (option, part) in [
            ("underlay_colour=red", "underlay_colour=red"),
            ("underlay_superuser=yes", "underlay_superuser=yes"),
            ("underlay_connections_max=many", "many"),
            ("underlay_query_connections_max=-1", "underlay_query_connections_max"),
            ("underlay_schema=%zz", "underlay_schema"),
        ] {
            let error = PostgresConfig::default().with_options_of(&format!("postgres://h/d?{option}"));
            let error = error.unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn several_servers_stand_in_an_address_each_with_its_port() {
        let address = "postgres://me:secret@h1:5432,h2:5433/books?sslmode=disable";
        let address = Address::parse(address, &PostgresConfig::default()).unwrap();
        let places: Vec<_> =
            address.servers.iter().map(|server| (server.get_hosts().to_vec(), server.get_ports())).collect();
        let tcp = |name: &str| vec![Host::Tcp(name.to_owned())];
        assert_eq!(places, [(tcp("h1"), &[5432][..]), (tcp("h2"), &[5433][..])]);
        for server in &address.servers {
            assert_eq!((server.get_user(), server.get_dbname()), (Some("me"), Some("books")));
            assert_eq!(server.get_password(), Some(&b"secret"[..]));
            assert_eq!(server.get_ssl_mode(), SslMode::Disable);
            assert_eq!(server.get_application_name(), Some("underlay"));
            assert_eq!(server.get_keepalives_retries(), Some(KEEPALIVE_RETRIES));
        }
        for wrong in ["host=a,b,c port=1,2 sslmode=disable", "user=u sslmode=disable"] {
            assert!(Address::parse(wrong, &PostgresConfig::default()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_address_that_cannot_be_read_is_not_shown() {
        let refused = Address::parse("postgres://me:secret@h:port/d", &PostgresConfig::default());
        let text = refused.err().map(|failure| failure.to_string()).unwrap_or_default();
        assert!(text.contains("cannot be read") && !text.contains("secret"), "{text}");
    }
}
