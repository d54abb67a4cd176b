use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::{Client, ConnectionInfo, IntoConnectionInfo, ProtocolVersion};
use underlay_core::adapter::{OptionValues, split_options};
use underlay_core::options::{ConfigOption, Configurable, Options, Place};
use underlay_core::{Clock, Error, check_plain_name};

/// How a [`RedisStore`](crate::RedisStore) is connected.
#[derive(Clone)]
pub struct RedisConfig {
    /// What every key begins with: 1 to 40 characters of `a-z 0-9 _`, starting with a letter. Two installations in one
    /// server take two.
    pub prefix: String,
    /// A file of certificates in PEM form that sign the server's; none takes those of the system.
    pub root_certificates: Option<PathBuf>,
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// How long a call waits for the server's answer. After that the connection is given up.
    pub response_timeout: Duration,
    /// How long a query may take, which asks the server several times.
    pub query_timeout: Duration,
    /// How long a call of the cache waits, for a connection and for the answer.
    pub cache_timeout: Duration,
    /// What leases run out by; none takes the server's clock, which all processes share.
    pub clock: Option<Arc<dyn Clock>>,
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("prefix", &self.prefix)
            .field("root_certificates", &self.root_certificates)
            .field("connect_timeout", &self.connect_timeout)
            .field("response_timeout", &self.response_timeout)
            .field("query_timeout", &self.query_timeout)
            .field("cache_timeout", &self.cache_timeout)
            .finish_non_exhaustive()
    }
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self {
            prefix: "underlay".to_owned(),
            root_certificates: None,
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(5),
            query_timeout: Duration::from_secs(5),
            cache_timeout: Duration::from_millis(250),
            clock: None,
        }
    }
}

impl Configurable for RedisConfig {
    const OPTIONS: &'static [ConfigOption<Self>] = &[
        ConfigOption::<Self>::new("prefix", "What every key begins with", |config| {
            Place::Text(&mut config.prefix)
        })
        .checked(check_prefix),
        ConfigOption::<Self>::new(
            "root_certificates",
            "A file of certificates in PEM form that sign the server's",
            |config| Place::Text(&mut config.root_certificates),
        ),
        ConfigOption::<Self>::new("connect_timeout", "How long making a connection may take", |config| {
            Place::Time(&mut config.connect_timeout)
        })
        .at_least(1),
        ConfigOption::<Self>::new(
            "response_timeout",
            "How long a call waits for the server's answer",
            |config| Place::Time(&mut config.response_timeout),
        )
        .at_least(1),
        ConfigOption::<Self>::new(
            "query_timeout",
            "How long a query may take, which asks the server several times",
            |config| Place::Time(&mut config.query_timeout),
        )
        .at_least(1),
        ConfigOption::<Self>::new("cache_timeout", "How long a call of the cache waits", |config| {
            Place::Time(&mut config.cache_timeout)
        })
        .at_least(1),
    ];
}

impl RedisConfig {
    /// Sets what every key begins with.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets how long a call waits for the server's answer.
    #[must_use]
    pub fn with_response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }

    /// Sets how long a query may take.
    #[must_use]
    pub fn with_query_timeout(mut self, timeout: Duration) -> Self {
        self.query_timeout = timeout;
        self
    }

    /// Sets how long a call of the cache waits.
    #[must_use]
    pub fn with_cache_timeout(mut self, timeout: Duration) -> Self {
        self.cache_timeout = timeout;
        self
    }

    /// Lets leases run out by this clock and not by the server's: for tests.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Takes the options out of an address: what is left is where the server is.
    pub(crate) fn with_options_of(mut self, address: &str) -> Result<(String, Self), Error> {
        let (place, options) = split_options(address, "")?;
        for (name, value) in options {
            self.set(&name, &value).map_err(|wrong| Error::invalid(format!("{name}={value}: {wrong}")))?;
        }
        Ok((place, self))
    }

    /// The client of a server. It connects to nobody yet.
    pub(crate) fn client(&self, place: &str) -> Result<Client, Error> {
        // The driver's own words may hold a part of the address, and with it a password.
        let wrong = |_| {
            Error::invalid(
                "the address of the Redis is not of the form redis://USER:PASSWORD@HOST:PORT/NUMBER, or rediss:// where \
                 the connection is encrypted",
            )
        };
        if place.contains('#') {
            return Err(Error::invalid("an address of a Redis has no `#`; percent encoding of it is %23"));
        }
        if place.starts_with("rediss:") && cfg!(not(feature = "tls")) {
            return Err(Error::invalid(
                "this program was built without TLS for Redis, which rediss:// needs; build it with the feature `tls` of \
                 underlay-redis",
            ));
        }
        let info = place.into_connection_info().map_err(wrong)?;
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let tcp = TcpSettings::default().set_nodelay(true);
        self.with_certificates(info.set_redis_settings(settings).set_tcp_settings(tcp))
    }

    #[cfg(feature = "tls")]
    fn with_certificates(&self, info: ConnectionInfo) -> Result<Client, Error> {
        let Some(file) = &self.root_certificates else {
            return Client::open(info).map_err(|error| Error::backend("configuring Redis", error));
        };
        let doing = || format!("reading the certificates in {}", file.display());
        let root_cert = std::fs::read(file).map_err(|error| Error::backend(doing(), error))?;
        let certificates = redis::TlsCertificates { client_tls: None, root_cert: Some(root_cert) };
        Client::build_with_tls(info, certificates).map_err(|error| Error::backend(doing(), error))
    }

    #[cfg(not(feature = "tls"))]
    fn with_certificates(&self, info: ConnectionInfo) -> Result<Client, Error> {
        Client::open(info).map_err(|error| Error::backend("configuring Redis", error))
    }
}

/// The options that stand in an address, by the names that the configuration gives them.
pub(crate) fn options_in(address: &str) -> Result<OptionValues, Error> {
    let (_, options) = split_options(address, "")?;
    RedisConfig::default().with_options_of(address)?;
    Ok(options.into_iter().collect())
}

/// What every key begins with stands within the braces of a hash tag, and in patterns: so it has no sign of either.
fn check_prefix(prefix: &str) -> Result<(), String> {
    const PREFIX_BYTES_MAX: usize = 40;
    check_plain_name(prefix, PREFIX_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_stand_in_an_address() {
        let address = "redis://me:secret@h:1/2?prefix=books&response_timeout=7s&root_certificates=a%20b.pem";
        let (place, config) = RedisConfig::default().with_options_of(address).unwrap();
        assert_eq!(place, "redis://me:secret@h:1/2");
        assert_eq!((config.prefix.as_str(), config.response_timeout.as_secs()), ("books", 7));
        assert_eq!(config.root_certificates, Some(PathBuf::from("a b.pem")));
        assert_eq!(options_in(address).unwrap().len(), 3);
        for (wrong, named) in [
            ("redis://h?colour=red", "colour"),
            ("redis://h?prefix={a}", "prefix"),
            ("redis://h?prefix=%zz", "percent encoding"),
            ("redis://h?response_timeout=0s", "response_timeout"),
        ] {
            let error = options_in(wrong).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn a_wrong_address_is_told_without_its_password() {
        for address in
            ["redis://me:secret@", "redis://me:secret@h:port", "redis://me:secret@h/x", "redis://:secret@h#x"]
        {
            let error = RedisConfig::default().client(address).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
