//! The certificate of a server, and whom one may trust for it.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

pub(crate) struct Certificates {
    folder: TempDir,
    /// For `localhost`, in PEM form.
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Certificates {
    /// A certificate for `localhost`, with the authority that signed it in `own.pem` and another one in `other.pem`.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (own, other) = (authority(), authority());
        let key = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &own).unwrap();
        for (file, text) in [("own.pem", own.pem()), ("other.pem", other.pem()), ("empty.pem", String::new())]
        {
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        Self { folder, certificate: certificate.pem(), key: key.serialize_pem() }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}
