//! TLS over a real socket, and certificates that change while they are used.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use underlay_core::{Clock, Error, ManualClock, SystemClock, Timestamp};
use underlay_server::{
    CERTIFICATE_ENDS_SOON, CERTIFICATE_LOOK_INTERVAL, CertificateFiles, HealthPart, ServeLimits,
    serve_tls_within,
};

use crate::place::Place;

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

/// A folder with a certificate and its key.
struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn certificate(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// Writes a pair that ends in a year, and gives its certificate.
    fn write(&self, year: i32) -> CertificateDer<'static> {
        let (certificate, key) = pair(year);
        std::fs::write(self.certificate(), certificate.pem()).unwrap();
        write_key(&self.key(), &key.serialize_pem());
        certificate.der().clone()
    }

    fn open(&self, clock: Arc<dyn Clock>) -> Result<CertificateFiles, Error> {
        CertificateFiles::open(self.certificate(), self.key(), clock)
    }
}

fn pair(year: i32) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(year, 1, 1);
    (params.self_signed(&key).unwrap(), key)
}

fn write_key(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

async fn serve(limits: ServeLimits, certificate: Arc<CertificateFiles>, router: Router) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async {
        stopped.await.ok();
    };
    let task = tokio::spawn(serve_tls_within(limits, listener, certificate, router, shutdown));
    Server { address, stop, task }
}

/// A connection of a client that trusts this certificate alone.
async fn connect(
    address: SocketAddr,
    trusted: &CertificateDer<'static>,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let socket = TcpStream::connect(address).await.unwrap();
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), socket).await
}

/// The answer over HTTP/1.1, with its head.
async fn ask(stream: &mut TlsStream<TcpStream>, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::now()))
}

#[tokio::test]
async fn both_protocols_are_spoken_over_tls_as_the_client_chooses() {
    let files = Files::new();
    let trusted = files.write(2100);
    let place = Place::with(|mut config| {
        config.strict_transport = Duration::from_secs(3_600);
        config
    });
    let certificate = Arc::new(files.open(Arc::new(SystemClock)).unwrap());
    let server = serve(ServeLimits::default(), certificate, place.router.clone()).await;
    for (offered, chosen) in
        [(&[][..], None), (&["http/1.1"], Some("http/1.1")), (&["http/1.1", "h2"], Some("h2"))]
    {
        let mut stream = connect(server.address, &trusted, offered).await.unwrap();
        let protocol = stream.get_ref().1.alpn_protocol();
        assert_eq!(protocol, chosen.map(str::as_bytes));
        if protocol != Some(b"h2") {
            let answer = ask(&mut stream, "/console/start").await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert!(answer.contains("strict-transport-security: max-age=3600"), "{answer}");
            assert!(answer.contains("https://localhost/v1/"), "what is copied works: {answer}");
            continue;
        }
        let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(async move { connection.await.ok() });
        let request = hyper::Request::get("https://localhost/livez").body(()).unwrap();
        let (response, _): (_, h2::SendStream<Bytes>) = requests.send_request(request, true).unwrap();
        assert_eq!(response.await.unwrap().status(), 200);
    }
    // Who does not speak TLS is not answered in the clear, and holds nothing up.
    let mut plain = TcpStream::connect(server.address).await.unwrap();
    plain.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut told = Vec::new();
    timeout(LONG, plain.read_to_end(&mut told)).await.unwrap().ok();
    assert!(!told.starts_with(b"HTTP/"), "{told:?}");
    assert_eq!(place.get("/").await.header("strict-transport-security"), None, "it is told over TLS alone");
    server.stop.send(()).unwrap();
    timeout(LONG, server.task).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_given_up() {
    let files = Files::new();
    let trusted = files.write(2100);
    let limits = ServeLimits {
        header_wait_max: Duration::from_millis(50),
        connections_max: 1,
        ..ServeLimits::default()
    };
    let certificate = Arc::new(files.open(Arc::new(SystemClock)).unwrap());
    let server = serve(limits, certificate, Place::new().router).await;
    // The beginning of a record that does not come.
    for said in [b"".as_slice(), b"\x16\x03\x01\x02\0"] {
        let mut silent = TcpStream::connect(server.address).await.unwrap();
        silent.write_all(said).await.unwrap();
        let mut rest = Vec::new();
        timeout(LONG, silent.read_to_end(&mut rest)).await.expect("it holds the one place").ok();
    }
    // One that is in a handshake gives way as any other does.
    let _silent = TcpStream::connect(server.address).await.unwrap();
    let stream = timeout(LONG, connect(server.address, &trusted, &[])).await.unwrap();
    assert!(ask(&mut stream.unwrap(), "/livez").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_renewed_certificate_is_used_and_half_a_renewal_is_not() {
    let files = Files::new();
    let first = files.write(2100);
    let clock = clock();
    let certificate = Arc::new(files.open(clock.clone()).unwrap());
    let server = serve(ServeLimits::default(), certificate.clone(), Place::new().router).await;
    let is_shown =
        async |wanted: &CertificateDer<'static>| connect(server.address, wanted, &[]).await.is_ok();
    assert!(is_shown(&first).await);
    let mut open = connect(server.address, &first, &[]).await.unwrap();

    // The certificate is there, and its key is not yet.
    let (second, key) = pair(2101);
    std::fs::write(files.certificate(), second.pem()).unwrap();
    assert!(is_shown(&first).await, "nobody looks again so soon");
    clock.advance(CERTIFICATE_LOOK_INTERVAL);
    assert!(is_shown(&first).await);
    assert!(certificate.trouble().unwrap().contains("that was read before is used"));
    write_key(&files.key(), &key.serialize_pem());
    clock.advance(CERTIFICATE_LOOK_INTERVAL);
    assert!(is_shown(second.der()).await && !is_shown(&first).await);
    assert_eq!(certificate.trouble(), None);
    assert_eq!(certificate.ends_at(), "2101-01-01T00:00:00Z".parse().unwrap());
    assert!(ask(&mut open, "/livez").await.starts_with("HTTP/1.1 200"), "what is open stays open");

    let good = std::fs::read(files.certificate()).unwrap();
    for damage in [&good[..good.len() / 2], b"", b"noise"] {
        std::fs::write(files.certificate(), damage).unwrap();
        clock.advance(CERTIFICATE_LOOK_INTERVAL);
        assert!(is_shown(second.der()).await);
        assert!(certificate.trouble().is_some());
    }
    std::fs::remove_file(files.certificate()).unwrap();
    clock.advance(CERTIFICATE_LOOK_INTERVAL);
    assert!(is_shown(second.der()).await && certificate.trouble().is_some());
    std::fs::write(files.certificate(), &good).unwrap();
    clock.advance(CERTIFICATE_LOOK_INTERVAL);
    assert!(is_shown(second.der()).await);
    assert_eq!(certificate.trouble(), None);
}

#[test]
fn what_cannot_be_used_is_refused_at_the_start_with_what_is_wrong() {
    let files = Files::new();
    let open = || files.open(clock()).map(drop);
    assert!(matches!(open(), Err(Error::NotFound(_))));
    files.write(2100);
    open().unwrap();
    let told = |error: Result<(), Error>| error.unwrap_err().to_string();
    for mode in [0o644, 0o604, 0o620] {
        std::fs::set_permissions(files.key(), PermissionsExt::from_mode(mode)).unwrap();
        assert!(told(open()).contains("chmod 600"), "{mode:o}");
    }
    std::fs::set_permissions(files.key(), PermissionsExt::from_mode(0o640)).unwrap();
    open().unwrap();
    let (_, other) = pair(2100);
    write_key(&files.key(), &other.serialize_pem());
    assert!(told(open()).contains("cannot be used with the key"));
    write_key(&files.key(), "noise");
    let error = told(open());
    assert!(error.contains("no private key") && !error.contains("noise"), "{error}");
    std::fs::write(files.certificate(), "noise").unwrap();
    assert!(told(open()).contains("no certificate"));
}

#[test]
fn an_end_is_told_in_time() {
    let files = Files::new();
    files.write(2030);
    let end: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
    let clock = Arc::new(ManualClock::new("2029-06-01T00:00:00Z".parse().unwrap()));
    let certificate = files.open(clock.clone()).unwrap();
    assert_eq!((certificate.ends_at(), certificate.trouble()), (end, None));
    let until_soon = Duration::try_from(end.duration_since(clock.now())).unwrap() - CERTIFICATE_ENDS_SOON;
    clock.advance(until_soon - Duration::from_secs(1));
    assert_eq!(certificate.trouble(), None);
    clock.advance(Duration::from_secs(1));
    assert!(certificate.trouble().unwrap().contains("ends at 2030-01-01"));
    clock.advance(CERTIFICATE_ENDS_SOON);
    assert!(certificate.trouble().unwrap().contains("ended at 2030-01-01"));
}
