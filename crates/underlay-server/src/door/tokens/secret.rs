use std::fmt;

use sha2::{Digest, Sha256};
use underlay_core::Error;

/// What every token begins with, so that it is known for one where it turns up.
const PREFIX: &str = "underlay_";
/// Random bytes in a token.
const BYTES: usize = 32;

/// A token as its holder has it. It is shown once, and never written down.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Draws a token.
    ///
    /// # Errors
    /// [`Error::Backend`] where the machine has no randomness.
    pub fn draw() -> Result<Self, Error> {
        Ok(Self(format!("{PREFIX}{}", hex(&random::<BYTES>()?))))
    }

    /// Its text, for its holder.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What of it may be written down.
    #[must_use]
    pub(crate) fn hash(&self) -> TokenHash {
        TokenHash::of(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Whether a text can be a token of this kind.
pub(crate) fn is_token(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// Random bytes.
pub(crate) fn random<const COUNT: usize>() -> Result<[u8; COUNT], Error> {
    let mut bytes = [0; COUNT];
    let drawn = getrandom::fill(&mut bytes);
    drawn.map_err(|error| Error::backend("drawing random bytes", error.to_string()))?;
    Ok(bytes)
}

/// The SHA-256 of a token's text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenHash([u8; 32]);

impl TokenHash {
    pub(crate) fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Reads 64 hexadecimal digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut hash = [0; 32];
        let is_hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        for (at, byte) in hash.iter_mut().enumerate().filter(|_| is_hex) {
            *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        is_hex.then_some(Self(hash))
    }

    pub(crate) fn to_text(self) -> String {
        hex(&self.0)
    }

    /// The part that tokens are looked up by. It is of a hash, so the time of a look-up says nothing of
    /// a token.
    pub(crate) fn shelf(self) -> [u8; 8] {
        let mut shelf = [0; 8];
        shelf.copy_from_slice(&self.0[..8]);
        shelf
    }

    /// Whether two are the same, in the same time wherever they differ.
    pub(crate) fn is(self, other: Self) -> bool {
        let pairs = self.0.into_iter().zip(other.0);
        let difference = pairs.fold(0, |sum, (a, b)| std::hint::black_box(sum | (a ^ b)));
        difference == 0
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_long_and_new_and_hidden() {
        let (one, other) = (Secret::draw().unwrap(), Secret::draw().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.reveal().len(), PREFIX.len() + 64);
        assert_eq!(format!("{one:?}"), "Secret(…)");
        assert!(one.hash().is(TokenHash::of(one.reveal())) && !one.hash().is(other.hash()));
    }

    #[test]
    fn a_hash_is_read_as_it_is_written() {
        let hash = TokenHash::of("abc");
        let text = hash.to_text();
        assert_eq!(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(TokenHash::parse(&text).unwrap().is(hash));
        for wrong in ["", "ba", &text[1..], &text.replace('b', "g"), &text.replace("ba", "+a")] {
            assert!(TokenHash::parse(wrong).is_none(), "{wrong}");
        }
    }
}
