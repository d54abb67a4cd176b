use std::net::IpAddr;

use hyper::http::uri::Authority;
use underlay_core::{Error, TenantId};

/// What stands for the name of the entity, and for the tenant, in a path.
const ENTITY: &str = "{entity}";
const TENANT: &str = "{tenant}";

/// Where a service has its entities.
#[derive(Clone, Debug)]
pub(super) struct Address {
    pub(super) is_tls: bool,
    authority: Authority,
    /// The path of a list, with what stands for entity and tenant. It ends with no slash.
    path: String,
}

impl Address {
    /// # Errors
    /// [`Error::Invalid`] that shows nothing of the address: it may hold a password.
    pub(super) fn parse(text: &str, allow_plain: bool) -> Result<Self, Error> {
        let (is_tls, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err(wrong("it begins with https:// or http://")),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(wrong("a password in an address is not sent; token_file names a file with tokens"));
        }
        let authority: Authority =
            authority.parse().map_err(|_| wrong("it names a host and its port, where that is another"))?;
        if authority.host().is_empty() {
            return Err(wrong("it names no host"));
        }
        let path = path.trim_end_matches('/').to_owned();
        if path.is_empty()
            || !path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#' && byte != b'?')
        {
            return Err(wrong("it has the path of a list of entities, such as /v1/entities/rate"));
        }
        let address = Self { is_tls, authority, path };
        if !is_tls && !allow_plain && !address.is_here() {
            return Err(wrong(
                "it is of another machine and without TLS, so whoever is in between may read and change what is sent; \
                 use https://, or say allow_plain=true where the network is trusted",
            ));
        }
        Ok(address)
    }

    /// Whether it is that of this machine.
    fn is_here(&self) -> bool {
        let host = self.host();
        host == "localhost"
            || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
    }

    /// The host, without the brackets of an address of IPv6.
    pub(super) fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    pub(super) fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(if self.is_tls { 443 } else { 80 })
    }

    /// Host and port, as the header `Host` and messages have them.
    pub(super) fn authority(&self) -> &str {
        self.authority.as_str()
    }

    pub(super) fn names_entity(&self) -> bool {
        self.path.contains(ENTITY)
    }

    pub(super) fn names_tenant(&self) -> bool {
        self.path.contains(TENANT)
    }

    /// The path of a list. Where nobody asks, what stands for the tenant is left out of it.
    pub(super) fn list(&self, entity: &str, tenant: Option<&TenantId>) -> String {
        let tenant = tenant.map(|tenant| encoded(tenant.as_str())).unwrap_or_default();
        self.path.replace(ENTITY, entity).replace(TENANT, &tenant)
    }

    /// The path and query of another page, where it is on the same service; a page elsewhere would get the token.
    pub(super) fn same_service(&self, link: &str, list: &str) -> Option<String> {
        let path = match link.split_once("://") {
            Some((scheme, rest)) => {
                let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
                let same = (scheme == "https") == self.is_tls
                    && matches!(scheme, "https" | "http")
                    && authority.eq_ignore_ascii_case(self.authority());
                same.then_some(path)?
            }
            None => link,
        };
        let target = match path.as_bytes().first() {
            Some(b'?') => format!("{}{path}", list.split('?').next().unwrap_or_default()),
            Some(b'/') if !path.starts_with("//") => path.to_owned(),
            _ => return None,
        };
        target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#').then_some(target)
    }
}

/// A text as one part of a path, or of a query.
pub(super) fn encoded(text: &str) -> String {
    // Whoever is in between takes a bare dot for a folder.
    let is_dots = matches!(text, "." | "..");
    let plain = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') || (byte == b'.' && !is_dots)
    };
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if plain(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn wrong(what: &str) -> Error {
    Error::invalid(format!("the address of a service with entities is not right: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Address {
        Address::parse(text, false).unwrap()
    }

    #[test]
    fn an_address_is_that_of_a_list() {
        let address = parsed("https://rates.example/v1/entities/rate/");
        assert_eq!((address.host(), address.port(), address.is_tls), ("rates.example", 443, true));
        assert_eq!(address.list("rate", None), "/v1/entities/rate");
        let address = parsed("http://[::1]:8080/{tenant}/e/{entity}");
        assert_eq!((address.host(), address.port()), ("::1", 8080));
        let tenant = TenantId::new("acme").unwrap();
        assert_eq!(address.list("rate", Some(&tenant)), "/acme/e/rate");
        assert!(address.names_entity() && address.names_tenant());
    }

    #[test]
    fn what_others_could_read_or_is_no_list_is_refused_and_not_shown() {
        for bad in [
            "https://me:secret@h/rate",
            "http://secret.example/rate",
            "http://10.0.0.1/secret",
            "https://secret",
            "https:///secret",
            "https://h/secret?x#y",
            "ftp://h/secret",
            "https://h/secret key",
        ] {
            let told = Address::parse(bad, false).unwrap_err().to_string();
            assert!(!told.contains("secret"), "{told}");
        }
        Address::parse("http://10.0.0.1/rate", true).unwrap();
        for here in ["http://127.0.0.1:80/rate", "http://localhost/rate", "http://[::1]:9/rate"] {
            parsed(here);
        }
    }

    #[test]
    fn an_id_is_one_part_of_a_path() {
        for (id, one) in
            [("a/b c", "a%2Fb%20c"), ("..", "%2E%2E"), ("a..b", "a..b"), ("é?#%", "%C3%A9%3F%23%25")]
        {
            assert_eq!(encoded(id), one);
        }
    }

    #[test]
    fn another_page_is_on_the_same_service() {
        let address = parsed("https://rates.example/rates");
        let list = "/rates?limit=5";
        for (link, target) in [
            ("?page=2", Some("/rates?page=2")),
            ("/rates?page=2", Some("/rates?page=2")),
            ("https://rates.example/rates?page=2", Some("/rates?page=2")),
            ("https://RATES.example?page=2", Some("/rates?page=2")),
            ("http://rates.example/rates", None),
            ("https://rates.example:444/rates", None),
            ("https://rates.example@evil.example/rates", None),
            ("https://evil.example/rates", None),
            ("//evil.example/rates", None),
            ("ftp://rates.example/rates", None),
            ("/rates\r\nx: y", None),
            ("page2", None),
        ] {
            assert_eq!(address.same_service(link, list).as_deref(), target, "{link}");
        }
    }
}
