//! One GET of a JWKS, over HTTP/1.1: bounded in bytes, and in time by who asks.

use std::error::Error as StdError;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::header::{ACCEPT, HOST, USER_AGENT};
use axum::http::{Request, StatusCode, Uri};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use underlay_core::Error;

use super::keys::KEYS_BYTES_MAX;

type Failure = Box<dyn StdError + Send + Sync>;

/// Whether keys may be fetched from an address: who could change them on the way could sign anything.
pub(super) fn check_address(address: &str) -> Result<Uri, Error> {
    // What stands before an @ may be a password.
    let shown = address.rsplit_once('@').map_or_else(|| address.to_owned(), |(_, rest)| format!("…@{rest}"));
    let wrong = |what: &str| Error::invalid(format!("keys at {shown:?}: {what}"));
    let uri: Uri = address.parse().map_err(|_| wrong("this is no address"))?;
    let Some(host) = uri.host() else { return Err(wrong("the address names no host")) };
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(wrong("a password in an address is not sent"));
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_here = host == "localhost"
        || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if is_here => Ok(uri),
        Some("http") => Err(wrong("keys are fetched over https:, or over http: from this machine")),
        _ => Err(wrong("keys are fetched over https:")),
    }
}

/// Fetches keys.
pub(super) struct Fetcher {
    uri: Uri,
    tls: Arc<ClientConfig>,
}

impl Fetcher {
    /// Trusts whom this machine trusts.
    pub(super) fn new(uri: Uri) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        if uri.scheme_str() == Some("https") {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                return Err(Error::invalid(
                    "this machine trusts no certificates, so no keys can be fetched over https:; SSL_CERT_FILE \
                     names a file with some",
                ));
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::backend("setting up TLS", error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { uri, tls: Arc::new(tls) })
    }

    /// Fetches them once. A redirect is not followed: the address is the one that was trusted.
    pub(super) async fn fetch(&self) -> Result<Vec<u8>, Failure> {
        let host = self.uri.host().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let is_https = self.uri.scheme_str() == Some("https");
        let port = self.uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let socket = TcpStream::connect((bare.as_str(), port)).await?;
        if is_https {
            let name = ServerName::try_from(bare)?;
            let socket = TlsConnector::from(self.tls.clone()).connect(name, socket).await?;
            self.ask(socket).await
        } else {
            self.ask(socket).await
        }
    }

    async fn ask(
        &self,
        socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Vec<u8>, Failure> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
        let target = self.uri.path_and_query().map_or("/", |target| target.as_str());
        let host = self.uri.authority().map_or("", |authority| authority.as_str());
        let request = Request::get(target)
            .header(HOST, host)
            .header(USER_AGENT, "underlay")
            .header(ACCEPT, "application/json")
            .body(Body::empty())?;
        let answered = async {
            let response = sender.send_request(request).await?;
            if response.status() != StatusCode::OK {
                return Err(format!("the answer is {}", response.status()).into());
            }
            let body = to_bytes(Body::new(response.into_body()), KEYS_BYTES_MAX).await?;
            Ok::<_, Failure>(body.to_vec())
        };
        // The connection is driven here, so that whoever gives up gives it up too.
        tokio::pin!(connection, answered);
        tokio::select! {
            biased;
            answer = &mut answered => answer,
            ended = &mut connection => match ended {
                // It ends with its answer, which may still be read.
                Ok(()) => answered.await,
                Err(error) => Err(error.into()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_from_where_nobody_changes_them() {
        for good in
            ["https://id.example/jwks", "http://127.0.0.1:80/jwks", "http://localhost/x", "http://[::1]:9/"]
        {
            check_address(good).unwrap();
        }
        for bad in [
            "http://id.example/jwks",
            "ftp://127.0.0.1/x",
            "https://",
            "https://a:b@id.example/",
            "http://10.0.0.1/",
        ] {
            check_address(bad).unwrap_err();
        }
    }
}
