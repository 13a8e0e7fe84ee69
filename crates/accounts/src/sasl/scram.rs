//! SCRAM-SHA-256 (RFC 5802, RFC 7677): both sides prove that they know the password, and neither says it.
//!
//! Without channel binding: the flag is `n` (RFC 5802, section 6). TLS has verified the server before.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SecureRandom as _;
use ring::{digest, hmac, pbkdf2, rand};
use zeroize::Zeroizing;

use super::exchange::{ChallengeError, SaslError};
use super::prepare::prepared;
use super::{Credentials, Mechanism};

/// Fewer iterations make a password cheap to guess for whoever sees the exchange (RFC 7677, section 4).
const ITERATIONS_MIN: u32 = 4096;
/// More iterations would keep this machine busy for more than a second.
const ITERATIONS_MAX: u32 = 1_000_000;
/// The octets of a salt at most.
const SALT_BYTES_MAX: usize = 1024;
/// The octets of chance in the client's nonce.
const NONCE_BYTES: usize = 18;
/// `n,,` in base64: no channel binding, and no other identity than the user's.
const GS2_HEADER: &str = "n,,";
const GS2_HEADER_IN_BASE64: &str = "biws";

/// The client's side, until its first message is answered.
pub(super) struct Scram {
    password: Zeroizing<String>,
    nonce: String,
    first_bare: Zeroizing<String>,
}

/// The client's last message, and what the server's answer to it has to be.
pub(super) struct Final {
    pub(super) message: Zeroizing<String>,
    /// The part of the message that only somebody who knows the password can make.
    pub(super) proof: Zeroizing<Vec<u8>>,
    pub(super) server_signature: Zeroizing<Vec<u8>>,
}

impl Scram {
    /// # Errors
    /// When the user name or the password holds what SASLprep prohibits, or the system has no random numbers.
    pub(super) fn new(credentials: &Credentials) -> Result<Self, SaslError> {
        let mut chance = [0; NONCE_BYTES];
        rand::SystemRandom::new()
            .fill(&mut chance)
            .map_err(|_| SaslError::NoRandomNumbers)?;
        Self::with_nonce(credentials, STANDARD.encode(chance))
    }

    fn with_nonce(credentials: &Credentials, nonce: String) -> Result<Self, SaslError> {
        let unfit = || SaslError::ControlCharacter(Mechanism::ScramSha256);
        let username = prepared(credentials.username()).ok_or_else(unfit)?;
        let password = prepared(credentials.secret()).ok_or_else(unfit)?;
        let username = Zeroizing::new(username.replace('=', "=3D").replace(',', "=2C"));
        Ok(Self {
            password,
            first_bare: Zeroizing::new(format!("n={},r={nonce}", *username)),
            nonce,
        })
    }

    /// Returns the client's first message.
    pub(super) fn first_message(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{GS2_HEADER}{}", *self.first_bare))
    }

    /// Answers the server's first message.
    ///
    /// # Errors
    /// When the message is none, or asks for what must not be done.
    pub(super) fn answer(&self, server_first: &[u8]) -> Result<Final, ChallengeError> {
        let message = std::str::from_utf8(server_first).map_err(|_| ChallengeError::Malformed)?;
        let Challenge {
            nonce,
            salt,
            iterations,
        } = Challenge::parse(message)?;
        // The server's own part is what keeps an old exchange from being played again.
        if nonce.len() <= self.nonce.len() || !nonce.starts_with(&self.nonce) {
            return Err(ChallengeError::ForeignNonce);
        }
        let mut salted = Zeroizing::new([0; digest::SHA256_OUTPUT_LEN]);
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            iterations,
            &salt,
            self.password.as_bytes(),
            &mut *salted,
        );
        let without_proof = format!("c={GS2_HEADER_IN_BASE64},r={nonce}");
        let signed = Zeroizing::new(format!("{},{message},{without_proof}", *self.first_bare));
        let client_key = hmac_of(&*salted, b"Client Key");
        let stored_key = digest::digest(&digest::SHA256, &client_key);
        let signature = hmac_of(stored_key.as_ref(), signed.as_bytes());
        let proof: Zeroizing<Vec<u8>> =
            Zeroizing::new(client_key.iter().zip(signature.iter()).map(|(a, b)| a ^ b).collect());
        let server_key = hmac_of(&*salted, b"Server Key");
        let server_signature = hmac_of(&server_key, signed.as_bytes());
        let in_base64 = Zeroizing::new(STANDARD.encode(&*proof));
        Ok(Final {
            message: Zeroizing::new(format!("{without_proof},p={}", *in_base64)),
            proof,
            server_signature,
        })
    }
}

impl Final {
    /// Checks whether this is the server's proof that it knows the password too.
    pub(super) fn is_proven_by(&self, server_final: &[u8]) -> bool {
        let verifier = std::str::from_utf8(server_final)
            .ok()
            .and_then(|message| message.split(',').next()?.strip_prefix("v="));
        verifier
            .and_then(|verifier| STANDARD.decode(verifier).ok())
            // A server has one try: how long this takes tells it nothing.
            .is_some_and(|said| said == *self.server_signature)
    }
}

/// The server's first message (RFC 5802, section 7).
struct Challenge<'a> {
    nonce: &'a str,
    salt: Vec<u8>,
    iterations: NonZeroU32,
}

impl<'a> Challenge<'a> {
    fn parse(message: &'a str) -> Result<Self, ChallengeError> {
        // The order is fixed, and whatever follows is an extension that may be ignored. An extension that must be
        // understood comes first, as `m=`, and is not.
        let mut attributes = message.split(',');
        let mut next = |name| {
            let value: Option<&'a str> = attributes.next().and_then(|attribute| attribute.strip_prefix(name));
            value.filter(|value| !value.is_empty()).ok_or(ChallengeError::Malformed)
        };
        let (nonce, salt, iterations) = (next("r=")?, next("s=")?, next("i=")?);
        let salt = STANDARD.decode(salt).map_err(|_| ChallengeError::Malformed)?;
        if salt.is_empty() || salt.len() > SALT_BYTES_MAX || nonce.bytes().any(|byte| !matches!(byte, 0x21..=0x7e)) {
            return Err(ChallengeError::Malformed);
        }
        if !iterations.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ChallengeError::Malformed);
        }
        // A number too large for its type is too large anyway.
        let iterations = iterations.parse().unwrap_or(u32::MAX);
        if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations) {
            return Err(ChallengeError::Iterations(iterations));
        }
        Ok(Self {
            nonce,
            salt,
            iterations: NonZeroU32::new(iterations).ok_or(ChallengeError::Malformed)?,
        })
    }
}

fn hmac_of(key: &[u8], message: &[u8]) -> Zeroizing<Vec<u8>> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    Zeroizing::new(hmac::sign(&key, message).as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn scram(user: &str, password: &str, nonce: &str) -> Scram {
        let credentials = Credentials::password(Secret::new(user.to_owned()), Secret::new(password.to_owned()));
        Scram::with_nonce(&credentials, nonce.to_owned()).expect("a user and a password")
    }

    /// The exchange of RFC 7677, section 3.
    const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    #[test]
    fn the_exchange_is_that_of_the_standard() {
        let client = scram("user", "pencil", "rOprNGfwEbeRWgbNEkqO");
        assert_eq!(*client.first_message(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let last = client.answer(SERVER_FIRST.as_bytes()).expect("a challenge");
        assert_eq!(
            *last.message,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert!(last.is_proven_by(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
        for other in [
            &b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5="[..],
            b"v=",
            b"",
            b"e=other-error",
            b"6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        ] {
            assert!(!last.is_proven_by(other));
        }
    }

    #[test]
    fn a_user_name_is_escaped() {
        assert_eq!(*scram("a=b,c", "p", "x").first_message(), "n,,n=a=3Db=2Cc,r=x");
    }

    #[test]
    fn a_challenge_is_bounded() {
        let client = scram("user", "pencil", "abc");
        let error = |challenge: &str| client.answer(challenge.as_bytes()).err();
        assert_eq!(error("r=abcdef,s=QSXCR+Q6sek8bf92,i=4096"), None);
        assert_eq!(error("r=abcdef,s=QSXCR+Q6sek8bf92,i=4096,x=ignored"), None);
        for (challenge, expected) in [
            ("r=abcdef,s=QSXCR+Q6sek8bf92,i=4095", ChallengeError::Iterations(4095)),
            ("r=abcdef,s=QSXCR+Q6sek8bf92,i=0", ChallengeError::Iterations(0)),
            (
                "r=abcdef,s=QSXCR+Q6sek8bf92,i=1000001",
                ChallengeError::Iterations(1_000_001),
            ),
            (
                "r=abcdef,s=QSXCR+Q6sek8bf92,i=99999999999",
                ChallengeError::Iterations(u32::MAX),
            ),
            ("r=abcdef,s=QSXCR+Q6sek8bf92,i=-1", ChallengeError::Malformed),
            ("r=abc,s=QSXCR+Q6sek8bf92,i=4096", ChallengeError::ForeignNonce),
            ("r=xyzabc,s=QSXCR+Q6sek8bf92,i=4096", ChallengeError::ForeignNonce),
            ("r=abc\u{e9}f,s=QSXCR+Q6sek8bf92,i=4096", ChallengeError::Malformed),
            ("r=abcdef,s=,i=4096", ChallengeError::Malformed),
            ("r=abcdef,s=?,i=4096", ChallengeError::Malformed),
            ("s=QSXCR+Q6sek8bf92,r=abcdef,i=4096", ChallengeError::Malformed),
            ("m=x,r=abcdef,s=QSXCR+Q6sek8bf92,i=4096", ChallengeError::Malformed),
            ("r=abcdef,s=QSXCR+Q6sek8bf92", ChallengeError::Malformed),
            ("", ChallengeError::Malformed),
        ] {
            assert_eq!(error(challenge), Some(expected), "{challenge}");
        }
        assert_eq!(client.answer(b"\xff").err(), Some(ChallengeError::Malformed));
    }

    #[test]
    fn a_nonce_is_used_once() {
        let credentials = Credentials::password(Secret::new("u".to_owned()), Secret::new("p".to_owned()));
        let nonce = || Scram::new(&credentials).expect("random numbers").nonce;
        let first = nonce();
        assert!(first.len() >= 24 && !first.contains(','));
        assert_ne!(first, nonce());
    }
}
