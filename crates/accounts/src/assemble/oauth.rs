//! Which client of which provider gets the access tokens, and where it asks for them.

use url::Url;

use super::sign_in::{AuthSetting, Reading, read_username, token_mechanisms};
use crate::error::{ErrorKind, WarningKind};
use crate::fields::{Fields, Findings, normal};
use crate::properties::Properties;
use crate::provider::{EndpointKind, GrantType, Provider, is_shared, read_realm, read_tenant};
use crate::sign_in::{OAuthClient, SignIn, read_endpoint};

pub(super) const ENDPOINT: &str = "an https address (http only to a loopback address)";

const TENANT: &str = "a tenant: its id, or one of its domains such as contoso.onmicrosoft.com";

/// Where the tenant goes in an address that the account writes.
const PLACEHOLDER: &str = "{tenant}";

/// Whose endpoints are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Known(Provider),
    Custom,
}

impl Named {
    fn read(text: &str) -> Option<Self> {
        if normal(text) == "custom" {
            return Some(Self::Custom);
        }
        Provider::from_name(text).map(Self::Known)
    }
}

pub(super) fn read(auth: AuthSetting, fields: &mut Fields, properties: &Properties, found: &mut Findings) -> Reading {
    let named = fields.parsed("provider", "google, microsoft or custom", Named::read, found);
    let provider = match named {
        Some(Named::Known(provider)) => Some(provider),
        Some(Named::Custom) | None => None,
    };
    let grant = fields
        .parsed("grant", "refresh_token or client_credentials", read_grant, found)
        .unwrap_or_default();
    let client_id = fields.text("client_id", found);
    if client_id.is_none() && !fields.is_written("client_id") {
        let message = "it is needed to obtain tokens; write the client id that the provider's console shows";
        fields.refuse("client_id", ErrorKind::Missing, message, found);
    }
    let client_secret = fields
        .secret("client_secret", found)
        .filter(|source| !source.is_blank());
    let refresh_token = fields
        .secret("refresh_token", found)
        .filter(|source| !source.is_blank());
    let scopes = read_scopes(fields, provider, grant, found);
    let tenant = read_own_tenant(provider, fields, found);
    let own_token = read_own_endpoint("token_endpoint", tenant.as_deref(), fields, found);
    let own_authorization = read_own_endpoint("authorization_endpoint", tenant.as_deref(), fields, found);
    let tenant = match provider {
        Some(provider) => {
            let tenant = agreed_tenant(
                provider,
                tenant,
                own_token.as_ref(),
                own_authorization.as_ref(),
                fields,
                found,
            );
            refuse_foreign(provider, own_token.as_ref(), own_authorization.as_ref(), fields, found);
            tenant
        }
        None => {
            refuse_mix_up(own_token.as_ref(), own_authorization.as_ref(), fields, found);
            warn_of_unused_tenant(tenant.as_deref(), fields, found);
            tenant
        }
    };
    let issuer = read_issuer(provider, fields, found);
    let endpoint = |kind| read_endpoint(&provider?.endpoint(kind, tenant.as_deref()));
    let token_endpoint = own_token.or_else(|| endpoint(EndpointKind::Token));
    let authorization_endpoint = own_authorization.or_else(|| endpoint(EndpointKind::Authorization));
    if token_endpoint.is_none() && !fields.is_written("token_endpoint") {
        let (field, message) = match named {
            Some(_) => (
                "token_endpoint",
                "it is needed to obtain tokens from a custom provider; write its address",
            ),
            None => (
                "provider",
                "it is needed to obtain tokens; write google, microsoft, or custom with a \"token_endpoint\"",
            ),
        };
        if named.is_some() || !fields.is_written("provider") {
            fields.refuse(field, ErrorKind::Missing, message, found);
        }
    }
    if grant == GrantType::ClientCredentials {
        check_client_credentials(provider, tenant.as_deref(), client_secret.is_some(), fields, found);
    }
    let mechanisms = token_mechanisms(auth, fields, found);
    let shown = read_username(fields, properties, found);
    let (Some(client_id), Some(token_endpoint)) = (client_id, token_endpoint) else {
        return Reading::none();
    };
    let client = OAuthClient {
        provider,
        grant,
        tenant,
        issuer,
        client_id,
        client_secret,
        refresh_token: refresh_token.filter(|_| grant == GrantType::RefreshToken),
        scopes,
        token_endpoint,
        authorization_endpoint: authorization_endpoint.filter(|_| grant == GrantType::RefreshToken),
    };
    Reading::of(shown, SignIn::OAuth(Box::new(client)), mechanisms, provider, fields)
}

pub(super) fn read_scopes(
    fields: &mut Fields,
    provider: Option<Provider>,
    grant: GrantType,
    found: &mut Findings,
) -> Vec<String> {
    let scopes = fields.list("scopes", found);
    if !scopes.is_empty() {
        return scopes;
    }
    provider.map_or(Vec::new(), |provider| {
        provider.scopes(grant).iter().map(|scope| (*scope).to_owned()).collect()
    })
}

fn read_grant(text: &str) -> Option<GrantType> {
    let wanted = normal(text);
    GrantType::ALL.into_iter().find(|grant| grant.as_str() == wanted)
}

fn read_own_tenant(provider: Option<Provider>, fields: &mut Fields, found: &mut Findings) -> Option<String> {
    let tenant = match provider {
        Some(_) => fields.parsed("tenant", TENANT, read_tenant, found),
        None => fields.parsed("tenant", "the name of a tenant", read_realm, found),
    }?;
    if provider == Some(Provider::Google) {
        let message = "Google has no tenants; leave it out, or write \"provider\": \"microsoft\"";
        fields.refuse("tenant", ErrorKind::Contradiction, message, found);
    }
    Some(tenant)
}

/// An endpoint that the account writes, with its tenant in the place of `{tenant}`.
fn read_own_endpoint(name: &str, tenant: Option<&str>, fields: &mut Fields, found: &mut Findings) -> Option<Url> {
    let mut lacks_tenant = false;
    let read = |text: &str| match tenant {
        Some(tenant) => read_endpoint(&text.replace(PLACEHOLDER, tenant)),
        None => {
            lacks_tenant = text.contains(PLACEHOLDER);
            read_endpoint(text)
        }
    };
    let endpoint = fields.parsed(name, ENDPOINT, read, found);
    if lacks_tenant && !fields.is_written("tenant") {
        let message = "it has a place for a tenant, and the account names none; write \"tenant\"";
        fields.refuse(name, ErrorKind::Missing, message, found);
    }
    endpoint
}

/// A custom provider's tenant has no other place than its endpoints.
fn warn_of_unused_tenant(tenant: Option<&str>, fields: &Fields, found: &mut Findings) {
    let has_place = |name: &str| fields.peek_text(name).is_some_and(|text| text.contains(PLACEHOLDER));
    if tenant.is_some() && !has_place("token_endpoint") && !has_place("authorization_endpoint") {
        let message = "no endpoint of the account has a place for it; write {tenant} there, or leave it out";
        fields.warn("tenant", WarningKind::NoEffect, message, found);
    }
}

/// Microsoft's tenant, as the account writes it or as its endpoints have it.
fn agreed_tenant(
    provider: Provider,
    written: Option<String>,
    token: Option<&Url>,
    authorization: Option<&Url>,
    fields: &Fields,
    found: &mut Findings,
) -> Option<String> {
    let mut tenant = written;
    for (name, kind, address) in [
        ("token_endpoint", EndpointKind::Token, token),
        ("authorization_endpoint", EndpointKind::Authorization, authorization),
    ] {
        let Some(there) = address.and_then(|address| provider.tenant_in(kind, address)) else {
            continue;
        };
        match &tenant {
            Some(tenant) if *tenant != there.to_ascii_lowercase() => {
                let message = "it is of another tenant than the account; leave it out, or correct \"tenant\"";
                fields.refuse(name, ErrorKind::Contradiction, message, found);
            }
            Some(_) => {}
            None => tenant = Some(there.to_ascii_lowercase()),
        }
    }
    tenant
}

/// Whoever sees a known provider's page has to be sure that what they grant goes to that provider.
fn refuse_foreign(
    provider: Provider,
    token: Option<&Url>,
    authorization: Option<&Url>,
    fields: &Fields,
    found: &mut Findings,
) {
    for (name, kind, address) in [
        ("token_endpoint", EndpointKind::Token, token),
        ("authorization_endpoint", EndpointKind::Authorization, authorization),
    ] {
        if address.is_some_and(|address| !provider.owns(kind, address)) {
            let message = format!(
                "it is not one of {provider}'s own, such as {}; leave it out, or write \"provider\": \"custom\"",
                provider.endpoint(kind, None)
            );
            fields.refuse(name, ErrorKind::Contradiction, message, found);
        }
    }
}

/// The same of a custom provider: one endpoint at Google and the other elsewhere is a trap, whoever laid it.
fn refuse_mix_up(token: Option<&Url>, authorization: Option<&Url>, fields: &Fields, found: &mut Findings) {
    let (Some(token), Some(authorization)) = (token, authorization) else {
        return;
    };
    let (token, authorization) = (Provider::at_host_of(token), Provider::at_host_of(authorization));
    if token == authorization {
        return;
    }
    let (name, other, provider) = match (token, authorization) {
        (_, Some(provider)) => ("token_endpoint", "authorization_endpoint", provider),
        (Some(provider), None) => ("authorization_endpoint", "token_endpoint", provider),
        (None, None) => return,
    };
    let message = format!(
        "the \"{other}\" is {provider}'s, and this one is not, so what a person grants at one would go to the other; write \"provider\": \"{provider}\" and neither endpoint, or two endpoints of one provider"
    );
    fields.refuse(name, ErrorKind::Contradiction, message, found);
}

/// What a custom provider's authorization responses name as their issuer (RFC 9207).
fn read_issuer(provider: Option<Provider>, fields: &mut Fields, found: &mut Findings) -> Option<String> {
    // An issuer is compared letter by letter, so it is kept as it was written.
    let issuer = fields.parsed(
        "issuer",
        ENDPOINT,
        |text| read_endpoint(text).map(|_| text.to_owned()),
        found,
    )?;
    if let Some(provider) = provider {
        let message = format!("{provider}'s issuer is known; leave it out, or write \"provider\": \"custom\"");
        fields.refuse("issuer", ErrorKind::Contradiction, message, found);
    }
    Some(issuer)
}

/// An application that signs in as itself needs a secret, and one tenant that gave it its permissions.
fn check_client_credentials(
    provider: Option<Provider>,
    tenant: Option<&str>,
    has_secret: bool,
    fields: &Fields,
    found: &mut Findings,
) {
    if provider == Some(Provider::Google) {
        let message =
            "Google's mail servers take no tokens of this grant; use the type google-key with a service account's key";
        fields.refuse("grant", ErrorKind::Contradiction, message, found);
        return;
    }
    if !has_secret && !fields.is_written("client_secret") {
        let message =
            "it is needed with \"grant\": \"client_credentials\"; write a reference to the application's secret";
        fields.refuse("client_secret", ErrorKind::Missing, message, found);
    }
    if provider == Some(Provider::Microsoft) {
        let trouble = match tenant {
            None if fields.is_written("tenant") => None,
            None => Some((
                ErrorKind::Missing,
                "it is needed with \"grant\": \"client_credentials\"; write the tenant's id, or one of its domains",
            )),
            Some(tenant) if is_shared(tenant) => Some((
                ErrorKind::Invalid,
                "an application has permissions in one tenant only; write that tenant's id, or one of its domains",
            )),
            Some(_) => None,
        };
        if let Some((kind, message)) = trouble {
            fields.refuse("tenant", kind, message, found);
        }
    }
    for name in ["refresh_token", "authorization_endpoint", "issuer"] {
        if fields.is_written(name) {
            let message = "nobody signs in with \"grant\": \"client_credentials\", so it is not used; leave it out";
            fields.warn(name, WarningKind::NoEffect, message, found);
        }
    }
}
