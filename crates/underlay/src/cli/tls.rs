//! How connections are opened: what the configuration says of it, made into a certificate.

use super::App;
use crate::ExitError;

/// The certificate of a service that is reached over TLS.
#[cfg(feature = "tls")]
pub(super) type Certificate = std::sync::Arc<underlay_server::CertificateFiles>;
/// Without TLS there is none.
#[cfg(not(feature = "tls"))]
pub(super) type Certificate = std::convert::Infallible;

/// The certificate that the options name; none where they name none.
///
/// # Errors
/// Where one of its files is named alone or cannot be used, and where this program was built without TLS.
pub(super) fn certificate(app: &App) -> Result<Option<Certificate>, ExitError> {
    let named = &app.config.settings.tls;
    match (&named.certificate, &named.key) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(ExitError::invalid("--tls-certificate needs --tls-key: the file of its key")),
        (None, Some(_)) => {
            Err(ExitError::invalid("--tls-key needs --tls-certificate: the file of its certificate"))
        }
        #[cfg(feature = "tls")]
        (Some(certificate), Some(key)) => {
            let clock = app.engine.clock().clone();
            let files = underlay_server::CertificateFiles::open(certificate, key, clock)?;
            Ok(Some(std::sync::Arc::new(files)))
        }
        #[cfg(not(feature = "tls"))]
        (Some(_), Some(_)) => {
            Err(ExitError::invalid("--tls-certificate: this program was built without the feature `tls`"))
        }
    }
}

/// What is told of it at the start.
#[cfg(feature = "tls")]
pub(super) fn shown(certificate: &Certificate) -> String {
    format!("the certificate ends at {}", certificate.ends_at())
}

/// What is told of it at the start.
#[cfg(not(feature = "tls"))]
pub(super) fn shown(certificate: &Certificate) -> String {
    match *certificate {}
}
