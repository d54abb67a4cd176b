//! Names that are read back from rows: checked again, and kept once a page.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};

use crate::words::{Error, EventType, StreamName, TenantId};

/// No name is as long; one that is would make a message nobody can read.
const NAME_BYTES_MAX: usize = 1_024;

/// The place of an event, as messages name it.
#[derive(Clone, Copy, Debug)]
pub struct At(pub i64);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "position {}", self.0)
    }
}

/// A name that a row holds as text.
pub trait StoredName: Clone {
    /// Reads it.
    ///
    /// # Errors
    /// Where the text is no such name.
    fn check(text: &str) -> Result<Self, Error>;

    /// Its text.
    fn text(&self) -> &str;
}

impl StoredName for TenantId {
    fn check(text: &str) -> Result<Self, Error> {
        Self::new(text)
    }

    fn text(&self) -> &str {
        self.as_str()
    }
}

impl StoredName for StreamName {
    fn check(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }

    fn text(&self) -> &str {
        self.as_str()
    }
}

impl StoredName for EventType {
    fn check(text: &str) -> Result<Self, Error> {
        Self::new(text)
    }

    fn text(&self) -> &str {
        self.as_str()
    }
}

/// Reads a name from a row.
///
/// # Errors
/// [`Error::Damaged`] with the place, and with what is wrong in few words.
pub fn stored_name<N: StoredName>(text: &str, place: impl fmt::Display) -> Result<N, Error> {
    if text.len() > NAME_BYTES_MAX {
        return Err(Error::Damaged(format!("{place}: a name of {} bytes", text.len())));
    }
    N::check(text).map_err(|error| Error::Damaged(format!("{place}: {error}")))
}

/// The names seen in a page of events: the same text is checked and kept once.
#[derive(Default)]
pub struct StoredNames {
    /// Those of tenants.
    pub tenants: KnownNames<TenantId>,
    /// Those of streams.
    pub streams: KnownNames<StreamName>,
    /// Those of types of events.
    pub event_types: KnownNames<EventType>,
}

/// Names by the hash of their text, so that looking one up copies nothing.
pub struct KnownNames<N> {
    last: Option<N>,
    by_hash: HashMap<u64, N, BuildHasherDefault<AsItIs>>,
    hasher: RandomState,
}

impl<N> Default for KnownNames<N> {
    fn default() -> Self {
        Self { last: None, by_hash: HashMap::default(), hasher: RandomState::new() }
    }
}

impl<N: StoredName> KnownNames<N> {
    /// Reads a name from the bytes in a row.
    ///
    /// # Errors
    /// As [`stored_name`], and where the bytes are no text.
    pub fn get(&mut self, bytes: &[u8], place: impl fmt::Display) -> Result<N, Error> {
        // Bytes that are a known name's need no look at whether they are text.
        if let Some(last) = self.last.as_ref().filter(|last| last.text().as_bytes() == bytes) {
            return Ok(last.clone());
        }
        let check = || match std::str::from_utf8(bytes) {
            Ok(text) => stored_name(text, &place),
            Err(error) => Err(Error::Damaged(format!("{place}: {error}"))),
        };
        let name = match self.by_hash.entry(self.hasher.hash_one(bytes)) {
            Entry::Occupied(known) if known.get().text().as_bytes() == bytes => known.get().clone(),
            // Another text with the same hash: it stays.
            Entry::Occupied(_) => check()?,
            Entry::Vacant(free) => free.insert(check()?).clone(),
        };
        self.last = Some(name.clone());
        Ok(name)
    }
}

/// Takes a number that is a hash already for its hash.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_again_as_it_was_and_damage_names_its_place() {
        let mut names = StoredNames::default();
        for _ in 0..2 {
            for text in ["note-1", "note-2"] {
                assert_eq!(names.streams.get(text.as_bytes(), At(3)).unwrap().as_str(), text);
            }
        }
        let long = "a-".to_owned() + &"x".repeat(NAME_BYTES_MAX);
        for (bytes, part) in [(&b"nodash"[..], "nodash"), (b"\xff", "utf-8"), (long.as_bytes(), "1026 bytes")]
        {
            let Err(Error::Damaged(text)) = names.streams.get(bytes, At(3)) else { panic!("{bytes:?}") };
            assert!(text.starts_with("position 3: ") && text.contains(part), "{text}");
        }
    }
}
