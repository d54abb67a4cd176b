use std::fmt;
use std::path::Path;
use std::sync::Arc;

use axum::http::Uri;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde::Deserialize;
use underlay_core::Error;

use super::fetch::check_address;

/// Bytes in a file of keys, or in what is fetched.
pub(super) const KEYS_BYTES_MAX: usize = 1 << 20;
/// Keys of one issuer.
const KEYS_MAX: usize = 128;
/// Bytes in a secret, at least: as many as its hash has.
const SECRET_BYTES_MIN: usize = 32;

/// What signed tokens are signed with.
#[derive(Clone)]
pub struct JwtKeys(pub(super) Source);

#[derive(Clone)]
pub(super) enum Source {
    /// Fetched from here, again and again.
    Address(Uri),
    Given(Arc<KeySet>),
    Secret(Arc<KeySet>),
}

impl fmt::Debug for JwtKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Address(address) => write!(f, "JwtKeys({address})"),
            Source::Given(keys) => write!(f, "JwtKeys({} keys)", keys.0.len()),
            Source::Secret(_) => f.write_str("JwtKeys(a secret)"),
        }
    }
}

impl JwtKeys {
    /// The keys a text names: the address of a JWKS, or a file with a JWKS or a public key in PEM.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it names neither, or the file does not hold what it should.
    pub fn named(text: &str) -> Result<Self, Error> {
        match text.split_once("://") {
            Some(_) => Self::at(text),
            None => {
                Self::parse(&read(text.as_ref())?).map_err(|error| Error::invalid(format!("{text}: {error}")))
            }
        }
    }

    /// A JWKS that is fetched, and fetched again.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the address is neither `https:`, nor `http:` of this machine.
    pub fn at(address: &str) -> Result<Self, Error> {
        check_address(address).map(|address| Self(Source::Address(address)))
    }

    /// A JWKS, or a public key in PEM.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is neither.
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        let keys = if text.trim_ascii_start().starts_with(b"-----BEGIN") {
            KeySet::of_pem(text)?
        } else {
            KeySet::of_jwks(text)?
        };
        Ok(Self(Source::Given(Arc::new(keys))))
    }

    /// A secret that the issuer has too.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is short enough to be guessed.
    pub fn secret(secret: &[u8]) -> Result<Self, Error> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(Error::invalid(format!(
                "a secret has at least SECRET_BYTES_MIN = {SECRET_BYTES_MIN} bytes; {} can be found by trying",
                secret.len()
            )));
        }
        let key = KnownKey { id: None, algorithm: None, key: DecodingKey::from_secret(secret) };
        Ok(Self(Source::Secret(Arc::new(KeySet(vec![key])))))
    }

    /// The secret in a file, without the line's end.
    ///
    /// # Errors
    /// As [`JwtKeys::secret`], and [`Error::Backend`] where the file cannot be read.
    pub fn secret_of(path: &Path) -> Result<Self, Error> {
        Self::secret(read(path)?.trim_ascii_end())
    }

    pub(super) fn is_secret(&self) -> bool {
        matches!(self.0, Source::Secret(_))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    use std::io::Read;
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::NotFound(format!("file of keys {}", path.display())),
        _ => Error::backend(format!("reading the keys in {}: {error}", path.display()), error),
    };
    let mut text = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(KEYS_BYTES_MAX as u64 + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() > KEYS_BYTES_MAX {
        return Err(Error::invalid(format!(
            "{}: it exceeds KEYS_BYTES_MAX = {KEYS_BYTES_MAX}",
            path.display()
        )));
    }
    Ok(text)
}

/// Keys by which signatures are checked.
pub(super) struct KeySet(Vec<KnownKey>);

struct KnownKey {
    id: Option<String>,
    /// The one algorithm it is for, where it says so.
    algorithm: Option<Algorithm>,
    key: DecodingKey,
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<serde_json::Value>,
}

impl KeySet {
    /// Reads a JWKS. Keys that are not for signatures, or of a kind that is not known, are left out, and so
    /// are secrets: a list that others can read holds none.
    pub(super) fn of_jwks(text: &[u8]) -> Result<Self, Error> {
        let jwks: Jwks = serde_json::from_slice(text)
            .map_err(|error| Error::invalid(format!("this is no JWKS: {error}")))?;
        if jwks.keys.len() > KEYS_MAX {
            return Err(Error::invalid(format!("a JWKS has at most KEYS_MAX = {KEYS_MAX} keys")));
        }
        let keys: Vec<KnownKey> = jwks.keys.into_iter().filter_map(KnownKey::of_jwk).collect();
        if keys.is_empty() {
            return Err(Error::invalid("the JWKS holds no public key for signatures"));
        }
        Ok(Self(keys))
    }

    fn of_pem(text: &[u8]) -> Result<Self, Error> {
        let read = [DecodingKey::from_rsa_pem, DecodingKey::from_ec_pem, DecodingKey::from_ed_pem];
        let key = read.into_iter().find_map(|read| read(text).ok());
        let key = key
            .ok_or_else(|| Error::invalid("this is no public key of RSA, P-256, P-384 or Ed25519 in PEM"))?;
        Ok(Self(vec![KnownKey { id: None, algorithm: None, key }]))
    }

    /// The keys that a token of this header may be signed with.
    pub(super) fn find<'a>(
        &'a self,
        id: Option<&'a str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &'a DecodingKey> {
        let fits = move |known: &&KnownKey| {
            let of_id = match (id, &known.id) {
                (Some(wanted), Some(own)) => wanted == own,
                _ => true,
            };
            of_id
                && known.key.family() == algorithm.family()
                && known.algorithm.is_none_or(|only| only == algorithm)
        };
        self.0.iter().filter(fits).map(|known| &known.key)
    }
}

impl KnownKey {
    fn of_jwk(value: serde_json::Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        let common = &jwk.common;
        if !matches!(common.public_key_use, None | Some(PublicKeyUse::Signature)) {
            return None;
        }
        let key = DecodingKey::from_jwk(&jwk).ok().filter(|key| key.family() != AlgorithmFamily::Hmac)?;
        let algorithm = match common.key_algorithm {
            None => None,
            // One that is not known here is for nothing that is.
            Some(named) => Some(named.to_string().parse().ok()?),
        };
        Some(Self { id: common.key_id.clone(), algorithm, key })
    }
}
