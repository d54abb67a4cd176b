use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use underlay_core::{Error, TenantId};

/// Bytes in a file of tokens.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// What this service is let in with, by tenant.
#[derive(Default)]
pub(super) struct Tokens {
    of: HashMap<TenantId, HeaderValue>,
    /// That of the tenants that have none of their own.
    rest: Option<HeaderValue>,
    /// Who is first in the file.
    first: Option<TenantId>,
}

impl Tokens {
    /// Reads a file: a token a line, `TOKEN` or `TENANT TOKEN`. Empty lines and those that begin with `#` say nothing.
    ///
    /// # Errors
    /// [`Error::Invalid`] that shows no token.
    pub(super) fn read(file: &Path, header: &HeaderName) -> Result<Self, Error> {
        let wrong = |what: String| Error::invalid(format!("token_file {}: {what}", file.display()));
        let mut text = String::new();
        let opened = File::open(file).map_err(|error| wrong(error.to_string()))?;
        opened
            .take(FILE_BYTES_MAX + 1)
            .read_to_string(&mut text)
            .map_err(|error| wrong(error.to_string()))?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(wrong(format!("it exceeds FILE_BYTES_MAX = {FILE_BYTES_MAX}")));
        }
        Self::parse(&text, header).map_err(wrong)
    }

    fn parse(text: &str, header: &HeaderName) -> Result<Self, String> {
        let mut tokens = Self::default();
        let lines = (1..).zip(text.lines().map(str::trim));
        for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let is_there = match words.as_slice() {
                [token] => tokens.rest.replace(value(token, header, number)?).is_some(),
                [tenant, token] => {
                    let tenant = TenantId::new(tenant).map_err(|_| {
                        format!("line {number}: the first word is no tenant; a line is TOKEN or TENANT TOKEN")
                    })?;
                    tokens.first.get_or_insert_with(|| tenant.clone());
                    tokens.of.insert(tenant, value(token, header, number)?).is_some()
                }
                _ => return Err(format!("line {number}: it is TOKEN or TENANT TOKEN")),
            };
            if is_there {
                return Err(format!("line {number}: there is a token for the same tenant before"));
            }
        }
        if tokens.of.is_empty() && tokens.rest.is_none() {
            return Err("there is no token in it".to_owned());
        }
        Ok(tokens)
    }

    /// The header of a tenant; none where the service asks for no token.
    ///
    /// # Errors
    /// [`Error::Denied`] where there are tokens, and none for this tenant.
    pub(super) fn of(&self, tenant: &TenantId) -> Result<Option<&HeaderValue>, Error> {
        match self.of.get(tenant).or(self.rest.as_ref()) {
            None if !self.of.is_empty() => {
                Err(Error::Denied(format!("there is no token for tenant {tenant} in the token_file")))
            }
            token => Ok(token),
        }
    }

    /// That of those who have none of their own.
    pub(super) fn of_nobody(&self) -> Option<&HeaderValue> {
        self.rest.as_ref()
    }

    /// A tenant that has one of its own.
    pub(super) fn first(&self) -> Option<&TenantId> {
        self.first.as_ref()
    }

    /// Whether each tenant has a token of its own, so that the service can tell them apart.
    pub(super) fn separate_tenants(&self) -> bool {
        self.rest.is_none() && !self.of.is_empty()
    }
}

/// A token as the value of its header, which no log shows.
fn value(token: &str, header: &HeaderName, number: usize) -> Result<HeaderValue, String> {
    let text = if *header == AUTHORIZATION { format!("Bearer {token}") } else { token.to_owned() };
    let is_ascii = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    match HeaderValue::from_str(&text) {
        Ok(mut value) if is_ascii => {
            value.set_sensitive(true);
            Ok(value)
        }
        _ => Err(format!("line {number}: the token holds what no token is made of")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    #[test]
    fn each_tenant_has_its_token() {
        let tokens = Tokens::parse("# of rates\n\nacme abc\n zeta  d.e-f \n", &AUTHORIZATION).unwrap();
        assert_eq!(tokens.of(&tenant("acme")).unwrap().unwrap(), "Bearer abc");
        assert_eq!(tokens.of(&tenant("zeta")).unwrap().unwrap(), "Bearer d.e-f");
        assert!(matches!(tokens.of(&tenant("other")), Err(Error::Denied(_))));
        assert!(tokens.separate_tenants() && tokens.of_nobody().is_none());
        assert_eq!(tokens.first(), Some(&tenant("acme")));
        let key = HeaderName::from_static("x-api-key");
        let tokens = Tokens::parse("acme abc\nxyz", &key).unwrap();
        assert_eq!(tokens.of(&tenant("other")).unwrap().unwrap(), "xyz");
        assert!(!tokens.separate_tenants() && tokens.of(&tenant("acme")).unwrap().unwrap().is_sensitive());
        assert_eq!(Tokens::default().of(&tenant("acme")).unwrap(), None);
    }

    #[test]
    fn what_is_no_file_of_tokens_is_told_without_them() {
        for wrong in [
            "",
            "# nothing",
            "a b secret",
            "acme secret\nacme secret",
            "secret\nsecret",
            "a/b secret",
            "sécret",
        ] {
            let told = Tokens::parse(wrong, &AUTHORIZATION).err().unwrap();
            assert!(!told.contains("secret") && !told.contains("cret"), "{told}");
        }
    }
}
