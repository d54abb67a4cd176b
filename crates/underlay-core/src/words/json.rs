use std::fmt;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::words::Error;

/// JSON text, carried unparsed from the edge to the place that uses it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Json(Box<str>);

impl Json {
    /// Serializes a value.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the value has no JSON form (a map with keys that are no strings).
    pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Self, Error> {
        match serde_json::to_string(value) {
            Ok(text) => Ok(Self(text.into())),
            Err(error) => Err(Error::invalid(format!("the value has no JSON form: {error}"))),
        }
    }

    /// Checks and takes JSON text.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the text is not one JSON value.
    pub fn parse(text: impl Into<Box<str>>) -> Result<Self, Error> {
        let json = Self(text.into());
        json.check()?;
        Ok(json)
    }

    /// Checks text that was taken as it is.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the text is not one JSON value.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match serde_json::from_str::<IgnoredAny>(&self.0) {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::invalid(format!("not JSON: {error}"))),
        }
    }

    /// Takes text that a store has checked before; [`Json::decode`] still finds damage.
    #[must_use]
    pub fn from_stored(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// Parses the text.
    ///
    /// # Errors
    /// What serde says of the place that does not fit.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.0)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its length in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self(Box::<str>::from(raw)))
    }
}
