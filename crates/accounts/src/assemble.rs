//! From the fields of one object to one [`Account`].

mod connection;
mod oauth;
mod revision;
mod sign_in;

use std::path::Path;

use self::revision::Identity;
use crate::account::{Account, AccountType, Delivery, Limits, Masked, Pipelining, Timeouts};
use crate::client_certificate::{self, ClientCertificate};
use crate::document::Node;
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Place, Remedy, Warning, WarningKind};
use crate::fields::{Context, Fields, Findings, into_object, lay_over, normal};
use crate::presets::Preset;
use crate::properties::{Properties, read_address};
use crate::reference::References;
use crate::secret::Secret;
use crate::suggest::{advice, quoted};

/// Fields of every type.
const COMMON: [&str; 15] = [
    "label",
    "type",
    "description",
    "environments",
    "username",
    "properties",
    "ca_file",
    "from",
    "from_name",
    "limits",
    "pipelining",
    "allowed_hosts",
    "allowed_networks",
    "exposed_fields",
    "auth",
];
const SERVER: [&str; 8] = [
    client_certificate::CERTIFICATE,
    client_certificate::KEY,
    "host",
    "port",
    "starttls_enable",
    "preset",
    "region",
    "allow_plaintext_auth",
];
const PASSWORD: [&str; 1] = ["password"];
const OAUTH: [&str; 10] = [
    "provider",
    "tenant",
    "grant",
    "client_id",
    "client_secret",
    "refresh_token",
    "scopes",
    "token_endpoint",
    "authorization_endpoint",
    "issuer",
];
const GOOGLE_KEY: [&str; 4] = ["key", "subject", "scopes", "token_endpoint"];
/// The fields that hold secrets, of any type.
pub(crate) const SECRET_FIELDS: [&str; 5] = [
    "password",
    "client_secret",
    "refresh_token",
    "key",
    client_certificate::KEY,
];
const LIMITS: [&str; 6] = [
    "max_connections",
    "messages_per_second",
    "messages_per_day",
    "recipients_per_message",
    "messages_per_connection",
    "max_uncertain",
];

fn known_fields(kind: AccountType) -> Vec<&'static str> {
    let own: [&[&str]; 2] = match kind {
        AccountType::SmtpAuthAndProperties => [&SERVER, &PASSWORD],
        AccountType::Basic => [&PASSWORD, &[]],
        AccountType::OAuth2 => [&SERVER, &OAUTH],
        AccountType::GoogleKey => [&SERVER, &GOOGLE_KEY],
    };
    COMMON.iter().chain(own[0]).chain(own[1]).copied().collect()
}

/// Builds the account, or says in `found` why there is none. `place` and `base` are the file's and its folder's.
pub(crate) fn assemble(
    object: Vec<(String, Node)>,
    place: &Place,
    base: &Path,
    environment: &Environment,
    references: &References,
    found: &mut Findings,
) -> Option<Account> {
    let before = found.errors.len();
    let label = read_label(&object, place, found)?;
    let place = place.with_label(&label);
    let kind = read_type(&object, &place, found)?;
    let known = known_fields(kind);
    let object = choose_environment(object, &known, &place, environment, found)?;

    let written = Node::Object(object.clone());
    let context = Context {
        environment: environment.clone(),
        base: base.to_path_buf(),
        place: place.clone(),
        references: references.clone(),
    };
    let mut fields = Fields::new(object, context.clone(), "", found);
    for name in ["label", "type", "environments"] {
        fields.skip(name);
    }
    let description = fields.peek_text("description");
    let properties = fields.object("properties", found).unwrap_or_default();
    let properties = Properties::read(properties, &context, found);
    let preset = if kind == AccountType::Basic {
        None
    } else {
        Preset::read(&mut fields, found)
    };
    let limits = read_limits(&mut fields, preset.as_ref().map(|filled| filled.preset), found);
    let certificate = match kind {
        AccountType::Basic => None,
        _ => ClientCertificate::read(&mut fields, found),
    };
    let shows_certificate = certificate.is_some() || fields.is_written(client_certificate::CERTIFICATE);
    let sign_in = sign_in::read(
        kind,
        shows_certificate,
        &mut fields,
        &properties,
        preset.as_ref(),
        found,
    );
    let server = connection::read_server(kind, &mut fields, &properties, &sign_in, preset.as_ref(), found);
    let tls = connection::read_tls(&mut fields, &properties, found);
    let (from, from_name) = read_sender(&mut fields, found);
    let pipelining = fields
        .parsed("pipelining", "full, transaction or off", read_pipelining, found)
        .unwrap_or_default();
    let exposed_fields: Vec<String> = fields
        .list("exposed_fields", found)
        .iter()
        .map(|name| normal(name))
        .collect();
    let written_by_reference: Vec<&'static str> = Masked::FIELDS
        .into_iter()
        .filter(|name| match *name {
            "host" => fields.is_reference("host") || properties.is_reference("host"),
            "username" => {
                fields.is_reference("username") || fields.is_reference("subject") || properties.is_reference("user")
            }
            "mail.smtp.from" => properties.is_reference("from"),
            name => fields.is_reference(name),
        })
        .collect();
    refuse_fields_of_other_types(kind, &mut fields, &known, found);
    fields.finish(&format!("the type {kind}"), &known, found);
    if found.errors.len() > before {
        return None;
    }
    let mut limits = limits;
    let server = server?;
    if kind == AccountType::Basic || server.host.as_deref().is_some_and(crate::gmail::is_gmail) {
        limits.recipients_per_message.get_or_insert(crate::gmail::RECIPIENTS);
    }
    let identity = Identity {
        written: &written,
        environment: environment.name(),
        server: &server,
        tls: &tls,
        certificate: certificate.as_ref(),
        client_name: properties.client_name.as_deref(),
        username: sign_in.username.as_ref(),
        sign_in: &sign_in.way,
        mechanisms: &sign_in.mechanisms,
    };
    let revision = identity
        .revision(&place)
        .map_err(|error| found.errors.push(error))
        .ok()?;
    let mut account = Account {
        label,
        kind,
        description,
        environment: environment.clone(),
        is_stored: matches!(references, References::Only(_)),
        place,
        server,
        tls,
        certificate,
        timeouts: Timeouts {
            connect: properties.connect,
            read: properties.read,
            write: properties.write,
        },
        client_name: properties.client_name,
        delivery: Delivery {
            envelope_from: properties.envelope_from,
            send_partial: properties.send_partial.unwrap_or(true),
            dsn_notify: properties.dsn_notify,
            dsn_ret: properties.dsn_ret,
            allow_8bit: properties.allow_8bit.unwrap_or(false),
            allow_utf8: properties.allow_utf8.unwrap_or(true),
            chunk_size: properties.chunk_size,
            pipelining,
        },
        from,
        from_name,
        limits,
        username: sign_in.username,
        username_shown: sign_in.username_shown,
        masked: Masked::default(),
        sign_in: sign_in.way,
        mechanisms: sign_in.mechanisms,
        sign_in_is_optional: sign_in.is_optional,
        exposed_fields,
        revision,
    };
    check_exposed(&account, &written_by_reference, found);
    mask(&mut account, &written_by_reference, found);
    (found.errors.len() == before).then_some(account)
}

fn read_label(object: &[(String, Node)], place: &Place, found: &mut Findings) -> Option<String> {
    let missing = "an account has no label; write \"label\": \"a-name\"";
    let wrong = "a label is text of at most 200 characters without control characters; correct it";
    let message = match object
        .iter()
        .find(|(name, _)| normal(name) == "label")
        .map(|(_, value)| value)
    {
        Some(Node::Text(text)) if text.trim().is_empty() => missing,
        Some(Node::Text(text)) if text.chars().count() > 200 || text.chars().any(char::is_control) => wrong,
        Some(Node::Text(text)) => return Some(text.trim().to_owned()),
        Some(Node::Null) | None => missing,
        Some(_) => wrong,
    };
    found
        .errors
        .push(Error::new(ErrorKind::Missing, place.with_field("label"), message));
    None
}

fn read_type(object: &[(String, Node)], place: &Place, found: &mut Findings) -> Option<AccountType> {
    let names = AccountType::ALL.map(AccountType::as_str);
    let fail = |kind, message| Error::new(kind, place.with_field("type"), message);
    match object
        .iter()
        .find(|(name, _)| normal(name) == "type")
        .map(|(_, value)| value)
    {
        Some(Node::Text(text)) => {
            let wanted = normal(text);
            let kind = AccountType::ALL
                .into_iter()
                .find(|kind| normal(kind.as_str()) == wanted);
            if kind.is_none() {
                let message = format!("there is no account type {}; {}", quoted(text), advice(&wanted, names));
                found.errors.push(fail(ErrorKind::Unknown, message));
            }
            kind
        }
        _ => {
            let message = format!("the account has no type; write one of {}", names.join(", "));
            found.errors.push(fail(ErrorKind::Missing, message));
            None
        }
    }
}

/// Lays the chosen environment's values over the others, and checks the names in all of them.
fn choose_environment(
    mut object: Vec<(String, Node)>,
    known: &[&str],
    place: &Place,
    environment: &Environment,
    found: &mut Findings,
) -> Option<Vec<(String, Node)>> {
    let Some(at) = object
        .iter()
        .position(|(name, value)| normal(name) == "environments" && !matches!(value, Node::Null))
    else {
        return Some(object);
    };
    let fail = |kind, field: &str, message: String| Error::new(kind, place.with_field(field), message);
    let (written, value) = object.remove(at);
    let sets = match into_object(value) {
        Ok(sets) => sets,
        Err(reason) => {
            let message = format!(
                "it takes an object with a set of fields for each environment, {reason}; write {{\"test\": {{ ... }}}}"
            );
            found.errors.push(fail(ErrorKind::Invalid, &written, message));
            return None;
        }
    };
    let before = found.errors.len();
    let mut names = Vec::new();
    let mut chosen = None;
    for (name, set) in sets {
        if matches!(normal(&name).as_str(), "$schema" | "description") {
            continue;
        }
        let field = format!("{written}.{name}");
        match into_object(set) {
            Ok(set) => {
                check_overlay(&set, &field, known, place, found);
                if environment.name() == Some(name.as_str()) {
                    chosen = Some(set);
                }
            }
            Err(reason) => {
                found.errors.push(fail(
                    ErrorKind::Invalid,
                    &field,
                    format!("it takes an object of fields, {reason}; write {{ ... }}"),
                ));
            }
        }
        names.push(name);
    }
    if found.errors.len() > before {
        return None;
    }
    if names.is_empty() {
        return Some(object);
    }
    match (chosen, environment.name()) {
        (Some(set), _) => return Some(lay_over(object, set)),
        (None, None) => {
            let message = format!(
                "the account has environments, and none was chosen; choose one of {}",
                names.join(", ")
            );
            let error = fail(ErrorKind::Environment, &written, message);
            found.errors.push(error.with_remedy(Remedy::ChooseEnvironment));
        }
        (None, Some(name)) => {
            let message = format!(
                "the account has no environment {}; {}",
                quoted(name),
                advice(name, names.iter().map(String::as_str))
            );
            found.errors.push(fail(ErrorKind::Environment, &written, message));
        }
    }
    None
}

fn check_overlay(set: &[(String, Node)], field: &str, known: &[&str], place: &Place, found: &mut Findings) {
    for (written, _) in set {
        let name = normal(written);
        let message = if matches!(name.as_str(), "label" | "type" | "environments") {
            "it is the same in every environment; write it outside".to_owned()
        } else if known.contains(&name.as_str()) || name == "$schema" {
            continue;
        } else {
            format!("there is no such field; {}", advice(&name, known.iter().copied()))
        };
        found.errors.push(Error::new(
            ErrorKind::Unknown,
            place.with_field(&format!("{field}.{written}")),
            message,
        ));
    }
}

/// What the account says of its limits, and where it says nothing, what the provider publishes.
fn read_limits(fields: &mut Fields, preset: Option<&Preset>, found: &mut Findings) -> Limits {
    let published = Limits {
        max_connections: preset.and_then(|preset| preset.max_connections),
        messages_per_connection: preset.and_then(|preset| preset.messages_per_connection),
        recipients_per_message: preset.and_then(|preset| preset.recipients_per_message),
        ..Limits::default()
    };
    let Some(object) = fields.object("limits", found) else {
        return published;
    };
    let mut fields = Fields::new(object, fields.context().clone(), "limits.", found);
    let mut limit = |name, greatest| fields.integer(name, 1..=greatest, found);
    let limits = Limits {
        max_connections: limit("max_connections", 1000).or(published.max_connections),
        messages_per_second: limit("messages_per_second", 100_000),
        messages_per_day: limit("messages_per_day", u32::MAX),
        recipients_per_message: limit("recipients_per_message", 100_000).or(published.recipients_per_message),
        messages_per_connection: limit("messages_per_connection", 1_000_000).or(published.messages_per_connection),
        max_uncertain: limit("max_uncertain", 1000),
    };
    fields.finish("limits", &LIMITS, found);
    limits
}

fn read_sender(fields: &mut Fields, found: &mut Findings) -> (Option<String>, Option<String>) {
    let from = fields.parsed(
        "from",
        "a bare address such as me@example.com (the display name goes into \"from_name\")",
        read_address,
        found,
    );
    let from_name = fields.text("from_name", found);
    if from_name
        .as_deref()
        .is_some_and(|name| name.chars().any(char::is_control))
    {
        let message = "a display name holds no control characters; write it on one line";
        fields.refuse("from_name", ErrorKind::Invalid, message, found);
    }
    (from, from_name)
}

fn read_pipelining(text: &str) -> Option<Pipelining> {
    [Pipelining::Full, Pipelining::Transaction, Pipelining::Off]
        .into_iter()
        .find(|pipelining| pipelining.as_str().eq_ignore_ascii_case(text))
}

/// A field that another type has is no typing error: the sentence names that type.
fn refuse_fields_of_other_types(kind: AccountType, fields: &mut Fields, known: &[&str], found: &mut Findings) {
    let names: Vec<String> = fields.names().map(str::to_owned).collect();
    for name in names.iter().filter(|name| !known.contains(&name.as_str())) {
        let other = AccountType::ALL
            .into_iter()
            .find(|other| known_fields(*other).contains(&name.as_str()));
        if let Some(other) = other {
            fields.skip(name);
            let message = format!(
                "it belongs to the type {other}, and this account is of the type {kind}; correct the type, or leave it out"
            );
            fields.refuse(name, ErrorKind::Unknown, message, found);
        }
    }
}

/// A value that comes from a reference is not shown to documents and connectors, unless the account exposes its field.
fn mask(account: &mut Account, written_by_reference: &[&'static str], found: &mut Findings) {
    let hidden: Vec<&'static str> = written_by_reference
        .iter()
        .copied()
        .filter(|name| !account.exposed_fields.iter().any(|exposed| exposed == name))
        .collect();
    let mut masked = Masked::default();
    for name in &hidden {
        let value = match *name {
            "host" => account.server.host.clone(),
            "username" => account.username_shown.take(),
            "from" => account.from.clone(),
            "from_name" => account.from_name.clone(),
            _ => account.delivery.envelope_from.clone(),
        };
        masked.0.extend(value.map(|value| (*name, Secret::new(value))));
    }
    account.masked = masked;
    // What is only there to be seen by whoever receives the message has no effect so.
    for name in hidden {
        let is_for_readers = match name {
            "host" => false,
            "username" => account.from.is_none(),
            _ => true,
        };
        if is_for_readers && account.masked.has(name) {
            let field = if name == "mail.smtp.from" {
                "properties.mail.smtp.from"
            } else {
                name
            };
            let message = format!(
                "its value comes from a reference, so documents and connectors do not see it, and no message can have it as its sender's; add \"{name}\" to \"exposed_fields\" if they may"
            );
            found.warnings.push(Warning::new(
                WarningKind::Masked,
                account.place.with_field(field),
                message,
            ));
        }
    }
}

/// What may be exposed is a secret of this account, or comes from a reference; anything else there is a typing error.
fn check_exposed(account: &Account, written_by_reference: &[&'static str], found: &mut Findings) {
    if account
        .exposed_fields
        .iter()
        .any(|name| name == client_certificate::KEY)
    {
        let message = "a private key is for the TLS handshake and for nothing else; leave client_key out";
        let place = account.place.with_field("exposed_fields");
        return found.errors.push(Error::new(ErrorKind::Invalid, place, message));
    }
    let mut secrets: Vec<&str> = account
        .secrets()
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| *name != client_certificate::KEY)
        .collect();
    secrets.extend(written_by_reference);
    for name in account
        .exposed_fields
        .iter()
        .filter(|name| !secrets.contains(&name.as_str()))
    {
        let message = if secrets.is_empty() {
            format!("the account has no secret {} to expose; leave it out", quoted(name))
        } else {
            format!(
                "the account has no secret {}; its secrets are {}",
                quoted(name),
                secrets.join(", ")
            )
        };
        found.errors.push(Error::new(
            ErrorKind::Unknown,
            account.place.with_field("exposed_fields"),
            message,
        ));
    }
}

/// A field and the property of the same meaning: either, and equal when both.
pub(crate) fn agreed<T: PartialEq + std::fmt::Display>(
    field: Option<T>,
    property: Option<T>,
    names: (&str, &str),
    fields: &Fields,
    found: &mut Findings,
) -> Option<T> {
    if let (Some(field), Some(property)) = (&field, &property)
        && field != property
    {
        let shown = fields.quoted(names.0, &field.to_string());
        let message = format!(
            "it says {shown}, and the property mail.smtp.{} says otherwise; keep one of them",
            names.1
        );
        fields.refuse(names.0, ErrorKind::Contradiction, message, found);
    }
    field.or(property)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_lists_exactly_the_fields_of_each_type() {
        let schema: serde_json::Value = serde_json::from_str(crate::ACCOUNT_SCHEMA).expect("JSON");
        let names = |definition: &str| {
            let fields = schema["$defs"][definition]["properties"]
                .as_object()
                .expect("an object");
            let mut names: Vec<String> = fields.keys().filter(|name| *name != "$schema").cloned().collect();
            names.sort();
            names
        };
        for kind in AccountType::ALL {
            let mut known = known_fields(kind);
            known.sort_unstable();
            assert_eq!(names(kind.as_str()), known);
            known.retain(|name| !matches!(*name, "label" | "type" | "environments"));
            assert_eq!(names(&format!("{kind}-fields")), known);
        }
    }
}
