use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use underlay_core::{Clock, Error, Timestamp};

use super::expiry::expiry;
use crate::HealthPart;
use crate::watched::{Known, Source, Watched};

/// Between two looks at whether the files have changed.
pub const CERTIFICATE_LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// How long before its end a certificate is told to end soon.
pub const CERTIFICATE_ENDS_SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// Bytes in a file of certificates or of a key.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// What is spoken over TLS, the better first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A certificate and its key, in two files of PEM.
pub struct CertificateFiles(Watched<Paths>);

struct Paths {
    certificate: PathBuf,
    key: PathBuf,
}

struct Pair {
    /// What the files held.
    texts: Texts,
    config: Arc<ServerConfig>,
    /// When the first certificate of the chain to end does so.
    ends_at: Timestamp,
}

#[derive(PartialEq, Eq)]
struct Texts {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl std::fmt::Debug for CertificateFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateFiles")
            .field("certificate", &self.0.source().certificate)
            .finish_non_exhaustive()
    }
}

impl CertificateFiles {
    /// Reads both files. They are looked at again while they are used, by this clock.
    ///
    /// # Errors
    /// [`Error::NotFound`] where one is not there, [`Error::Invalid`] with what is wrong where they are damaged or do
    /// not fit each other, or where others may read the key, and [`Error::Backend`] where one cannot be read.
    pub fn open(
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let paths = Paths { certificate: certificate.into(), key: key.into() };
        let this = Self(Watched::open(paths, clock)?);
        if let Some(trouble) = this.trouble() {
            tracing::warn!("{trouble}");
        }
        Ok(this)
    }

    /// When the certificate ends that is used now.
    #[must_use]
    pub fn ends_at(&self) -> Timestamp {
        self.0.last().ends_at
    }

    /// What a handshake is made with.
    pub(crate) async fn config(&self) -> Arc<ServerConfig> {
        let pair = self.0.now().await.unwrap_or_else(|error| {
            tracing::error!(%error, "the files of the certificate were not looked at");
            self.0.last()
        });
        pair.config.clone()
    }
}

impl Source for Paths {
    type Content = Pair;

    const LOOK_INTERVAL: Duration = CERTIFICATE_LOOK_INTERVAL;
    // Of two who connect at once, the second does not wait.
    const AGE_MAX: Duration = Duration::MAX;
    const STALE: &'static str = "the files of the certificate cannot be used as they are now; the certificate that was \
                                 read before is used";

    fn read_where_changed(&self, known: Option<&Known<Pair>>) -> Result<Option<Pair>, Error> {
        let texts = Texts::read(&self.certificate, &self.key)?;
        if known.is_some_and(|known| known.content.texts == texts) {
            return Ok(None);
        }
        Pair::of(texts, &self.certificate, &self.key).map(Some)
    }

    fn has_changed(&self, pair: &Pair) {
        tracing::info!(ends_at = %pair.ends_at, "the certificate was read again");
    }
}

impl HealthPart for CertificateFiles {
    fn name(&self) -> &'static str {
        "certificate"
    }

    fn ends_at(&self) -> Option<Timestamp> {
        Some(self.0.last().ends_at)
    }

    fn trouble(&self) -> Option<String> {
        let ends_at = self.0.last().ends_at;
        // What is negative is over.
        let left = Duration::try_from(ends_at.duration_since(self.0.time())).unwrap_or_default();
        if left.is_zero() {
            Some(format!("the certificate ended at {ends_at}"))
        } else if self.0.is_stale() {
            Some(Paths::STALE.to_owned())
        } else if left <= CERTIFICATE_ENDS_SOON {
            Some(format!("the certificate ends at {ends_at}; renew it"))
        } else {
            None
        }
    }
}

impl Texts {
    fn read(certificate: &Path, key: &Path) -> Result<Self, Error> {
        Ok(Self { certificate: read(certificate, false)?, key: read(key, true)? })
    }
}

impl Pair {
    fn of(texts: Texts, certificate: &Path, key: &Path) -> Result<Self, Error> {
        let wrong = |path: &Path, what: String| Error::invalid(format!("{}: {what}", path.display()));
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&texts.certificate)
            .collect::<Result<_, _>>()
            .map_err(|error| wrong(certificate, format!("it is not PEM: {error}")))?;
        if chain.is_empty() {
            return Err(wrong(certificate, "there is no certificate in it".to_owned()));
        }
        let ends: Option<Vec<Timestamp>> = chain.iter().map(|one| expiry(one)).collect();
        let ends_at = ends.and_then(|ends| ends.into_iter().min());
        let ends_at =
            ends_at.ok_or_else(|| wrong(certificate, "a certificate in it cannot be read".to_owned()))?;
        let private = PrivateKeyDer::from_pem_slice(&texts.key)
            .map_err(|error| wrong(key, format!("there is no private key in it: {error}")))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private));
        let mut config = config.map_err(|error| {
            wrong(certificate, format!("it cannot be used with the key {}: {error}", key.display()))
        })?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Self { texts, config: Arc::new(config), ends_at })
    }
}

/// The content of a file, which only its owner and its group may read where it is secret.
fn read(path: &Path, is_secret: bool) -> Result<Vec<u8>, Error> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::NotFound(format!("file {}", path.display())),
        _ => Error::backend(format!("reading {}: {error}", path.display()), error),
    };
    let file = File::open(path).map_err(failed)?;
    let metadata: fs::Metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(Error::invalid(format!("{}: it is no file", path.display())));
    }
    #[cfg(unix)]
    if is_secret && std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o027 != 0 {
        return Err(Error::invalid(format!(
            "{}: others may read or write this key; `chmod 600` ends that, and 640 lets its group read it",
            path.display()
        )));
    }
    #[cfg(not(unix))]
    let _ = (is_secret, metadata);
    let mut text = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(Error::invalid(format!(
            "{}: it exceeds FILE_BYTES_MAX = {FILE_BYTES_MAX}",
            path.display()
        )));
    }
    Ok(text)
}
