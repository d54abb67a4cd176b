//! A real server behind TLS: who is trusted, and what is said of one who is not.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::CertifiedKey;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use underlay_core::ports::{JobEnd, Scheduler};
use underlay_core::words::Error;
use underlay_temporal::{ApiKey, Temporal, TemporalOptions};

use crate::house::{Serving, at_once, command, server, within};

/// Speaks TLS in front of a server, which itself does not.
struct Door {
    port: u16,
    folder: TempDir,
    /// Each connection that came through.
    entered: mpsc::UnboundedReceiver<()>,
}

impl Door {
    async fn before(server: &servers::Temporal) -> Self {
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("own.pem"), cert.pem()).unwrap();
        std::fs::write(folder.path().join("other.pem"), other.cert.pem()).unwrap();
        let certificate = CertificateDer::from_pem_slice(cert.pem().as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(signing_key.serialize_pem().as_bytes()).unwrap();
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let (acceptor, listener) =
            (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let (port, behind) = (listener.local_addr().unwrap().port(), server.host());
        let (told, entered) = mpsc::unbounded_channel();
        // It ends with the runtime of the test.
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, behind, told) = (acceptor.clone(), behind.clone(), told.clone());
                tokio::spawn(async move {
                    // Who does not trust the certificate goes away.
                    let Ok(mut client) = acceptor.accept(socket).await else { return };
                    told.send(()).ok();
                    let mut server = TcpStream::connect(behind).await.unwrap();
                    tokio::io::copy_bidirectional(&mut client, &mut server).await.ok();
                });
            }
        });
        Self { port, folder, entered }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn open(&self, host: &str, options: &str) -> Arc<Temporal> {
        let address = format!("temporal://{host}:{}/default?task_queue=tests{options}", self.port);
        let api_key = options.contains("tls=true").then(|| ApiKey::new("s3cret"));
        let options = TemporalOptions { api_key, ..TemporalOptions::default() };
        Arc::new(Temporal::open(&address.parse().unwrap(), options).unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_behind_tls_does_jobs() {
    let Some(server) = server() else { return };
    let mut door = Door::before(&server).await;
    let own = door.file("own.pem").display().to_string();
    for (host, name) in [("localhost", ""), ("127.0.0.1", "&server_name=localhost")] {
        let temporal = door.open(host, &format!("&tls=true&ca={own}{name}"));
        within(temporal.check()).await.unwrap();
        within(door.entered.recv()).await.unwrap();
        let serving = Serving::of(&temporal, |_| at_once(JobEnd::Done));
        assert_eq!(within(temporal.run(&command(host), 1)).await.unwrap(), JobEnd::Done);
        temporal.set_api_key(ApiKey::new("another")).await;
        assert_eq!(within(temporal.run(&command(host), 1)).await.unwrap(), JobEnd::Done);
        serving.stop().await.unwrap();
        let shown = format!("{temporal:?} {temporal:#?}");
        assert!(!shown.contains("s3cret") && !shown.contains("another"), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_trusted_is_told_nothing() {
    let Some(server) = server() else { return };
    let mut door = Door::before(&server).await;
    let other = door.file("other.pem").display().to_string();
    let plain = server.host().rsplit_once(':').unwrap().1.to_owned();
    let own = door.file("own.pem").display().to_string();
    for (options, advice) in [
        (format!("&tls=true&ca={other}"), "`ca` names what is trusted"),
        ("&tls=true".to_owned(), "`ca` names what is trusted"),
        (format!("&tls=true&ca={own}&server_name=elsewhere"), "`server_name`"),
    ] {
        let refused = within(door.open("localhost", &options).check()).await.unwrap_err();
        assert!(matches!(refused, Error::Unavailable { .. }), "{options}: {refused:?}");
        assert!(refused.to_string().contains(advice), "{options}: {refused}");
        assert!(door.entered.try_recv().is_err(), "{options}");
    }
    // And the other way round: TLS to a server without it, and none to one with it.
    let address = format!("temporal://localhost:{plain}/default?tls=true&ca={own}").parse().unwrap();
    let temporal = Temporal::open(&address, TemporalOptions::default()).unwrap();
    let refused = within(temporal.check()).await.unwrap_err().to_string();
    assert!(refused.contains("does not speak TLS"), "{refused}");
    let refused = within(door.open("localhost", "").check()).await.unwrap_err();
    assert!(matches!(refused, Error::Unavailable { .. }), "{refused:?}");
}
