//! Host, port and how TLS begins.

use std::path::PathBuf;

use ipnet::IpNet;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::agreed;
use super::sign_in::Reading;
use crate::account::{AccountType, AllowedHost, Server, TlsSettings};
use crate::endpoint::{SUBMISSION, SUBMISSIONS, parse_host};
use crate::error::{ErrorKind, WarningKind};
use crate::fields::{Fields, Findings};
use crate::gmail;
use crate::presets::{Filled, warn_of_password};
use crate::properties::Properties;
use crate::reference::References;
use crate::sign_in::SignIn;

/// None when an error was found on the way.
pub(super) fn read_server(
    kind: AccountType,
    fields: &mut Fields,
    properties: &Properties,
    sign_in: &Reading,
    preset: Option<&Filled>,
    found: &mut Findings,
) -> Option<Server> {
    let before = found.errors.len();
    let server = match kind {
        AccountType::Basic => basic_server(fields, properties, found),
        _ => own_server(fields, properties, sign_in, preset, found),
    };
    check_gmail_username(kind, &server, sign_in, fields, found);
    if let (Some(host), SignIn::Password(password)) = (&server.host, &sign_in.way)
        && sign_in.mechanisms.iter().any(|mechanism| mechanism.takes_password())
    {
        warn_of_password(host, password.as_literal(), fields, found);
    }
    (found.errors.len() == before).then_some(server)
}

/// TLS always: its endpoints are Gmail's and those that the account lists, and none is asked for in clear.
fn basic_server(fields: &mut Fields, properties: &Properties, found: &mut Findings) -> Server {
    refuse_server_properties(fields, properties, found);
    Server {
        host: None,
        port: SUBMISSION,
        tls_from_first_byte: false,
        starttls: true,
        allow_plaintext_auth: false,
        allowed_hosts: read_allowed_hosts(fields, found),
        allowed_networks: read_allowed_networks(fields, found),
    }
}

fn own_server(
    fields: &mut Fields,
    properties: &Properties,
    sign_in: &Reading,
    preset: Option<&Filled>,
    found: &mut Findings,
) -> Server {
    let host = read_host(fields, properties, sign_in, preset, found);
    let port = fields.integer("port", 1..=u16::MAX, found);
    let port = agreed(port, properties.port, ("port", "port"), fields, found);
    let tls_from_first_byte = properties.ssl_enable == Some(true);
    let default_port = || {
        if tls_from_first_byte {
            SUBMISSIONS
        } else {
            preset.map_or(SUBMISSION, |preset| preset.port)
        }
    };
    let starttls = read_starttls(fields, properties, found);
    let mut server = Server {
        port: port.unwrap_or_else(default_port),
        host,
        tls_from_first_byte,
        starttls: starttls.unwrap_or(true),
        allow_plaintext_auth: fields.boolean("allow_plaintext_auth", found).unwrap_or(false),
        allowed_hosts: read_allowed_hosts(fields, found),
        allowed_networks: read_allowed_networks(fields, found),
    };
    correct_tls(&mut server, starttls, properties, sign_in, fields, found);
    server
}

/// The account's host: as written, the preset's, the token provider's.
fn read_host(
    fields: &mut Fields,
    properties: &Properties,
    sign_in: &Reading,
    preset: Option<&Filled>,
    found: &mut Findings,
) -> Option<String> {
    let host = fields.parsed("host", "a host name or an address", parse_host, found);
    let host = agreed(host, properties.host.clone(), ("host", "host"), fields, found);
    if let (Some(host), Some(preset)) = (&host, preset)
        && *host != preset.host
    {
        let shown = fields.quoted("host", host);
        let message = format!("it says {shown}, and the preset says {}; keep one of them", preset.host);
        fields.refuse("host", ErrorKind::Contradiction, message, found);
    }
    let host = host.or_else(|| preset.map(|preset| preset.host.clone()));
    let host = host.or_else(|| sign_in.provider.map(|provider| provider.smtp_host().to_owned()));
    let signs_in = !matches!(sign_in.way, SignIn::None);
    if host.is_none() && signs_in && !fields.is_written("host") && !fields.is_written("preset") {
        let message = "it is needed, since the account alone says where its secret goes; write the server's name";
        fields.refuse("host", ErrorKind::Missing, message, found);
    }
    host
}

fn read_starttls(fields: &mut Fields, properties: &Properties, found: &mut Findings) -> Option<bool> {
    const NAMES: (&str, &str) = ("starttls_enable", "starttls.enable");
    let starttls = fields.boolean(NAMES.0, found);
    let starttls = agreed(starttls, properties.starttls_enable, NAMES, fields, found);
    match (properties.starttls_required, starttls) {
        (Some(true), Some(false)) => {
            let message = "it says false, and the property mail.smtp.starttls.required says true; keep one of them";
            fields.refuse(NAMES.0, ErrorKind::Contradiction, message, found);
        }
        (Some(false), None | Some(true)) => {
            let message = "STARTTLS is always required where it is asked for; leave mail.smtp.starttls.required out";
            fields.warn("properties", WarningKind::NoEffect, message, found);
        }
        _ => {}
    }
    starttls
}

fn refuse_server_properties(fields: &Fields, properties: &Properties, found: &mut Findings) {
    let named = [
        ("host", properties.host.is_some()),
        ("port", properties.port.is_some()),
        ("ssl.enable", properties.ssl_enable.is_some()),
        ("starttls.enable", properties.starttls_enable.is_some()),
        ("starttls.required", properties.starttls_required.is_some()),
    ];
    for (name, _) in named.iter().filter(|(_, is_named)| *is_named) {
        let message = "a basic account has no server of its own; use the type smtp-auth-and-properties";
        fields.refuse(&format!("properties.{name}"), ErrorKind::Unknown, message, found);
    }
}

/// On the two ports that say how TLS begins, the port is believed and not the flag. Elsewhere the flag is, unless there
/// are two that differ.
fn correct_tls(
    server: &mut Server,
    starttls: Option<bool>,
    properties: &Properties,
    sign_in: &Reading,
    fields: &Fields,
    found: &mut Findings,
) {
    let signs_in = !matches!(sign_in.way, SignIn::None);
    let mut corrected = |field: &str, message: &str| {
        fields.warn(field, WarningKind::Corrected, message, found);
    };
    match server.port {
        SUBMISSIONS if properties.ssl_enable == Some(false) || starttls == Some(true) => {
            let field = if starttls == Some(true) {
                "starttls_enable"
            } else {
                "properties"
            };
            corrected(
                field,
                "on port 465 TLS begins with the first byte, whatever is said here; write 587 for STARTTLS, or leave it out",
            );
        }
        SUBMISSION if properties.ssl_enable == Some(true) => {
            corrected(
                "properties",
                "on port 587 TLS begins with STARTTLS, whatever mail.smtp.ssl.enable says; write 465 for TLS from the first byte",
            );
            server.starttls = true;
        }
        SUBMISSION if starttls == Some(false) && signs_in && !server.allow_plaintext_auth => {
            corrected(
                "starttls_enable",
                "on port 587 an account that signs in uses STARTTLS, whatever is said here; leave it out",
            );
            server.starttls = true;
        }
        SUBMISSION | SUBMISSIONS => {}
        _ if properties.ssl_enable == Some(true) && starttls == Some(true) => {
            let message = "STARTTLS and TLS from the first byte (mail.smtp.ssl.enable) exclude each other; keep the one that the server's port speaks";
            fields.refuse("starttls_enable", ErrorKind::Contradiction, message, found);
        }
        port if signs_in && !server.allow_plaintext_auth && server.security_at(port) == crate::Security::None => {
            let message = "the account signs in, and asks for no TLS: a step that asks for none either will be refused; write true";
            fields.warn("starttls_enable", WarningKind::PlaintextSignIn, message, found);
        }
        _ => {}
    }
}

fn check_gmail_username(kind: AccountType, server: &Server, sign_in: &Reading, fields: &Fields, found: &mut Findings) {
    let only_gmail = match kind {
        AccountType::Basic => server.allowed_hosts.is_empty(),
        _ => server.host.as_deref().is_some_and(gmail::is_gmail),
    };
    if only_gmail
        && sign_in
            .username_shown
            .as_deref()
            .is_some_and(|name| !name.contains('@'))
    {
        fields.refuse("username", ErrorKind::Invalid, gmail::USERNAME_WITHOUT_DOMAIN, found);
    }
}

fn read_allowed_hosts(fields: &mut Fields, found: &mut Findings) -> Vec<AllowedHost> {
    let mut allowed = Vec::new();
    for text in fields.list("allowed_hosts", found) {
        match AllowedHost::parse(&text) {
            Some(host) => allowed.push(host),
            None => {
                let message = format!(
                    "{} is not a host name or an address, with or without a port; write each host in full, such as mail.example.com or mail.example.com:2525",
                    fields.quoted("allowed_hosts", &text)
                );
                fields.refuse("allowed_hosts", ErrorKind::Invalid, message, found);
            }
        }
    }
    allowed
}

fn read_allowed_networks(fields: &mut Fields, found: &mut Findings) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for text in fields.list("allowed_networks", found) {
        let network = text
            .parse::<IpNet>()
            .ok()
            .or_else(|| Some(IpNet::from(text.parse::<std::net::IpAddr>().ok()?)));
        match network {
            Some(network) => networks.push(network.trunc()),
            None => {
                let message = format!(
                    "{} is not a network; write it as address/bits, such as 10.1.0.0/16",
                    fields.quoted("allowed_networks", &text)
                );
                fields.refuse("allowed_networks", ErrorKind::Invalid, message, found);
            }
        }
    }
    networks
}

pub(super) fn read_tls(fields: &mut Fields, properties: &Properties, found: &mut Findings) -> TlsSettings {
    let defaults = TlsSettings::default();
    let (min, max) = properties.tls_versions.unwrap_or((defaults.min, defaults.max));
    let ca_file = fields
        .text("ca_file", found)
        .map(|path| fields.context().base.join(path));
    let ca = match &ca_file {
        Some(path) => read_certificates(path, fields, found),
        None => Vec::new(),
    };
    TlsSettings { min, max, ca_file, ca }
}

/// More than the authorities of a system take.
const CA_FILE_MAX: u64 = 1 << 20;

fn read_certificates(path: &PathBuf, fields: &Fields, found: &mut Findings) -> Vec<CertificateDer<'static>> {
    let shown = if fields.is_reference("ca_file") {
        "it names".to_owned()
    } else {
        path.display().to_string()
    };
    let mut fail = |message: String| {
        fields.refuse("ca_file", ErrorKind::Invalid, message, found);
        Vec::new()
    };
    // Whoever wrote an account of the store must not make its readers wait for a pipe or read a device without end.
    let is_stored = matches!(fields.context().references, References::Only(_));
    let is_small_file =
        |path: &PathBuf| std::fs::metadata(path).map_or(true, |found| found.is_file() && found.len() <= CA_FILE_MAX);
    if is_stored && !is_small_file(path) {
        return fail(format!("{shown} is not a file of at most 1 MiB; name a PEM file"));
    }
    let pem = match std::fs::read(path) {
        Ok(pem) => pem,
        Err(error) => {
            return fail(format!(
                "the file {shown} cannot be read ({error}); correct the path or its mode"
            ));
        }
    };
    match CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>() {
        Ok(certificates) if certificates.is_empty() => fail(format!(
            "the file {shown} holds no certificate; write the path of a PEM file that begins with -----BEGIN CERTIFICATE-----"
        )),
        Ok(certificates) => certificates,
        Err(_) => fail(format!(
            "the file {shown} is not whole PEM; export the certificate anew"
        )),
    }
}
