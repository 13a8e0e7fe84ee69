//! The document in the form that a run uses: everything is parsed, every reference is resolved.

use std::time::Duration;

use pipepost_double_braces::{Scope, Segment};
use serde_json::Value;

use crate::merge_items::ItemsSource;
use crate::problem::Problems;
use crate::requirements::Requirements;
use crate::step::{BranchId, CompiledConnector, ConnectorId, Step, StepKind};

/// The form of the document; there are two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `{name, id, versionMajor, ..., flowSpec}`, which begins at the branch `start`.
    Platform,
    /// `{meta, flowSpec}`, which begins at a branch `disconnected-root:<uuid>`; or the older array of nodes and edges.
    Clipboard,
}

/// A named list of steps.
#[derive(Debug, Clone)]
pub struct Branch {
    /// Its name in the document.
    pub name: String,
    /// The steps, in order. Empty for a branch that cannot be reached.
    pub steps: Vec<Step>,
}

/// The document's data about itself: the `metadata.pipeline` of expressions. All of it is optional.
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
    /// `project`, exactly as in the document.
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

    /// The longest time limit that a document may set.
    pub const LONGEST_TIME_LIMIT: Duration = Duration::from_secs(15 * 60);

    /// The time limit of a document that sets none.
    pub const DEFAULT_TIME_LIMIT: Duration = Duration::from_secs(30);

    /// Returns the form of the document.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Returns the document's name, version and similar data.
    pub fn metadata(&self) -> &PipelineMetadata {
        &self.metadata
    }

    /// Returns `triggerSpec.timeout`, if the document has one.
    pub fn time_limit(&self) -> Option<Duration> {
        self.time_limit
    }

    /// Returns the names of fields whose values are shown as `***` in logs and traces.
    pub fn sensitive(&self) -> &[String] {
        &self.sensitive
    }

    /// Returns the branch where a run begins.
    pub fn first(&self) -> BranchId {
        self.first
    }

    /// Returns the branch with this id. An id of this pipeline always has a branch; for an id of another pipeline the
    /// result is this pipeline's first branch.
    pub fn branch(&self, id: BranchId) -> &Branch {
        // A pipeline has the branch that it begins with.
        self.branches.get(id.0).unwrap_or(&self.branches[self.first.0])
    }

    /// Returns all branches in the document's order.
    pub fn branches(&self) -> impl Iterator<Item = (BranchId, &Branch)> {
        self.branches
            .iter()
            .enumerate()
            .map(|(index, branch)| (BranchId(index), branch))
    }

    /// Returns all steps that can run, branch by branch.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.branches.iter().flat_map(|branch| &branch.steps)
    }

    /// Returns the connector steps that can run, in the order of their ids.
    pub fn connectors(&self) -> impl Iterator<Item = (&Step, &CompiledConnector)> {
        self.steps().filter_map(|step| match &step.kind {
            StepKind::Connector(connector) => Some((step, &**connector)),
            _ => None,
        })
    }

    /// Returns the steps that start other pipelines.
    pub fn starters(&self) -> impl Iterator<Item = &Step> {
        self.steps()
            .filter(|step| matches!(step.kind, StepKind::PipelineExecutor(_) | StepKind::EventPublisher(_)))
    }

    /// Returns the member of the message whose elements the pipeline goes through once, one after another, and which nothing
    /// in it reads besides: its only step is a mail merge with `"items": "{{ message.name }}"`. Such a list need not be in
    /// memory as a whole. `requirements` are those of the same document.
    pub fn merged_member<'p>(&'p self, requirements: &Requirements) -> Option<&'p str> {
        let mut steps = self.steps();
        let (Some(step), None) = (steps.next(), steps.next()) else {
            return None;
        };
        let StepKind::Connector(connector) = &step.kind else {
            return None;
        };
        let items = connector.items.as_ref().filter(|items| items.group_by.is_none())?;
        let ItemsSource::Text(template) = &items.source else {
            return None;
        };
        let reference = template.as_reference()?;
        match (reference.scope(), reference.segments()) {
            (Scope::Message, [Segment::Name(member)]) if requirements.is_read_once(member) => Some(member),
            _ => None,
        }
    }

    /// Returns the warnings about a document that can nevertheless run.
    pub fn warnings(&self) -> &Problems {
        &self.warnings
    }
}
