//! The address of a database: what of it is PostgreSQL's, what is ours, and how it is connected to.
//!
//! Options of ours may stand in the address beside PostgreSQL's, see [`address_options`](crate::address_options).
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

use crate::config::PostgresConfig;
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

#[cfg(test)]
mod tests {
    use super::*;

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
