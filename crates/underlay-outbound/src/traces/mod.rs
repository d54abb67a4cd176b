//! Where the spans of a service go to.
//!
//! [`open`] starts what brings them to a collector, as OTLP over HTTP in its binary form: the feature `otlp` has it.
//! Without an endpoint there is none, and nothing is recorded.

mod config;
#[cfg(feature = "otlp")]
mod otlp;

use std::sync::Arc;

use underlay_core::{Error, Spans};

pub use config::OtlpConfig;

/// What brings spans to a collector.
pub struct Exporting {
    #[cfg(feature = "otlp")]
    exporter: Arc<otlp::Exporter>,
    /// Nobody has one without the feature.
    #[cfg(not(feature = "otlp"))]
    never: std::convert::Infallible,
}

impl std::fmt::Debug for Exporting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exporting").finish_non_exhaustive()
    }
}

/// Starts to export spans, where an endpoint is configured; nobody is asked yet.
///
/// # Errors
/// [`Error::Invalid`] where an option does not fit, or this program was built without the feature `otlp`.
pub fn open(config: &OtlpConfig) -> Result<Option<Exporting>, Error> {
    let Some(address) = config.address()? else { return Ok(None) };
    #[cfg(feature = "otlp")]
    return Ok(Some(Exporting { exporter: Arc::new(otlp::Exporter::start(address, config)?) }));
    #[cfg(not(feature = "otlp"))]
    Err(Error::invalid(format!(
        "spans go to {address} only where the program is built with the feature `otlp`"
    )))
}

impl Exporting {
    /// What takes the spans.
    #[must_use]
    pub fn spans(&self) -> Arc<dyn Spans> {
        #[cfg(feature = "otlp")]
        return self.exporter.clone();
        #[cfg(not(feature = "otlp"))]
        match self.never {}
    }

    /// Sends what is left, once, and waits a bounded time for it.
    pub fn flush(&self) {
        #[cfg(feature = "otlp")]
        self.exporter.flush();
        #[cfg(not(feature = "otlp"))]
        match self.never {}
    }
}

#[cfg(all(test, not(feature = "otlp")))]
mod tests {
    use super::*;

    #[test]
    fn without_the_feature_an_endpoint_says_what_is_missing() {
        assert!(open(&OtlpConfig::default()).unwrap().is_none());
        let endpoint = Some("http://127.0.0.1:4318".to_owned());
        let refused = open(&OtlpConfig { endpoint, ..OtlpConfig::default() }).unwrap_err();
        assert!(refused.to_string().contains("feature `otlp`"), "{refused}");
    }
}
