use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use underlay_core::{Actor, Error, TenantId, Timestamp};

use super::secret::{Secret, TokenHash, hex, random};
use crate::Principal;
use crate::door::claims::{check_actor, check_roles};

/// What a file of tokens says that it is.
const FORMAT: &str = "underlay tokens";
/// The version of that format this code writes, and the newest it reads.
const VERSION: u32 = 1;
/// Tokens in one file.
const TOKENS_MAX: usize = 100_000;
/// Bytes in a note.
const NOTE_BYTES_MAX: usize = 1_024;

/// What a new token is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// The tenant whose data its holder reaches.
    pub tenant: TenantId,
    /// Who its holder is; stored with every event they cause.
    pub actor: String,
    /// In which roles.
    pub roles: Vec<String>,
    /// From when on it opens nothing; none where it has no end.
    pub expires: Option<Timestamp>,
    /// What it is for, for people.
    pub note: Option<String>,
}

/// A token as the file has it: everything but the secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Names it to people, and in `token revoke`.
    pub id: String,
    sha256: String,
    /// The tenant whose data its holder reaches.
    pub tenant: TenantId,
    /// Who its holder is.
    pub actor: String,
    /// In which roles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it opens nothing; none where it has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// What it is for, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("id", &self.id).field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

impl Token {
    /// Whom its holder is let in as.
    pub(crate) fn principal(&self) -> Principal {
        let actor = Actor { name: Some(self.actor.clone()), roles: self.roles.clone() };
        Principal { tenant: self.tenant.clone(), actor, expires_at: self.expires }
    }
}

/// The tokens of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenList {
    tokens: Vec<Token>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    format: String,
    version: u32,
    tokens: Vec<Token>,
}

/// What every version of the format has.
#[derive(Deserialize)]
struct Heading {
    format: String,
    version: u32,
}

impl TokenList {
    /// The tokens, in the order they were made.
    #[must_use]
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// Draws a token and adds it.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a name is not well formed or a limit is reached.
    pub fn add(&mut self, request: TokenRequest, now: Timestamp) -> Result<(Secret, Token), Error> {
        let secret = Secret::draw()?;
        let token = Token {
            id: format!("t{}", hex(&random::<6>()?)),
            sha256: secret.hash().to_text(),
            tenant: request.tenant,
            actor: request.actor,
            roles: request.roles,
            created: now,
            expires: request.expires,
            note: request.note,
        };
        if token.expires.is_some_and(|expires| expires <= now) {
            return Err(Error::invalid("a new token expires in the future"));
        }
        self.tokens.push(token.clone());
        if let Err(error) = self.check() {
            self.tokens.pop();
            return Err(error);
        }
        Ok((secret, token))
    }

    /// Removes a token; what it was.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none of that id.
    pub fn remove(&mut self, id: &str) -> Result<Token, Error> {
        match self.tokens.iter().position(|token| token.id == id) {
            Some(at) => Ok(self.tokens.remove(at)),
            None => Err(Error::NotFound(format!("token {id:?}; `token list` shows the ids there are"))),
        }
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// [`Error::Invalid`] that says what is wrong with it.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Error> {
        let not_one = |error: serde_json::Error| Error::invalid(format!("it is no list of tokens: {error}"));
        let heading: Heading = serde_json::from_slice(text).map_err(not_one)?;
        if heading.format != FORMAT {
            return Err(Error::invalid(format!("its format is {:?}, not {FORMAT:?}", heading.format)));
        }
        if heading.version == 0 || heading.version > VERSION {
            return Err(Error::invalid(format!(
                "its version is {}; this program reads version {VERSION}, so a newer one wrote it",
                heading.version
            )));
        }
        let content: Content = serde_json::from_slice(text).map_err(not_one)?;
        let list = Self { tokens: content.tokens };
        list.check()?;
        Ok(list)
    }

    pub(crate) fn to_text(&self) -> Result<Vec<u8>, Error> {
        let content = Content { format: FORMAT.to_owned(), version: VERSION, tokens: self.tokens.clone() };
        let mut text = serde_json::to_vec_pretty(&content)
            .map_err(|error| Error::backend("writing the tokens as JSON", error))?;
        text.push(b'\n');
        Ok(text)
    }

    fn check(&self) -> Result<(), Error> {
        if self.tokens.len() > TOKENS_MAX {
            return Err(Error::invalid(format!("a file holds at most TOKENS_MAX = {TOKENS_MAX} tokens")));
        }
        let (mut ids, mut hashes) = (HashSet::new(), HashSet::new());
        for token in &self.tokens {
            let wrong = |what: String| Error::invalid(format!("token {:?}: {what}", token.id));
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            if token.id.is_empty() || token.id.len() > 64 || !token.id.bytes().all(plain) {
                return Err(wrong("an id is 1 to 64 letters, digits, '-' and '_'".to_owned()));
            }
            let hash = TokenHash::parse(&token.sha256)
                .ok_or_else(|| wrong("sha256 is 64 hexadecimal digits".to_owned()))?;
            check_actor(&token.actor).map_err(|error| wrong(error.to_string()))?;
            check_roles(&token.roles).map_err(|error| wrong(error.to_string()))?;
            if token.note.as_ref().is_some_and(|note| note.len() > NOTE_BYTES_MAX) {
                return Err(wrong(format!("its note exceeds NOTE_BYTES_MAX = {NOTE_BYTES_MAX}")));
            }
            if !ids.insert(&token.id) {
                return Err(wrong("this id is there twice".to_owned()));
            }
            if !hashes.insert(hash.to_text()) {
                return Err(wrong("another id has the same secret".to_owned()));
            }
        }
        Ok(())
    }
}

/// The tokens, ready to be looked up.
#[derive(Debug, Default)]
pub(crate) struct TokenTable {
    shelves: HashMap<[u8; 8], Vec<(TokenHash, Principal)>>,
}

impl TokenTable {
    pub(crate) fn new(list: &TokenList) -> Self {
        let mut table = Self::default();
        for token in &list.tokens {
            // The list was checked.
            let Some(hash) = TokenHash::parse(&token.sha256) else { continue };
            table.shelves.entry(hash.shelf()).or_default().push((hash, token.principal()));
        }
        table
    }

    /// Whom a token lets in.
    pub(crate) fn find(&self, token: &str) -> Option<&Principal> {
        let hash = TokenHash::of(token);
        let shelf = self.shelves.get(&hash.shelf())?;
        shelf.iter().find(|(known, _)| known.is(hash)).map(|(_, principal)| principal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> TokenRequest {
        TokenRequest {
            tenant: TenantId::new("acme").unwrap(),
            actor: "ada".to_owned(),
            roles: vec!["teller".to_owned()],
            expires: None,
            note: Some("the till".to_owned()),
        }
    }

    #[test]
    fn a_token_opens_until_it_is_removed() {
        let mut list = TokenList::default();
        let (secret, token) = list.add(request(), Timestamp::UNIX_EPOCH).unwrap();
        let (other, _) = list.add(request(), Timestamp::UNIX_EPOCH).unwrap();
        let read = TokenList::parse(&list.to_text().unwrap()).unwrap();
        assert_eq!(read, list);
        let table = TokenTable::new(&read);
        let principal = table.find(secret.reveal()).unwrap();
        assert_eq!((principal.tenant.as_str(), principal.actor.has_role("teller")), ("acme", true));
        assert!(table.find(&secret.reveal()[..20]).is_none() && table.find("").is_none());
        list.remove(&token.id).unwrap();
        let table = TokenTable::new(&list);
        assert!(table.find(secret.reveal()).is_none() && table.find(other.reveal()).is_some());
        list.remove(&token.id).unwrap_err();
    }

    #[test]
    fn the_file_and_debug_hold_no_secret() {
        let mut list = TokenList::default();
        let (secret, token) = list.add(request(), Timestamp::UNIX_EPOCH).unwrap();
        let text = String::from_utf8(list.to_text().unwrap()).unwrap();
        let digits = secret.reveal().rsplit('_').next().unwrap();
        assert!(!text.contains(digits) && !format!("{token:?} {list:?}").contains(&token.sha256));
    }

    #[test]
    fn what_is_damaged_is_refused_with_a_reason() {
        let mut list = TokenList::default();
        list.add(request(), Timestamp::UNIX_EPOCH).unwrap();
        let text = String::from_utf8(list.to_text().unwrap()).unwrap();
        let hash = list.tokens[0].sha256.clone();
        for (from, to, told) in [
            ("underlay tokens", "else", "format"),
            ("\"version\": 1", "\"version\": 2", "newer"),
            ("\"version\": 1", "\"version\": 0", "version"),
            ("\"actor\"", "\"role\": \"admin\",\n \"actor\"", "unknown field `role`"),
            ("\"tokens\"", "\"secret\": 1, \"tokens\"", "unknown field `secret`"),
            ("acme", "", "tenant"),
            // In quotes: the digits of a hash may hold it too.
            ("\"ada\"", "\"a\\u0000\"", "actor"),
            ("teller", "two words", "role"),
            (hash.as_str(), "abc", "64 hexadecimal"),
            ("}\n  ]", "", "no list of tokens"),
        ] {
            let damaged = text.replace(from, to);
            assert_ne!(damaged, text, "{from}");
            let error = TokenList::parse(damaged.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(told), "{to}: {error}");
        }
        let mut twice = list.clone();
        twice.tokens.push(twice.tokens[0].clone());
        assert!(TokenList::parse(&twice.to_text().unwrap()).unwrap_err().to_string().contains("twice"));
        TokenList::parse(b"").unwrap_err();
    }
}
