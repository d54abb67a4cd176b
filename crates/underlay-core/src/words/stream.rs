use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::words::limits::{CATEGORY_BYTES_MAX, STREAM_ID_BYTES_MAX};
use crate::words::{Error, check_plain_name};

/// The kind of a stream: 1 to [`CATEGORY_BYTES_MAX`] bytes of `a-z 0-9 _`, starting with a letter.
/// It has no `-`, so that `category-id` splits at the first one.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Category(Arc<str>);

impl Category {
    /// Checks and takes a category.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is empty, too long, or holds another character.
    pub fn new(text: impl AsRef<str>) -> Result<Self, Error> {
        let text = text.as_ref();
        check_category(text)?;
        Ok(Self(text.into()))
    }

    /// The category as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check_category(text: &str) -> Result<(), Error> {
    let checked = check_plain_name(text, CATEGORY_BYTES_MAX);
    checked.map_err(|wrong| Error::invalid(format!("category {wrong}")))
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Category({})", self.0)
    }
}

impl TryFrom<String> for Category {
    type Error = Error;
    fn try_from(text: String) -> Result<Self, Error> {
        Self::new(text)
    }
}

impl From<Category> for String {
    fn from(category: Category) -> Self {
        category.0.as_ref().to_owned()
    }
}

/// The name of a stream: a category and an id, written `account-42`.
///
/// The id has 1 to [`STREAM_ID_BYTES_MAX`] bytes of any text without control characters; it may
/// hold further `-`. A clone is a reference count. Order is the order of the text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamName {
    text: Arc<str>,
    category_bytes: u8,
}

impl StreamName {
    /// Joins a category and an id.
    ///
    /// # Errors
    /// [`Error::Invalid`] where either is not well formed.
    pub fn new(category: &str, id: impl fmt::Display) -> Result<Self, Error> {
        check_category(category)?;
        Self::parse(&format!("{category}-{id}"))
    }

    /// Splits `category-id` at the first `-`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there is no `-`, or a part is not well formed.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let Some((category, id)) = text.split_once('-') else {
            return Err(Error::invalid(format!(
                "stream {text:?} has no '-'; streams are written category-id"
            )));
        };
        check_category(category)?;
        if id.is_empty() || id.len() > STREAM_ID_BYTES_MAX {
            return Err(Error::invalid(format!(
                "the id of a stream has 1 to {STREAM_ID_BYTES_MAX} bytes, this one has {}",
                id.len()
            )));
        }
        if id.chars().any(char::is_control) {
            return Err(Error::invalid(format!("stream {text:?} holds a control character")));
        }
        // CATEGORY_BYTES_MAX is below 256, so the cast is exact.
        Ok(Self { text: text.into(), category_bytes: category.len() as u8 })
    }

    /// The part before the first `-`.
    #[must_use]
    pub fn category(&self) -> &str {
        &self.text[..usize::from(self.category_bytes)]
    }

    /// The part after the first `-`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.text[usize::from(self.category_bytes) + 1..]
    }

    /// The whole name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamName({})", self.text)
    }
}

impl FromStr for StreamName {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl TryFrom<String> for StreamName {
    type Error = Error;
    fn try_from(text: String) -> Result<Self, Error> {
        Self::parse(&text)
    }
}

impl From<StreamName> for String {
    fn from(stream: StreamName) -> Self {
        stream.text.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_splits_at_the_first_dash() {
        let stream = StreamName::parse("account-Assets:US-west").unwrap();
        assert_eq!((stream.category(), stream.id()), ("account", "Assets:US-west"));
    }

    #[test]
    fn a_malformed_name_says_what_would_be_right() {
        for (text, part) in
            [("account", "category-id"), ("Account-1", "a-z"), ("account-", "1 to 255"), ("a-\0", "control")]
        {
            let message = StreamName::parse(text).unwrap_err().to_string();
            assert!(message.contains(part), "{text:?}: {message}");
        }
    }
}
