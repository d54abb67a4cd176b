use serde::{Deserialize, Serialize};

use crate::words::limits::{ENCODING_BYTES_MAX, KEY_ID_BYTES_MAX};
use crate::words::{Error, Json};

/// The name of the encoding that is none: the text is the event's JSON.
const PLAIN: &str = "json";

/// What an event holds, as it is stored: a JSON text, the encoding it is in, and the key it was sealed with.
///
/// Nearly every payload is plain: its text is the JSON of the event. A text in another encoding is carried
/// from store to store as it is, by whoever cannot read it too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Payload {
    #[serde(rename = "payload")]
    text: Json,
    #[serde(flatten)]
    coded: Option<Box<Coded>>,
}

/// The encoding of a payload that is not plain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Coded {
    encoding: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
}

/// Why the JSON of an event cannot be had from its payload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// Nothing in this program reads the encoding.
    #[error("the payload is in the encoding {encoding:?}, which this program does not read")]
    Encoded {
        /// The encoding.
        encoding: String,
        /// The key it was sealed with.
        key_id: Option<String>,
    },
}

impl Payload {
    /// A payload in an encoding of its own. The text is JSON too: a string, where the encoding gives bytes.
    ///
    /// # Errors
    /// [`Error::Invalid`] where `encoding` is not 1 to [`ENCODING_BYTES_MAX`] bytes of `a-z 0-9 -`, or is
    /// `json`; where `key_id` is not 1 to [`KEY_ID_BYTES_MAX`] bytes without control characters.
    pub fn encoded(text: Json, encoding: &str, key_id: Option<&str>) -> Result<Self, Error> {
        let of_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if encoding.is_empty() || encoding.len() > ENCODING_BYTES_MAX || !encoding.bytes().all(of_name) {
            return Err(Error::invalid(format!(
                "encoding {encoding:?} is not 1 to ENCODING_BYTES_MAX = {ENCODING_BYTES_MAX} bytes of a-z, 0-9 \
                 and '-'"
            )));
        }
        if encoding == PLAIN {
            return Err(Error::invalid("a payload in the encoding \"json\" is plain, and has no key"));
        }
        let fits =
            |id: &str| !id.is_empty() && id.len() <= KEY_ID_BYTES_MAX && !id.contains(char::is_control);
        if let Some(key_id) = key_id.filter(|id| !fits(id)) {
            return Err(Error::invalid(format!(
                "key id {key_id:?} is not 1 to KEY_ID_BYTES_MAX = {KEY_ID_BYTES_MAX} bytes without control \
                 characters"
            )));
        }
        Ok(Self::from_stored(text, encoding, key_id))
    }

    /// For adapters: takes what was stored. `encoding` is `json` where the payload is plain.
    #[must_use]
    pub fn from_stored(text: Json, encoding: &str, key_id: Option<&str>) -> Self {
        let coded = (encoding != PLAIN || key_id.is_some())
            .then(|| Box::new(Coded { encoding: encoding.to_owned(), key_id: key_id.map(str::to_owned) }));
        Self { text, coded }
    }

    /// The text as it is stored.
    #[must_use]
    pub fn text(&self) -> &Json {
        &self.text
    }

    /// The encoding of the text: `json` where the payload is plain.
    #[must_use]
    pub fn encoding(&self) -> &str {
        self.coded.as_ref().map_or(PLAIN, |coded| &coded.encoding)
    }

    /// The key the payload was sealed with, where there was one.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.coded.as_ref()?.key_id.as_deref()
    }

    /// Whether the text is the event's JSON.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.coded.is_none()
    }

    /// The event's JSON.
    ///
    /// # Errors
    /// [`Unreadable`] where the payload is not plain.
    pub fn json(&self) -> Result<&Json, Unreadable> {
        match &self.coded {
            None => Ok(&self.text),
            Some(coded) => {
                Err(Unreadable::Encoded { encoding: coded.encoding.clone(), key_id: coded.key_id.clone() })
            }
        }
    }

    /// How many bytes limits count of it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let coded = self.coded.as_ref();
        let coded =
            coded.map_or(0, |coded| coded.encoding.len() + coded.key_id.as_ref().map_or(0, String::len));
        self.text.bytes() + coded
    }
}

/// A plain payload.
impl From<Json> for Payload {
    fn from(text: Json) -> Self {
        Self { text, coded: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> Json {
        Json::encode("c2VhbGVk").unwrap()
    }

    #[test]
    fn a_payload_that_is_not_plain_is_not_read_as_if_it_were() {
        let sealed = Payload::encoded(text(), "aes-gcm", Some("member-42")).unwrap();
        assert_eq!((sealed.encoding(), sealed.key_id()), ("aes-gcm", Some("member-42")));
        let encoding = "aes-gcm".to_owned();
        assert_eq!(
            sealed.json(),
            Err(Unreadable::Encoded { encoding, key_id: Some("member-42".to_owned()) })
        );
        assert_eq!(Payload::from_stored(text(), sealed.encoding(), sealed.key_id()), sealed);
    }

    #[test]
    fn a_plain_payload_is_its_text() {
        let plain = Payload::from(text());
        assert_eq!((plain.encoding(), plain.key_id()), ("json", None));
        assert_eq!(plain.json(), Ok(&text()));
        assert_eq!(Payload::from_stored(text(), "json", None), plain);
    }

    #[test]
    fn misshapen_names_are_refused() {
        let long = "k".repeat(KEY_ID_BYTES_MAX + 1);
        let misshapen =
            [("", None), ("json", None), ("AES", None), ("a b", None), ("a", Some("")), ("a", Some("\n"))];
        for (encoding, key_id) in misshapen.into_iter().chain([("a", Some(long.as_str()))]) {
            let refused = Payload::encoded(text(), encoding, key_id);
            assert!(matches!(refused, Err(Error::Invalid(_))), "{encoding:?} {key_id:?}: {refused:?}");
        }
    }

    #[test]
    fn only_a_payload_that_is_not_plain_says_how_it_is_encoded() {
        let plain = serde_json::to_string(&Payload::from(text())).unwrap();
        assert_eq!(plain, r#"{"payload":"c2VhbGVk"}"#);
        let sealed = Payload::encoded(text(), "aes-gcm", Some("member-42")).unwrap();
        let expected = r#"{"payload":"c2VhbGVk","encoding":"aes-gcm","key_id":"member-42"}"#;
        assert_eq!(serde_json::to_string(&sealed).unwrap(), expected);
    }
}
