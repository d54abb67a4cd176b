use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use underlay_core::Error;

use super::{LinkTarget, OpenedLink};
use crate::door::tokens::{hex, random};
use crate::parameters::hex_digit;

/// Random bytes in a key.
pub const LINK_KEY_BYTES: usize = 32;
/// Bytes in a block of SHA-256.
const HASH_BLOCK_BYTES: usize = 64;
/// Bytes of a signature that a link holds.
const SECRET_BYTES: usize = 20;

/// What links are signed with. Every process of a service has the same.
#[derive(Clone)]
pub struct LinkKey([u8; LINK_KEY_BYTES]);

impl fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkKey(…)")
    }
}

impl LinkKey {
    /// Draws a key.
    ///
    /// # Errors
    /// [`Error::Backend`] where the machine has no randomness.
    pub fn draw() -> Result<Self, Error> {
        Ok(Self(random()?))
    }

    /// Reads a key as [`LinkKey::reveal`] writes it; blanks and line ends around it do not count.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is none. The text is not shown.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = || {
            Error::invalid(format!(
                "the key of links is {} hexadecimal digits, as `openssl rand -hex {LINK_KEY_BYTES}` prints them",
                2 * LINK_KEY_BYTES
            ))
        };
        let bytes = unhex(text.trim()).ok_or_else(wrong)?;
        Ok(Self(bytes.try_into().map_err(|_| wrong())?))
    }

    /// Its text: for the file it is kept in, and for nothing else.
    #[must_use]
    pub fn reveal(&self) -> String {
        hex(&self.0)
    }

    /// The signature of a link: the same whenever it is asked for.
    #[must_use]
    pub fn secret(&self, target: &LinkTarget) -> String {
        let signature = self.signing(target).finalize().into_bytes();
        hex(&signature[..SECRET_BYTES])
    }

    /// The path and the query of a link, to follow the address of the service.
    #[must_use]
    pub fn path(&self, target: &LinkTarget) -> String {
        let LinkTarget { page, tenant, subject, id } = target;
        let (page, subject) = (encoded(page), encoded(subject));
        format!("/links/{page}/{}?tenant={tenant}&subject={subject}&id={id}", self.secret(target))
    }

    /// The link, where the signature is right. How long this takes says nothing of the right one.
    pub(super) fn opened(&self, target: LinkTarget, secret: &str) -> Option<OpenedLink> {
        let signature = unhex(secret).filter(|bytes| bytes.len() == SECRET_BYTES)?;
        self.signing(&target).verify_truncated_left(&signature).ok()?;
        Some(OpenedLink { secret: hex(&signature), target })
    }

    fn signing(&self, target: &LinkTarget) -> Hmac<Sha256> {
        // A key that is shorter than a block of the hash is filled up with zeros, as the standard has it.
        let mut block = [0; HASH_BLOCK_BYTES];
        block[..LINK_KEY_BYTES].copy_from_slice(&self.0);
        let mut signing = Hmac::<Sha256>::new(&block.into());
        let LinkTarget { page, tenant, subject, id } = target;
        let parts: [&[u8]; 5] =
            [b"link", page.as_bytes(), tenant.as_str().as_bytes(), subject.as_bytes(), id.as_bytes()];
        for part in parts {
            signing.update(&(part.len() as u64).to_le_bytes());
            signing.update(part);
        }
        signing
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digits = text.as_bytes().chunks_exact(2);
    digits.map(|two| Some(hex_digit(two[0])? << 4 | hex_digit(two[1])?)).collect()
}

/// A text as a part of an address.
pub(crate) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use underlay_core::TenantId;
    use uuid::Uuid;

    use super::*;

    fn target() -> LinkTarget {
        let tenant = TenantId::new("acme").unwrap();
        LinkTarget { page: "member".to_owned(), tenant, subject: "ann".to_owned(), id: Uuid::from_u128(7) }
    }

    #[test]
    fn a_key_is_read_as_it_was_written_and_shown_to_nobody() {
        let key = LinkKey::draw().unwrap();
        let read = LinkKey::parse(&format!(" {}\r\n", key.reveal())).unwrap();
        assert_eq!(read.secret(&target()), key.secret(&target()));
        assert!(!format!("{key:?}").contains(&key.reveal()[..6]));
        for text in ["", "secret", &key.reveal()[2..], &format!("{}00", key.reveal()), &"ö".repeat(32)] {
            let wrong = LinkKey::parse(text).unwrap_err().to_string();
            assert!(
                wrong.contains("64 hexadecimal") && (text.is_empty() || !wrong.contains(text)),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_signature_is_the_keyed_hash_that_others_make_too() {
        // Made by Python's `hmac` over the parts, each behind its length.
        let key = LinkKey::parse(&"01".repeat(32)).unwrap();
        assert_eq!(key.secret(&target()), "8499db360fdd7aa5c904870879560f9ecf961c10");
    }

    #[test]
    fn a_signature_is_for_one_target_alone() {
        let key = LinkKey::draw().unwrap();
        let secret = key.secret(&target());
        assert_eq!(key.opened(target(), &secret).unwrap().secret, secret);
        assert_eq!(key.opened(target(), &secret.to_uppercase()).unwrap().secret, secret);
        let others = [
            LinkTarget { page: "membe".to_owned(), subject: "rann".to_owned(), ..target() },
            LinkTarget { tenant: TenantId::new("acm").unwrap(), subject: "eann".to_owned(), ..target() },
            LinkTarget { subject: "bob".to_owned(), ..target() },
            LinkTarget { id: Uuid::from_u128(8), ..target() },
        ];
        for other in others {
            assert_eq!(key.opened(other, &secret), None);
        }
        let guesses = ["", "0", &secret[2..], &format!("{secret}00"), &format!("0{}", &secret[1..]), "ä"];
        for guess in guesses.into_iter().filter(|guess| *guess != secret) {
            assert_eq!(key.opened(target(), guess), None, "{guess}");
        }
        assert_eq!(LinkKey::draw().unwrap().opened(target(), &secret), None);
    }

    #[test]
    fn whatever_it_is_about_can_stand_in_an_address() {
        let key = LinkKey::draw().unwrap();
        let path = key.path(&LinkTarget { subject: "a&b=?/ä\n".to_owned(), ..target() });
        assert!(path.contains("&subject=a%26b%3D%3F%2F%C3%A4%0A&id="), "{path}");
    }
}
