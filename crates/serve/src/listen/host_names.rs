//! The `Host` header names this service.
//!
//! A page of another site can make a browser resolve the site's own name to this machine (DNS rebinding); then the browser
//! sends that name. An address in digits cannot be rebound, so those are always let in.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};

use crate::problem::{Problem, ProblemKind};

/// The names by which callers may call the service.
#[derive(Debug, Clone, Default)]
pub struct HostNames {
    known: Arc<BTreeSet<String>>,
}

impl HostNames {
    /// Takes these names, beside `localhost` and all addresses in digits. A name stands for all ports.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let lower = |name: String| name.trim_end_matches('.').to_ascii_lowercase();
        Self {
            known: Arc::new(names.into_iter().map(lower).collect()),
        }
    }

    /// Checks whether the header's value names this service.
    pub fn knows(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else {
            return false;
        };
        // `user@host` is no host.
        if host.contains('@') {
            return false;
        }
        let name = authority.host().trim_end_matches('.').to_ascii_lowercase();
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        bare.parse::<IpAddr>().is_ok()
            || name == "localhost"
            || name.ends_with(".localhost")
            || self.known.contains(&name)
    }
}

/// The routes, for callers that name this service.
pub(super) fn checked(routes: Router, names: HostNames) -> Router {
    let check = move |request: Request, next: Next| {
        let names = names.clone();
        async move { check(&names, request, next).await }
    };
    routes.layer(middleware::from_fn(check))
}

async fn check(names: &HostNames, request: Request, next: Next) -> Response {
    let mut hosts = request.headers().get_all(HOST).iter();
    let target = request.uri().authority().map(|authority| authority.as_str().to_owned());
    let named = match (hosts.next(), hosts.next()) {
        (None, _) => target,
        // What an absolute request target names counts, whatever the header says (RFC 9112, section 3.2.2).
        (Some(host), None) => target.or_else(|| Some(String::from_utf8_lossy(host.as_bytes()).into_owned())),
        (Some(_), Some(_)) => {
            return Problem::new(ProblemKind::BadRequest, "The request has two headers `Host`; send one.")
                .into_response();
        }
    };
    match named {
        Some(host) if names.knows(&host) => next.run(request).await,
        Some(host) => {
            let detail = format!("The service does not have the name `{host}`.");
            let advice = "Call it by its address, or have its operator add the name.";
            Problem::new(ProblemKind::Misdirected, detail)
                .advise(advice)
                .into_response()
        }
        None => Problem::new(ProblemKind::BadRequest, "The request has no header `Host`.").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_names_and_addresses_are_let_in() {
        let names = HostNames::new(["Pipepost.Example.com".to_owned()]);
        for known in [
            "localhost",
            "LOCALHOST:8725",
            "console.localhost:1",
            "127.0.0.1:8725",
            "10.0.0.7",
            "[::1]:8725",
            "pipepost.example.com",
            "PIPEPOST.example.com.:443",
        ] {
            assert!(names.knows(known), "{known}");
        }
        for other in [
            "",
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "localhost@evil.example",
            "evil.example@localhost",
            "evil example",
            "pipepost.example.com.evil.example",
        ] {
            assert!(!names.knows(other), "{other}");
        }
    }
}
