use std::fs;
use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use underlay_core::Error;
use ureq::Agent;
use ureq::http::{Response, StatusCode};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::super::OtlpConfig;
use super::super::config::pairs;
use super::message::ExportAnswer;

/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: u64 = 64 << 10;
/// Characters of what a collector says that are told.
const SAID_CHARS_MAX: usize = 200;

/// Why a batch was not taken as it is.
pub(super) enum NotTaken {
    /// It may be taken later.
    Passing { reason: String, after: Option<Duration> },
    /// It will never be.
    Refused { reason: String },
    /// So many of its spans were not; the others were.
    Rejected { count: u64, reason: String },
}

/// A collector of spans.
pub(super) struct Collector {
    address: String,
    headers: Vec<(String, String)>,
    agent: Agent,
}

impl Collector {
    pub(super) fn new(address: String, config: &OtlpConfig) -> Result<Self, Error> {
        let headers = config.headers.as_deref().unwrap_or_default();
        let headers = pairs(headers).map_err(|wrong| Error::invalid(format!("otlp_headers: {wrong}")))?;
        let mut settings = Agent::config_builder()
            .timeout_global(Some(config.timeout))
            .http_status_as_error(false)
            // The address is the one that was trusted.
            .max_redirects(0)
            .user_agent("underlay");
        if address.starts_with("https:") {
            settings = settings.tls_config(tls(config)?);
        }
        Ok(Self { address, headers, agent: Agent::new_with_config(settings.build()) })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Sends a batch once.
    pub(super) fn send(&self, body: &[u8]) -> Result<(), NotTaken> {
        let mut request = self.agent.post(&self.address).header("content-type", "application/x-protobuf");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let answered = request.send(body);
        let passing = |reason: String| NotTaken::Passing { reason, after: None };
        let mut answer = answered.map_err(|error| passing(away(&error)))?;
        let (status, after) = (answer.status(), retry_after(&answer));
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        match status {
            // What cannot be read of a good answer changes nothing.
            status if status.is_success() => match ExportAnswer::decode(&*body.unwrap_or_default()) {
                Ok(ExportAnswer { partial_success: Some(part) }) if part.rejected_spans > 0 => {
                    let count = part.rejected_spans.unsigned_abs();
                    Err(NotTaken::Rejected { count, reason: said(&part.error_message) })
                }
                _ => Ok(()),
            },
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => {
                Err(NotTaken::Passing { reason: format!("it answered {status}"), after })
            }
            status => Err(NotTaken::Refused { reason: format!("it answered {status}") }),
        }
    }
}

/// Why there is no answer, and what to do about it.
fn away(error: &ureq::Error) -> String {
    let of_tls = match error {
        ureq::Error::Rustls(error) => Some(error),
        ureq::Error::Io(error) => error.get_ref().and_then(|inner| inner.downcast_ref()),
        _ => None,
    };
    match of_tls {
        Some(rustls::Error::InvalidCertificate(wrong)) => format!(
            "its certificate is not one to trust: {wrong}; otlp_root_certificates names a file of those that sign it"
        ),
        _ => error.to_string(),
    }
}

/// How long a collector asks to be left alone.
fn retry_after<B>(answer: &Response<B>) -> Option<Duration> {
    let text = answer.headers().get("retry-after")?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// What a collector says, as a log takes it.
fn said(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(SAID_CHARS_MAX).collect()
}

/// Trusts whom the file names, or whom this machine trusts.
fn tls(config: &OtlpConfig) -> Result<TlsConfig, Error> {
    let roots: Vec<Certificate<'static>> = match &config.root_certificates {
        Some(file) => {
            let cannot = |error: &dyn std::fmt::Display| {
                Error::invalid(format!("otlp_root_certificates, {}: {error}", file.display()))
            };
            let pem = fs::read(file).map_err(|error| cannot(&error))?;
            let certificate = |item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
                Ok(_) => None,
                Err(error) => Some(Err(cannot(&error))),
            };
            parse_pem(&pem).filter_map(certificate).collect::<Result<_, _>>()?
        }
        None => rustls_native_certs::load_native_certs()
            .certs
            .iter()
            .map(|certificate| Certificate::from_der(certificate).to_owned())
            .collect(),
    };
    if roots.is_empty() {
        return Err(Error::invalid(
            "there are no certificates to trust a collector by; otlp_root_certificates names a file with some",
        ));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .unversioned_rustls_crypto_provider(provider)
        .build())
}
