//! What expressions refer to: earlier steps, accounts, metadata. Messages and globals are known only during a run.

use std::collections::BTreeSet;

use pipepost_double_braces::{Reference, Scope, Segment};

use crate::catalogue::{Accounts, FieldAccess};
use crate::nearest;
use crate::positions::Positions;
use crate::problem::{Place, Problem};
use crate::reader::Findings;

/// What there is to point at.
pub(crate) struct Known<'a> {
    pub(crate) aliases: BTreeSet<String>,
    pub(crate) accounts: Option<&'a dyn Accounts>,
    pub(crate) branch_names: &'a [String],
    pub(crate) positions: &'a Positions<'a>,
}

/// Checks every expression's path that was noted.
pub(crate) fn check(findings: &mut Findings, known: &Known<'_>) {
    let mut wanted: Vec<(String, String)> = Vec::new();
    for found in &findings.uses {
        let branch = known.branch_names.get(found.branch.0).cloned();
        let own = findings.own_accounts.get(&(found.branch, found.step.index));
        if let (Some(label), Some(field)) = (
            found.reference.account_label().or(own.map(String::as_str)),
            found.reference.account_field(),
        ) {
            wanted.push((label.to_owned(), field.to_owned()));
        }
        if let Some(problem) = one(&found.reference, known, own) {
            let place = Place {
                branch,
                step: Some(found.step.clone()),
                parameter: Some(found.parameter.clone()),
            };
            let position = match found.inner {
                Some(inner) => known.positions.within(&found.pointer, inner),
                None => known.positions.value(&found.pointer),
            };
            findings
                .problems
                .push((Some(found.branch), problem.at(place, position)));
        }
    }
    for (label, field) in wanted {
        findings.wanted_accounts.entry(label).or_default().insert(field);
    }
}

fn one(reference: &Reference, known: &Known<'_>, own: Option<&String>) -> Option<Problem> {
    match reference.scope() {
        Scope::Step => step(reference, known),
        Scope::Account => account(reference, known, own),
        Scope::Metadata => metadata(reference),
        Scope::Capsule | Scope::Replica => {
            let problem = Problem::invalid(format!("`{}` is not supported", reference.scope()));
            Some(problem.advise("there are no capsules and no replicas here"))
        }
        _ => None,
    }
}

fn step(reference: &Reference, known: &Known<'_>) -> Option<Problem> {
    let Some(Segment::Name(alias)) = reference.segments().first() else {
        let problem = Problem::invalid("`step` alone is no value");
        return Some(problem.advise("write `step.<alias>`, with the `doubleBracesAlias` of an earlier step"));
    };
    if known.aliases.contains(alias) {
        return None;
    }
    let advice = nearest::advise(alias, known.aliases.iter().map(String::as_str))
        .unwrap_or_else(|| "give that step a `doubleBracesAlias`".to_owned());
    Some(Problem::invalid(format!("no step has the alias `{alias}`")).advise(advice))
}

fn account(reference: &Reference, known: &Known<'_>, own: Option<&String>) -> Option<Problem> {
    let Some(field) = reference.account_field() else {
        return Some(Problem::invalid("an account is no value").advise("write `account.<label>.<field>`"));
    };
    let Some(label) = reference.account_label().or(own.map(String::as_str)) else {
        let problem = Problem::invalid(format!(
            "`account.{field}` means the step's own account, and it has none"
        ));
        return Some(problem.advise("write `account.<label>.<field>`"));
    };
    let accounts = known.accounts?;
    if accounts.account_type(label).is_none() {
        // The step's own label was refused where it stands.
        reference.account_label()?;
        let advice = nearest::advise(label, accounts.labels())
            .unwrap_or_else(|| "add it to an accounts file, and name that file with `--accounts`".to_owned());
        return Some(Problem::configuration(format!("there is no account labelled `{label}`")).advise(advice));
    }
    match accounts.field(label, field) {
        FieldAccess::Readable => None,
        FieldAccess::Secret => Some(
            Problem::configuration(format!(
                "`{field}` of account `{label}` is a secret, and expressions may not read it"
            ))
            .advise(format!(
                "remove it; or, if it must be so, add `{field}` to the account's `exposed_fields`"
            )),
        ),
        FieldAccess::Unknown => Some(
            Problem::configuration(format!("account `{label}` has no field `{field}`")).advise("check its spelling"),
        ),
    }
}

/// What `metadata` holds.
const METADATA: &[(&str, &[&str])] = &[
    (
        "pipeline",
        &[
            "name",
            "versionMajor",
            "versionMinor",
            "realm",
            "description",
            "id",
            "project",
        ],
    ),
    ("runtime", &["consumers", "actualConsumers", "environment"]),
    ("execution", &["key", "timeout", "startTimestamp", "redelivery"]),
];

fn metadata(reference: &Reference) -> Option<Problem> {
    let (group, name) = match reference.segments() {
        [] => return None,
        [Segment::Name(group)] => (group, None),
        [Segment::Name(group), Segment::Name(name), ..] => (group, Some(name)),
        _ => return Some(Problem::warning("there is no such metadata, so this is null")),
    };
    let Some((_, names)) = METADATA.iter().find(|(known, _)| known == group) else {
        let advice = nearest::advise(group, METADATA.iter().map(|(known, _)| *known));
        return Some(Problem::warning(format!("there is no `metadata.{group}`, so this is null")).advise_some(advice));
    };
    let name = name?;
    if names.contains(&name.as_str()) {
        return None;
    }
    let advice = nearest::advise(name, names.iter().copied());
    Some(Problem::warning(format!("there is no `metadata.{group}.{name}`, so this is null")).advise_some(advice))
}
