//! What a failed TLS handshake means, in a sentence for the person who can correct it. No word of the TLS library is in it.

use std::io;

use pipepost_core::Endpoint;
use rustls::{AlertDescription, Error, InvalidMessage, PeerIncompatible};

use crate::tls::TlsError;
use crate::{certificate_trouble, plain_io};

/// What this program offers, by the names under which servers are configured (RFC 5289, RFC 7905, RFC 8446).
const CIPHERS: &str = "it offers AES-GCM and CHACHA20-POLY1305 with the key exchange ECDHE (such as TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256) and the groups X25519, P-256 and P-384";

/// What to do when something on the way, or the server's software, breaks TLS.
const FAULTY: &str = "A filter or a virus scanner on the way may alter the connection: try another network or the server's other port, and tell the server's operator if it comes back.";

/// Says what went wrong, and what to do about it.
pub(crate) fn explain(error: &io::Error, address: &Endpoint) -> TlsError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(trouble) => of_tls(trouble, address),
        None if plain_io::is_lost(error) => {
            TlsError::Lost(format!("{address} closed the connection during the TLS handshake."))
        }
        None => TlsError::Handshake(format!(
            "The TLS handshake with {address} failed: {}.",
            plain_io::cause(error)
        )),
    }
}

fn of_tls(trouble: &Error, address: &Endpoint) -> TlsError {
    TlsError::Handshake(match trouble {
        Error::InvalidCertificate(problem) => {
            return TlsError::Certificate(certificate_trouble::explain(problem, address));
        }
        Error::NoCertificatesPresented => {
            return TlsError::Certificate(format!(
                "{address} shows no certificate. The server's operator has to give it one for `{}`.",
                address.host
            ));
        }
        Error::AlertReceived(alert) => return of_alert(*alert, address),
        Error::PeerIncompatible(problem) => of_incompatibility(problem, address),
        // What is no TLS at all begins with another byte, or with a length that no record has.
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::MessageTooLarge,
        ) => format!(
            "{address} does not begin with TLS there: it answers in clear. Port 587 begins in clear (STARTTLS), port 465 with TLS."
        ),
        Error::NoApplicationProtocol => format!("{address} wants another protocol than mail. Check host and port."),
        Error::FailedToGetCurrentTime => {
            format!("TLS with {address} cannot begin, because this machine's clock cannot be read. Set the clock.")
        }
        Error::FailedToGetRandomBytes | Error::EncryptError | Error::General(_) => {
            format!(
                "TLS with {address} cannot begin, because this machine gives it no random numbers or no working memory."
            )
        }
        Error::InvalidCertRevocationList(_) => format!(
            "Whether the certificate of {address} has been revoked cannot be read from the authority's list. Tell the server's operator."
        ),
        // The rest breaks the rules of the handshake, which no server does by its settings.
        _ => format!("{address} breaks the rules of TLS in the handshake. {FAULTY}"),
    })
}

fn old_version(address: &Endpoint) -> String {
    format!(
        "{address} and this account have no version of TLS in common; 1.2 is the least that is spoken here. The server's operator has to turn TLS 1.2 or 1.3 on; and a version that the account excludes in mail.smtp.ssl.protocols has to be one that the server does not need."
    )
}

fn no_cipher(address: &Endpoint) -> String {
    format!(
        "{address} takes none of the ciphers that this program offers: {CIPHERS}. The server's operator has to allow one of them."
    )
}

fn of_incompatibility(problem: &PeerIncompatible, address: &Endpoint) -> String {
    use PeerIncompatible::{
        NoCertificateRequestSignatureSchemesInCommon, NoCipherSuitesInCommon, NoKxGroupsInCommon,
        NoSignatureSchemesInCommon, ServerDoesNotSupportTls12Or13, ServerTlsVersionIsDisabledByOurConfig,
        SupportedVersionsExtensionRequired, Tls12NotOffered, Tls12NotOfferedOrEnabled,
    };
    match problem {
        ServerDoesNotSupportTls12Or13
        | ServerTlsVersionIsDisabledByOurConfig
        | SupportedVersionsExtensionRequired
        | Tls12NotOffered
        | Tls12NotOfferedOrEnabled => old_version(address),
        NoCipherSuitesInCommon | NoKxGroupsInCommon => no_cipher(address),
        NoSignatureSchemesInCommon | NoCertificateRequestSignatureSchemesInCommon => format!(
            "{address} signs the handshake by no algorithm that this program takes: it takes RSA and ECDSA with SHA-256 and stronger, and Ed25519. The server's operator has to give it a certificate with such a key."
        ),
        _ => format!("{address} wants a feature of TLS that this program does not have. {FAULTY}"),
    }
}

/// The alerts of RFC 8446, section 6, and of the RFCs before it.
fn of_alert(alert: AlertDescription, address: &Endpoint) -> TlsError {
    use AlertDescription as A;
    TlsError::Handshake(match alert {
        A::CloseNotify | A::UserCanceled => {
            return TlsError::Lost(format!("{address} ended the connection during the TLS handshake."));
        }
        A::ProtocolVersion | A::InappropriateFallback => old_version(address),
        A::HandshakeFailure | A::InsufficientSecurity => no_cipher(address),
        A::UnrecognisedName => format!(
            "{address} does not know itself by the name `{}`. Name the host in the account as its certificate does.",
            address.host
        ),
        A::CertificateRequired
        | A::NoCertificate
        | A::BadCertificate
        | A::UnsupportedCertificate
        | A::CertificateRevoked
        | A::CertificateExpired
        | A::CertificateUnknown
        | A::UnknownCA
        | A::AccessDenied => format!(
            "{address} wants a client certificate, or does not take the one it got. Ask the server's operator which one it takes."
        ),
        A::InternalError => format!(
            "{address} has an error of its own in the TLS handshake. Try again later, and tell the server's operator if it comes back."
        ),
        A::NoApplicationProtocol => format!("{address} wants another protocol than mail. Check host and port."),
        other => format!(
            "{address} broke the TLS handshake off with alert {} of RFC 8446: it could not read what it received. {FAULTY}",
            u8::from(other)
        ),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::pki_types::{ServerName, UnixTime};
    use rustls::{CertRevocationListError, CertificateError, ExtendedKeyPurpose, OtherError, PeerMisbehaved};

    use super::*;

    fn told(error: Error) -> TlsError {
        let address = Endpoint::new("mail.example.test", 465);
        explain(&io::Error::new(io::ErrorKind::InvalidData, error), &address)
    }

    /// What webpki says is in another type, of which only the text is known here.
    #[derive(Debug)]
    struct Finding(&'static str);

    impl std::fmt::Display for Finding {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }
    }

    impl std::error::Error for Finding {}

    fn finding(name: &'static str) -> CertificateError {
        CertificateError::Other(OtherError(Arc::new(Finding(name))))
    }

    fn certificate_errors() -> Vec<CertificateError> {
        let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_800_000_000));
        let names = |presented: &[&str]| CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("mail.example.test").expect("a name"),
            presented: presented.iter().map(|name| (*name).to_owned()).collect(),
        };
        let mut all = vec![
            CertificateError::BadEncoding,
            CertificateError::Expired,
            CertificateError::ExpiredContext { time, not_after: time },
            CertificateError::NotValidYet,
            CertificateError::NotValidYetContext { time, not_before: time },
            CertificateError::Revoked,
            CertificateError::UnhandledCriticalExtension,
            CertificateError::UnknownIssuer,
            CertificateError::UnknownRevocationStatus,
            CertificateError::ExpiredRevocationList,
            CertificateError::ExpiredRevocationListContext {
                time,
                next_update: time,
            },
            CertificateError::BadSignature,
            CertificateError::UnsupportedSignatureAlgorithmContext {
                signature_algorithm_id: vec![6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5, 5, 0],
                supported_algorithms: vec![rustls::pki_types::alg_id::ECDSA_SHA256],
            },
            CertificateError::UnsupportedSignatureAlgorithmContext {
                signature_algorithm_id: vec![1, 2, 3],
                supported_algorithms: Vec::new(),
            },
            CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
                signature_algorithm_id: vec![1],
                public_key_algorithm_id: vec![2],
            },
            CertificateError::NotValidForName,
            names(&[]),
            names(&["DnsName(\"other.example\")"]),
            names(&[
                "DnsName(\"a.example\")",
                "DnsName(\"*.b.example\")",
                "IpAddress(192.0.2.1)",
            ]),
            names(&["DnsName(\"n\")"; 9]),
            CertificateError::InvalidPurpose,
            CertificateError::InvalidPurposeContext {
                required: ExtendedKeyPurpose::ServerAuth,
                presented: vec![ExtendedKeyPurpose::Other(vec![1, 2, 3])],
            },
            CertificateError::InvalidOcspResponse,
            CertificateError::ApplicationVerificationFailure,
        ];
        all.extend(
            [
                "CaUsedAsEndEntity",
                "EndEntityUsedAsCa",
                "NameConstraintViolation",
                "PathLenConstraintViolated",
                "MaximumPathBuildCallsExceeded",
                "UnsupportedCertVersion",
                "UnsupportedCriticalExtension",
                "SignatureAlgorithmMismatch",
                "EmptyEkuExtension",
                "CertDistrusted",
                "MalformedExtensions",
                "ExtensionValueInvalid",
            ]
            .map(finding),
        );
        all
    }

    fn handshake_errors() -> Vec<Error> {
        use PeerIncompatible as Incompatible;
        let mut all = vec![
            Error::NoCertificatesPresented,
            Error::DecryptError,
            Error::EncryptError,
            Error::PeerSentOversizedRecord,
            Error::NoApplicationProtocol,
            Error::UnsupportedNameType,
            Error::HandshakeNotComplete,
            Error::FailedToGetCurrentTime,
            Error::FailedToGetRandomBytes,
            Error::General("unexpected HashAlgorithm".to_owned()),
            Error::Other(OtherError(Arc::new(Finding("SomethingElse(7)")))),
            Error::InvalidCertRevocationList(CertRevocationListError::BadSignature),
        ];
        all.extend((0..=255).map(|number| Error::AlertReceived(AlertDescription::from(number))));
        all.extend(
            [
                Incompatible::ExtendedMasterSecretExtensionRequired,
                Incompatible::KeyShareExtensionRequired,
                Incompatible::NoCertificateRequestSignatureSchemesInCommon,
                Incompatible::NoCipherSuitesInCommon,
                Incompatible::NoEcPointFormatsInCommon,
                Incompatible::NoKxGroupsInCommon,
                Incompatible::NoSignatureSchemesInCommon,
                Incompatible::NullCompressionRequired,
                Incompatible::ServerDoesNotSupportTls12Or13,
                Incompatible::ServerSentHelloRetryRequestWithUnknownExtension,
                Incompatible::ServerTlsVersionIsDisabledByOurConfig,
                Incompatible::SupportedVersionsExtensionRequired,
                Incompatible::Tls12NotOffered,
                Incompatible::Tls12NotOfferedOrEnabled,
                Incompatible::UncompressedEcPointsRequired,
                Incompatible::UnsolicitedCertificateTypeExtension,
            ]
            .map(Error::PeerIncompatible),
        );
        all.extend(
            [
                PeerMisbehaved::AttemptedDowngradeToTls12WhenTls13IsSupported,
                PeerMisbehaved::DuplicateServerHelloExtensions,
                PeerMisbehaved::MissingKeyShare,
                PeerMisbehaved::SelectedUnofferedCipherSuite,
                PeerMisbehaved::SignedKxWithWrongAlgorithm,
                PeerMisbehaved::TooManyWarningAlertsReceived,
                PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme,
            ]
            .map(Error::PeerMisbehaved),
        );
        all.extend(
            [
                InvalidMessage::InvalidContentType,
                InvalidMessage::UnknownProtocolVersion,
                InvalidMessage::MessageTooLarge,
                InvalidMessage::MessageTooShort,
                InvalidMessage::MissingData("ServerHello"),
                InvalidMessage::TrailingData("Certificate"),
                InvalidMessage::UnexpectedMessage("ClientHello"),
                InvalidMessage::UnsupportedCurveType,
                InvalidMessage::InvalidCcs,
            ]
            .map(Error::InvalidMessage),
        );
        all.extend(certificate_errors().into_iter().map(Error::InvalidCertificate));
        all
    }

    /// A name of a type or a variant, as Rust writes it.
    fn is_of_a_library(word: &str) -> bool {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        let humps = word
            .as_bytes()
            .windows(2)
            .filter(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase())
            .count();
        humps > 0
    }

    #[test]
    fn whatever_goes_wrong_is_said_in_plain_words_with_what_to_do() {
        let remedies = [
            "operator",
            "owner has to",
            "Name the host",
            "Set the clock",
            "set it",
            "Check host",
            "Port 587",
            "ca_file",
            "account",
            "cannot begin",
            "ended the connection",
            "One of the two",
        ];
        for error in handshake_errors() {
            let shown = format!("{error:?}");
            let told = told(error).to_string();
            assert!(
                told.contains("mail.example.test") && told.ends_with('.'),
                "{shown}: {told}"
            );
            let strange: Vec<&str> = told
                .split_whitespace()
                .filter(|word| is_of_a_library(word) || word.contains("(\"") || word.contains(['[', ']', '{', '}']))
                .collect();
            assert!(strange.is_empty(), "{shown}: {strange:?} in {told}");
            assert!(remedies.iter().any(|remedy| told.contains(remedy)), "{shown}: {told}");
        }
    }

    #[test]
    fn names_signatures_and_ciphers_are_named() {
        let certificate = |problem| told(Error::InvalidCertificate(problem)).to_string();
        let expected = || ServerName::try_from("mail.example.test").expect("a name");
        let names = |presented: &[&str]| {
            certificate(CertificateError::NotValidForNameContext {
                expected: expected(),
                presented: presented.iter().map(|name| (*name).to_owned()).collect(),
            })
        };
        let two = names(&["DnsName(\"a.example\")", "DnsName(\"*.b.example\")"]);
        assert!(two.contains("but for `a.example` and `*.b.example`. Name"), "{two}");
        let none = names(&[]);
        assert!(none.contains("names no host"), "{none}");
        let many = names(&["DnsName(\"n\")"; 9]);
        assert!(many.contains("and 4 more"), "{many}");
        let weak = certificate(CertificateError::UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id: vec![6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5, 5, 0],
            supported_algorithms: Vec::new(),
        });
        assert!(weak.contains("signed by SHA-1 with RSA"), "{weak}");
        for error in [
            Error::AlertReceived(AlertDescription::HandshakeFailure),
            Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon),
        ] {
            let told = told(error).to_string();
            assert!(told.contains("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"), "{told}");
        }
    }

    #[test]
    fn a_goodbye_is_no_matter_of_settings() {
        for alert in [AlertDescription::CloseNotify, AlertDescription::UserCanceled] {
            assert!(told(Error::AlertReceived(alert)).is_transient());
        }
    }
}
