//! Operator policy: which hosts, networks and connectors are allowed, and within which limits.
//!
//! A step may reach only what its account and the policy both allow; neither can extend the other. Without a policy,
//! only the accounts decide.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;

use crate::{Endpoint, Limits};

/// A policy file, parsed and checked.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    hosts: Option<Vec<HostPattern>>,
    networks: Vec<IpNet>,
    limits: LimitsFile,
    connectors: Option<BTreeMap<String, Option<Vec<String>>>>,
    stored_accounts: BTreeMap<String, AllowedReferences>,
    public_pipelines: PublicPipelines,
}

/// The pipelines that may be called without a token, where their documents ask for that. The default is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct PublicPipelines(BTreeSet<String>);

impl PublicPipelines {
    /// Checks whether this pipeline is among them: by its name, or because `*` allows each.
    pub fn has(&self, pipeline: &str) -> bool {
        self.0.contains(pipeline) || self.0.contains("*")
    }
}

/// The references that one account of the store may hold. The default is none: what others put into the store must not
/// read the operator's files, environment or keyring.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowedReferences {
    /// Folders, as absolute paths: `${file:}` reads what is in or below one of them, and no link leads out.
    #[serde(default)]
    pub folders: Vec<PathBuf>,
    /// Names that `${env:}` reads.
    #[serde(default)]
    pub variables: BTreeSet<String>,
    /// Names that `${keyring:}` reads.
    #[serde(default)]
    pub keyring_entries: BTreeSet<String>,
    #[serde(rename = "description", default)]
    _description: Option<String>,
}

/// The JSON Schema (draft 2020-12) of a policy file.
pub const POLICY_SCHEMA: &str = include_str!("../schema/policy.schema.json");

/// What the policy says about one connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectorRule {
    /// The policy sets nothing: the connector gets what every connector gets.
    Open,
    /// The connector gets these interfaces and no others.
    Granted(Vec<String>),
    /// The policy lists connectors, and this connector is not in the list.
    Refused,
}

/// The reason why a policy cannot be used. Each is a whole sentence.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The file cannot be read.
    #[error("The policy `{file}` cannot be read: {source}.")]
    Read {
        /// The file's path.
        file: String,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The content is not a valid policy.
    #[error("The policy `{file}` cannot be used: {reason}.")]
    Invalid {
        /// The file's path.
        file: String,
        /// The reason, with line and column where they are known.
        reason: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct HostPattern {
    host: String,
    /// `*.example.com`: every name below it.
    below: bool,
    port: Option<u16>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    #[serde(rename = "$schema")]
    _schema: Option<String>,
    #[serde(rename = "description")]
    _description: Option<String>,
    hosts: Option<Vec<String>>,
    #[serde(default)]
    networks: Vec<IpNet>,
    #[serde(default)]
    limits: LimitsFile,
    connectors: Option<Vec<ConnectorFile>>,
    #[serde(default)]
    stored_accounts: BTreeMap<String, AllowedReferences>,
    #[serde(default)]
    public_pipelines: PublicPipelines,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsFile {
    memory_mib: Option<usize>,
    cpu_seconds: Option<u64>,
    instances: Option<u32>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConnectorFile {
    digest: String,
    #[serde(rename = "description")]
    _description: Option<String>,
    grants: Option<Vec<String>>,
}

impl Policy {
    /// Reads a policy file (JSON): `hosts` (`name`, `name:port`, `*.domain`), `networks` (CIDR: the inner networks that
    /// may contain hosts which only a step names), `limits` (`memory_mib`, `cpu_seconds`, `instances`), `connectors`
    /// (`digest`, `grants`). What is left out is not limited. `stored_accounts` allows an account of the store, by its
    /// label, references (`folders`, `variables`, `keyring_entries`); what is left out there is not allowed.
    /// `public_pipelines` lists the pipelines that may be called without a token (`*` for each); none, without it.
    ///
    /// # Errors
    /// Returns an error when the file cannot be read or is not a valid policy.
    pub fn from_file(path: &Path) -> Result<Self, PolicyError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| PolicyError::Read {
            file: file.clone(),
            source,
        })?;
        Self::from_json(&text).map_err(|reason| PolicyError::Invalid { file, reason })
    }

    /// Reads a policy from JSON text, as [`Policy::from_file`] does from a file.
    ///
    /// # Errors
    /// Returns a clause with the reason when the text is not a valid policy.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let file: PolicyFile = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let hosts = match file.hosts {
            Some(hosts) => Some(
                hosts
                    .iter()
                    .map(|host| HostPattern::parse(host))
                    .collect::<Result<Vec<_>, _>>()?,
            ),
            None => None,
        };
        let mut connectors = None;
        for connector in file.connectors.into_iter().flatten() {
            let hexadecimal = connector.digest.strip_prefix("sha256:").unwrap_or_default();
            if hexadecimal.len() != 64 || !hexadecimal.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(format!(
                    "`{}` is not a digest; write `sha256:` and 64 hexadecimal digits, as the connector's inspection shows it",
                    connector.digest
                ));
            }
            connectors
                .get_or_insert_with(BTreeMap::new)
                .insert(connector.digest.to_ascii_lowercase(), connector.grants);
        }
        for (label, allowed) in &file.stored_accounts {
            if let Some(folder) = allowed.folders.iter().find(|folder| !is_whole(folder)) {
                return Err(format!(
                    "the folder `{}` of the stored account `{label}` is not an absolute path without `..`; write it from the root",
                    folder.display()
                ));
            }
        }
        Ok(Self {
            hosts,
            networks: file.networks,
            limits: file.limits,
            connectors,
            stored_accounts: file.stored_accounts,
            public_pipelines: file.public_pipelines,
        })
    }

    /// Checks whether the operator allows this server.
    pub fn allows(&self, address: &Endpoint) -> bool {
        self.hosts
            .as_ref()
            .is_none_or(|hosts| hosts.iter().any(|pattern| pattern.matches(address)))
    }

    /// Checks whether the operator named this server, so that a step may use it without an account.
    pub fn names(&self, address: &Endpoint) -> bool {
        self.hosts
            .as_ref()
            .is_some_and(|hosts| hosts.iter().any(|pattern| pattern.matches(address)))
    }

    /// Returns the first interface that the policy grants but that this host cannot give.
    ///
    /// The contract decides what can be granted, not the policy file: code that loads connectors calls this first.
    pub fn ungrantable(&self, grantable: &[&str]) -> Option<&str> {
        let listed = self.connectors.iter().flat_map(BTreeMap::values).flatten().flatten();
        listed.map(String::as_str).find(|grant| !grantable.contains(grant))
    }

    /// Returns the inner networks that the operator opened.
    pub fn networks(&self) -> &[IpNet] {
        &self.networks
    }

    /// Returns what the policy says about the connector with this digest.
    pub fn connector(&self, digest: &str) -> ConnectorRule {
        match &self.connectors {
            None => ConnectorRule::Open,
            Some(listed) => match listed.get(digest) {
                None => ConnectorRule::Refused,
                Some(None) => ConnectorRule::Open,
                Some(Some(grants)) => ConnectorRule::Granted(grants.clone()),
            },
        }
    }

    /// Returns the references that accounts of the store may hold, by label. A label that is not there may hold none.
    pub fn stored_accounts(&self) -> &BTreeMap<String, AllowedReferences> {
        &self.stored_accounts
    }

    /// Returns the pipelines that may be called without a token, where their documents ask for that.
    pub fn public_pipelines(&self) -> &PublicPipelines {
        &self.public_pipelines
    }

    /// Returns the limits of every instance: the policy's, or the defaults where the policy sets none.
    pub fn limits(&self) -> Limits {
        self.limits_over(Limits::default())
    }

    /// Returns the limits of every instance: the policy's, or `defaults` where the policy sets none.
    pub fn limits_over(&self, defaults: Limits) -> Limits {
        let mut limits = defaults;
        if let Some(mebibytes) = self.limits.memory_mib {
            limits.memory = mebibytes << 20;
        }
        if let Some(seconds) = self.limits.cpu_seconds {
            limits.cpu = Duration::from_secs(seconds);
        }
        if let Some(instances) = self.limits.instances {
            limits.instances = instances.max(1);
        }
        limits
    }
}

/// Whether a path begins at the root and goes only down from there.
fn is_whole(path: &Path) -> bool {
    path.is_absolute() && !path.components().any(|part| part == Component::ParentDir)
}

impl AllowedReferences {
    /// Returns the first of the folders that a file is in or below, and the file's path from there. The path is compared as
    /// it is written; whoever opens the file does it with [`crate::beneath`].
    pub fn folder_of<'a>(&'a self, file: &'a Path) -> Option<(&'a Path, &'a Path)> {
        if !is_whole(file) {
            return None;
        }
        self.folders
            .iter()
            .find_map(|folder| Some((folder.as_path(), file.strip_prefix(folder).ok()?)))
    }
}

impl HostPattern {
    fn parse(text: &str) -> Result<Self, String> {
        let (name, port) = match text.rsplit_once(':') {
            // An IPv6 address has colons of its own; its port stands behind brackets.
            Some((name, port)) if !name.contains(':') || name.ends_with(']') => {
                let port = port
                    .parse()
                    .map_err(|_| format!("the host `{text}` has no port behind its colon"))?;
                (name, Some(port))
            }
            _ => (text, None),
        };
        let bare = name
            .trim_start_matches('[')
            .trim_end_matches(']')
            .trim_end_matches('.')
            .to_ascii_lowercase();
        let (host, below) = bare
            .strip_prefix("*.")
            .map_or((bare.as_str(), false), |rest| (rest, true));
        if host.is_empty() || host.contains(['*', '/', ' ', '@']) {
            return Err(format!(
                "`{text}` is no host; write `mail.example.com`, `mail.example.com:587` or `*.example.com`"
            ));
        }
        Ok(Self {
            host: host.to_owned(),
            below,
            port,
        })
    }

    fn matches(&self, address: &Endpoint) -> bool {
        let host = address.host.trim_end_matches('.').to_ascii_lowercase();
        let named = if self.below {
            host.strip_suffix(&self.host)
                .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        } else {
            host == self.host
        };
        named && self.port.is_none_or(|port| port == address.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_pipeline_is_public_unless_its_name_or_each_is_listed() {
        let has = |policy: &str, name: &str| {
            Policy::from_json(policy)
                .expect("a policy")
                .public_pipelines()
                .has(name)
        };
        assert!(!has("{}", "order"));
        assert!(!has(r#"{"public_pipelines": []}"#, "order"));
        assert!(has(r#"{"public_pipelines": ["order"]}"#, "order"));
        assert!(!has(r#"{"public_pipelines": ["order"]}"#, "orders"));
        assert!(has(r#"{"public_pipelines": ["*"]}"#, "order"));
        assert!(Policy::from_json(r#"{"public_pipelines": true}"#).is_err());
    }

    fn address(host: &str, port: u16) -> Endpoint {
        Endpoint {
            host: host.to_owned(),
            port,
        }
    }

    #[test]
    fn none_exact_and_wildcard() {
        let open = Policy::default();
        assert!(open.allows(&address("anywhere.example", 25)));
        assert!(!open.names(&address("anywhere.example", 25)));

        let closed = Policy::from_json(r#"{"hosts": []}"#).expect("a policy");
        assert!(!closed.allows(&address("anywhere.example", 25)));

        let policy =
            Policy::from_json(r#"{"hosts": ["mail.example:587", "*.corp.example", "[::1]:25"]}"#).expect("a policy");
        for (host, port, allowed) in [
            ("mail.example", 587, true),
            ("MAIL.example.", 587, true),
            ("mail.example", 465, false),
            ("a.corp.example", 25, true),
            ("corp.example", 25, false),
            ("evilcorp.example", 25, false),
            ("::1", 25, true),
            ("::1", 26, false),
        ] {
            assert_eq!(policy.allows(&address(host, port)), allowed, "{host}:{port}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (text, words) in [
            (r#"{"hosts": ["a b"]}"#, "is no host"),
            (r#"{"host": []}"#, "unknown field `host`"),
            (r#"{"networks": ["10.0.0.0/99"]}"#, "line 1"),
            (r#"{"connectors": [{"digest": "sha256:12"}]}"#, "is not a digest"),
            (r#"{"hosts": ["a:b"]}"#, "port"),
            (
                r#"{"stored_accounts": {"a": {"folders": ["secrets"]}}}"#,
                "absolute path",
            ),
            (
                r#"{"stored_accounts": {"a": {"folders": ["/a/../b"]}}}"#,
                "absolute path",
            ),
            (r#"{"stored_accounts": {"a": {"files": []}}}"#, "unknown field `files`"),
            ("", "EOF"),
        ] {
            let error = Policy::from_json(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn listed_connectors_get_what_is_listed_and_others_nothing() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let text =
            format!(r#"{{"connectors": [{{"digest": "{digest}", "grants": ["pipepost:connector/log@0.1.0"]}}]}}"#);
        let policy = Policy::from_json(&text).expect("a policy");
        assert_eq!(
            policy.connector(&digest),
            ConnectorRule::Granted(vec!["pipepost:connector/log@0.1.0".to_owned()])
        );
        assert_eq!(policy.connector("sha256:00"), ConnectorRule::Refused);
        assert_eq!(Policy::default().connector(&digest), ConnectorRule::Open);
    }

    #[test]
    #[cfg(unix)]
    fn a_stored_account_may_refer_to_what_is_listed_under_its_label() {
        let text = r#"{"stored_accounts": {"mail": {"folders": ["/run/secrets"], "variables": ["PASSWORD"], "description": "x"}}}"#;
        let policy = Policy::from_json(text).expect("a policy");
        assert!(!policy.stored_accounts().contains_key("other"));
        let allowed = &policy.stored_accounts()["mail"];
        assert!(allowed.variables.contains("PASSWORD") && allowed.keyring_entries.is_empty());
        for (file, found) in [
            ("/run/secrets/a", Some("a")),
            ("/run/secrets/a/b", Some("a/b")),
            ("/run/secrets-of-others/a", None),
            ("/run/secrets/../a", None),
            ("run/secrets/a", None),
            ("/etc/shadow", None),
        ] {
            let inside = allowed.folder_of(Path::new(file)).map(|(_, inside)| inside);
            assert_eq!(inside, found.map(Path::new), "{file}");
        }
    }

    #[test]
    fn the_documented_policy_is_one() {
        let page = include_str!("../../../docs/operating.md");
        let section = page.split("## The policy").nth(1).expect("a section");
        let example = section
            .split("```")
            .nth(1)
            .expect("an example")
            .trim_start_matches("json");
        let policy = Policy::from_json(example).expect("a policy");
        assert!(policy.stored_accounts().contains_key("reports"));
        let schema: serde_json::Value = serde_json::from_str(POLICY_SCHEMA).expect("JSON");
        for key in schema["properties"].as_object().expect("properties").keys() {
            let is_for_people = matches!(key.as_str(), "$schema" | "description");
            assert!(
                is_for_people || section.contains(&format!("| `{key}` |")),
                "{key} is not documented"
            );
        }
    }

    #[test]
    fn the_schema_lists_exactly_the_keys_of_a_policy() {
        let schema: serde_json::Value = serde_json::from_str(POLICY_SCHEMA).expect("JSON");
        let keys = |schema: &serde_json::Value| -> Vec<String> {
            schema["properties"]
                .as_object()
                .expect("properties")
                .keys()
                .cloned()
                .collect()
        };
        for key in keys(&schema) {
            let value = match key.as_str() {
                "$schema" | "description" => "\"x\"",
                "hosts" | "networks" | "connectors" | "public_pipelines" => "[]",
                _ => "{}",
            };
            Policy::from_json(&format!(r#"{{"{key}": {value}}}"#)).expect("a key that is known");
        }
        let unknown = Policy::from_json(r#"{"x": 1}"#).unwrap_err();
        assert!(
            keys(&schema).iter().all(|key| unknown.contains(&format!("`{key}`"))),
            "{unknown}"
        );
        let stored = &schema["properties"]["stored_accounts"]["additionalProperties"];
        let unknown = Policy::from_json(r#"{"stored_accounts": {"a": {"x": 1}}}"#).unwrap_err();
        assert!(
            keys(stored).iter().all(|key| unknown.contains(&format!("`{key}`"))),
            "{unknown}"
        );
    }
}
