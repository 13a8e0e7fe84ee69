//! Providers by name: where their submission servers are, and what they take as a password.
//!
//! Collected from the providers' own help pages. A preset fills in what the account leaves out. It never overrides a
//! port. A host that differs from it is refused, since then one of the two was not intended.

mod providers;

use providers::{Hosts, PROVIDERS};

use crate::error::{ErrorKind, WarningKind};
use crate::fields::{Fields, Findings, normal};

/// A provider that accounts can name, with what it publishes of its submission servers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Preset {
    /// As accounts write it.
    name: &'static str,
    hosts: Hosts,
    port: u16,
    /// The user name that is the same for everybody.
    pub(crate) username: Option<&'static str>,
    /// Whether one token stands for user name and password alike.
    pub(crate) username_is_password: bool,
    /// How many connections may be open at once.
    pub(crate) max_connections: Option<u32>,
    /// How many messages a connection takes.
    pub(crate) messages_per_connection: Option<u32>,
    /// How many recipients a message may have.
    pub(crate) recipients_per_message: Option<u32>,
    /// The provider's page that says all this.
    source: &'static str,
}

/// What a preset says of the server.
#[derive(Debug, Clone)]
pub(crate) struct Filled {
    pub(crate) preset: &'static Preset,
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Preset {
    /// Returns the preset of this name, in whatever case.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        let wanted = normal(name);
        PROVIDERS.iter().find(|preset| normal(preset.name) == wanted)
    }

    /// Reads `preset` and `region`.
    pub(crate) fn read(fields: &mut Fields, found: &mut Findings) -> Option<Filled> {
        let text = fields.text("preset", found);
        let region = fields.text("region", found).map(|region| region.to_lowercase());
        let Some(text) = text else {
            if region.is_some() {
                let message = "a region belongs to a preset, and there is none; write \"preset\", or leave it out";
                fields.refuse("region", ErrorKind::Missing, message, found);
            }
            return None;
        };
        let Some(preset) = Self::named(&text) else {
            let names = PROVIDERS.iter().map(|preset| preset.name);
            let advice = crate::suggest::advice(&normal(&text), names);
            fields.refuse(
                "preset",
                ErrorKind::Unknown,
                format!("there is no such preset; {advice}"),
                found,
            );
            return None;
        };
        match preset.host(region.as_deref()) {
            Ok(host) => Some(Filled {
                preset,
                host,
                port: preset.port,
            }),
            Err(message) => {
                fields.refuse("region", ErrorKind::Invalid, message, found);
                None
            }
        }
    }

    fn host(&self, region: Option<&str>) -> Result<String, String> {
        match (self.hosts, region) {
            (Hosts::One(host), None) => Ok(host.to_owned()),
            (Hosts::One(_), Some(_)) => Err(format!("{} has no regions; leave it out", self.name)),
            (Hosts::Regions(table), region) => {
                let found = match region {
                    None => table.first(),
                    Some(region) => table.iter().find(|(name, _)| *name == region),
                };
                let names = || table.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
                found
                    .map(|(_, host)| (*host).to_owned())
                    .ok_or_else(|| format!("{} has no such region; write one of {}", self.name, names()))
            }
            (Hosts::Aws(before, behind), region) => {
                aws_region(region).map(|region| format!("{before}{region}{behind}"))
            }
        }
    }
}

/// New regions appear every year, so their form is checked and not their names.
fn aws_region(region: Option<&str>) -> Result<&str, String> {
    let example = "write the region of your identities, such as eu-west-1";
    let region = region.ok_or_else(|| format!("it is needed, since each region has its own server; {example}"))?;
    let mut parts = region.split('-');
    let is_area = parts
        .next()
        .is_some_and(|area| area.len() == 2 && area.bytes().all(|byte| byte.is_ascii_lowercase()));
    let rest: Vec<&str> = parts.collect();
    let is_number = rest
        .last()
        .is_some_and(|last| last.len() == 1 && last.bytes().all(|byte| byte.is_ascii_digit()));
    let are_words = rest.len() >= 2
        && rest[..rest.len() - 1]
            .iter()
            .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()));
    if is_area && is_number && are_words {
        return Ok(region);
    }
    Err(format!("this is not the name of a region; {example}"))
}

/// Warns where the server at `host` takes no password, or only a special one. `literal` is the password when it stands
/// in the file: of a reference nothing can be said before it is read.
pub(crate) fn warn_of_password(host: &str, literal: Option<&str>, fields: &Fields, found: &mut Findings) {
    let message = match host {
        "smtp.office365.com" | "smtp-mail.outlook.com" => {
            "Microsoft no longer takes passwords over SMTP; use an account of the type oauth-2 with the provider microsoft"
        }
        "smtp.gmail.com" if literal.is_some_and(|text| !has_letters(text, 16)) => {
            "Gmail takes app passwords, 16 letters, and this is none; make one at https://myaccount.google.com/apppasswords, or use an account of the type oauth-2"
        }
        "smtp.mail.yahoo.com" if literal.is_some_and(|text| !has_letters(text, 16)) => {
            "Yahoo takes app passwords, 16 letters, and this is none; make one at https://login.yahoo.com/account/security"
        }
        "smtp.mail.me.com" if literal.is_some_and(|text| !has_letters(&text.replace('-', ""), 16)) => {
            "iCloud takes app-specific passwords, four groups of four letters, and this is none; make one at https://account.apple.com"
        }
        _ => return,
    };
    fields.warn("password", WarningKind::Provider, message, found);
}

fn has_letters(text: &str, count: usize) -> bool {
    let letters = || text.chars().filter(|c| !c.is_whitespace());
    letters().count() == count && letters().all(|c| c.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_has_a_name_of_its_own_a_server_and_a_source() {
        for (index, preset) in PROVIDERS.iter().enumerate() {
            let same = Preset::named(preset.name).expect("it is found by its name");
            assert!(std::ptr::eq(same, &PROVIDERS[index]), "{} is there twice", preset.name);
            assert!(preset.source.starts_with("https://"), "{} has no source", preset.name);
            let hosts: Vec<String> = match preset.hosts {
                Hosts::One(host) => vec![host.to_owned()],
                Hosts::Regions(table) => table.iter().map(|(_, host)| (*host).to_owned()).collect(),
                Hosts::Aws(..) => vec![preset.host(Some("eu-west-1")).expect("a region")],
            };
            for host in hosts {
                assert!(host.contains('.') && !host.contains(' '), "{}: {host}", preset.name);
            }
        }
    }

    #[test]
    fn the_schema_names_every_provider() {
        let schema: serde_json::Value = serde_json::from_str(crate::ACCOUNT_SCHEMA).expect("the schema is JSON");
        let names: Vec<&str> = PROVIDERS.iter().map(|preset| preset.name).collect();
        for account in ["smtp-auth-and-properties", "oauth-2", "google-key"] {
            let listed = &schema["$defs"][account]["properties"]["preset"]["enum"];
            assert_eq!(*listed, serde_json::json!(names), "{account}");
        }
    }

    #[test]
    fn the_documentation_names_every_provider_with_its_server_and_source() {
        let page = include_str!("../../../docs/providers.md");
        let rows = page.lines().filter(|line| line.starts_with("| [`")).count();
        assert_eq!(rows, PROVIDERS.len());
        for preset in PROVIDERS {
            let row = page
                .lines()
                .find(|line| line.starts_with(&format!("| [`{}`]", preset.name)));
            let row = row.unwrap_or_else(|| panic!("{} is not in docs/providers.md", preset.name));
            let host = preset.host(None).or_else(|_| preset.host(Some("REGION")));
            if let Ok(host) = host {
                assert!(row.contains(&format!("`{host}`")), "{row}");
            }
            let limits = [
                (preset.max_connections, "connections"),
                (preset.messages_per_connection, "messages a connection"),
                (preset.recipients_per_message, "recipients a message"),
            ];
            for (limit, words) in limits {
                let shown = limit.map(|limit| format!("{limit} {words}"));
                assert!(shown.is_none_or(|shown| row.contains(&shown)), "{row}");
            }
            assert!(
                row.contains(&format!("| {} |", preset.port)) && row.contains(preset.source),
                "{row}"
            );
        }
    }
}
