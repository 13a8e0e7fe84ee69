//! The API for operators and the console: one file for each kind of thing.

mod accounts;
mod answers;
mod events;
mod messages;
mod pipelines;
pub(crate) mod runs;
mod send;
mod system;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
pub(crate) use system::{other_method, unknown};

use crate::service::Service;

/// The routes of the listener for operators.
pub(crate) fn routes() -> Router<Arc<Service>> {
    Router::new()
        .route("/api/v1/runs", get(runs::list).post(runs::create))
        .route("/api/v1/runs/{id}", get(runs::show))
        .route("/api/v1/runs/{id}/steps", get(runs::steps))
        .route("/api/v1/runs/{id}/messages", get(messages::of_run))
        .route("/api/v1/runs/{id}/log", get(runs::log))
        .route("/api/v1/runs/{id}/cancel", post(runs::cancel))
        .route("/api/v1/runs/{id}/continue", post(runs::resume))
        .route("/api/v1/send", post(send::send))
        .route("/api/v1/messages", get(messages::list))
        .route("/api/v1/messages/{key}/settle", post(messages::settle))
        .route("/api/v1/accounts", get(accounts::list))
        .route(
            "/api/v1/accounts/{label}",
            get(accounts::show).put(accounts::put).delete(accounts::remove),
        )
        .route("/api/v1/accounts/{label}/test", post(accounts::test))
        .route("/api/v1/accounts/{label}/pause", post(accounts::pause))
        .route("/api/v1/accounts/{label}/resume", post(accounts::resume))
        .route("/api/v1/accounts/{label}/authorize", post(accounts::authorize))
        .route("/api/v1/pipelines", get(pipelines::list))
        .route("/api/v1/pipelines/{name}/check", post(pipelines::check))
        .route("/api/v1/pipelines/{name}/preview", post(pipelines::preview))
        .route("/api/v1/pipelines/{name}/pause", post(pipelines::pause))
        .route("/api/v1/pipelines/{name}/resume", post(pipelines::resume))
        .route("/api/v1/connectors", get(system::connectors))
        .route("/api/v1/events", get(events::watch))
        .route("/oauth/callback", get(accounts::callback))
        .route("/metrics", get(system::metrics))
        .route("/openapi.json", get(system::openapi))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::Value;

    use super::system::OPENAPI;
    use crate::problem::ProblemKind;

    fn description() -> Value {
        serde_json::from_str(OPENAPI).expect("JSON")
    }

    /// The routes as the two tables of routes say them: path and methods.
    fn routes() -> BTreeMap<String, BTreeSet<String>> {
        let (own, _) = include_str!("api.rs").split_once("#[cfg(test)]").expect("tests");
        let (_, admin) = include_str!("service.rs")
            .split_once("pub fn admin_routes")
            .expect("the operators' listener");
        let (admin, _) = admin.split_once(".fallback").expect("a fallback");
        let mut found = BTreeMap::new();
        for route in [own, admin].iter().flat_map(|table| table.split(".route(").skip(1)) {
            let mut quoted = route.split('"');
            let path = quoted.nth(1).expect("a path").to_owned();
            let handlers = quoted.next().expect("handlers");
            let methods = ["get", "post", "put", "delete"]
                .iter()
                .filter(|method| handlers.contains(&format!("{method}(")))
                .map(|method| (*method).to_owned())
                .collect();
            found.insert(path, methods);
        }
        found
    }

    #[test]
    fn the_description_names_every_route_and_no_other() {
        let described: BTreeMap<String, BTreeSet<String>> = description()["paths"]
            .as_object()
            .expect("paths")
            .iter()
            .map(|(path, methods)| {
                (
                    path.clone(),
                    methods.as_object().expect("methods").keys().cloned().collect(),
                )
            })
            .collect();
        assert!(described.len() > 25);
        assert_eq!(routes(), described);
    }

    #[test]
    fn every_operation_has_a_name_a_scope_and_its_problems() {
        let description = description();
        let mut names = BTreeSet::new();
        for (path, methods) in description["paths"].as_object().expect("paths") {
            for (method, operation) in methods.as_object().expect("methods") {
                let place = format!("{method} {path}");
                let name = operation["operationId"].as_str().expect(&place);
                assert!(names.insert(name.to_owned()), "{place}: {name}");
                assert!(
                    operation["description"].as_str().expect(&place).starts_with("Needs "),
                    "{place}"
                );
                let answers = operation["responses"].as_object().expect(&place);
                let needs_a_token = operation.get("security").is_none();
                assert_eq!(answers.contains_key("401"), needs_a_token, "{place}");
                for (status, answer) in answers {
                    let is_problem =
                        status.starts_with(['4', '5']) && !matches!(path.as_str(), "/readyz" | "/oauth/callback");
                    let says_so = answer.pointer("/content/application~1problem+json").is_some();
                    assert!(!is_problem || says_so, "{place} {status}");
                }
                // Each `{name}` of the path is a parameter, and no other is.
                let in_path: BTreeSet<&str> = path
                    .split('{')
                    .skip(1)
                    .filter_map(|part| part.split('}').next())
                    .collect();
                let parameters = operation["parameters"]
                    .as_array()
                    .map(Vec::as_slice)
                    .unwrap_or_default();
                let described: BTreeSet<&str> = parameters
                    .iter()
                    .filter(|parameter| parameter["in"] == "path")
                    .filter_map(|parameter| parameter["name"].as_str())
                    .collect();
                assert_eq!(described, in_path, "{place}");
            }
        }
    }

    /// The kinds of problems that the listener gives before any route sees the request.
    fn kinds_of_the_listener() -> Vec<ProblemKind> {
        let sources = [
            include_str!("listen/codings.rs"),
            include_str!("listen/host_names.rs"),
            include_str!("listen/refusal.rs"),
        ];
        let names: BTreeSet<&str> = sources
            .iter()
            .filter_map(|source| source.split("#[cfg(test)]").next())
            .flat_map(|source| source.split("ProblemKind::").skip(1))
            .filter_map(|after| after.split(|c: char| !c.is_alphanumeric()).next())
            .collect();
        let kinds: Vec<ProblemKind> = ProblemKind::ALL
            .into_iter()
            .filter(|kind| names.contains(format!("{kind:?}").as_str()))
            .collect();
        assert_eq!(kinds.len(), names.len(), "{names:?}");
        kinds
    }

    #[test]
    fn every_operation_has_the_answers_of_the_listener_and_of_reading_a_body() {
        let of_listener = kinds_of_the_listener();
        assert!(of_listener.len() > 3);
        let of_body = [ProblemKind::RequestTimeout, ProblemKind::TooLarge];
        for (path, methods) in description()["paths"].as_object().expect("paths") {
            for (method, operation) in methods.as_object().expect("methods") {
                let has = |kind: ProblemKind| operation["responses"].get(kind.status().as_str()).is_some();
                for &kind in &of_listener {
                    assert!(has(kind), "{method} {path}: {kind:?}");
                }
                let reads_a_body = operation.get("requestBody").is_some();
                for kind in of_body {
                    assert_eq!(has(kind), reads_a_body, "{method} {path}: {kind:?}");
                }
            }
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let description = description();
        let text = description.to_string();
        let mut count = 0;
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().expect("a pointer");
            assert!(description.pointer(pointer).is_some(), "{pointer}");
            count += 1;
        }
        assert!(count > 50, "{count}");
    }

    #[test]
    fn the_documentation_names_every_route_and_every_kind() {
        let document = include_str!("../../../docs/api.md");
        for path in routes().keys() {
            assert!(
                document.contains(&format!("{path}`")) || document.contains(&format!("{path} ")),
                "{path}"
            );
        }
        for kind in ProblemKind::ALL {
            let row = format!("| `{}` | {} |", kind.as_str(), kind.status().as_u16());
            assert!(document.contains(&row), "{row}");
        }
    }
}
