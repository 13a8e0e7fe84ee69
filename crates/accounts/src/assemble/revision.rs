//! The digest of what decides whether a connection, or a token, may be shared.
//!
//! Each field is hashed by its own value, never by how a type prints itself. The structs are taken apart whole, so that
//! a new field does not compile before it is decided here.

use std::sync::OnceLock;

use ring::{hmac, rand};

use crate::account::{AllowedHost, Revision, Server, TlsSettings, TlsVersion};
use crate::client_certificate::ClientCertificate;
use crate::document::Node;
use crate::error::{Error, ErrorKind, Place};
use crate::reference::SecretSource;
use crate::sasl::Mechanism;
use crate::sign_in::{OAuthClient, ServiceAccount, SignIn};

/// What a connection and its tokens depend on.
pub(super) struct Identity<'a> {
    /// Every field of the account as it was written, secrets included, after the environment's were laid over.
    pub(super) written: &'a Node,
    pub(super) environment: Option<&'a str>,
    pub(super) server: &'a Server,
    pub(super) tls: &'a TlsSettings,
    pub(super) certificate: Option<&'a ClientCertificate>,
    pub(super) client_name: Option<&'a str>,
    pub(super) username: Option<&'a SecretSource>,
    pub(super) sign_in: &'a SignIn,
    pub(super) mechanisms: &'a [Mechanism],
}

impl Identity<'_> {
    /// # Errors
    /// When the system gives no random numbers for the key.
    pub(super) fn revision(&self, place: &Place) -> Result<Revision, Error> {
        let mut digest = Digest(hmac::Context::with_key(key(place)?));
        let Self {
            written,
            environment,
            server,
            tls,
            certificate,
            client_name,
            username,
            sign_in,
            mechanisms,
        } = self;
        written.digest(&mut |bytes| digest.0.update(bytes));
        digest.text(*environment);
        digest.server(server);
        digest.tls(tls);
        digest.certificate(*certificate);
        digest.text(*client_name);
        digest.source(*username);
        digest.sign_in(sign_in);
        digest.count(mechanisms.len());
        mechanisms
            .iter()
            .for_each(|mechanism| digest.text(Some(mechanism.as_str())));
        let mut revision = [0; 32];
        revision.copy_from_slice(digest.0.sign().as_ref());
        Ok(Revision(revision))
    }
}

/// Every value goes in with its length before it, so that no two lists of values look alike.
struct Digest(hmac::Context);

impl Digest {
    fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.update(bytes);
    }

    fn count(&mut self, count: usize) {
        self.0.update(&(count as u64).to_be_bytes());
    }

    fn text(&mut self, text: Option<&str>) {
        self.count(usize::from(text.is_some()));
        self.bytes(text.unwrap_or_default().as_bytes());
    }

    fn number(&mut self, number: Option<u16>) {
        self.text(number.map(|number| number.to_string()).as_deref());
    }

    fn source(&mut self, source: Option<&SecretSource>) {
        self.count(usize::from(source.is_some()));
        if let Some(source) = source {
            source.digest(&mut |bytes| self.bytes(bytes));
        }
    }

    fn server(&mut self, server: &Server) {
        let Server {
            host,
            port,
            tls_from_first_byte,
            starttls,
            allow_plaintext_auth,
            allowed_hosts,
            allowed_networks,
        } = server;
        self.text(host.as_deref());
        self.number(Some(*port));
        for flag in [tls_from_first_byte, starttls, allow_plaintext_auth] {
            self.count(usize::from(*flag));
        }
        self.count(allowed_hosts.len());
        for AllowedHost { host, port } in allowed_hosts {
            self.text(Some(host));
            self.number(*port);
        }
        self.count(allowed_networks.len());
        for network in allowed_networks {
            self.text(Some(&network.to_string()));
        }
    }

    fn tls(&mut self, tls: &TlsSettings) {
        // Where the certificates were read from decides nothing.
        let TlsSettings {
            min,
            max,
            ca_file: _,
            ca,
        } = tls;
        for version in [min, max] {
            self.count(match version {
                TlsVersion::V1_2 => 2,
                TlsVersion::V1_3 => 3,
            });
        }
        self.count(ca.len());
        ca.iter().for_each(|certificate| self.bytes(certificate));
    }

    fn certificate(&mut self, certificate: Option<&ClientCertificate>) {
        self.count(usize::from(certificate.is_some()));
        if let Some(ClientCertificate { certificate, key }) = certificate {
            self.source(Some(certificate));
            self.source(Some(key));
        }
    }

    fn sign_in(&mut self, sign_in: &SignIn) {
        match sign_in {
            SignIn::None => self.count(0),
            SignIn::Password(password) => {
                self.count(1);
                self.source(Some(password));
            }
            SignIn::OAuth(client) => {
                self.count(2);
                self.client(client);
            }
            SignIn::Certificate => self.count(4),
            SignIn::ServiceAccount(service) => {
                self.count(3);
                let ServiceAccount {
                    key,
                    subject,
                    scopes,
                    token_endpoint,
                } = &**service;
                self.source(Some(key));
                self.text(Some(subject));
                self.count(scopes.len());
                scopes.iter().for_each(|scope| self.text(Some(scope)));
                self.text(token_endpoint.as_ref().map(url::Url::as_str));
            }
        }
    }

    fn client(&mut self, client: &OAuthClient) {
        let OAuthClient {
            provider,
            grant,
            tenant,
            issuer,
            client_id,
            client_secret,
            refresh_token,
            scopes,
            token_endpoint,
            authorization_endpoint,
        } = client;
        self.text(provider.map(|provider| provider.as_str()));
        self.text(Some(grant.as_str()));
        self.text(tenant.as_deref());
        self.text(issuer.as_deref());
        self.text(Some(client_id));
        self.source(client_secret.as_ref());
        self.source(refresh_token.as_ref());
        self.count(scopes.len());
        scopes.iter().for_each(|scope| self.text(Some(scope)));
        self.text(Some(token_endpoint.as_str()));
        self.text(authorization_endpoint.as_ref().map(url::Url::as_str));
    }
}

/// A key that only this process has, so that a revision does not help to guess the password in it.
fn key(place: &Place) -> Result<&'static hmac::Key, Error> {
    static KEY: OnceLock<hmac::Key> = OnceLock::new();
    if let Some(key) = KEY.get() {
        return Ok(key);
    }
    let key = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new()).map_err(|_| {
        Error::new(
            ErrorKind::File,
            place.clone(),
            "the system gives no random numbers; nothing can be kept safe without",
        )
    })?;
    Ok(KEY.get_or_init(|| key))
}
