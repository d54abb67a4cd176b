use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use underlay_core::options::{ConfigOption, Configurable, Place};
use underlay_core::{Clock, Error, SystemClock};

/// What follows the endpoint of a collector where spans go.
const TRACES_PATH: &str = "/v1/traces";

/// Where spans go to, and how.
#[derive(Clone)]
pub struct OtlpConfig {
    /// The endpoint of a collector, such as `http://127.0.0.1:4318`. Spans go to `/v1/traces` below it.
    pub endpoint: Option<String>,
    /// The whole address of spans, in place of that.
    pub traces_endpoint: Option<String>,
    /// Headers that go along, as `name=value,name=value`.
    pub headers: Option<String>,
    /// What the service is called in its traces.
    pub service_name: Option<String>,
    /// What else is said of the process, as `name=value,name=value`.
    pub resource_attributes: Option<String>,
    /// How long one request may take.
    pub timeout: Duration,
    /// A file of certificates in PEM form that sign the collector's; none takes those of the system.
    pub root_certificates: Option<PathBuf>,
    /// Says how long a batch has waited, and when trouble was last told.
    pub clock: Arc<dyn Clock>,
}

impl Default for OtlpConfig {
    fn default() -> Self {
        Self {
            endpoint: None,
            traces_endpoint: None,
            headers: None,
            service_name: None,
            resource_attributes: None,
            timeout: Duration::from_secs(10),
            root_certificates: None,
            clock: Arc::new(SystemClock),
        }
    }
}

/// Headers are often keys: none is shown.
impl fmt::Debug for OtlpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpConfig")
            .field("endpoint", &self.endpoint)
            .field("traces_endpoint", &self.traces_endpoint)
            .field("has_headers", &self.headers.is_some())
            .field("service_name", &self.service_name)
            .field("resource_attributes", &self.resource_attributes)
            .field("timeout", &self.timeout)
            .field("root_certificates", &self.root_certificates)
            .finish_non_exhaustive()
    }
}

impl OtlpConfig {
    /// Takes what is not set from the variables that OpenTelemetry names for it. One that says nothing sensible is left
    /// out, as is one that is empty: the environment is not only ours.
    #[must_use]
    pub fn or_standard_variables(mut self, variable: impl Fn(&str) -> Option<String>) -> Self {
        let first =
            |names: &[&str]| names.iter().find_map(|name| variable(name).filter(|text| !text.is_empty()));
        if first(&["OTEL_SDK_DISABLED"]).is_some_and(|text| text.eq_ignore_ascii_case("true")) {
            return self;
        }
        if self.endpoint.is_none() && self.traces_endpoint.is_none() {
            let sound = |text: &String| check_endpoint(text).is_ok();
            self.traces_endpoint = first(&["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]).filter(sound);
            self.endpoint = first(&["OTEL_EXPORTER_OTLP_ENDPOINT"]).filter(sound);
            let timeout = first(&["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"]);
            let timeout = timeout.and_then(|text| text.parse().ok()).filter(|milliseconds| *milliseconds > 0);
            self.timeout = timeout.map_or(self.timeout, Duration::from_millis);
        }
        let headers = || first(&["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"]);
        self.headers = self.headers.or_else(|| headers().filter(|text| check_pairs(text).is_ok()));
        self.service_name = self.service_name.or_else(|| first(&["OTEL_SERVICE_NAME"]));
        let attributes = || first(&["OTEL_RESOURCE_ATTRIBUTES"]).filter(|text| check_pairs(text).is_ok());
        self.resource_attributes = self.resource_attributes.or_else(attributes);
        self
    }

    /// Where spans go to; none where no endpoint is set.
    ///
    /// # Errors
    /// [`Error::Invalid`] where an option does not fit.
    pub(super) fn address(&self) -> Result<Option<String>, Error> {
        underlay_core::options::Options::check_bounds(self)?;
        Ok(match (&self.traces_endpoint, &self.endpoint) {
            (Some(whole), _) => Some(whole.clone()),
            (None, Some(endpoint)) => Some(format!("{}{TRACES_PATH}", endpoint.trim_end_matches('/'))),
            (None, None) => None,
        })
    }
}

impl Configurable for OtlpConfig {
    const OPTIONS: &'static [ConfigOption<Self>] = &[
        ConfigOption::<Self>::new(
            "otlp_endpoint",
            "The collector that takes the spans of traces, by OTLP over HTTP, such as http://127.0.0.1:4318; it needs the \
             feature `otlp`",
            |config| Place::Text(&mut config.endpoint),
        )
        .checked(check_endpoint)
        .called("URL"),
        ConfigOption::<Self>::new(
            "otlp_headers",
            "Headers for the collector, as NAME=VALUE,NAME=VALUE",
            |config| Place::Text(&mut config.headers),
        )
        .checked(check_pairs)
        .secret(),
        ConfigOption::<Self>::new(
            "otlp_timeout",
            "How long the collector may take for one request",
            |config| Place::Time(&mut config.timeout),
        )
        .at_least(1),
        ConfigOption::<Self>::new(
            "otlp_root_certificates",
            "A file of certificates in PEM form that sign the collector's",
            |config| Place::Text(&mut config.root_certificates),
        )
        .called("FILE"),
        ConfigOption::<Self>::new(
            "service_name",
            "What the service is called in its traces; else its own name",
            |config| Place::Text(&mut config.service_name),
        )
        .called("NAME"),
    ];
}

fn check_endpoint(text: &str) -> Result<(), String> {
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let is_plain =
        |host: &&str| !host.contains(char::is_whitespace) && !host.contains('@') && !host.contains('#');
    match host.filter(is_plain).and_then(|host| host.split('/').next()) {
        Some(authority) if !authority.is_empty() => Ok(()),
        _ => Err(
            "the endpoint of a collector is like http://127.0.0.1:4318, without a user; a key is a header"
                .into(),
        ),
    }
}

fn check_pairs(text: &str) -> Result<(), String> {
    pairs(text).map(drop)
}

/// Reads `name=value,name=value`, whose values may be written with escapes as in an address.
pub(super) fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let wrong = || "it is NAME=VALUE,NAME=VALUE, in printable ASCII".to_owned();
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').ok_or_else(wrong)?;
        let (name, value) = (name.trim(), unescaped(value.trim()).ok_or_else(wrong)?);
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let is_good = !name.is_empty()
            && name.bytes().all(is_token)
            && value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        is_good.then(|| (name.to_owned(), value)).ok_or_else(wrong)
    };
    text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(pair).collect()
}

fn unescaped(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use underlay_core::options::Options;

    use super::*;

    fn standard(variables: &[(&str, &str)]) -> OtlpConfig {
        let find = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        OtlpConfig::default().or_standard_variables(find)
    }

    #[test]
    fn an_endpoint_is_an_address_and_spans_go_below_it() {
        let mut config = OtlpConfig::default();
        assert_eq!(config.address().unwrap(), None);
        for wrong in
            ["", "collector:4318", "ftp://a", "http://", "http:///v1", "http://key@host", "http://a b"]
        {
            assert!(config.set("otlp_endpoint", wrong).is_err(), "{wrong}");
        }
        for (endpoint, address) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("https://otlp.example/api/", "https://otlp.example/api/v1/traces"),
        ] {
            config.set("otlp_endpoint", endpoint).unwrap();
            assert_eq!(config.address().unwrap().as_deref(), Some(address));
        }
    }

    #[test]
    fn the_variables_of_opentelemetry_count_where_nothing_else_is_said() {
        let both = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://one:4318"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://two:4318/spans"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=se%20cret, other=x"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
            ("OTEL_SERVICE_NAME", "bank"),
        ];
        let config = standard(&both);
        assert_eq!(
            config.address().unwrap().as_deref(),
            Some("http://two:4318/spans"),
            "it is taken as it is"
        );
        assert_eq!(standard(&both[..1]).address().unwrap().as_deref(), Some("http://one:4318/v1/traces"));
        assert_eq!(config.timeout, Duration::from_millis(2_500));
        assert_eq!(config.service_name.as_deref(), Some("bank"));
        assert_eq!(
            pairs(config.headers.as_deref().unwrap()).unwrap(),
            [("api-key", "se cret"), ("other", "x")].map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        let own = OtlpConfig { endpoint: Some("http://own".to_owned()), ..OtlpConfig::default() };
        let own = own.or_standard_variables(|name| {
            both.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).into())
        });
        assert_eq!(own.address().unwrap().as_deref(), Some("http://own/v1/traces"));
        let off = [("OTEL_SDK_DISABLED", "true"), both[0]];
        for none in
            [&off[..], &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")], &[("OTEL_EXPORTER_OTLP_ENDPOINT", "noise")]]
        {
            assert_eq!(standard(none).address().unwrap(), None, "{none:?}");
        }
    }

    #[test]
    fn headers_are_well_formed_and_shown_to_nobody() {
        let mut config = OtlpConfig::default();
        for wrong in ["secret", "=secret", "a b=secret", "a=secret%0d%0aX: y", "a=%zz", "a=%é"] {
            assert!(config.set("otlp_headers", wrong).is_err_and(|told| !told.contains("secret")), "{wrong}");
        }
        config.set("otlp_headers", "api-key=secret").unwrap();
        assert!(!format!("{config:?}").contains("secret"));
        assert!(config.describe().iter().find(|spec| spec.name == "otlp_headers").unwrap().secret);
    }
}
