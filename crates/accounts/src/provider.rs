//! The providers of tokens whose endpoints, scopes and issuers are known.

use std::fmt;

use url::Url;

/// A provider that issues tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Provider {
    /// Google: Gmail and Workspace.
    Google,
    /// Microsoft: Outlook and Exchange Online.
    Microsoft,
}

/// How a client gets its access tokens (RFC 6749).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum GrantType {
    /// With a refresh token that a person granted (section 6).
    #[default]
    RefreshToken,
    /// With its own id and secret; no person signs in (section 4.4).
    ClientCredentials,
}

impl GrantType {
    pub(crate) const ALL: [Self; 2] = [Self::RefreshToken, Self::ClientCredentials];

    /// Returns `refresh_token` or `client_credentials`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RefreshToken => "refresh_token",
            Self::ClientCredentials => "client_credentials",
        }
    }
}

/// One of a provider's two endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndpointKind {
    Token,
    Authorization,
}

/// Microsoft's names for more than one tenant. They identify nobody, so an application has no permissions there.
const SHARED_TENANTS: [&str; 3] = ["common", "organizations", "consumers"];

/// Microsoft's clouds: the world's, the United States government's, China's.
const MICROSOFT_HOSTS: [&str; 3] = [
    "login.microsoftonline.com",
    "login.microsoftonline.us",
    "login.partner.microsoftonline.cn",
];

const GOOGLE_TOKEN: [&str; 3] = [
    "https://oauth2.googleapis.com/token",
    "https://www.googleapis.com/oauth2/v4/token",
    "https://accounts.google.com/o/oauth2/token",
];
const GOOGLE_AUTHORIZATION: [&str; 2] = [
    "https://accounts.google.com/o/oauth2/v2/auth",
    "https://accounts.google.com/o/oauth2/auth",
];
const GOOGLE_HOSTS: [&str; 3] = ["accounts.google.com", "oauth2.googleapis.com", "www.googleapis.com"];

impl Provider {
    const ALL: [Self; 2] = [Self::Google, Self::Microsoft];

    /// Returns `google` or `microsoft`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Google => "google",
            Self::Microsoft => "microsoft",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|provider| provider.as_str().eq_ignore_ascii_case(name))
    }

    /// The provider at whose host an address is.
    pub(crate) fn at_host_of(address: &Url) -> Option<Self> {
        let host = address.host_str()?.trim_end_matches('.');
        if GOOGLE_HOSTS.contains(&host) {
            return Some(Self::Google);
        }
        let legacy = ["login.windows.net", "login.live.com", "login.chinacloudapi.cn"];
        (MICROSOFT_HOSTS.contains(&host) || legacy.contains(&host)).then_some(Self::Microsoft)
    }

    pub(crate) fn smtp_host(self) -> &'static str {
        match self {
            Self::Google => crate::gmail::HOST,
            Self::Microsoft => "smtp.office365.com",
        }
    }

    /// The endpoint where the account names none.
    pub(crate) fn endpoint(self, kind: EndpointKind, tenant: Option<&str>) -> String {
        match (self, kind) {
            (Self::Google, EndpointKind::Token) => GOOGLE_TOKEN[0].to_owned(),
            (Self::Google, EndpointKind::Authorization) => GOOGLE_AUTHORIZATION[0].to_owned(),
            (Self::Microsoft, kind) => {
                let host = MICROSOFT_HOSTS[0];
                let tenant = tenant.unwrap_or("common");
                format!("https://{host}/{tenant}/oauth2/v2.0/{}", microsoft_verb(kind))
            }
        }
    }

    /// Checks whether an address is one of the provider's own endpoints of this kind.
    pub(crate) fn owns(self, kind: EndpointKind, address: &Url) -> bool {
        match self {
            Self::Google => {
                let known: &[&str] = match kind {
                    EndpointKind::Token => &GOOGLE_TOKEN,
                    EndpointKind::Authorization => &GOOGLE_AUTHORIZATION,
                };
                known.contains(&address.as_str())
            }
            Self::Microsoft => microsoft_tenant(kind, address).is_some(),
        }
    }

    /// The tenant in one of Microsoft's endpoints.
    pub(crate) fn tenant_in(self, kind: EndpointKind, address: &Url) -> Option<String> {
        match self {
            Self::Google => None,
            Self::Microsoft => microsoft_tenant(kind, address).map(str::to_owned),
        }
    }

    /// The only scope that the provider's SMTP servers accept; Microsoft gives a refresh token only when it is asked, and
    /// an application the permissions of its registration.
    pub(crate) fn scopes(self, grant: GrantType) -> &'static [&'static str] {
        match (self, grant) {
            (Self::Google, _) => &["https://mail.google.com/"],
            (Self::Microsoft, GrantType::RefreshToken) => &["https://outlook.office.com/SMTP.Send", "offline_access"],
            (Self::Microsoft, GrantType::ClientCredentials) => &["https://outlook.office365.com/.default"],
        }
    }

    /// Checks whether a refresh has to name its scopes. Microsoft's token is for the resource of the scopes; without them
    /// it may be for another resource than the one of the mail server.
    pub(crate) fn refreshes_with_scopes(self) -> bool {
        self == Self::Microsoft
    }

    /// Checks whether an authorization response with this issuer is the provider's (RFC 9207, section 2.4).
    pub(crate) fn is_issuer(self, issuer: &str, tenant: Option<&str>) -> bool {
        match self {
            Self::Google => issuer == "https://accounts.google.com",
            Self::Microsoft => {
                let Some(rest) = MICROSOFT_HOSTS
                    .iter()
                    .find_map(|host| issuer.strip_prefix("https://")?.strip_prefix(host)?.strip_prefix('/'))
                else {
                    return false;
                };
                // The issuer names the tenant by its id; what the account names may be a domain of the same tenant.
                let Some(found) = rest.strip_suffix("/v2.0").filter(|found| is_tenant_id(found)) else {
                    return false;
                };
                tenant.is_none_or(|tenant| !is_tenant_id(tenant) || tenant.eq_ignore_ascii_case(found))
            }
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A tenant as it may stand in an address: its id, one of its domains, or one of Microsoft's shared names.
pub(crate) fn read_tenant(text: &str) -> Option<String> {
    let tenant = text.to_ascii_lowercase();
    let is_good = is_tenant_id(&tenant)
        || SHARED_TENANTS.contains(&tenant.as_str())
        || (tenant.contains('.') && crate::endpoint::parse_host(&tenant).as_deref() == Some(tenant.as_str()));
    is_good.then_some(tenant)
}

/// A tenant of another provider than Microsoft: one part of a path.
pub(crate) fn read_realm(text: &str) -> Option<String> {
    let is_good = (1..=100).contains(&text.len())
        && !text.starts_with('.')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    is_good.then(|| text.to_owned())
}

/// Whether a tenant's name stands for more than one tenant.
pub(crate) fn is_shared(tenant: &str) -> bool {
    SHARED_TENANTS.contains(&tenant)
}

/// Whether it is the id of a tenant, 32 hexadecimal digits with four hyphens.
fn is_tenant_id(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups
            .iter()
            .all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn microsoft_verb(kind: EndpointKind) -> &'static str {
    match kind {
        EndpointKind::Token => "token",
        EndpointKind::Authorization => "authorize",
    }
}

fn microsoft_tenant(kind: EndpointKind, address: &Url) -> Option<&str> {
    let is_there = address.scheme() == "https"
        && address.port().is_none()
        && address.query().is_none()
        && address.host_str().is_some_and(|host| MICROSOFT_HOSTS.contains(&host));
    let tenant = address
        .path()
        .strip_prefix('/')?
        .strip_suffix(microsoft_verb(kind))?
        .strip_suffix("/oauth2/v2.0/")?;
    (is_there && read_tenant(tenant).is_some()).then_some(tenant)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490";

    fn owns(provider: Provider, kind: EndpointKind, address: &str) -> bool {
        provider.owns(kind, &Url::parse(address).expect("an address"))
    }

    #[test]
    fn a_providers_endpoints_are_its_own_and_nobody_elses() {
        use EndpointKind::{Authorization, Token};
        for (provider, kind, address, own) in [
            (Provider::Google, Token, "https://oauth2.googleapis.com/token", true),
            (
                Provider::Google,
                Token,
                "https://www.googleapis.com/oauth2/v4/token",
                true,
            ),
            (
                Provider::Google,
                Token,
                "https://oauth2.googleapis.com/token?to=x",
                false,
            ),
            (
                Provider::Google,
                Token,
                "https://oauth2.googleapis.com.evil.example/token",
                false,
            ),
            (Provider::Google, Token, "http://oauth2.googleapis.com/token", false),
            (
                Provider::Google,
                Token,
                "https://oauth2.googleapis.com:8443/token",
                false,
            ),
            (Provider::Google, Token, "http://127.0.0.1:8080/token", false),
            (
                Provider::Google,
                Authorization,
                "https://accounts.google.com/o/oauth2/v2/auth",
                true,
            ),
            (
                Provider::Google,
                Authorization,
                "https://oauth2.googleapis.com/token",
                false,
            ),
            (
                Provider::Microsoft,
                Token,
                "https://login.microsoftonline.com/common/oauth2/v2.0/token",
                true,
            ),
            (
                Provider::Microsoft,
                Token,
                "https://login.microsoftonline.us/contoso.com/oauth2/v2.0/token",
                true,
            ),
            (
                Provider::Microsoft,
                Token,
                "https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
                false,
            ),
            (
                Provider::Microsoft,
                Token,
                "https://login.microsoftonline.com/a/b/oauth2/v2.0/token",
                false,
            ),
            (
                Provider::Microsoft,
                Token,
                "https://login.microsoftonline.com//oauth2/v2.0/token",
                false,
            ),
            (
                Provider::Microsoft,
                Token,
                "https://login.microsoftonline.com.evil.example/common/oauth2/v2.0/token",
                false,
            ),
            (
                Provider::Microsoft,
                Authorization,
                "https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
                true,
            ),
        ] {
            assert_eq!(owns(provider, kind, address), own, "{address}");
        }
        for provider in Provider::ALL {
            for kind in [Token, Authorization] {
                assert!(owns(provider, kind, &provider.endpoint(kind, None)));
                assert!(owns(provider, kind, &provider.endpoint(kind, Some(ID))));
            }
        }
    }

    #[test]
    fn tenants_are_ids_domains_or_microsofts_names() {
        for (text, good) in [
            (ID, true),
            ("Contoso.onmicrosoft.com", true),
            ("common", true),
            ("consumers", true),
            ("contoso", false),
            ("a/b", false),
            ("../x", false),
            ("contoso.com?x=", false),
            ("", false),
        ] {
            assert_eq!(read_tenant(text).is_some(), good, "{text}");
        }
    }

    #[test]
    fn issuers_are_compared_whole() {
        let microsoft = |issuer: &str, tenant| Provider::Microsoft.is_issuer(issuer, tenant);
        let issuer = format!("https://login.microsoftonline.com/{ID}/v2.0");
        let other = format!(
            "https://login.microsoftonline.com/{}/v2.0",
            ID.replace("8eaef023", "00000000")
        );
        assert!(
            microsoft(&issuer, None) && microsoft(&issuer, Some("common")) && microsoft(&issuer, Some("contoso.com"))
        );
        assert!(microsoft(&issuer, Some(ID)) && !microsoft(&other, Some(ID)));
        for issuer in [
            "https://login.microsoftonline.com.evil.example/x/v2.0",
            "https://login.microsoftonline.com/../v2.0",
            "https://accounts.google.com",
            "",
        ] {
            assert!(!microsoft(issuer, None), "{issuer}");
        }
        assert!(Provider::Google.is_issuer("https://accounts.google.com", None));
        assert!(!Provider::Google.is_issuer("https://accounts.google.com/", None));
        assert!(!Provider::Google.is_issuer("https://accounts.google.com.evil.example", None));
    }
}
