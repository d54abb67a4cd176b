use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{AUTHORIZATION, HeaderName};
use underlay_core::adapter::{OptionValues, split_options};
use underlay_core::options::{ConfigOption, Configurable, Options, Place, TextValue};
use underlay_core::{Clock, Error, SystemClock};

use super::plain::PlainApi;

/// How an [`HttpEntities`](super::HttpEntities) speaks with the service that has the entities.
#[derive(Clone)]
pub struct HttpConfig {
    /// What the service understands.
    pub api: Api,
    /// What the API is like where it is a plain one.
    pub plain: PlainApi,
    /// A file of tokens, one a line: `TOKEN` for every tenant, or `TENANT TOKEN`.
    pub token_file: Option<PathBuf>,
    /// The header that a token goes in. In `authorization` it is a bearer token, in another one it is sent as it is.
    pub token_header: String,
    /// The header that names the tenant, where the service believes this one.
    pub tenant_header: Option<String>,
    /// Whether all tenants see and change the same entities.
    pub shared: bool,
    /// Whether a service on another machine may be spoken to without TLS.
    pub allow_plain: bool,
    /// A file of certificates in PEM form that sign the service's; none takes those of the system.
    pub root_certificates: Option<PathBuf>,
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// How long one request may take, with its answer.
    pub attempt_timeout: Duration,
    /// How long a call may take, with all requests it makes.
    pub timeout: Duration,
    /// Requests that are under way at one time.
    pub requests_max: usize,
    /// Bytes in one answer.
    pub answer_bytes_max: usize,
    /// Bytes of answers that are kept, to be asked for again only where they have changed.
    pub kept_bytes_max: usize,
    /// Says how long a call has taken.
    pub clock: Arc<dyn Clock>,
}

/// What a service understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Api {
    /// What a service made with Underlay answers at `/v1/entities/{entity}`.
    #[default]
    Underlay,
    /// A JSON API as [`PlainApi`] describes it.
    Plain,
}

impl TextValue for Api {
    fn text(&self) -> Option<String> {
        Some(match self {
            Self::Underlay => "underlay".to_owned(),
            Self::Plain => "plain".to_owned(),
        })
    }

    fn set_text(&mut self, text: &str) -> Result<(), String> {
        *self = match text {
            "underlay" => Self::Underlay,
            "plain" => Self::Plain,
            other => return Err(format!("{other:?} is neither underlay nor plain")),
        };
        Ok(())
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            api: Api::Underlay,
            plain: PlainApi::default(),
            token_file: None,
            token_header: AUTHORIZATION.as_str().to_owned(),
            tenant_header: None,
            shared: false,
            allow_plain: false,
            root_certificates: None,
            connect_timeout: Duration::from_secs(2),
            attempt_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(15),
            requests_max: 64,
            answer_bytes_max: 32 << 20,
            kept_bytes_max: 8 << 20,
            clock: Arc::new(SystemClock),
        }
    }
}

impl fmt::Debug for HttpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpConfig")
            .field("api", &self.api)
            .field("plain", &self.plain)
            .field("token_file", &self.token_file)
            .field("token_header", &self.token_header)
            .field("tenant_header", &self.tenant_header)
            .field("shared", &self.shared)
            .field("allow_plain", &self.allow_plain)
            .field("root_certificates", &self.root_certificates)
            .field("connect_timeout", &self.connect_timeout)
            .field("attempt_timeout", &self.attempt_timeout)
            .field("timeout", &self.timeout)
            .field("requests_max", &self.requests_max)
            .field("answer_bytes_max", &self.answer_bytes_max)
            .field("kept_bytes_max", &self.kept_bytes_max)
            .finish_non_exhaustive()
    }
}

impl Configurable for HttpConfig {
    const OPTIONS: &'static [ConfigOption<Self>] = &[
        ConfigOption::<Self>::new(
            "api",
            "What the service understands: underlay, or plain for another JSON API",
            |config| Place::Text(&mut config.api),
        ),
        ConfigOption::<Self>::new(
            "token_file",
            "A file of tokens, one a line: TOKEN for every tenant, or TENANT TOKEN",
            |config| Place::Text(&mut config.token_file),
        )
        .called("FILE"),
        ConfigOption::<Self>::new(
            "token_header",
            "The header that a token goes in; in authorization it is a bearer token",
            |config| Place::Text(&mut config.token_header),
        )
        .checked(check_header),
        ConfigOption::<Self>::new(
            "tenant_header",
            "The header that names the tenant, where the service believes this one",
            |config| Place::Text(&mut config.tenant_header),
        )
        .checked(check_header),
        ConfigOption::<Self>::new(
            "shared",
            "Whether all tenants see and change the same entities",
            |config| Place::Flag(&mut config.shared),
        ),
        ConfigOption::<Self>::new(
            "allow_plain",
            "Whether a service on another machine may be spoken to without TLS",
            |config| Place::Flag(&mut config.allow_plain),
        ),
        ConfigOption::<Self>::new(
            "root_certificates",
            "A file of certificates in PEM form that sign the service's",
            |config| Place::Text(&mut config.root_certificates),
        )
        .called("FILE"),
        ConfigOption::<Self>::new("connect_timeout", "How long making a connection may take", |config| {
            Place::Time(&mut config.connect_timeout)
        })
        .at_least(1),
        ConfigOption::<Self>::new(
            "attempt_timeout",
            "How long one request may take, with its answer",
            |config| Place::Time(&mut config.attempt_timeout),
        )
        .at_least(1),
        ConfigOption::<Self>::new(
            "timeout",
            "How long a call may take, with all requests it makes",
            |config| Place::Time(&mut config.timeout),
        )
        .at_least(1),
        ConfigOption::<Self>::new("requests_max", "Requests that are under way at one time", |config| {
            Place::Count(&mut config.requests_max)
        })
        .at_least(1)
        .at_most(REQUESTS_MAX),
        ConfigOption::<Self>::new("answer_bytes_max", "Bytes in one answer", |config| {
            Place::Bytes(&mut config.answer_bytes_max)
        })
        .at_least(1 << 10),
        ConfigOption::<Self>::new(
            "kept_bytes_max",
            "Bytes of answers that are kept, to be asked for again only where they have changed",
            |config| Place::Bytes(&mut config.kept_bytes_max),
        ),
    ];

    fn parts(&mut self) -> Vec<&mut dyn Options> {
        vec![&mut self.plain]
    }
}

/// The most that `requests_max` can be.
const REQUESTS_MAX: u64 = 10_000;

impl HttpConfig {
    /// Takes the options out of an address: what is left is where the service is.
    pub(super) fn with_options_of(mut self, address: &str) -> Result<(String, Self), Error> {
        let (place, options) = split_options(address, "")?;
        for (name, value) in options {
            // The value may have been meant for another option, and be a secret there.
            self.set(&name, &value).map_err(|wrong| Error::invalid(format!("{name}: {wrong}")))?;
        }
        Ok((place, self))
    }

    /// Checks what cannot be seen of one option alone.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.check_bounds()?;
        if self.api == Api::Underlay && self.plain != PlainApi::default() {
            return Err(Error::invalid(
                "the options that say what an API is like are for api=plain; one of Underlay is as it is",
            ));
        }
        Ok(())
    }
}

/// The options that stand in an address, by the names that the configuration gives them.
pub(super) fn options_in(address: &str) -> Result<OptionValues, Error> {
    let (_, options) = split_options(address, "")?;
    HttpConfig::default().with_options_of(address)?;
    Ok(options.into_iter().collect())
}

fn check_header(text: &str) -> Result<(), String> {
    match text.parse::<HeaderName>() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("{text:?} is no name of a header, such as x-api-key")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_stand_in_an_address() {
        let address =
            "https://rates.example/v1/entities/rate?tenant_header=x-tenant&timeout=7s&api=plain&items=data";
        let (place, config) = HttpConfig::default().with_options_of(address).unwrap();
        assert_eq!(place, "https://rates.example/v1/entities/rate");
        assert_eq!((config.timeout.as_secs(), config.plain.items.as_str()), (7, "data"));
        config.check().unwrap();
        assert_eq!(options_in(address).unwrap().len(), 4);
        for (wrong, named) in [
            ("https://h/r?colour=red", "colour"),
            ("https://h/r?api=rest", "api"),
            ("https://h/r?tenant_header=a%20b", "tenant_header"),
            ("https://h/r?timeout=0s", "timeout"),
            ("https://h/r?timeout=%zz", "percent encoding"),
        ] {
            let error = options_in(wrong).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn what_an_api_is_like_is_said_of_a_plain_one_alone() {
        let (_, config) = HttpConfig::default().with_options_of("https://h/r?items=data").unwrap();
        assert!(config.check().unwrap_err().to_string().contains("api=plain"));
    }
}
