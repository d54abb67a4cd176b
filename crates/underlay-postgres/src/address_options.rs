//! The options of ours that stand in the address of a database, beside PostgreSQL's.
//!
//! Every option of [`PostgresConfig`] may stand there under its name with `underlay_` before it, in percent
//! encoding: `underlay_schema=books&underlay_commit_timeout=5s`. Two have a name of their own:
//! `sslrootcert` is the file of certificates, and `underlay_superuser=allow` allows a superuser.

use underlay_core::Error;
use underlay_core::adapter::{OptionValues, percent_decoded};
use underlay_core::options::Options;

use crate::config::PostgresConfig;

/// What the names of our options begin with in an address.
const OURS: &str = "underlay_";

impl PostgresConfig {
    /// Takes the options of ours out of an address: the rest is PostgreSQL's.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the option.
    pub fn with_options_of(mut self, address: &str) -> Result<(String, Self), Error> {
        let (address, options) = split(address)?;
        for option in options {
            option.set(&mut self)?;
        }
        Ok((address, self))
    }
}

/// The options of ours in an address, by the names that the configuration gives them.
pub(crate) fn options_in(address: &str) -> Result<OptionValues, Error> {
    let mut config = PostgresConfig::default();
    let (_, options) = split(address)?;
    options.into_iter().map(|option| option.set(&mut config).map(|()| (option.name, option.value))).collect()
}

/// One option as it stands in an address, and what the configuration makes of it.
struct AddressOption {
    shown: String,
    name: String,
    value: String,
}

impl AddressOption {
    fn set(&self, config: &mut PostgresConfig) -> Result<(), Error> {
        config
            .set(&self.name, &self.value)
            .map_err(|wrong| Error::invalid(format!("{}: {wrong}", self.shown)))
    }
}

fn split(address: &str) -> Result<(String, Vec<AddressOption>), Error> {
    let Some((place, options)) = address.split_once('?') else {
        return Ok((address.to_owned(), Vec::new()));
    };
    let (mut ours, mut others) = (Vec::new(), Vec::new());
    for option in options.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        if name == "sslmode" && ["verify-ca", "verify-full"].contains(&value) {
            others.push("sslmode=require");
        } else if name == "sslrootcert" || name.starts_with(OURS) {
            ours.push(our_option(name, value)?);
        } else {
            others.push(option);
        }
    }
    let address = if others.is_empty() { place.to_owned() } else { format!("{place}?{}", others.join("&")) };
    Ok((address, ours))
}

fn our_option(name: &str, value: &str) -> Result<AddressOption, Error> {
    let value = percent_decoded(value)
        .ok_or_else(|| Error::invalid(format!("the value of {name} is not percent encoding")))?;
    let (option, value) = match (name, value.as_str()) {
        ("sslrootcert", _) => ("root_certificates", value),
        ("underlay_superuser", "allow") => ("superuser_allowed", "true".to_owned()),
        _ => (name.strip_prefix(OURS).unwrap_or(name), value),
    };
    // The address to listen at may hold a password.
    let shown = if option == "listen" { name.to_owned() } else { format!("{name}={value}") };
    Ok(AddressOption { shown, name: option.to_owned(), value })
}

/// Hides what is secret in an address: its password, and the address to listen at.
pub(crate) fn shown(address: &str) -> String {
    let address = underlay_core::adapter::without_password(address);
    let Some((place, options)) = address.split_once('?') else { return address };
    let hidden = |option: &str| match option.split_once('=') {
        Some((name @ ("password" | "underlay_listen"), _)) => format!("{name}=***"),
        _ => option.to_owned(),
    };
    let options: Vec<String> = options.split('&').map(hidden).collect();
    format!("{place}?{}", options.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Listen;

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
            "doubt_timeout=6s",
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
            config.doubt_timeout,
            config.poll_interval,
            config.query_timeout,
        ];
        assert_eq!(milliseconds.map(|time| time.as_millis()), [1, 2, 3, 4, 5_000, 6_000, 7_000, 8_000]);
        for wrong in ["", "5", "s", "0s", "-1s", "1.5s", "5 s", "5y", "99999999999999999999s"] {
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
    fn what_is_secret_in_an_address_is_not_shown() {
        let address = "postgres://me:secret@h/d?password=secret&underlay_listen=postgres%3A%2F%2Fme%3Asecret%40h\
                       &sslmode=require";
        let masked = shown(address);
        assert!(!masked.contains("secret"), "{masked}");
        assert_eq!(masked, "postgres://me:***@h/d?password=***&underlay_listen=***&sslmode=require");
    }

    #[test]
    fn the_options_of_an_address_have_the_names_of_the_configuration() {
        let found =
            options_in("postgres://h/d?underlay_superuser=allow&sslrootcert=ca.pem&sslmode=disable").unwrap();
        let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, [("root_certificates", "ca.pem"), ("superuser_allowed", "true")]);
        assert!(options_in("postgres://h/d?underlay_connections_max=0").is_err());
    }
}
