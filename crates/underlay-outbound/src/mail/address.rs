use std::path::PathBuf;

use underlay_core::Error;
use underlay_core::adapter::OptionValues;
#[cfg(feature = "smtp")]
use underlay_core::adapter::percent_decoded;

use super::EXAMPLES;

/// Where mail goes to, as an address says it.
#[derive(Debug)]
pub(super) struct MailAddress {
    pub(super) place: Place,
    /// By the names of the configuration.
    pub(super) options: OptionValues,
}

#[derive(Debug)]
pub(super) enum Place {
    Folder(PathBuf),
    #[cfg(feature = "smtp")]
    Server(Server),
}

/// A mail server.
#[cfg(feature = "smtp")]
pub(super) struct Server {
    pub(super) security: Security,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) login: Option<Login>,
}

/// When a connection is encrypted.
#[cfg(feature = "smtp")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Security {
    /// Never.
    Plain,
    /// Before anything is said but who is there.
    StartTls,
    /// From the first byte.
    Tls,
}

/// Who hands mail in.
#[cfg(feature = "smtp")]
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: String,
}

impl MailAddress {
    /// Reads an address. No error shows it, since it may hold a password.
    pub(super) fn parse(address: &str) -> Result<Self, Error> {
        let Some((scheme, rest)) = address.split_once(':') else {
            return Err(Error::invalid(format!(
                "an address of mail begins with its kind; there are: {}",
                EXAMPLES.join(", ")
            )));
        };
        match scheme {
            "folder" if !rest.is_empty() => {
                Ok(Self { place: Place::Folder(rest.into()), options: OptionValues::new() })
            }
            "folder" => Err(Error::invalid("folder: needs a path, as in folder:mail")),
            #[cfg(feature = "smtp")]
            "smtp" => Self::of_server(Security::Plain, scheme, rest),
            #[cfg(feature = "smtp")]
            "smtp+starttls" => Self::of_server(Security::StartTls, scheme, rest),
            #[cfg(feature = "smtp")]
            "smtps" => Self::of_server(Security::Tls, scheme, rest),
            #[cfg(not(feature = "smtp"))]
            "smtp" | "smtp+starttls" | "smtps" => Err(Error::invalid(format!(
                "this program was built without the feature `mail-smtp`, which mail of the kind {scheme} needs; \
                 build it with it (cargo build --features mail-smtp)"
            ))),
            _ => Err(Error::invalid(format!(
                "there is no mail of the kind {scheme:?}; there are: {}",
                EXAMPLES.join(", ")
            ))),
        }
    }
}

#[cfg(feature = "smtp")]
impl MailAddress {
    fn of_server(security: Security, scheme: &str, rest: &str) -> Result<Self, Error> {
        let wrong = |why: &str| {
            Error::invalid(format!(
                "the address of the mail server: {why}, as in {scheme}://HOST:PORT; user and password are \
                 written in percent encoding"
            ))
        };
        let rest = rest.strip_prefix("//").ok_or_else(|| wrong("`//` stands before its name"))?;
        let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
        let place = place.strip_suffix('/').unwrap_or(place);
        let (login, place) = match place.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, place),
        };
        let (host, port) = match place.strip_prefix('[').and_then(|place| place.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => {
                (host, Some(port.strip_prefix(':').ok_or_else(|| wrong("a port follows `:`"))?))
            }
            None => match place.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            },
        };
        let in_host = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
        if host.is_empty() || !host.chars().all(in_host) {
            return Err(wrong("it needs the name of a host"));
        }
        let port = match port {
            None => security.port(),
            Some(port) => match port.parse() {
                Ok(port) if port > 0 => port,
                _ => return Err(wrong("a port is a number from 1 to 65535")),
            },
        };
        let login = login.map(Login::parse).transpose()?;
        if login.is_some() && security == Security::Plain && !is_this_machine(host) {
            return Err(Error::invalid(format!(
                "smtp://{host} would be told the password in plain text: write smtps:// for a server that is \
                 encrypted from the first byte, or smtp+starttls://"
            )));
        }
        let server = Server { security, host: host.to_owned(), port, login };
        Ok(Self { place: Place::Server(server), options: parse_options(options)? })
    }
}

#[cfg(feature = "smtp")]
fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(feature = "smtp")]
fn parse_options(text: &str) -> Result<OptionValues, Error> {
    let mut options = OptionValues::new();
    for option in text.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let value = percent_decoded(value)
            .ok_or_else(|| Error::invalid(format!("the value of {name} is not percent encoding")))?;
        options.insert(name.to_owned(), value);
    }
    Ok(options)
}

#[cfg(feature = "smtp")]
impl Security {
    fn port(self) -> u16 {
        match self {
            Self::Plain => 25,
            Self::StartTls => 587,
            Self::Tls => 465,
        }
    }
}

#[cfg(feature = "smtp")]
impl Login {
    fn parse(text: &str) -> Result<Self, Error> {
        let (user, password) = text.split_once(':').ok_or_else(|| {
            Error::invalid(
                "the address of the mail server: a user has a password, as in smtps://USER:PASSWORD@HOST",
            )
        })?;
        let decoded = |what: &str, text: &str| {
            percent_decoded(text).filter(|text| !text.is_empty() && !text.contains('\0')).ok_or_else(|| {
                Error::invalid(format!(
                    "the address of the mail server: the {what} is no percent encoding of a text"
                ))
            })
        };
        Ok(Self { user: decoded("user", user)?, password: decoded("password", password)? })
    }
}

#[cfg(feature = "smtp")]
impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("security", &self.security)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("user", &self.login.as_ref().map(|login| &login.user))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_named_by_its_path() {
        for path in ["mail", "/var/mail out", "a:b?c@d"] {
            let address = MailAddress::parse(&format!("folder:{path}")).unwrap();
            match address.place {
                Place::Folder(found) => assert_eq!(found, PathBuf::from(path)),
                #[cfg(feature = "smtp")]
                Place::Server(server) => panic!("{server:?}"),
            }
        }
        assert!(MailAddress::parse("folder:").unwrap_err().to_string().contains("folder:mail"));
    }

    #[test]
    fn an_unknown_kind_is_told_which_there_are() {
        for address in ["mail", "pop3://u:secret@h", "", ":", "SMTP://u:secret@h"] {
            let wrong = MailAddress::parse(address).unwrap_err().to_string();
            assert!(wrong.contains("folder:PATH") && !wrong.contains("secret"), "{wrong}");
        }
    }

    #[cfg(not(feature = "smtp"))]
    #[test]
    fn without_the_feature_a_server_says_what_is_missing() {
        let wrong = MailAddress::parse("smtps://u:secret@h").unwrap_err().to_string();
        assert!(wrong.contains("--features mail-smtp") && !wrong.contains("secret"), "{wrong}");
    }

    #[cfg(feature = "smtp")]
    mod servers {
        use super::*;

        fn server(address: &str) -> (Server, OptionValues) {
            let address = MailAddress::parse(address).unwrap_or_else(|error| panic!("{address}: {error}"));
            match address.place {
                Place::Server(server) => (server, address.options),
                Place::Folder(path) => panic!("{path:?}"),
            }
        }

        #[test]
        fn a_server_is_named_by_scheme_host_and_port() {
            for (address, security, host, port) in [
                ("smtp://mail.example.com", Security::Plain, "mail.example.com", 25),
                ("smtp://localhost:1025/", Security::Plain, "localhost", 1025),
                ("smtp+starttls://h", Security::StartTls, "h", 587),
                ("smtps://h", Security::Tls, "h", 465),
                ("smtps://[::1]:2465", Security::Tls, "::1", 2465),
                ("smtps://[::1]", Security::Tls, "::1", 465),
                ("smtps://127.0.0.1:1?send_timeout=1s", Security::Tls, "127.0.0.1", 1),
            ] {
                let (found, _) = server(address);
                assert_eq!(
                    (found.security, found.host.as_str(), found.port),
                    (security, host, port),
                    "{address}"
                );
                assert!(found.login.is_none());
            }
        }

        #[test]
        fn a_login_may_hold_anything() {
            for (login, user, password) in [
                ("u:p", "u", "p"),
                ("bank%40example.com:p%40ss%20w%2Frd%3A%25", "bank@example.com", "p@ss w/rd:%"),
                ("bank@example.com:p@ss/w:rd=&", "bank@example.com", "p@ss/w:rd=&"),
            ] {
                for rest in ["", ":465", "?from=a@b", ":465/?from=a%40b&send_timeout=1s"] {
                    let address = format!("smtps://{login}@h{rest}");
                    let (found, options) = server(&address);
                    let found_login =
                        found.login.as_ref().map(|login| (login.user.as_str(), login.password.as_str()));
                    assert_eq!(
                        (found_login, found.host.as_str()),
                        (Some((user, password)), "h"),
                        "{address}"
                    );
                    assert_eq!(options.contains_key("from"), rest.contains("from"), "{address}");
                    assert!(!format!("{found:?}").contains(password) || password == "p", "{found:?}");
                    assert!(
                        !super::super::super::shown(&address).contains(&format!("{login}@")),
                        "{address}"
                    );
                }
            }
        }

        #[test]
        fn what_is_wrong_is_told_without_the_password() {
            for (address, part) in [
                ("smtps:u:secret@h", "smtps://HOST:PORT"),
                ("smtps://", "name of a host"),
                ("smtps://u:secret@", "name of a host"),
                ("smtps://u:secret@h:0", "1 to 65535"),
                ("smtps://u:secret@h:99999", "1 to 65535"),
                ("smtps://u:secret@h:x", "1 to 65535"),
                ("smtps://u:secret@h/inbox", "name of a host"),
                ("smtps://u:secret?secret@h", "percent encoding"),
                ("smtps://u:secret@h h", "name of a host"),
                ("smtps://secret@h", "USER:PASSWORD"),
                ("smtps://u:%zzsecret@h", "password is no percent encoding"),
                ("smtps://:secret@h", "user is no percent encoding"),
                ("smtps://u:secret@h?from=%f", "value of from"),
                ("smtp://u:secret@mail.example.com", "smtps://"),
                ("smtp://u:secret@10.0.0.1", "plain text"),
            ] {
                let wrong = MailAddress::parse(address).unwrap_err().to_string();
                assert!(wrong.contains(part) && !wrong.contains("secret"), "{address}: {wrong}");
            }
            for address in ["smtp://u:p@localhost", "smtp://u:p@127.0.0.1:1025", "smtp://u:p@[::1]"] {
                assert!(server(address).0.login.is_some(), "{address}");
            }
        }
    }
}
