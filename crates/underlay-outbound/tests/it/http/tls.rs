//! Over TLS: who is trusted, and what is told of one who is not.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use underlay_core::{Entities, Error};
use underlay_outbound::http::HttpEntities;

use super::script::{Act, Script, Told, config, get, play, rate, rates_schema};
use crate::certificates::Certificates;

/// A service behind TLS, for `localhost`; its port.
async fn serve(certificates: &Certificates, acts: Vec<Act>) -> (u16, Arc<Told>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificate = CertificateDer::from_pem_slice(certificates.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(certificates.key.as_bytes()).unwrap();
    let server = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let server = server.unwrap().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let told = Script::of(acts).await.told;
    let script = told.clone();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, script) = (acceptor.clone(), script.clone());
            tokio::spawn(async move {
                // Who does not trust the certificate goes away.
                if let Ok(socket) = acceptor.accept(socket).await {
                    play(socket, &script).await;
                }
            });
        }
    });
    (port, told)
}

#[tokio::test]
async fn a_service_is_trusted_by_its_certificate_alone() {
    let certificates = Certificates::new();
    let (port, _told) = serve(&certificates, vec![super::script::page(&[], None), rate(3, "1")]).await;
    let opened = |host: &str, file: &str| {
        let file = certificates.file(file);
        let address = format!(
            "https://{host}:{port}/v1/entities/rate?shared=true&root_certificates={}",
            file.display()
        );
        HttpEntities::new(&address, config())
    };
    for (host, file, part) in
        [("localhost", "other.pem", "root_certificates"), ("127.0.0.1", "own.pem", "certificate")]
    {
        let rates = opened(host, file).unwrap();
        rates.prepare(&rates_schema()).await.unwrap();
        let told = get(&rates).await.unwrap_err();
        let text = told.to_string();
        assert!(matches!(told, Error::Unavailable { .. }) && text.contains(part), "{text}");
    }
    let refused = opened("localhost", "empty.pem").unwrap_err().to_string();
    assert!(refused.contains("root_certificates"), "{refused}");
    let rates = opened("localhost", "own.pem").unwrap();
    rates.prepare(&rates_schema()).await.unwrap();
    assert_eq!(get(&rates).await.unwrap().unwrap().version.0, 3);
}
