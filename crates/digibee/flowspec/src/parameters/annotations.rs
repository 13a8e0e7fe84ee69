use std::collections::BTreeMap;

use serde_json::Value;

/// The part of an endpoint that a parameter names. The host compares it with what the account and the operator allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Grant {
    /// A host name or address.
    Host,
    /// A TCP port.
    Port,
    /// A TCP port where TLS begins with the first byte.
    TlsPort,
    /// Whether to sign in.
    SignIn,
    /// Whether TLS begins with STARTTLS.
    StartTls,
    /// Whether TLS begins with the first byte; ignored while STARTTLS is on.
    Tls,
    /// Whether TLS 1.2 is the newest version that may be used.
    Tls12,
}

impl Grant {
    fn from_name(name: &str) -> Option<Self> {
        match name {
            "host" => Some(Self::Host),
            "port" => Some(Self::Port),
            "tls-port" => Some(Self::TlsPort),
            "sign-in" => Some(Self::SignIn),
            "start-tls" => Some(Self::StartTls),
            "tls" => Some(Self::Tls),
            "tls-1.2" => Some(Self::Tls12),
            _ => None,
        }
    }
}

/// What a parameter says about the body template of the same step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum BodyRole {
    /// How the values that the template inserts are escaped: `html` or `none`.
    Escape,
    /// The media type. The host derives it from the template's own text if the document does not set it.
    MediaType,
    /// A plain-text alternative. If there is one, the connector knows what the body is.
    PlainAlternative,
}

impl BodyRole {
    fn from_name(name: &str) -> Option<Self> {
        match name {
            "escape" => Some(Self::Escape),
            "media-type" => Some(Self::MediaType),
            "plain-alternative" => Some(Self::PlainAlternative),
            _ => None,
        }
    }
}

/// What a step's parameter schema says to the host, besides which values are valid. Each keyword is set on a property:
///
/// | keyword | value | meaning |
/// | --- | --- | --- |
/// | `x-pipepost-grant` | `host`, `port`, `tls-port`, `sign-in`, `start-tls`, `tls`, `tls-1.2` | the parameter names this part of the endpoint |
/// | `x-pipepost-alias` | a name or a list of them | other spellings, accepted with a warning |
/// | `x-pipepost-default` | any | the value of an absent parameter, filled in by [`check_resolved`](super::check_resolved) |
/// | `x-pipepost-template` | `true` | a FreeMarker template |
/// | `x-pipepost-body` | `escape`, `media-type`, `plain-alternative` | the parameter's role for the body template |
/// | `x-pipepost-file` | `true` | also takes `{"file": "name"}`, a file next to the document |
/// | `x-pipepost-segments` | `true`, or the kind of list that a value for the whole text may be | text with values in it is passed in segments; see [`SegmentedParameter`](crate::SegmentedParameter) |
/// | `x-pipepost-escape` | a name that `ESCAPE` knows | a value within its text must be escaped in this way |
/// | `x-pipepost-warn-empty` | `true` | a message is shown when a value leaves the parameter empty |
/// | `x-pipepost-account` | `true` | a boolean: while it is true, the step needs an account |
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Annotations {
    /// The parameters that name the endpoint.
    pub grants: BTreeMap<String, Grant>,
    /// The name that each alias is for.
    pub aliases: BTreeMap<String, String>,
    /// The values of absent parameters.
    pub defaults: BTreeMap<String, Value>,
    /// The parameters that are FreeMarker templates.
    pub templates: Vec<String>,
    /// The parameter that has each role for the body template.
    pub body_roles: BTreeMap<BodyRole, String>,
    /// The parameters that may name a file.
    pub files: Vec<String>,
    /// The structured texts, each with the kind of list that a value for the whole text may be.
    pub segments: BTreeMap<String, Option<String>>,
    /// How values within a text must be escaped, by parameter.
    pub escapes: BTreeMap<String, String>,
    /// The parameters for which a message is shown when a value leaves them empty.
    pub warn_empty: Vec<String>,
    /// The parameter that says whether an account is needed.
    pub account_switch: Option<String>,
}

impl Annotations {
    /// Reads the annotations from the `properties` of a schema. A keyword with an unknown value is ignored.
    pub fn of(schema: &Value) -> Self {
        let mut found = Self::default();
        for (name, property) in schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            found.read(name, property);
        }
        found
    }

    fn read(&mut self, name: &str, property: &Value) {
        let flag = |keyword: &str| property.get(keyword).and_then(Value::as_bool) == Some(true);
        if let Some(grant) = property
            .get("x-pipepost-grant")
            .and_then(Value::as_str)
            .and_then(Grant::from_name)
        {
            self.grants.insert(name.to_owned(), grant);
        }
        for alias in aliases(property) {
            self.aliases.insert(alias.to_owned(), name.to_owned());
        }
        if let Some(default) = property.get("x-pipepost-default") {
            self.defaults.insert(name.to_owned(), default.clone());
        }
        let text = |keyword: &str| property.get(keyword).and_then(Value::as_str).map(str::to_owned);
        if flag("x-pipepost-segments") {
            self.segments.insert(name.to_owned(), None);
        } else if let Some(list) = text("x-pipepost-segments") {
            self.segments.insert(name.to_owned(), Some(list));
        }
        if let Some(escape) = text("x-pipepost-escape") {
            self.escapes.insert(name.to_owned(), escape);
        }
        if let Some(role) = text("x-pipepost-body").as_deref().and_then(BodyRole::from_name) {
            self.body_roles.insert(role, name.to_owned());
        }
        if flag("x-pipepost-warn-empty") {
            self.warn_empty.push(name.to_owned());
        }
        if flag("x-pipepost-template") {
            self.templates.push(name.to_owned());
        }
        if flag("x-pipepost-file") {
            self.files.push(name.to_owned());
        }
        if flag("x-pipepost-account") {
            self.account_switch = Some(name.to_owned());
        }
    }
}

pub(crate) fn aliases(property: &Value) -> Vec<&str> {
    match property.get("x-pipepost-alias") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}
