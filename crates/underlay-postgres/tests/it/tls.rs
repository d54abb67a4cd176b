//! Encrypted connections, to a server of the test's own whose certificate an authority of its own signed.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use servers::Postgres;
use tempfile::TempDir;
use tokio_postgres::{Client, Config, NoTls};
use underlay_core::{Error, EventStore, ExpectedVersion};
use underlay_postgres::{PostgresConfig, PostgresStore, migrate};

use crate::place::{connect, skipped};
use crate::sample::{acme, append};

/// A server that offers TLS, with the schema in it.
struct Server {
    server: Postgres,
    certificates: TempDir,
}

impl Server {
    async fn start() -> Result<Self, String> {
        let server = Postgres::start(&[]).map_err(|error| error.to_string())?;
        let certificates = tempfile::tempdir().unwrap();
        let (authority, other) = (authority(), authority());
        let key = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
        for (file, text) in [("authority.pem", authority.pem()), ("other.pem", other.pem())] {
            std::fs::write(certificates.path().join(file), text).unwrap();
        }
        std::fs::write(certificates.path().join("empty.pem"), "").unwrap();
        let admin = connect(&server.address()).await;
        place_file(&admin, "server.crt", &certificate.pem()).await;
        place_file(&admin, "server.key", &key.serialize_pem()).await;
        admin.batch_execute("ALTER SYSTEM SET ssl = on").await.unwrap();
        admin.batch_execute("CREATE ROLE service LOGIN").await.unwrap();
        drop(admin);
        let mut server = Self { server, certificates };
        migrate(&server.server.address(), &PostgresConfig::default(), Some("service")).await.unwrap();
        server.server.stop(servers::Shutdown::Fast).unwrap();
        server.server.resume().unwrap();
        Ok(server)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.certificates.path().join(name)
    }

    /// Opens the store as a user would, with all that is said in the address.
    async fn open(&self, host: &str, mode: &str, roots: Option<&Path>) -> Result<PostgresStore, Error> {
        let mut address = format!("postgres://service@{host}:{}/postgres", self.server.port());
        let mut options = Vec::new();
        if !mode.is_empty() {
            options.push(format!("sslmode={mode}"));
        }
        if let Some(roots) = roots {
            options.push(format!("sslrootcert={}", roots.display()));
        }
        if !options.is_empty() {
            address = format!("{address}?{}", options.join("&"));
        }
        let (address, config) = PostgresConfig::default().with_options_of(&address)?;
        PostgresStore::connect(&address, config).await
    }

    /// How many connections of the store there are, with and without TLS.
    async fn connections(&self) -> (i64, i64) {
        let config: Config = self.server.address().parse().unwrap();
        let (admin, connection) = config.connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        let count = "SELECT count(*) FILTER (WHERE s.ssl), count(*) FILTER (WHERE NOT s.ssl) \
                     FROM pg_stat_ssl AS s JOIN pg_stat_activity AS a USING (pid) WHERE a.usename = 'service'";
        let row = admin.query_one(count, &[]).await.unwrap();
        (row.get(0), row.get(1))
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Writes a file where the server looks for its certificate, as the server's user.
async fn place_file(admin: &Client, name: &str, text: &str) {
    let lines = text.lines().map(|line| format!("('{line}')")).collect::<Vec<_>>().join(", ");
    let program = format!("umask 077 && cat > {name}");
    admin.batch_execute(&format!("COPY (VALUES {lines}) TO PROGRAM '{program}'")).await.unwrap();
}

#[test]
fn connections_are_encrypted_and_the_server_is_who_it_says() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let server = match Server::start().await {
            Ok(server) => server,
            Err(reason) => return skipped(&reason),
        };
        let authority = server.file("authority.pem");

        // It is used wherever it is offered, and verified in every mode that libpq has.
        for mode in ["", "prefer", "require", "verify-ca", "verify-full"] {
            let store = server.open("localhost", mode, Some(&authority)).await.unwrap();
            store.commit(&acme(), append("a-1", ExpectedVersion::Any)).await.unwrap();
            let (encrypted, plain) = server.connections().await;
            assert!(encrypted > 0 && plain == 0, "sslmode={mode}: {encrypted} and {plain}");
            store.close().await.unwrap();
        }

        let plain = server.open("localhost", "disable", None).await.unwrap();
        assert_eq!(plain.head().await.unwrap().number(), 5);
        plain.close().await.unwrap();

        let other = server.file("other.pem");
        for (host, mode, roots, what) in [
            ("localhost", "require", Some(other.as_path()), "another authority"),
            ("localhost", "", None, "an authority nobody named"),
            ("127.0.0.1", "verify-full", Some(authority.as_path()), "another name"),
        ] {
            let text = server.open(host, mode, roots).await.map(drop).unwrap_err().to_string();
            assert!(text.contains("certificate") && text.contains("sslrootcert"), "{what}: {text}");
        }

        let empty = server.open("localhost", "require", Some(&server.file("empty.pem"))).await;
        let text = empty.map(drop).unwrap_err().to_string();
        assert!(text.contains("empty.pem") && text.contains("there are none"), "{text}");
    });
}

#[test]
fn a_server_without_encryption_is_refused_where_it_must_be_there() {
    crate::place::with_place(async |place| {
        let address = place.login_address().replace("sslmode=disable", "sslmode=require");
        let refused = PostgresStore::connect(&address, place.config()).await;
        let text = refused.map(drop).unwrap_err().to_string();
        assert!(text.contains("TLS"), "{text}");
    });
}

/// Whoever answers in the server's place could ask for plain text, and would be given it.
#[test]
fn who_names_an_authority_speaks_no_plain_text() {
    crate::place::with_place(async |place| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("authority.pem");
        std::fs::write(&file, authority().pem()).unwrap();
        let (host, port) = place.host_and_port();
        let login = place.login();
        let address =
            format!("postgres://{login}@{host}:{port}/{}?sslrootcert={}", place.database(), file.display());
        let (bare, config) = place.config().with_options_of(&address).unwrap();
        for address in [bare.clone(), format!("{bare}?sslmode=prefer")] {
            let refused = PostgresStore::connect(&address, config.clone()).await;
            let text = refused.map(drop).unwrap_err().to_string();
            assert!(text.contains("TLS"), "{text}");
        }
        // Where it is asked for in so many words it is given.
        PostgresStore::connect(&place.login_address(), config).await.unwrap();
    });
}
