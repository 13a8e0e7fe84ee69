//! The `properties` field: Jakarta Mail's `mail.smtp.*`. Each property is either honoured or refused by name.

use std::time::Duration;

use crate::account::TlsVersion;
use crate::document::Node;
use crate::error::{ErrorKind, WarningKind};
use crate::fields::{Context, Fields, Findings, read_boolean};
use crate::sasl::Mechanism;

/// The properties that are honoured, without their prefix.
pub(crate) const HONOURED: [&str; 22] = [
    "host",
    "port",
    "user",
    "from",
    "localhost",
    "auth",
    "auth.mechanisms",
    "connectiontimeout",
    "timeout",
    "writetimeout",
    "ssl.enable",
    "ssl.checkserveridentity",
    "ssl.trust",
    "ssl.protocols",
    "starttls.enable",
    "starttls.required",
    "sendpartial",
    "dsn.notify",
    "dsn.ret",
    "chunksize",
    "allow8bitmime",
    "allowutf8",
];

/// Names that Jakarta Mail knows and that are refused, by how they begin, each with what to do.
const REFUSED: [(&str, &str); 19] = [
    (
        "mail.smtps.",
        "write mail.smtp.ssl.enable and the mail.smtp. properties instead",
    ),
    ("mail.transport.", "the account's type says the protocol; leave it out"),
    ("mail.debug", "run with -v to see the dialogue; leave it out"),
    (
        "ssl.socketfactory",
        "TLS is the host's own; name a private CA in \"ca_file\"",
    ),
    (
        "socketfactory",
        "TLS is the host's own; write mail.smtp.ssl.enable for TLS from the first byte",
    ),
    ("ssl.ciphersuites", "the host chooses cipher suites; leave it out"),
    (
        "auth.login.disable",
        "name the mechanisms you want in mail.smtp.auth.mechanisms",
    ),
    (
        "auth.plain.disable",
        "name the mechanisms you want in mail.smtp.auth.mechanisms",
    ),
    (
        "auth.digest-md5",
        "name the mechanisms you want in mail.smtp.auth.mechanisms",
    ),
    ("auth.ntlm", NTLM),
    (
        "auth.xoauth2",
        "name XOAUTH2 in mail.smtp.auth.mechanisms, or use an oauth-2 account",
    ),
    ("sasl.", "name the mechanisms you want in mail.smtp.auth.mechanisms"),
    ("proxy.", "proxies are not supported; leave it out"),
    ("socks.", "proxies are not supported; leave it out"),
    (
        "localaddress",
        "the operating system chooses the local address; leave it out",
    ),
    ("localport", "the operating system chooses the local port; leave it out"),
    ("submitter", "the AUTH parameter of MAIL is not sent; leave it out"),
    (
        "mailextension",
        "extensions of MAIL are not sent as free text; leave it out",
    ),
    ("ehlo", "EHLO is always said, and HELO when it is refused; leave it out"),
];

/// Jakarta Mail's settings of its own habits, which change nothing here.
const WITHOUT_EFFECT: [&str; 5] = [
    "quitwait",
    "quitonsessionreject",
    "userset",
    "noop.strict",
    "reportsuccess",
];

/// What the properties say; none is not said.
#[derive(Default)]
pub(crate) struct Properties {
    /// Those whose values come from references, without their prefix.
    pub(crate) references: Vec<&'static str>,
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) user: Option<String>,
    pub(crate) envelope_from: Option<String>,
    pub(crate) client_name: Option<String>,
    pub(crate) auth: Option<bool>,
    pub(crate) mechanisms: Option<Vec<Mechanism>>,
    pub(crate) connect: Option<Duration>,
    pub(crate) read: Option<Duration>,
    pub(crate) write: Option<Duration>,
    pub(crate) ssl_enable: Option<bool>,
    pub(crate) tls_versions: Option<(TlsVersion, TlsVersion)>,
    pub(crate) starttls_enable: Option<bool>,
    pub(crate) starttls_required: Option<bool>,
    pub(crate) send_partial: Option<bool>,
    pub(crate) dsn_notify: Option<String>,
    pub(crate) dsn_ret: Option<String>,
    pub(crate) chunk_size: Option<u32>,
    pub(crate) allow_8bit: Option<bool>,
    pub(crate) allow_utf8: Option<bool>,
}

impl Properties {
    /// Whether the value of a property, without its prefix, comes from a reference.
    pub(crate) fn is_reference(&self, name: &str) -> bool {
        self.references.contains(&name)
    }

    pub(crate) fn read(object: Vec<(String, Node)>, context: &Context, found: &mut Findings) -> Self {
        let mut fields = Fields::named_by(without_prefix, object, context.clone(), "properties.", found);
        refuse_known(&mut fields, found);
        let properties = Self {
            references: HONOURED.into_iter().filter(|name| fields.is_reference(name)).collect(),
            host: fields.parsed("host", "a host name or an address", crate::endpoint::parse_host, found),
            port: fields.integer("port", 1..=u16::MAX, found),
            user: fields.text("user", found),
            envelope_from: fields.parsed(
                "from",
                "an address such as bounces@example.com",
                read_envelope_from,
                found,
            ),
            client_name: fields.parsed("localhost", CLIENT_NAME, read_client_name, found),
            auth: fields.boolean("auth", found),
            mechanisms: read_mechanisms(&mut fields, found),
            connect: read_timeout("connectiontimeout", &mut fields, found),
            read: read_timeout("timeout", &mut fields, found),
            write: read_timeout("writetimeout", &mut fields, found),
            ssl_enable: fields.boolean("ssl.enable", found),
            tls_versions: read_versions(&mut fields, found),
            starttls_enable: fields.boolean("starttls.enable", found),
            starttls_required: fields.boolean("starttls.required", found),
            send_partial: fields.boolean("sendpartial", found),
            dsn_notify: fields.parsed(
                "dsn.notify",
                "NEVER, or some of SUCCESS, FAILURE, DELAY",
                read_notify,
                found,
            ),
            dsn_ret: fields.parsed("dsn.ret", "FULL or HDRS", read_ret, found),
            chunk_size: read_chunk_size(&mut fields, found),
            allow_8bit: fields.boolean("allow8bitmime", found),
            allow_utf8: fields.boolean("allowutf8", found),
        };
        check_trust(&mut fields, found);
        if fields.boolean("ssl.checkserveridentity", found) == Some(false) {
            let message =
                "the server's name is always checked; leave it out, or correct \"host\" to the name in the certificate";
            fields.refuse("ssl.checkserveridentity", ErrorKind::Invalid, message, found);
        }
        fields.finish("the list of supported properties", &HONOURED, found);
        properties
    }
}

fn without_prefix(name: &str) -> String {
    let name = name.trim().to_lowercase();
    ["mail.smtp.", "mail.mime."]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(&name)
        .to_owned()
}

fn refuse_known(fields: &mut Fields, found: &mut Findings) {
    let names: Vec<String> = fields.names().map(str::to_owned).collect();
    for name in &names {
        if let Some((_, remedy)) = REFUSED.iter().find(|(start, _)| name.starts_with(start)) {
            fields.skip(name);
            fields.refuse(
                name,
                ErrorKind::Unknown,
                format!("this property is not supported: {remedy}"),
                found,
            );
        } else if WITHOUT_EFFECT.contains(&name.as_str()) {
            fields.skip(name);
            let message = "it changes nothing here; leave it out";
            fields.warn(name, WarningKind::NoEffect, message, found);
        }
    }
}

const CLIENT_NAME: &str = "a full host name, such as mail.example.com, or an address in brackets";

/// RFC 5321, section 4.1.1.1: a domain, or an address literal. `localhost` is refused, as Gmail refuses it.
fn read_client_name(text: &str) -> Option<String> {
    let name = crate::endpoint::parse_host(text)?;
    match name.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(address)) => Some(format!("[{address}]")),
        Ok(std::net::IpAddr::V6(address)) => Some(format!("[IPv6:{address}]")),
        Err(_) => name.contains('.').then_some(name),
    }
}

/// `<>` is the null reverse-path (RFC 5321, section 4.5.5).
fn read_envelope_from(text: &str) -> Option<String> {
    if text == "<>" {
        Some(text.to_owned())
    } else {
        read_address(text)
    }
}

/// A bare address, roughly: the message builder parses it in full.
pub(crate) fn read_address(text: &str) -> Option<String> {
    let (local, domain) = text.rsplit_once('@')?;
    let is_bare = !text
        .chars()
        .any(|c| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>' | ','));
    (is_bare && !local.is_empty() && !domain.is_empty()).then(|| text.to_owned())
}

/// Jakarta Mail reads zero and less as no limit of its own.
fn read_timeout(name: &str, fields: &mut Fields, found: &mut Findings) -> Option<Duration> {
    let milliseconds = fields.integer(name, -1..=i64::from(u32::MAX), found)?;
    u64::try_from(milliseconds)
        .ok()
        .filter(|limit| *limit > 0)
        .map(Duration::from_millis)
}

/// The smallest BDAT: each costs a reply of the server's.
const CHUNK_OCTETS_MIN: u32 = 1024;

/// Zero and less say, as in Jakarta Mail, that BDAT is not used: returned as zero.
fn read_chunk_size(fields: &mut Fields, found: &mut Findings) -> Option<u32> {
    let octets = fields.integer("chunksize", -1..=i64::from(u32::MAX), found)?;
    let octets = u32::try_from(octets).unwrap_or(0);
    if octets > 0 && octets < CHUNK_OCTETS_MIN {
        let message = format!(
            "a BDAT of {octets} octets would cost a reply for each; write {CHUNK_OCTETS_MIN} or more, or 0 for no BDAT"
        );
        fields.refuse("chunksize", ErrorKind::Invalid, message, found);
        return None;
    }
    Some(octets)
}

fn read_notify(text: &str) -> Option<String> {
    let words: Vec<String> = text
        .split([',', ' '])
        .filter(|word| !word.is_empty())
        .map(str::to_uppercase)
        .collect();
    let is_known = |word: &String| matches!(word.as_str(), "SUCCESS" | "FAILURE" | "DELAY");
    let is_never = words.len() == 1 && words[0] == "NEVER";
    let is_distinct = words.iter().enumerate().all(|(at, word)| !words[..at].contains(word));
    (is_never || (!words.is_empty() && words.iter().all(is_known) && is_distinct)).then(|| words.join(","))
}

fn read_ret(text: &str) -> Option<String> {
    let word = text.to_uppercase();
    matches!(word.as_str(), "FULL" | "HDRS").then_some(word)
}

fn read_mechanisms(fields: &mut Fields, found: &mut Findings) -> Option<Vec<Mechanism>> {
    let mut mechanisms = Vec::new();
    for name in fields.list("auth.mechanisms", found) {
        match Mechanism::from_name(&name) {
            Some(mechanism) if mechanisms.contains(&mechanism) => {}
            Some(mechanism) => mechanisms.push(mechanism),
            None => fields.refuse(
                "auth.mechanisms",
                ErrorKind::Invalid,
                not_spoken(&fields.quoted("auth.mechanisms", &name)),
                found,
            ),
        }
    }
    (!mechanisms.is_empty()).then_some(mechanisms)
}

/// What to do instead of signing in with the name that a Windows domain knows.
const NTLM: &str = "NTLM is not spoken, since its proofs are easy to break; use LOGIN or PLAIN over TLS, which Exchange offers once basic authentication is on for its receive connector, or an oauth-2 account";

/// The clause for a mechanism that accounts cannot use: what it is, and what to do.
pub(crate) fn not_spoken(name: &str) -> String {
    const SPOKEN: &str = "PLAIN, LOGIN, SCRAM-SHA-256, CRAM-MD5, XOAUTH2, OAUTHBEARER or EXTERNAL";
    let bare = name.trim_matches('"').to_ascii_uppercase();
    let remedy = match bare.as_str() {
        "NTLM" | "MSN" => return NTLM.to_owned(),
        "GSSAPI" | "GSS-SPNEGO" | "KERBEROS_V4" => {
            "it is Kerberos, which needs a ticket of this machine; use PLAIN or LOGIN over TLS, or a client certificate with EXTERNAL"
        }
        "DIGEST-MD5" => "it was withdrawn as unsafe (RFC 6331); write SCRAM-SHA-256, or PLAIN over TLS",
        "SCRAM-SHA-256-PLUS" | "SCRAM-SHA-1" | "SCRAM-SHA-1-PLUS" | "SCRAM-SHA-512" => {
            "write SCRAM-SHA-256, or PLAIN over TLS"
        }
        "ANONYMOUS" => "to send without a sign-in, write \"auth\": false",
        _ => return format!("the mechanism {name} is not spoken; write {SPOKEN}"),
    };
    format!("the mechanism {name} is not spoken: {remedy}")
}

fn read_versions(fields: &mut Fields, found: &mut Findings) -> Option<(TlsVersion, TlsVersion)> {
    let names = fields.list("ssl.protocols", found);
    if names.is_empty() {
        return None;
    }
    let mut versions = Vec::new();
    let mut old = Vec::new();
    for name in &names {
        match name.to_ascii_lowercase().as_str() {
            "tlsv1.2" => versions.push(TlsVersion::V1_2),
            "tlsv1.3" => versions.push(TlsVersion::V1_3),
            "tlsv1" | "tlsv1.0" | "tlsv1.1" | "sslv3" | "sslv2" | "sslv2hello" => old.push(name.as_str()),
            _ => {
                let message = "it takes TLSv1.2 and TLSv1.3, with blanks between; write one or both";
                fields.refuse("ssl.protocols", ErrorKind::Invalid, message, found);
                return None;
            }
        }
    }
    let (Some(min), Some(max)) = (versions.iter().min(), versions.iter().max()) else {
        let message = format!(
            "{} is not spoken, since it is not safe; write TLSv1.2 or TLSv1.3",
            old.join(" ")
        );
        fields.refuse("ssl.protocols", ErrorKind::Invalid, message, found);
        return None;
    };
    if !old.is_empty() {
        let message = format!(
            "{} is not spoken, since it is not safe; the others are used",
            old.join(" ")
        );
        fields.warn("ssl.protocols", WarningKind::Corrected, message, found);
    }
    Some((*min, *max))
}

/// Jakarta Mail trusts any certificate from the hosts named here. Pipepost still verifies it, and says so; `*` is
/// refused.
fn check_trust(fields: &mut Fields, found: &mut Findings) {
    let hosts = fields.list("ssl.trust", found);
    if hosts.iter().any(|host| host.contains('*')) {
        let message =
            "trusting any certificate is not supported; put the server's CA into a PEM file and name it in \"ca_file\"";
        fields.refuse("ssl.trust", ErrorKind::Invalid, message, found);
    } else if !hosts.is_empty() {
        let message = "certificates are verified all the same; for a private CA, name its PEM file in \"ca_file\"";
        fields.warn("ssl.trust", WarningKind::NoEffect, message, found);
    }
}

/// As [`crate::fields::read_boolean`], for fields that also take a mechanism's name.
pub(crate) enum Auth {
    Flag(bool),
    Mechanism(Mechanism),
}

/// `true`, `false`, or a mechanism.
pub(crate) fn read_auth(text: &str) -> Option<Auth> {
    read_boolean(text)
        .map(Auth::Flag)
        .or_else(|| Mechanism::from_name(text).map(Auth::Mechanism))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Where the value of each property is read by what sends messages: a word of the connector's code, or code of this
    /// crate and of the host's, which dials, secures and signs in.
    const READ_BY: [(&str, Reader); 22] = [
        ("host", Reader::Host("endpoint")),
        ("port", Reader::Host("endpoint")),
        ("user", Reader::Connector("username")),
        ("from", Reader::Connector("envelope_from")),
        ("localhost", Reader::Host("client_name")),
        ("auth", Reader::Host("must_sign_in")),
        ("auth.mechanisms", Reader::Connector("mechanisms")),
        ("connectiontimeout", Reader::Host("connect_timeout")),
        ("timeout", Reader::Connector("read_timeout_ms")),
        ("writetimeout", Reader::Connector("write_timeout_ms")),
        ("ssl.enable", Reader::Host("security")),
        ("ssl.checkserveridentity", Reader::Here),
        ("ssl.trust", Reader::Here),
        ("ssl.protocols", Reader::Host("TlsVersion")),
        ("starttls.enable", Reader::Host("min_security")),
        ("starttls.required", Reader::Here),
        ("sendpartial", Reader::Connector("send_partial")),
        ("dsn.notify", Reader::Connector("dsn_notify")),
        ("dsn.ret", Reader::Connector("dsn_ret")),
        ("chunksize", Reader::Connector("chunk_bytes")),
        ("allow8bitmime", Reader::Connector("allow_eight_bit")),
        ("allowutf8", Reader::Connector("allow_utf8")),
    ];

    #[derive(Clone, Copy, Debug)]
    enum Reader {
        /// The email connector.
        Connector(&'static str),
        /// The host's connections.
        Host(&'static str),
        /// Accounts: the property allows one value, or leads to a warning.
        Here,
    }

    fn sources(folder: &Path, text: &mut String) {
        for entry in std::fs::read_dir(folder).expect("sources").flatten() {
            let path = entry.path();
            if path.is_dir() {
                sources(&path, text);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&std::fs::read_to_string(&path).expect("a source"));
            }
        }
    }

    fn words_of(folder: &str) -> std::collections::HashSet<String> {
        let mut text = String::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut text);
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn every_property_that_is_accepted_is_read_by_what_sends() {
        let accepted: Vec<&str> = READ_BY.iter().map(|(property, _)| *property).collect();
        assert_eq!(accepted, HONOURED);
        let connector = words_of("../../plugins/email-v2/src");
        let host = words_of("../net/src");
        let here = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/properties.rs"));
        let here = here.expect("this file");
        let (product, _) = here.split_once("mod tests").expect("these tests");
        for (property, reader) in READ_BY {
            let is_read = match reader {
                Reader::Connector(word) => connector.contains(word),
                Reader::Host(word) => host.contains(word),
                // In the list, and where it is read.
                Reader::Here => product.matches(&format!("\"{property}\"")).count() > 1,
            };
            assert!(is_read, "{property} is accepted, and {reader:?} reads nothing of it");
        }
    }
}
