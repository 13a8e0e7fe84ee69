//! A certificate for the TLS server, and the authority that signed it.

use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};

pub(crate) struct Certificate {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
    /// What a client has to trust.
    pub(crate) authority: PathBuf,
}

impl Certificate {
    /// Writes a fresh one into a folder.
    pub(crate) fn make(folder: &Path) -> Result<Self> {
        let authority_key = KeyPair::generate()?;
        let mut authority = CertificateParams::new(Vec::new())?;
        // A leaf whose issuer has its own name counts as self-signed.
        authority
            .distinguished_name
            .push(rcgen::DnType::CommonName, "Benchmark authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority_pem = authority.self_signed(&authority_key)?.pem();
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate()?;
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let signed = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
        let files = Self {
            chain: folder.join("certificate.pem"),
            key: folder.join("key.pem"),
            authority: folder.join("authority.pem"),
        };
        std::fs::write(&files.chain, signed.pem())?;
        std::fs::write(&files.key, key.serialize_pem())?;
        std::fs::write(&files.authority, authority_pem)?;
        Ok(files)
    }
}
