use std::path::PathBuf;

use underlay_core::options::{ConfigOption, Configurable, Place};

use super::credentials::check_text;

/// How connections are opened, as the configuration says.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsConfig {
    /// The file of the certificate, with those that vouch for it.
    pub(crate) certificate: Option<PathBuf>,
    /// The file of its key.
    pub(crate) key: Option<PathBuf>,
}

impl Configurable for TlsConfig {
    const OPTIONS: &'static [ConfigOption<Self>] = &[
        ConfigOption::<Self>::new(
            "tls_certificate",
            "The file of the certificate that `serve` is reached with over TLS, and of those that vouch for it (PEM)",
            |config| Place::Text(&mut config.certificate),
        )
        .checked(check_text)
        .called("FILE"),
        ConfigOption::<Self>::new(
            "tls_key",
            "The file of its key (PEM), which nobody else may read",
            |config| Place::Text(&mut config.key),
        )
        .checked(check_text)
        .called("FILE"),
    ];
}
