use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use temporalio_client::Url;
use underlay_core::words::Error;
use underlay_core::words::limits::LEASE_NAME_BYTES_MAX;

/// The task queue of an address that names none.
pub const TASK_QUEUE_DEFAULT: &str = "underlay";
/// The namespace of an address that names none.
const NAMESPACE_DEFAULT: &str = "default";
/// The port of an address that names none.
const PORT_DEFAULT: u16 = 7233;
/// What an address looks like.
const SHAPE: &str = "temporal://HOST:PORT/NAMESPACE?task_queue=NAME";

/// Where a Temporal server is, and what of it an installation uses:
/// `temporal://HOST:PORT/NAMESPACE?task_queue=NAME&tls=true&ca=FILE&cert=FILE&key=FILE&server_name=NAME`.
///
/// The port is 7233, the namespace `default` and the task queue `underlay` where it names none. It holds no secret, so it
/// may be logged.
///
/// ```
/// use underlay_temporal::TemporalAddress;
///
/// let address: TemporalAddress = "temporal://temporal.example:7233/bank?task_queue=ledger&tls=true".parse()?;
/// assert_eq!((address.namespace.as_str(), address.task_queue.as_str()), ("bank", "ledger"));
/// # Ok::<(), underlay_core::words::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TemporalAddress {
    /// The host: a name or an address, one of IPv6 in brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The namespace.
    pub namespace: String,
    /// The task queue: one for each installation.
    pub task_queue: String,
    /// How the connection is encrypted; none where it is not.
    pub tls: Option<TlsFiles>,
}

/// How a connection is encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsFiles {
    /// The certificates that are trusted, in PEM; those of the system where there is none.
    pub ca: Option<PathBuf>,
    /// The certificate this side shows, in PEM, and its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// The name the server's certificate must have, where it is not the host.
    pub server_name: Option<String>,
}

impl TemporalAddress {
    /// What tells this installation from another: the same for every address of one server.
    pub(crate) fn identity(&self) -> String {
        format!("temporal {} {}", self.namespace, self.task_queue)
    }

    /// Where connections go to.
    pub(crate) fn target(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}:{}", self.host, self.port)
    }
}

impl fmt::Display for TemporalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, namespace, task_queue, tls } = self;
        write!(f, "temporal://{host}:{port}/{namespace}?task_queue={task_queue}")?;
        let Some(tls) = tls else { return Ok(()) };
        write!(f, "&tls=true")?;
        if let Some(ca) = &tls.ca {
            write!(f, "&ca={}", ca.display())?;
        }
        if let Some((certificate, key)) = &tls.certificate {
            write!(f, "&cert={}&key={}", certificate.display(), key.display())?;
        }
        tls.server_name.as_ref().map_or(Ok(()), |name| write!(f, "&server_name={name}"))
    }
}

impl FromStr for TemporalAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let url = Url::parse(text).map_err(|error| refused(&format!("it is no address: {error}")))?;
        if url.scheme() != "temporal" {
            return Err(refused(&format!("it begins with {}://", url.scheme())));
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(refused("it has more than that; an API key is a setting of its own"));
        }
        let host = url.host_str().filter(|host| !host.is_empty());
        let namespace = match decoded(url.path().trim_start_matches('/'))? {
            empty if empty.is_empty() => NAMESPACE_DEFAULT.to_owned(),
            namespace => namespace,
        };
        let mut address = Self {
            host: host.ok_or_else(|| refused("it names no host"))?.to_owned(),
            port: url.port().unwrap_or(PORT_DEFAULT),
            namespace,
            task_queue: TASK_QUEUE_DEFAULT.to_owned(),
            tls: None,
        };
        read_options(&mut address, &url)?;
        address.checked()
    }
}

impl TemporalAddress {
    fn checked(self) -> Result<Self, Error> {
        for (what, name) in [("namespace", &self.namespace), ("task queue", &self.task_queue)] {
            if name.is_empty() || name.contains('/') || name.chars().any(char::is_control) {
                return Err(refused(&format!(
                    "a {what} has one character or more, without `/`: not {name:?}"
                )));
            }
        }
        let bytes = self.identity().len();
        if bytes > LEASE_NAME_BYTES_MAX {
            return Err(refused(&format!(
                "{:?} has {bytes} bytes, and LEASE_NAME_BYTES_MAX = {LEASE_NAME_BYTES_MAX}; shorten the namespace \
                 or the task queue",
                self.identity()
            )));
        }
        Ok(self)
    }
}

fn read_options(address: &mut TemporalAddress, url: &Url) -> Result<(), Error> {
    let (mut tls, mut files) = (None, TlsFiles::default());
    let (mut certificate, mut key) = (None, None);
    for (name, value) in url.query_pairs() {
        if value.is_empty() {
            return Err(refused(&format!("{name} has no value")));
        }
        match name.as_ref() {
            "task_queue" => address.task_queue = value.into_owned(),
            "tls" => {
                let wanted = value.parse::<bool>();
                tls = Some(wanted.map_err(|_| refused(&format!("tls is true or false, not {value}")))?);
            }
            "ca" => files.ca = Some(PathBuf::from(value.as_ref())),
            "cert" => certificate = Some(PathBuf::from(value.as_ref())),
            "key" => key = Some(PathBuf::from(value.as_ref())),
            "server_name" => files.server_name = Some(value.into_owned()),
            other => {
                let known = "task_queue, tls, ca, cert, key and server_name";
                return Err(refused(&format!("it has no option {other}; its options are {known}")));
            }
        }
    }
    files.certificate = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err(refused("cert and key go together, each the path of a file")),
    };
    let is_encrypted = tls.unwrap_or(files != TlsFiles::default());
    if !is_encrypted && files != TlsFiles::default() {
        return Err(refused("ca, cert, key and server_name are for TLS, and tls is false"));
    }
    address.tls = is_encrypted.then_some(files);
    Ok(())
}

/// A part of a path without its percent signs.
fn decoded(part: &str) -> Result<String, Error> {
    let unreadable = || refused(&format!("{part:?} is not percent-encoded UTF-8"));
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first == b'%' {
            let (digits, after) = rest.split_at_checked(2).ok_or_else(unreadable)?;
            let digits = std::str::from_utf8(digits).map_err(|_| unreadable())?;
            bytes.push(u8::from_str_radix(digits, 16).map_err(|_| unreadable())?);
            rest = after;
        } else {
            bytes.push(first);
        }
    }
    String::from_utf8(bytes).map_err(|_| unreadable())
}

/// The address is not repeated: somebody may have put a secret into it.
fn refused(why: &str) -> Error {
    Error::invalid(format!("the address of Temporal is {SHAPE}; {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> TemporalAddress {
        text.parse().unwrap()
    }

    fn why_not(text: &str) -> String {
        text.parse::<TemporalAddress>().unwrap_err().to_string()
    }

    #[test]
    fn what_an_address_leaves_out_has_a_default() {
        let address = read("temporal://localhost");
        assert_eq!((address.host.as_str(), address.port), ("localhost", 7233));
        assert_eq!((address.namespace.as_str(), address.task_queue.as_str()), ("default", "underlay"));
        assert_eq!(address.tls, None);
        assert_eq!(address.target(), "http://localhost:7233");
    }

    #[test]
    fn an_address_is_written_as_it_is_read() {
        for text in [
            "temporal://localhost:7233/default?task_queue=ledger",
            "temporal://[::1]:1/bank?task_queue=a.b",
            "temporal://h:1/n?task_queue=q&tls=true&ca=/a/ca.pem&cert=/a/b.pem&key=/a/b.key&server_name=t.example",
        ] {
            assert_eq!(read(text).to_string(), text);
        }
        assert_eq!(read("temporal://h/a%20b").namespace, "a b");
        assert!(read("temporal://h/n?ca=/ca.pem").tls.is_some(), "a file for TLS asks for TLS");
    }

    #[test]
    fn two_addresses_of_a_server_are_one_installation() {
        let identities = ["temporal://a:1/n?task_queue=q", "temporal://b:2/n?task_queue=q&tls=true"];
        assert_eq!(identities.map(|text| read(text).identity()), ["temporal n q"; 2]);
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said() {
        let long = "n".repeat(120);
        for (text, reason) in [
            ("", "it is no address"),
            ("http://localhost:7233", "it begins with http://"),
            ("temporal:///default", "it names no host"),
            ("temporal://me:secret@h/n", "an API key is a setting of its own"),
            ("temporal://h/a/b", "without `/`"),
            ("temporal://h/n?task_queue=", "task_queue has no value"),
            ("temporal://h/n?tls=yes", "tls is true or false"),
            ("temporal://h/n?tls=true&cert=a.pem", "cert and key go together"),
            ("temporal://h/n?tls=false&ca=a.pem", "tls is false"),
            ("temporal://h/n?api_key=x", "no option api_key; its options are task_queue"),
            (&format!("temporal://h/{long}"), "LEASE_NAME_BYTES_MAX = 128"),
        ] {
            let said = why_not(text);
            assert!(said.contains(reason) && said.contains(SHAPE), "{text}: {said}");
            assert!(!said.contains("secret"), "{said}");
        }
    }
}
