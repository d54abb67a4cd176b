//! A value of the cache: the bytes that are stored, and what they were decoded to.
//!
//! The bytes of typed values begin with [`VALUE`] or [`NOTHING`]. The second is a negative entry: it was looked for, and there is
//! none.

use std::any::Any;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use underlay_core::{CachedValue, Error, Timestamp};

/// Before the JSON of a value.
const VALUE: u8 = b'1';
/// All there is of a negative entry.
const NOTHING: u8 = b'0';

/// A type that can be cached: stored as JSON, and shared by all who ask for it.
pub trait Cacheable: Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Cacheable for T {}

/// What bytes were decoded to.
pub(crate) type Decoded = Arc<dyn Any + Send + Sync>;

/// A value. A clone is a reference count.
#[derive(Clone)]
pub(crate) struct Item(Arc<Content>);

struct Content {
    bytes: Vec<u8>,
    tags: Vec<String>,
    until: Timestamp,
    decoded: OnceLock<Decoded>,
}

impl Item {
    pub(super) fn new(bytes: Vec<u8>, tags: Vec<String>, until: Timestamp, decoded: Option<Decoded>) -> Self {
        let decoded = decoded.map_or_else(OnceLock::new, OnceLock::from);
        Self(Arc::new(Content { bytes, tags, until, decoded }))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    pub(super) fn tags(&self) -> &[String] {
        &self.0.tags
    }

    /// When its time is over.
    pub(super) fn until(&self) -> Timestamp {
        self.0.until
    }

    /// Whether it says that there is nothing.
    pub(crate) fn is_negative(&self) -> bool {
        self.0.bytes.first() == Some(&NOTHING)
    }

    /// The value; none inside where there is none, and none outside where it is no such value.
    pub(crate) fn read<T: Cacheable>(&self) -> Option<Option<Arc<T>>> {
        let Content { bytes, decoded, .. } = &*self.0;
        if let Some(Ok(value)) = decoded.get().map(|value| value.clone().downcast::<T>()) {
            return Some(Some(value));
        }
        match bytes.split_first()? {
            (&NOTHING, _) => Some(None),
            (&VALUE, json) => {
                let value: Arc<T> = Arc::new(serde_json::from_slice(json).ok()?);
                // Whoever asks for another type than the first decodes it again.
                decoded.get_or_init(|| value.clone());
                Some(Some(value))
            }
            _ => None,
        }
    }

    pub(super) fn as_cached(&self, now: Timestamp) -> CachedValue {
        let Content { bytes, tags, until, .. } = &*self.0;
        let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
        CachedValue { value: bytes.clone(), left, tags: tags.clone() }
    }
}

/// What is stored of a value; of a negative entry where there is none.
///
/// # Errors
/// [`Error::Invalid`] where it has no JSON form.
pub(super) fn encode<T: Cacheable>(value: Option<&T>) -> Result<Vec<u8>, Error> {
    let Some(value) = value else { return Ok(vec![NOTHING]) };
    let mut bytes = vec![VALUE];
    serde_json::to_writer(&mut bytes, value).map_err(|error| {
        Error::invalid(format!("a value has no JSON form, so it cannot be cached: {error}"))
    })?;
    Ok(bytes)
}

/// A moment so much later.
pub(super) fn later(now: Timestamp, by: Duration) -> Timestamp {
    now.saturating_add(by).unwrap_or(Timestamp::MAX)
}
