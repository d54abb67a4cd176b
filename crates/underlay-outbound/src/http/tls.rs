use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use underlay_core::Error;

use super::HttpConfig;
use super::address::Address;

/// Makes connections to one service private.
pub(super) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    /// Trusts whom the file names, or whom this machine trusts.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there is nobody to trust.
    pub(super) fn new(address: &Address, config: &HttpConfig) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        match &config.root_certificates {
            Some(file) => {
                let wrong =
                    |what: String| Error::invalid(format!("root_certificates {}: {what}", file.display()));
                let certificates =
                    CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))?;
                for certificate in certificates {
                    let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
                    roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
                }
            }
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        if roots.is_empty() {
            return Err(Error::invalid(
                "there are no certificates to trust a service by; root_certificates names a file with some",
            ));
        }
        let name = ServerName::try_from(address.host().to_owned()).map_err(|_| {
            Error::invalid("the host of a service with entities is no name that a certificate has")
        })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::backend("setting up TLS", error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    /// # Errors
    /// What is wrong with the other side, in words for whoever looks after this one.
    pub(super) async fn connect(&self, socket: TcpStream) -> Result<TlsStream<TcpStream>, String> {
        self.connector.connect(self.name.clone(), socket).await.map_err(|error| {
            match error.get_ref().and_then(|inner| inner.downcast_ref()) {
                Some(rustls::Error::InvalidCertificate(wrong)) => format!(
                    "its certificate is not one to trust: {wrong}; root_certificates names a file of those that sign it"
                ),
                _ => format!("there is no connection over TLS: {error}"),
            }
        })
    }
}
