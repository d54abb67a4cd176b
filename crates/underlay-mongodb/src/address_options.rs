//! The options of ours that stand in the address of a database, beside MongoDB's.
//!
//! Every option of [`MongoConfig`] may stand there under its name with `underlay_` before it, in percent encoding:
//! `underlay_query_timeout=2s`.

use underlay_core::Error;
use underlay_core::adapter::{OptionValues, split_options};
use underlay_core::options::Options;

use crate::MongoConfig;

/// What the names of our options begin with in an address.
const OURS: &str = "underlay_";

impl MongoConfig {
    /// Takes the options of ours out of an address: the rest is MongoDB's.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the option.
    pub fn with_options_of(mut self, address: &str) -> Result<(String, Self), Error> {
        let (address, options) = split_options(address, OURS)?;
        for (name, value) in options {
            set(&mut self, &name, &value)?;
        }
        Ok((address, self))
    }
}

/// The options of ours in an address, by the names that the configuration gives them.
pub(crate) fn options_in(address: &str) -> Result<OptionValues, Error> {
    let mut config = MongoConfig::default();
    let (_, options) = split_options(address, OURS)?;
    options.iter().try_for_each(|(name, value)| set(&mut config, name, value))?;
    Ok(options.into_iter().collect())
}

fn set(config: &mut MongoConfig, name: &str, value: &str) -> Result<(), Error> {
    config.set(name, value).map_err(|wrong| Error::invalid(format!("{OURS}{name}={value}: {wrong}")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn our_options_are_taken_out_of_an_address() {
        let (address, config) = MongoConfig::default()
            .with_options_of(
                "mongodb://a:b%40@h1,h2:2/d?underlay_write_timeout=7s&replicaSet=rs0&underlay_connections_max=3\
                 &underlay_query_connections_max=2",
            )
            .unwrap();
        assert_eq!(address, "mongodb://a:b%40@h1,h2:2/d?replicaSet=rs0");
        assert_eq!(config.write_timeout, Duration::from_secs(7));
        assert_eq!((config.connections_max, config.query_limits.running_max), (3, 2));
        let found = options_in("mongodb://h/d?underlay_query_timeout=1s&tls=true").unwrap();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [("query_timeout".to_owned(), "1s".to_owned())]);
    }

    #[test]
    fn an_option_that_does_not_fit_is_named() {
        for (option, part) in [
            ("underlay_colour=red", "underlay_colour=red"),
            ("underlay_connections_max=0", "underlay_connections_max"),
            ("underlay_query_timeout=%zz", "underlay_query_timeout"),
        ] {
            let error = options_in(&format!("mongodb://h/d?{option}")).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
