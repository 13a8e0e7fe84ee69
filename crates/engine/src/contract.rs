//! The contract's versions, side by side.
//!
//! A component is built against one version and keeps it: the names of its imports and its export carry the version.
//! Each version has a module here with its own bindings. The newest one is the host's own: everything else in this
//! crate is written against it. An older version translates its calls to the newest and the results back. A released
//! version's WIT is never edited, and its module stays as long as components of that version may be loaded.

pub(crate) mod v0_1_0;
pub(crate) mod v0_2_0;

use std::fmt;

use pipepost_accounts::PublicView;
pub(crate) use v0_2_0 as latest;
use wasmtime::Store;
use wasmtime::component::{HasSelf, InstancePre, Linker};

pub use self::latest::{Call, Manifest};
use super::inspect::Interfaces;
use super::instance::StoreData;

/// A version of the contract that this host knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContractVersion {
    /// The first release.
    V0_1_0,
    /// The account is typed, no output is passed twice, and names carry their units.
    V0_2_0,
}

/// What every connector exports, without the version.
const STEP: &str = "pipepost:connector/step";

/// What a connector that holds connections imports, without the version.
const TRANSPORT: &str = "pipepost:mail/transport";

impl ContractVersion {
    /// All versions, the oldest first.
    pub const ALL: [Self; 2] = [Self::V0_1_0, Self::V0_2_0];

    /// The newest version.
    pub const LATEST: Self = Self::V0_2_0;

    /// Returns the version as it appears in the names of interfaces.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V0_1_0 => "0.1.0",
            Self::V0_2_0 => "0.2.0",
        }
    }

    /// Returns what a host can give to a component of this version. No grant exceeds it.
    pub const fn grantable(self) -> &'static [&'static str] {
        match self {
            Self::V0_1_0 => &[
                "pipepost:connector/types@0.1.0",
                "pipepost:connector/outcomes@0.1.0",
                "pipepost:connector/files@0.1.0",
                "pipepost:connector/new-files@0.1.0",
                "pipepost:connector/log@0.1.0",
                "pipepost:mail/transport@0.1.0",
                "wasi:clocks/wall-clock@0.2.0",
                "wasi:random/random@0.2.0",
            ],
            Self::V0_2_0 => &[
                "pipepost:connector/types@0.2.0",
                "pipepost:connector/outcomes@0.2.0",
                "pipepost:connector/files@0.2.0",
                "pipepost:connector/new-files@0.2.0",
                "pipepost:connector/log@0.2.0",
                "pipepost:mail/transport@0.2.0",
                "pipepost:claims/ahead@0.1.0",
                "wasi:clocks/wall-clock@0.2.0",
                "wasi:random/random@0.2.0",
            ],
        }
    }

    /// Returns the newest version of the contract that a component exports.
    ///
    /// # Errors
    /// The exported `step` of a version that this host does not know, or none where there is no `step`.
    pub(super) fn of(interfaces: &Interfaces) -> Result<Self, Option<String>> {
        let steps = || interfaces.exports.iter().filter(|export| unversioned(export) == STEP);
        let known = Self::ALL.into_iter().rev();
        let found = known.into_iter().find(|version| {
            let own = format!("{STEP}@{}", version.as_str());
            steps().any(|export| super::same_track(export, &own))
        });
        found.ok_or_else(|| steps().next().cloned())
    }
}

impl fmt::Display for ContractVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Returns everything that a host can give, over all versions of the contract. A policy may name these and nothing
/// else.
pub fn grantable() -> Vec<&'static str> {
    let mut all: Vec<&str> = Vec::new();
    for name in ContractVersion::ALL.iter().flat_map(|version| version.grantable()) {
        if !all.contains(name) {
            all.push(name);
        }
    }
    all
}

/// Whether a component can hold connections. The one place that knows it, from the component's bytes and not from what it
/// says: success of such a connector needs something confirmed.
pub(super) fn holds_connections(interfaces: &Interfaces) -> bool {
    interfaces.imports.iter().any(|import| unversioned(import) == TRANSPORT)
}

fn unversioned(name: &str) -> &str {
    name.split_once('@').map_or(name, |(name, _)| name)
}

/// Gives a linker the imports of every version.
pub(super) fn add_to_linker(linker: &mut Linker<StoreData>) -> wasmtime::Result<()> {
    latest::Everything::add_to_linker::<StoreData, HasSelf<StoreData>>(linker, |data| data)?;
    v0_1_0::add_to_linker(linker)
}

/// A component of some version, ready to be instantiated.
pub(super) enum ConnectorPre {
    V0_1_0(v0_1_0::EverythingPre<StoreData>),
    V0_2_0(v0_2_0::EverythingPre<StoreData>),
}

impl ConnectorPre {
    pub(super) fn new(version: ContractVersion, pre: InstancePre<StoreData>) -> wasmtime::Result<Self> {
        Ok(match version {
            ContractVersion::V0_1_0 => Self::V0_1_0(v0_1_0::EverythingPre::new(pre)?),
            ContractVersion::V0_2_0 => Self::V0_2_0(v0_2_0::EverythingPre::new(pre)?),
        })
    }

    pub(super) async fn instantiate(&self, store: &mut Store<StoreData>) -> wasmtime::Result<ConnectorInstance> {
        Ok(match self {
            Self::V0_1_0(pre) => ConnectorInstance::V0_1_0(pre.instantiate_async(store).await?),
            Self::V0_2_0(pre) => ConnectorInstance::V0_2_0(pre.instantiate_async(store).await?),
        })
    }
}

/// An instance of a component of some version.
pub(super) enum ConnectorInstance {
    V0_1_0(v0_1_0::Everything),
    V0_2_0(v0_2_0::Everything),
}

impl ConnectorInstance {
    /// Asks the connector what it is.
    pub(super) async fn describe(&self, store: &mut Store<StoreData>) -> wasmtime::Result<Manifest> {
        match self {
            Self::V0_1_0(instance) => v0_1_0::describe(instance, store).await,
            Self::V0_2_0(instance) => instance.pipepost_connector_step().call_describe(store).await,
        }
    }

    /// Completes a manifest that was found to be within its bounds by what its version left to the host.
    pub(super) fn complete(&self, manifest: Manifest) -> Manifest {
        match self {
            Self::V0_1_0(_) => Manifest {
                parameters: v0_1_0::with_body_roles(manifest.parameters),
                ..manifest
            },
            Self::V0_2_0(_) => manifest,
        }
    }

    /// Lets the connector perform the calls.
    pub(super) async fn perform(
        &self,
        store: &mut Store<StoreData>,
        account: Option<&PublicView>,
        calls: &[Call],
    ) -> wasmtime::Result<()> {
        match self {
            Self::V0_1_0(instance) => v0_1_0::perform(instance, store, account, calls).await,
            Self::V0_2_0(instance) => {
                let account = account.map(v0_2_0::account_view);
                let step = instance.pipepost_connector_step();
                step.call_perform(store, account.as_ref(), calls).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exports(names: &[&str]) -> Interfaces {
        Interfaces {
            imports: Vec::new(),
            exports: names.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn the_version_is_the_newest_that_is_exported_and_known() {
        let (old, new) = ("pipepost:connector/step@0.1.0", "pipepost:connector/step@0.2.0");
        for (names, expected) in [
            (vec![old], Ok(ContractVersion::V0_1_0)),
            (vec!["pipepost:connector/step@0.1.7"], Ok(ContractVersion::V0_1_0)),
            (vec![old, new], Ok(ContractVersion::V0_2_0)),
            (
                vec!["pipepost:connector/step@0.3.0"],
                Err(Some("pipepost:connector/step@0.3.0".to_owned())),
            ),
            (vec!["wasi:cli/run@0.2.0"], Err(None)),
        ] {
            assert_eq!(ContractVersion::of(&exports(&names)), expected, "{names:?}");
        }
    }

    #[test]
    fn what_may_be_granted_is_named_once_over_all_versions() {
        let all = grantable();
        assert_eq!(all.iter().filter(|name| name.starts_with("wasi:random")).count(), 1);
        for version in ContractVersion::ALL {
            let own = format!("pipepost:mail/transport@{version}");
            assert!(all.contains(&own.as_str()), "{own}");
        }
    }
}
