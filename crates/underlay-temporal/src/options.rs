use std::fmt;
use std::time::Duration;

use crate::router::Router;

/// How many attempts a process makes at once for Temporal, unless told otherwise.
const ATTEMPTS_RUNNING_MAX: usize = 200;
/// How long attempts may go on while a process stops, unless told otherwise.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// How a process uses a Temporal server.
#[derive(Clone, Debug)]
pub struct TemporalOptions {
    /// The key that lets this process in, where the server wants one. It needs TLS.
    pub api_key: Option<ApiKey>,
    /// Which jobs go where.
    pub router: Router,
    /// What this process is called at the server; the process and the host, where it is empty.
    pub process: String,
    /// How many attempts of each kind of activity this process makes at once.
    pub attempts_running_max: usize,
    /// How long attempts may go on while this process stops.
    pub stop_grace: Duration,
}

impl Default for TemporalOptions {
    fn default() -> Self {
        Self {
            api_key: None,
            router: Router::default(),
            process: String::new(),
            attempts_running_max: ATTEMPTS_RUNNING_MAX,
            stop_grace: STOP_GRACE,
        }
    }
}

/// A key that lets a process in. It is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// A key.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    pub(crate) fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_shown() {
        let options = TemporalOptions { api_key: Some(ApiKey::new("s3cret")), ..TemporalOptions::default() };
        assert!(!format!("{options:?} {options:#?}").contains("s3cret"));
    }
}
