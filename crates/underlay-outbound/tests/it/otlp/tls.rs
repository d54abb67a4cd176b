//! A real collector behind TLS: who is trusted, and what is told of one who is not.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use servers::{Missing, Rotel};
use underlay_outbound::traces::{OtlpConfig, open};

use super::{exporting, read, span};
use crate::certificates::Certificates;

/// Speaks TLS in front of a collector, which itself does not.
struct Door {
    endpoint: String,
    /// The head of each request that came through, in lower case.
    heads: Receiver<String>,
}

impl Door {
    fn before(collector: &Rotel, certificates: &Certificates) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let certificate = CertificateDer::from_pem_slice(certificates.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(certificates.key.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.unwrap().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
        let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
        let endpoint = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let behind = collector.endpoint().trim_start_matches("http://").to_owned();
        let (told, heads) = channel();
        // It ends with the process of the test.
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let connection = ServerConnection::new(config.clone()).unwrap();
                // Who does not trust the certificate goes away.
                let _gone = pass_on(StreamOwned::new(connection, socket), &behind, &told);
            }
        });
        Self { endpoint, heads }
    }
}

/// Passes one request on, and its answer back.
fn pass_on(
    mut client: StreamOwned<ServerConnection, TcpStream>,
    behind: &str,
    told: &Sender<String>,
) -> io::Result<()> {
    let (head, body) = read(&mut client).ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut server = TcpStream::connect(behind)?;
    server.write_all(head.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n").as_bytes())?;
    server.write_all(&body)?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    let _nobody_asks = told.send(head.to_lowercase());
    client.write_all(&answer)?;
    client.conn.send_close_notify();
    client.flush()
}

#[test]
fn a_real_collector_behind_tls_is_given_the_spans_and_the_key() {
    let collector = match Rotel::start() {
        Ok(collector) => collector,
        Err(error) => return Missing::new("rotel", error).skip_test(),
    };
    let certificates = Certificates::new();
    let door = Door::before(&collector, &certificates);
    let sending = exporting(door.endpoint.clone(), |config| {
        config.root_certificates = Some(certificates.file("own.pem"));
        config.headers = Some("api-key=s3cret".to_owned());
    });
    sending.spans().record(span("behind the door"));
    sending.flush();
    let begun = Instant::now();
    while collector.spans().unwrap().iter().all(|span| span.name != "behind the door") {
        assert!(begun.elapsed() < Duration::from_secs(30), "it does not arrive");
        std::thread::yield_now();
    }
    assert!(door.heads.recv().unwrap().contains("\r\napi-key: s3cret\r\n"));
}

/// What is written to the log of this process.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct ToLog;

impl Write for ToLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The lines of the log about a collector.
fn told_of(endpoint: &str) -> String {
    let log = LOG.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let log = String::from_utf8(log).unwrap();
    log.lines().filter(|line| line.contains(endpoint)).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_collector_that_is_not_trusted_gets_nothing_and_the_log_says_what_to_do() {
    let collector = match Rotel::start() {
        Ok(collector) => collector,
        Err(error) => return Missing::new("rotel", error).skip_test(),
    };
    let log = tracing_subscriber::fmt().with_ansi(false).with_writer(|| ToLog).finish();
    tracing::subscriber::set_global_default(log).unwrap();
    let certificates = Certificates::new();
    for roots in [Some("other.pem"), None] {
        let door = Door::before(&collector, &certificates);
        let sending = exporting(door.endpoint.clone(), |config| {
            config.root_certificates = roots.map(|file| certificates.file(file));
            config.headers = Some("api-key=s3cret".to_owned());
        });
        sending.spans().record(span("kept from it"));
        sending.flush();
        let told = told_of(&door.endpoint);
        for part in ["certificate", "otlp_root_certificates"] {
            assert!(told.contains(part), "{roots:?}: {told}");
        }
        assert!(!told.contains("s3cret"), "{told}");
        // Whoever records goes on, and the last words wait for nothing.
        sending.spans().record(span("kept from it"));
        sending.flush();
        assert!(door.heads.try_recv().is_err(), "nothing is said before the certificate is looked at");
    }
    assert!(collector.spans().unwrap().is_empty());
}

#[test]
fn roots_that_cannot_be_read_are_told_before_anything_is_sent() {
    let certificates = Certificates::new();
    for (file, part) in [("none.pem", "none.pem"), ("empty.pem", "no certificates")] {
        let config = OtlpConfig {
            endpoint: Some("https://localhost:4318".to_owned()),
            root_certificates: Some(certificates.file(file)),
            ..OtlpConfig::default()
        };
        let told = open(&config).map(drop).unwrap_err().to_string();
        assert!(told.contains("otlp_root_certificates") && told.contains(part), "{file}: {told}");
    }
}
