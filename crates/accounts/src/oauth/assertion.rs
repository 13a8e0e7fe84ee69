//! A service account's signed assertion (RFC 7523, section 2.1; RS256 of RFC 7518, section 3.3).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::json;
use url::Url;
use zeroize::Zeroizing;

use super::Grant;
use super::token_request::TokenRequest;
use crate::document::Node;
use crate::environment::Environment;
use crate::error::{Error, ErrorKind};
use crate::provider::{EndpointKind, Provider};
use crate::sign_in::{ServiceAccount, read_endpoint};

/// The longest life that Google takes.
const LIFE: Duration = Duration::from_secs(3600);

/// What a key file says.
struct KeyFile {
    client_email: String,
    key_id: Option<String>,
    key: RsaKeyPair,
    token_endpoint: Option<Url>,
}

/// The request that brings a token for the user acted for.
pub(crate) fn request(
    service: &ServiceAccount,
    environment: &Environment,
    now: SystemTime,
) -> Result<TokenRequest, Error> {
    let fail = |message: &str| Error::new(ErrorKind::Invalid, service.key.place().clone(), message);
    let key = service.key.resolve(environment)?;
    let file = read_key_file(key.expose()).map_err(|message| fail(&message))?;
    let endpoint = service.token_endpoint.clone().or(file.token_endpoint.clone());
    let endpoint = endpoint.or_else(|| read_endpoint(&Provider::Google.endpoint(EndpointKind::Token, None)));
    let endpoint = endpoint.ok_or_else(|| fail("no token endpoint is known; write \"token_endpoint\""))?;
    let assertion = sign(&file, service, &endpoint, now)
        .ok_or_else(|| fail("the key cannot sign; download a new one from the service account's page"))?;
    Ok(TokenRequest::new(Grant::ServiceAccount, Some(Provider::Google), endpoint).with("assertion", &assertion))
}

fn sign(file: &KeyFile, service: &ServiceAccount, endpoint: &Url, now: SystemTime) -> Option<Zeroizing<String>> {
    let issued = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
    let mut header = json!({"alg": "RS256", "typ": "JWT"});
    if let Some(id) = &file.key_id {
        header["kid"] = id.as_str().into();
    }
    let claims = json!({
        "iss": file.client_email,
        "sub": service.subject,
        "scope": service.scopes.join(" "),
        "aud": endpoint.as_str(),
        "iat": issued,
        "exp": issued + LIFE.as_secs(),
    });
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!(
        "{}.{}",
        encode(header.to_string().as_bytes()),
        encode(claims.to_string().as_bytes())
    );
    let mut signature = vec![0; file.key.public().modulus_len()];
    file.key
        .sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            signed.as_bytes(),
            &mut signature,
        )
        .ok()?;
    Some(Zeroizing::new(format!("{signed}.{}", encode(&signature))))
}

fn read_key_file(text: &str) -> Result<KeyFile, String> {
    let Ok(Node::Object(entries)) = Node::parse(text) else {
        return Err(
            "it is not the JSON of a service account's key; name the downloaded file, as in ${file:key.json}"
                .to_owned(),
        );
    };
    let text = |name: &str| {
        entries.iter().find_map(|(key, value)| match value {
            Node::Text(text) if key == name => Some(text.clone()),
            _ => None,
        })
    };
    if text("type").is_some_and(|kind| kind.as_str() != "service_account") || text("private_key").is_none() {
        return Err(
            "it is JSON, and not a service account's key; make one under Keys on the service account's page".to_owned(),
        );
    }
    let client_email = text("client_email")
        .ok_or("the key has no \"client_email\"; download it anew")?
        .to_string();
    let pem = text("private_key").unwrap_or_default();
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| "its \"private_key\" is not whole PEM; download the key anew".to_owned())?;
    let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der())
        .map_err(|_| "its \"private_key\" is not an RSA key of at least 2048 bits; download the key anew".to_owned())?;
    let token_endpoint = match text("token_uri") {
        Some(uri) => {
            Some(read_endpoint(&uri).ok_or("the key's \"token_uri\" is not an https address; download the key anew")?)
        }
        None => None,
    };
    Ok(KeyFile {
        client_email,
        key_id: text("private_key_id").map(|id| id.to_string()),
        key,
        token_endpoint,
    })
}
