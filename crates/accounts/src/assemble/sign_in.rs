//! Who signs in, with what, by which mechanisms.

use super::{agreed, oauth};
use crate::account::AccountType;
use crate::error::{ErrorKind, WarningKind};
use crate::fields::{Fields, Findings};
use crate::presets::{Filled, Preset};
use crate::properties::{Auth, Properties, not_spoken, read_address, read_auth};
use crate::provider::{GrantType, Provider};
use crate::reference::SecretSource;
use crate::sasl::Mechanism;
use crate::sign_in::{ServiceAccount, SignIn, read_endpoint};

/// The sign-in as read; an account is made from it only when no error was found.
pub(super) struct Reading {
    pub(super) username: Option<SecretSource>,
    pub(super) username_shown: Option<String>,
    pub(super) way: SignIn,
    pub(super) mechanisms: Vec<Mechanism>,
    pub(super) provider: Option<Provider>,
    /// Mail is sent without a sign-in where the server offers none.
    pub(super) is_optional: bool,
}

impl Reading {
    /// With a user name that may be seen.
    pub(super) fn of(
        shown: Option<String>,
        way: SignIn,
        mechanisms: Vec<Mechanism>,
        provider: Option<Provider>,
        fields: &Fields,
    ) -> Self {
        let username = shown
            .as_deref()
            .map(|name| SecretSource::literal(name, fields.place("username")));
        Self {
            username,
            username_shown: shown,
            way,
            mechanisms,
            provider,
            is_optional: false,
        }
    }

    pub(super) fn none() -> Self {
        Self {
            username: None,
            username_shown: None,
            way: SignIn::None,
            mechanisms: Vec::new(),
            provider: None,
            is_optional: false,
        }
    }
}

/// `shows_certificate` says whether the account has a client certificate.
pub(super) fn read(
    kind: AccountType,
    shows_certificate: bool,
    fields: &mut Fields,
    properties: &Properties,
    preset: Option<&Filled>,
    found: &mut Findings,
) -> Reading {
    let preset = preset.map(|filled| filled.preset);
    let auth = read_auth_field(fields, properties, found);
    if let Some(mechanisms) = &auth.mechanisms
        && mechanisms.contains(&Mechanism::External)
        && !shows_certificate
    {
        let message = "EXTERNAL signs in with a client certificate, and the account has none; write client_certificate and client_key";
        fields.refuse("auth", ErrorKind::Missing, message, found);
    }
    match kind {
        AccountType::SmtpAuthAndProperties | AccountType::Basic => {
            if shows_certificate && signs_in_by_certificate_alone(&auth, fields) {
                return read_certificate(auth, fields, properties, found);
            }
            read_password(kind, auth, shows_certificate, fields, properties, preset, found)
        }
        AccountType::OAuth2 => oauth::read(auth, fields, properties, found),
        AccountType::GoogleKey => read_google_key(auth, fields, properties, found),
    }
}

/// What `auth` and its properties say: whether to sign in, and by which mechanisms.
pub(super) struct AuthSetting {
    on: Option<bool>,
    mechanisms: Option<Vec<Mechanism>>,
}

fn read_auth_field(fields: &mut Fields, properties: &Properties, found: &mut Findings) -> AuthSetting {
    let written = fields.text("auth", found);
    let parsed = written.as_deref().and_then(read_auth);
    if let (Some(text), None) = (&written, &parsed) {
        let message = not_spoken(&fields.quoted("auth", text));
        fields.refuse(
            "auth",
            ErrorKind::Invalid,
            format!("it takes true, false or a mechanism, and {message}"),
            found,
        );
    }
    let (on, mechanism) = match parsed {
        Some(Auth::Flag(on)) => (Some(on), None),
        Some(Auth::Mechanism(mechanism)) => (Some(true), Some(mechanism)),
        None => (None, None),
    };
    let on = agreed(on, properties.auth, ("auth", "auth"), fields, found);
    if let (Some(field), Some(property)) = (mechanism, &properties.mechanisms)
        && property.as_slice() != [field]
    {
        let message =
            format!("it says {field}, and the property mail.smtp.auth.mechanisms says otherwise; keep one of them");
        fields.refuse("auth", ErrorKind::Contradiction, message, found);
    }
    AuthSetting {
        on,
        mechanisms: mechanism
            .map(|mechanism| vec![mechanism])
            .or_else(|| properties.mechanisms.clone()),
    }
}

/// Whether there is no password, or none that is asked for.
fn signs_in_by_certificate_alone(auth: &AuthSetting, fields: &Fields) -> bool {
    let only_external = || matches!(auth.mechanisms.as_deref(), Some([Mechanism::External]));
    auth.on != Some(false) && (only_external() || !fields.is_written("password"))
}

/// Without a word about `auth`, the account signs in where the server offers EXTERNAL: a certificate may also be proof
/// enough by itself.
fn read_certificate(auth: AuthSetting, fields: &mut Fields, properties: &Properties, found: &mut Findings) -> Reading {
    let is_optional = auth.on.is_none() && auth.mechanisms.is_none();
    let mechanisms = auth.mechanisms.unwrap_or_else(|| vec![Mechanism::External]);
    if let Some(other) = mechanisms.iter().find(|one| **one != Mechanism::External) {
        let message = format!(
            "it is needed to sign in by {other}; write a reference such as ${{env:SMTP_PASSWORD}}, or \"auth\": \"EXTERNAL\""
        );
        fields.refuse("password", ErrorKind::Missing, message, found);
    }
    if fields.is_written("password") {
        let message = "the account signs in with its certificate only, so it is not used; leave it out";
        fields.warn("password", WarningKind::NoEffect, message, found);
    }
    fields.skip("password");
    let is_named = fields.is_written("username") || properties.user.is_some();
    let shown = if is_named {
        read_username(fields, properties, found)
    } else {
        None
    };
    Reading {
        is_optional,
        ..Reading::of(shown, SignIn::Certificate, mechanisms, None, fields)
    }
}

fn read_password(
    kind: AccountType,
    auth: AuthSetting,
    shows_certificate: bool,
    fields: &mut Fields,
    properties: &Properties,
    preset: Option<&Preset>,
    found: &mut Findings,
) -> Reading {
    let username = fields.secret("username", found).filter(|source| !source.is_blank());
    let password = fields.secret("password", found);
    let has_username = username.is_some() || properties.user.is_some();
    let is_on = auth
        .on
        .unwrap_or(kind == AccountType::Basic || has_username || password.is_some());
    if !is_on {
        if has_username || password.is_some() {
            let message = "the account does not sign in, so its user name and password are not used; leave them out, or write true";
            fields.warn("auth", WarningKind::NoEffect, message, found);
        }
        return Reading::none();
    }
    let is_unreadable = password.is_none() && fields.is_written("password");
    let Some(password) = password.filter(|source| !source.is_blank()) else {
        if is_unreadable {
            return Reading::none();
        }
        let message = "it is needed to sign in; write a reference such as ${env:SMTP_PASSWORD}, or \"auth\": false";
        fields.refuse("password", ErrorKind::Missing, message, found);
        return Reading::none();
    };
    // Where user name and password are one token, neither may be shown.
    let one_token = preset.is_some_and(|preset| preset.username_is_password);
    let is_secret = one_token || username.as_ref().is_some_and(|username| username.is_same(&password));
    let mechanisms = auth.mechanisms.unwrap_or_else(|| {
        let external = shows_certificate.then_some(Mechanism::External);
        external.into_iter().chain(Mechanism::FOR_PASSWORD).collect()
    });
    if mechanisms.iter().any(|one| one.takes_token()) && mechanisms.iter().any(|one| one.takes_password()) {
        let message =
            "some of the mechanisms take a password and some a token, and the account has one secret; keep one kind";
        fields.refuse("auth", ErrorKind::Contradiction, message, found);
    }
    let way = SignIn::Password(password);
    if is_secret {
        let username = username.or_else(|| fields.secret("password", found));
        return Reading {
            username,
            username_shown: None,
            way,
            mechanisms,
            provider: None,
            is_optional: false,
        };
    }
    let fixed = preset
        .and_then(|preset| preset.username)
        .filter(|_| !has_username)
        .map(str::to_owned);
    let shown = fixed.or_else(|| read_username(fields, properties, found));
    Reading::of(shown, way, mechanisms, None, fields)
}

pub(super) fn read_username(fields: &mut Fields, properties: &Properties, found: &mut Findings) -> Option<String> {
    let name = agreed(
        fields.text("username", found),
        properties.user.clone(),
        ("username", "user"),
        fields,
        found,
    );
    if name.is_none() && !fields.is_written("username") {
        let message = "it is needed to sign in; write the user name";
        fields.refuse("username", ErrorKind::Missing, message, found);
    }
    if name.as_deref().is_some_and(|name| name.chars().any(char::is_control)) {
        let message = "a user name holds no control characters; write it on one line";
        fields.refuse("username", ErrorKind::Invalid, message, found);
    }
    name
}

pub(super) fn token_mechanisms(auth: AuthSetting, fields: &Fields, found: &mut Findings) -> Vec<Mechanism> {
    if auth.on == Some(false) {
        let message = "an account with tokens signs in with them; leave it out";
        fields.refuse("auth", ErrorKind::Contradiction, message, found);
    }
    let mechanisms = auth.mechanisms.unwrap_or_else(|| Mechanism::FOR_TOKEN.to_vec());
    if let Some(other) = mechanisms.iter().find(|one| !one.takes_token()) {
        let message = format!("{other} takes a password, and this account has tokens; write XOAUTH2 or OAUTHBEARER");
        fields.refuse("auth", ErrorKind::Contradiction, message, found);
    }
    mechanisms
}

fn read_google_key(auth: AuthSetting, fields: &mut Fields, properties: &Properties, found: &mut Findings) -> Reading {
    let key = fields.secret("key", found).filter(|source| !source.is_blank());
    if key.is_none() && !fields.is_written("key") {
        let message = "it is needed to obtain tokens; write a reference to the service account's key file, such as ${file:key.json}";
        fields.refuse("key", ErrorKind::Missing, message, found);
    }
    let subject = fields.parsed("subject", "the address of the user to act for", read_address, found);
    if subject.is_none() && !fields.is_written("subject") {
        let message = "it is needed, since a service account has no mailbox; write the address of the user to act for";
        fields.refuse("subject", ErrorKind::Missing, message, found);
    }
    let scopes = oauth::read_scopes(fields, Some(Provider::Google), GrantType::RefreshToken, found);
    let token_endpoint = fields.parsed("token_endpoint", oauth::ENDPOINT, read_endpoint, found);
    let mechanisms = token_mechanisms(auth, fields, found);
    let named = agreed(
        fields.text("username", found),
        properties.user.clone(),
        ("username", "user"),
        fields,
        found,
    );
    if let (Some(named), Some(subject)) = (&named, &subject)
        && named != subject
    {
        let message = "it is another than the \"subject\" that the account acts for; leave it out";
        fields.refuse("username", ErrorKind::Contradiction, message, found);
    }
    let (Some(key), Some(subject)) = (key, subject) else {
        return Reading::none();
    };
    let username = Some(SecretSource::literal(&subject, fields.place("subject")));
    let username_shown = Some(subject.clone());
    let way = SignIn::ServiceAccount(Box::new(ServiceAccount {
        key,
        subject,
        scopes,
        token_endpoint,
    }));
    Reading {
        username,
        username_shown,
        way,
        mechanisms,
        provider: Some(Provider::Google),
        is_optional: false,
    }
}
