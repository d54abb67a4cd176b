//! Links to pages of the service, for whoever gets a mail.
//!
//! A link is the address of the service, and what it leads to with a signature; see
//! [`LinkPage`](underlay_server::LinkPage). All processes of a service need the same key for it:
//!
//! | Where the store is | The key, where `links.key_file` names no file |
//! |---|---|
//! | a SQLite file | a file beside it, which is made when it is first needed |
//! | in memory | drawn at the start, and gone with the store |
//! | anywhere else | none: the processes may be on several machines, and each would make one of its own |
//!
//! Without a key the service serves and works. What needs a link waits, and says what is missing.

use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use underlay_core::options::{ConfigOption, Configurable, Place};
use underlay_core::{CommitId, Error};
use underlay_server::{LINK_KEY_BYTES, LinkKey, LinkKeys, LinkTarget, private_file};

/// The section of the options.
pub(crate) const SECTION: &str = "links";
/// What is added to the name of a SQLite file for that of its key.
const BESIDE: &str = ".link-key";

/// The options of links.
#[derive(Clone, Debug, Default)]
pub(crate) struct LinkSettings {
    public_address: Option<String>,
    key_file: Option<PathBuf>,
}

impl Configurable for LinkSettings {
    const OPTIONS: &'static [ConfigOption<Self>] = &[
        ConfigOption::<Self>::new(
            "public_address",
            "Where people reach this service, such as https://bank.example; else where `serve` listens",
            |settings| Place::Text(&mut settings.public_address),
        )
        .checked(check_public_address)
        .called("URL"),
        ConfigOption::<Self>::new(
            "key_file",
            "The file of the key that links are signed with, the same for all processes; of a SQLite store it is \
             made beside it",
            |settings| Place::Text(&mut settings.key_file),
        )
        .called("FILE"),
    ];
}

fn check_public_address(text: &str) -> Result<(), String> {
    let wrong = || {
        format!(
            "{text:?} is no address of a service, such as https://bank.example, without a user, `?` and `#`"
        )
    };
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or_else(wrong)?;
    let is_plain = rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"@?#\\\"<>".contains(&byte));
    if is_plain && !host_of(text).is_empty() { Ok(()) } else { Err(wrong()) }
}

/// The name in an address, without its port.
fn host_of(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.starts_with('[') {
        return authority.split_inclusive(']').next().unwrap_or_default();
    }
    authority.split(':').next().unwrap_or_default()
}

/// Makes links to the pages of a service. A clone is a reference count.
#[derive(Clone)]
pub struct Links(Arc<Inner>);

struct Inner {
    /// As it is configured.
    public_address: Option<String>,
    /// Where the service listens; nowhere in a program that does not serve.
    listening: OnceLock<(SocketAddr, &'static str)>,
    source: KeySource,
    key: OnceLock<LinkKey>,
}

/// Where the key comes from.
#[derive(Debug)]
enum KeySource {
    /// It was given.
    Given,
    /// A file that is there.
    File(PathBuf),
    /// A file that is made.
    Beside(PathBuf),
    /// It is drawn.
    Memory,
    None,
}

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Links")
            .field("public_address", &self.0.public_address)
            .field("source", &self.0.source)
            .finish_non_exhaustive()
    }
}

impl Links {
    /// Links with a key of one's own, for a program that is reached at `public_address`.
    #[must_use]
    pub fn new(public_address: impl Into<String>, key: LinkKey) -> Self {
        let source = KeySource::Given;
        Self::of(Some(public_address.into()), source, OnceLock::from(key))
    }

    /// As configured. Nothing is read yet.
    pub(crate) fn configured(settings: LinkSettings, database: &str) -> Self {
        let source = match (settings.key_file, database.split_once(':')) {
            (Some(file), _) => KeySource::File(file),
            (None, Some(("sqlite", file))) => {
                let file = file.split('?').next().unwrap_or_default();
                KeySource::Beside(format!("{file}{BESIDE}").into())
            }
            (None, Some(("memory", _))) => KeySource::Memory,
            (None, _) => KeySource::None,
        };
        Self::of(settings.public_address, source, OnceLock::new())
    }

    fn of(public_address: Option<String>, source: KeySource, key: OnceLock<LinkKey>) -> Self {
        let listening = OnceLock::new();
        Self(Arc::new(Inner { public_address, listening, source, key }))
    }

    /// A link, whole. Of one target it is always the same.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the service has no key, or does not know where people reach it, with the option that
    /// says so: a person has to mend that. [`Error::Backend`] where the key cannot be read.
    pub fn address(&self, target: &LinkTarget) -> Result<String, Error> {
        let path = self.key()?.path(target);
        Ok(format!("{}{path}", self.base()?))
    }

    /// The signature of a link.
    ///
    /// # Errors
    /// As [`Links::address`].
    pub fn secret(&self, target: &LinkTarget) -> Result<String, Error> {
        Ok(self.key()?.secret(target))
    }

    /// Whether links can be made.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.key()?;
        self.base().map(drop)
    }

    /// Says where the service listens in this process, and how it is reached: `http` or `https`.
    pub(crate) fn listen_at(&self, address: SocketAddr, scheme: &'static str) {
        // The first one stays: a process listens once.
        let _before = self.0.listening.set((address, scheme));
    }

    /// The name that the configuration says people reach the service by.
    pub(crate) fn public_host(&self) -> Option<&str> {
        self.0.public_address.as_deref().map(host_of)
    }

    /// What a link begins with.
    fn base(&self) -> Result<String, Error> {
        if let Some(address) = &self.0.public_address {
            return Ok(address.trim_end_matches('/').to_owned());
        }
        // A program that does not serve knows nobody who does, and a link that was sent cannot be taken back.
        let listening = self.0.listening.get().filter(|(address, _)| !address.ip().is_unspecified());
        listening.map(|(address, scheme)| format!("{scheme}://{address}")).ok_or_else(|| {
            Error::invalid(format!(
                "links need the address that people reach this service at: set {SECTION}.public_address, such as \
                 https://bank.example"
            ))
        })
    }

    fn read_key(&self) -> Result<LinkKey, Error> {
        match &self.0.source {
            KeySource::Given | KeySource::Memory => LinkKey::draw(),
            KeySource::File(file) => match fs::read_to_string(file) {
                Ok(text) => parse(&text, file),
                // A key of its own in the place of one that was not mounted would break every link that was sent.
                Err(error) if error.kind() == ErrorKind::NotFound => Err(Error::invalid(format!(
                    "{SECTION}.key_file: {} is not there; `openssl rand -hex {LINK_KEY_BYTES}` prints a key for it, \
                     the same for all processes of the service",
                    file.display()
                ))),
                Err(error) => Err(unreadable(file, error)),
            },
            KeySource::Beside(file) => match fs::read_to_string(file) {
                Ok(text) => parse(&text, file),
                Err(error) if error.kind() == ErrorKind::NotFound => make(file),
                Err(error) => Err(unreadable(file, error)),
            },
            KeySource::None => Err(Error::invalid(format!(
                "links need a key that all processes of this service have: `openssl rand -hex {LINK_KEY_BYTES}` \
                 prints one, and {SECTION}.key_file names its file"
            ))),
        }
    }
}

impl LinkKeys for Links {
    fn key(&self) -> Result<LinkKey, Error> {
        if let Some(key) = self.0.key.get() {
            return Ok(key.clone());
        }
        let read = self.read_key()?;
        // Where two tasks come at once, both take what was set first.
        Ok(self.0.key.get_or_init(|| read).clone())
    }
}

fn parse(text: &str, file: &Path) -> Result<LinkKey, Error> {
    LinkKey::parse(text).map_err(|error| Error::invalid(format!("{}: {error}", file.display())))
}

fn unreadable(file: &Path, error: std::io::Error) -> Error {
    Error::backend(format!("reading the key of links {}", file.display()), error)
}

/// Makes a file with a new key, for its owner alone. Where another process has made one meanwhile, that is the key:
/// the file gets its name when all of it is written, and never in place of another.
fn make(file: &Path) -> Result<LinkKey, Error> {
    let failed = |error| Error::backend(format!("making the key of links {}", file.display()), error);
    let drawn = LinkKey::draw()?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let beside = file.with_file_name(format!(".{name}.{}", CommitId::draw().0));
    let text = format!("{}\n", drawn.reveal());
    let written = private_file::create(&beside).and_then(|made| private_file::fill(made, text.as_bytes()));
    let made = written.and_then(|()| fs::hard_link(&beside, file));
    private_file::remove(&beside);
    match made {
        Ok(()) => {
            // With the name every link that was sent meanwhile would be lost.
            private_file::keep_name(file).map_err(failed)?;
            Ok(drawn)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            parse(&fs::read_to_string(file).map_err(|error| unreadable(file, error))?, file)
        }
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use underlay_core::TenantId;
    use uuid::Uuid;

    use super::*;

    fn target() -> LinkTarget {
        let tenant = TenantId::new("acme").unwrap();
        LinkTarget { page: "member".to_owned(), tenant, subject: "ann".to_owned(), id: Uuid::from_u128(7) }
    }

    fn links(database: &str, set: impl FnOnce(&mut LinkSettings)) -> Links {
        let mut settings = LinkSettings::default();
        set(&mut settings);
        Links::configured(settings, database)
    }

    #[test]
    fn the_key_of_a_file_is_made_once_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let database = format!("sqlite:{}", folder.path().join("bank.db").display());
        let of_a_process = || links(&database, |_| {});
        let first = of_a_process();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is made before it is needed");
        let made = std::thread::scope(|scope| {
            let made = [(); 8].map(|()| scope.spawn(|| of_a_process().secret(&target()).unwrap()));
            made.map(|made| made.join().unwrap())
        });
        let secret = first.secret(&target()).unwrap();
        assert!(made.iter().all(|made| *made == secret), "{made:?}");
        let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()).collect();
        assert_eq!(files, [folder.path().join("bank.db.link-key")]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&files[0]).unwrap().permissions().mode() & 0o777, 0o600);
        }
        fs::write(&files[0], "").unwrap();
        let told = of_a_process().secret(&target()).unwrap_err().to_string();
        assert!(told.contains("bank.db.link-key") && told.contains("64 hexadecimal"), "{told}");
    }

    #[test]
    fn a_file_that_is_named_is_never_made() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let named = |database: &str| links(database, |set| set.key_file = Some(file.clone()));
        for database in ["sqlite:bank.db", "postgres://db/bank", "memory:"] {
            let told = named(database).secret(&target()).unwrap_err().to_string();
            assert!(told.contains("links.key_file") && told.contains("openssl rand -hex 32"), "{told}");
        }
        fs::write(&file, LinkKey::draw().unwrap().reveal()).unwrap();
        let [one, other] =
            ["sqlite:bank.db", "postgres://db/bank"].map(|at| named(at).secret(&target()).unwrap());
        assert_eq!(one, other);
    }

    #[test]
    fn where_a_key_cannot_be_shared_it_is_asked_for() {
        let told = links("postgres://db/bank", |_| {}).secret(&target()).unwrap_err();
        assert!(told.to_string().contains("links.key_file"), "{told}");
        let in_memory = links("memory:", |_| {});
        assert_eq!(in_memory.secret(&target()).unwrap(), in_memory.secret(&target()).unwrap());
    }

    #[test]
    fn a_link_leads_to_where_people_reach_the_service() {
        let at = |public: Option<&str>, listening: Option<&str>| {
            let links = links("memory:", |set| set.public_address = public.map(str::to_owned));
            if let Some(listening) = listening {
                links.listen_at(listening.parse().unwrap(), "http");
            }
            assert_eq!(links.check().is_ok(), links.address(&target()).is_ok(), "the start says it too");
            links.address(&target()).map(|address| {
                let (base, path) = address.split_once("/links/member/").unwrap();
                assert!(path.ends_with(&format!("?tenant=acme&subject=ann&id={}", target().id)), "{path}");
                base.to_owned()
            })
        };
        assert_eq!(at(None, Some("127.0.0.1:4711")).unwrap(), "http://127.0.0.1:4711");
        let here = Some("127.0.0.1:7070");
        assert_eq!(at(Some("https://bank.example/"), here).unwrap(), "https://bank.example");
        assert_eq!(at(Some("https://a.example/bank"), None).unwrap(), "https://a.example/bank");
        // A worker does not listen, and a link that was sent cannot be taken back.
        for listening in [None, Some("0.0.0.0:80"), Some("[::]:80")] {
            let told = at(None, listening).unwrap_err().to_string();
            assert!(told.contains("links.public_address"), "{told}");
        }
    }

    #[test]
    fn a_public_address_is_one_of_the_web() {
        for (address, host) in [
            ("https://bank.example", "bank.example"),
            ("http://127.0.0.1:7070/", "127.0.0.1"),
            ("http://[::1]:7070", "[::1]"),
            ("https://a.example/bank", "a.example"),
        ] {
            check_public_address(address).unwrap();
            assert_eq!(host_of(address), host);
        }
        for address in [
            "",
            "bank.example",
            "ftp://bank.example",
            "https://",
            "https:///x",
            "https://u:p@h",
            "https://h?x",
            "https://h x",
        ] {
            assert!(check_public_address(address).is_err(), "{address}");
        }
    }
}
