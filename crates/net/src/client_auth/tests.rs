//! Servers that demand a client certificate, in both versions of TLS, as an account's connection meets them.

use std::path::PathBuf;
use std::sync::Arc;

use pipepost_accounts::oauth::Tokens;
use pipepost_accounts::{Account, Accounts, Environment, Security};
use pipepost_core::EgressGate;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::{Connection, ConnectionError, Connections, HttpClient, Route, RunId, TlsError, TransportGrant};

/// An authority, and the certificates that it has issued, in a folder of its own.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("authority.pem"), &pem).expect("a writable folder");
        Self {
            issuer: Issuer::new(params, key),
            pem,
            folder,
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// A certificate for 127.0.0.1 and its key, in PEM.
    fn issue(&self) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }

    /// Starts a server that takes no client without a certificate of this authority, or closes without a word in its
    /// place. Returns its port.
    async fn serve(&self, version: &'static SupportedProtocolVersion, is_silent: bool) -> u16 {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.pem.as_bytes()).expect("a certificate");
        roots.add(root).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let verifier = if is_silent {
            builder.allow_unauthenticated()
        } else {
            builder
        };
        let (certificate, key) = self.issue();
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .expect("a version")
            .with_client_cert_verifier(verifier.build().expect("a verifier"))
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate")],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key"),
            )
            .expect("a certificate with its key");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let has_certificate = stream.get_ref().1.peer_certificates().is_some();
                    if has_certificate {
                        let _ = stream.write_all(b"220 mx.test ESMTP\r\n").await;
                    }
                    let _ = stream.shutdown().await;
                }
            }
        });
        port
    }
}

/// The first words that an account hears, with this certificate and key.
async fn hear(server: &Authority, port: u16, identity: Option<(String, String)>) -> Result<Vec<u8>, ConnectionError> {
    let mut json = serde_json::json!({
        "label": "mail", "type": "smtp-auth-and-properties", "host": "127.0.0.1", "port": port,
        "ca_file": server.path(), "properties": { "mail.smtp.ssl.enable": true },
    });
    if let Some((certificate, key)) = identity {
        json["client_certificate"] = certificate.into();
        json["client_key"] = key.into();
    }
    let accounts = Accounts::from_json(&json.to_string(), server.folder.path(), &Environment::process());
    let account: Arc<Account> = Arc::clone(accounts.expect("an account").get("mail").expect("its label"));
    let gate = EgressGate::default();
    let endpoint = account.endpoint().expect("an endpoint");
    let route = Route::of_account(&gate, &account, endpoint, true).expect("no policy");
    let tokens = Tokens::new(Arc::new(HttpClient::new(gate)));
    let transport = TransportGrant {
        route: Arc::new(route),
        connections: Arc::new(Connections::new(tokens, None)),
        component: "test".into(),
        pipeline: "test".into(),
        run: RunId::next(),
    };
    let mut connection = Connection::open_watched(&transport, Security::Tls, &mut |_| ()).await?;
    connection.read(1024).await
}

fn refusal(heard: Result<Vec<u8>, ConnectionError>) -> String {
    match heard {
        Err(ConnectionError::Tls(TlsError::ClientCertificate(sentence))) => sentence,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_missing_or_strange_certificate_is_named_in_both_versions() {
    let authority = Authority::new();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let port = authority.serve(version, false).await;
        let heard = hear(&authority, port, Some(authority.issue())).await;
        assert_eq!(heard.expect("a greeting"), b"220 mx.test ESMTP\r\n");

        let told = refusal(hear(&authority, port, None).await);
        assert!(
            told.contains("demands a client certificate, and the account names none"),
            "{told}"
        );
        assert!(told.contains(&port.to_string()), "{told}");

        let told = refusal(hear(&authority, port, Some(Authority::new().issue())).await);
        assert!(
            told.contains("does not take the account's client certificate"),
            "{told}"
        );
    }
}

#[tokio::test]
async fn a_server_that_closes_in_the_place_of_the_alert_is_understood() {
    let authority = Authority::new();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let port = authority.serve(version, true).await;
        let told = refusal(hear(&authority, port, None).await);
        assert!(
            told.contains("closed the connection after it had asked for a client certificate"),
            "{told}"
        );
    }
}

#[tokio::test]
async fn a_key_of_another_certificate_is_found_before_it_is_shown() {
    let authority = Authority::new();
    let port = authority.serve(&rustls::version::TLS13, false).await;
    let mixed = (authority.issue().0, authority.issue().1);
    let told = refusal(hear(&authority, port, Some(mixed)).await);
    assert!(told.contains("is not the key of the first certificate"), "{told}");
}

/// What `openssl req -newkey rsa:2048 -nodes` and `openssl x509 -req` make: the first version of X.509.
const FIRST_VERSION: (&str, &str) = (include_str!("tests/client.pem"), include_str!("tests/client.key"));

#[tokio::test]
async fn a_certificate_of_the_first_version_is_shown() {
    let authority = Authority::new();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let port = authority.serve(version, false).await;
        let (certificate, key) = FIRST_VERSION;
        let heard = hear(&authority, port, Some((certificate.to_owned(), key.to_owned()))).await;
        // It was shown: this server takes another version only, and says so.
        let told = refusal(heard);
        assert!(
            told.contains("does not take the account's client certificate"),
            "{told}"
        );
    }
}
