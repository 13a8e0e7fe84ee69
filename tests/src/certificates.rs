//! Certificates for the peers: an authority of one's own, and servers with and without flaws.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};

/// What is wrong with a server's certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    #[default]
    None,
    /// It was good until 2021.
    Expired,
    /// It is issued for `elsewhere.example`.
    WrongName,
    /// It is signed with its own key.
    SelfSigned,
    /// It is an authority's own certificate, as `openssl req -x509` makes it, and trusted as such.
    Authority,
    /// The same, issued for `elsewhere.example`.
    AuthorityElsewhere,
    /// The same, good until 2021.
    ExpiredAuthority,
}

impl Flaw {
    fn is_authority(self) -> bool {
        matches!(
            self,
            Self::Authority | Self::AuthorityElsewhere | Self::ExpiredAuthority
        )
    }
}

/// A certificate authority that lives as long as its test.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// The files of a server's certificate.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// PEM.
    pub certificate: PathBuf,
    /// PEM, readable by its owner alone.
    pub key: PathBuf,
    /// PEM: what a client has to trust.
    pub authority: PathBuf,
}

impl Authority {
    /// A fresh one.
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = params(&[]);
        params
            .distinguished_name
            .push(DnType::CommonName, "An authority for tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// Writes a client's certificate, with the user as its common name, into a folder of its own within `folder`.
    pub fn issue_client(&self, user: &str, folder: &Path) -> Certificate {
        let folder = folder.join("client");
        std::fs::create_dir_all(&folder).expect("a writable folder");
        let mut params = params(&[]);
        params.distinguished_name.push(DnType::CommonName, user);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        write(&folder, &certificate.pem(), &key, &self.pem)
    }

    /// Writes a certificate for `localhost`, `127.0.0.1` and `127.0.0.2`, or with a flaw, into a folder.
    pub fn issue(&self, flaw: Flaw, folder: &Path) -> Certificate {
        let names: &[&str] = match flaw {
            Flaw::WrongName | Flaw::AuthorityElsewhere => &["elsewhere.example"],
            _ => &["localhost", "127.0.0.1", "127.0.0.2"],
        };
        let mut params = params(names);
        if matches!(flaw, Flaw::Expired | Flaw::ExpiredAuthority) {
            params.not_after = date_time_ymd(2020, 12, 31);
        }
        let key = KeyPair::generate().expect("a key");
        if flaw.is_authority() {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let certificate = match flaw {
            _ if flaw == Flaw::SelfSigned || flaw.is_authority() => params.self_signed(&key),
            _ => params.signed_by(&key, &self.issuer),
        };
        let certificate = certificate.expect("a certificate").pem();
        let trusted = if flaw.is_authority() { &certificate } else { &self.pem };
        write(folder, &certificate, &key, trusted)
    }
}

fn write(folder: &Path, certificate: &str, key: &KeyPair, trusted: &str) -> Certificate {
    let files = Certificate {
        certificate: folder.join("certificate.pem"),
        key: folder.join("key.pem"),
        authority: folder.join("authority.pem"),
    };
    std::fs::write(&files.certificate, certificate).expect("a writable folder");
    std::fs::write(&files.key, key.serialize_pem()).expect("a writable folder");
    std::fs::write(&files.authority, trusted).expect("a writable folder");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&files.key, std::fs::Permissions::from_mode(0o600)).expect("a file of our own");
    }
    files
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).expect("names that a certificate can hold");
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2120, 1, 1);
    params
}
