//! The document as the run uses it: everything parsed, every reference followed.

use std::time::Duration;

use serde_json::Value;

use crate::problem::Problems;
use crate::step::{BranchId, CompiledConnector, ConnectorId, Step, StepKind};

/// Which of the two forms the document has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `{name, id, versionMajor, ..., flowSpec}`, which begins at the branch `start`.
    Platform,
    /// `{meta, flowSpec}`, which begins at a branch `disconnected-root:<uuid>`.
    Clipboard,
}

/// Steps in order, under a name.
#[derive(Debug, Clone)]
pub struct Branch {
    /// Its name in the document.
    pub name: String,
    /// What it does. Empty for a branch that nothing leads to.
    pub steps: Vec<Step>,
}

/// What the document says of itself: the `metadata.pipeline` of expressions. All of it is optional.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PipelineMetadata {
    /// `name`
    pub name: Option<String>,
    /// `id`
    pub id: Option<String>,
    /// `versionMajor`
    pub version_major: Option<Value>,
    /// `versionMinor`
    pub version_minor: Option<Value>,
    /// `description`
    pub description: Option<String>,
    /// `realm`
    pub realm: Option<String>,
    /// `project`, as it stands there.
    pub project: Option<Value>,
}

/// A document that can run.
#[derive(Debug, Clone)]
pub struct Pipeline {
    pub(crate) form: Form,
    pub(crate) metadata: PipelineMetadata,
    pub(crate) time_limit: Option<Duration>,
    pub(crate) sensitive: Vec<String>,
    pub(crate) first: BranchId,
    pub(crate) branches: Vec<Branch>,
    pub(crate) warnings: Problems,
}

impl Pipeline {
    /// Gives each connector step its number.
    pub(crate) fn number_connectors(&mut self) {
        let steps = self.branches.iter_mut().flat_map(|branch| &mut branch.steps);
        let connectors = steps.filter_map(|step| match &mut step.kind {
            StepKind::Connector(connector) => Some(connector),
            _ => None,
        });
        for (index, connector) in connectors.enumerate() {
            connector.id = ConnectorId(index);
        }
    }

    /// The longest time limit a document may ask for.
    pub const LONGEST_TIME_LIMIT: Duration = Duration::from_secs(15 * 60);

    /// The limit where the document names none.
    pub const DEFAULT_TIME_LIMIT: Duration = Duration::from_secs(30);

    /// Which form the document has.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Name, version and the like.
    pub fn metadata(&self) -> &PipelineMetadata {
        &self.metadata
    }

    /// The `triggerSpec.timeout`, when the document has one.
    pub fn time_limit(&self) -> Option<Duration> {
        self.time_limit
    }

    /// The names of fields whose values are shown as `***` in logs and traces.
    pub fn sensitive(&self) -> &[String] {
        &self.sensitive
    }

    /// Where it begins.
    pub fn first(&self) -> BranchId {
        self.first
    }

    /// The branch; `id` comes from this pipeline, so there is one. For an id of another pipeline the answer is this
    /// pipeline's first branch.
    pub fn branch(&self, id: BranchId) -> &Branch {
        // A pipeline has the branch that it begins with.
        self.branches.get(id.0).unwrap_or(&self.branches[self.first.0])
    }

    /// All branches in the document's order.
    pub fn branches(&self) -> impl Iterator<Item = (BranchId, &Branch)> {
        self.branches
            .iter()
            .enumerate()
            .map(|(index, branch)| (BranchId(index), branch))
    }

    /// All steps that can run, branch by branch.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.branches.iter().flat_map(|branch| &branch.steps)
    }

    /// The connector steps that can run, in the order of their ids.
    pub fn connectors(&self) -> impl Iterator<Item = (&Step, &CompiledConnector)> {
        self.steps().filter_map(|step| match &step.kind {
            StepKind::Connector(connector) => Some((step, &**connector)),
            _ => None,
        })
    }

    /// What is odd about the document, though it runs.
    pub fn warnings(&self) -> &Problems {
        &self.warnings
    }
}
