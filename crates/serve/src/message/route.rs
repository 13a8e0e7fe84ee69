//! A document's own routes: paths with `:name` parameters.

use crate::encoded::percent_decoded;

/// Where the service itself answers.
const OWN: [&str; 8] = [
    "api",
    "events",
    "livez",
    "metrics",
    "oauth",
    "openapi.json",
    "pipeline",
    "readyz",
];

/// A route as a document writes it, such as `/orders/:id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Fixed(String),
    Parameter(String),
}

/// The reason why a text is no route. Each is a whole sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// It is no path.
    #[error("The route `{0}` is not a path: begin with `/`, and write no empty part, no `?` and no `#`.")]
    NotAPath(String),
    /// A parameter has no name, or one with other characters.
    #[error("The route `{0}` has a parameter without a name of letters, digits, `-` and `_`.")]
    Parameter(String),
    /// A parameter is there twice.
    #[error("The route `{route}` has the parameter `:{name}` twice.")]
    Twice {
        /// The route.
        route: String,
        /// The parameter.
        name: String,
    },
    /// The service itself answers there.
    #[error("The route `{route}` is taken: the service itself answers at `/{first}`.")]
    Own {
        /// The route.
        route: String,
        /// Its first part.
        first: String,
    },
}

impl Route {
    /// Reads a route.
    ///
    /// # Errors
    /// A [`RouteError`].
    pub fn new(text: &str) -> Result<Self, RouteError> {
        let wrong = || RouteError::NotAPath(text.to_owned());
        let path = text.strip_prefix('/').ok_or_else(wrong)?;
        let mut segments = Vec::new();
        for part in path.split('/') {
            if part.is_empty() || part.contains(['?', '#']) || part.chars().any(|c| c.is_control() || c == ' ') {
                return Err(wrong());
            }
            let Some(name) = part.strip_prefix(':') else {
                let decoded = percent_decoded(part).ok_or_else(wrong)?;
                segments.push(Segment::Fixed(decoded));
                continue;
            };
            if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_')) {
                return Err(RouteError::Parameter(text.to_owned()));
            }
            let parameter = Segment::Parameter(name.to_owned());
            if segments.contains(&parameter) {
                return Err(RouteError::Twice {
                    route: text.to_owned(),
                    name: name.to_owned(),
                });
            }
            segments.push(parameter);
        }
        match segments.first() {
            Some(Segment::Fixed(first)) if OWN.contains(&first.as_str()) => Err(RouteError::Own {
                route: text.to_owned(),
                first: first.clone(),
            }),
            // It would answer for every path of the service.
            Some(Segment::Parameter(_)) => Err(RouteError::Own {
                route: text.to_owned(),
                first: String::new(),
            }),
            _ => Ok(Self {
                text: text.to_owned(),
                segments,
            }),
        }
    }

    /// Returns the route as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the parameters' values if the path is one of this route.
    pub fn parameters(&self, path: &str) -> Option<Vec<(String, String)>> {
        let mut parts = path.strip_prefix('/')?.split('/');
        let mut found = Vec::new();
        for segment in &self.segments {
            let part = percent_decoded(parts.next()?)?;
            match segment {
                Segment::Fixed(text) if *text == part => {}
                Segment::Parameter(name) if !part.is_empty() => found.push((name.clone(), part)),
                _ => return None,
            }
        }
        parts.next().is_none().then_some(found)
    }

    /// Returns its fixed parts, and `None` for each parameter. A path of two routes with the same form could be of either, with
    /// nothing to choose between them.
    pub fn form(&self) -> Vec<Option<String>> {
        let fixed = |segment: &Segment| match segment {
            Segment::Fixed(text) => Some(text.clone()),
            Segment::Parameter(_) => None,
        };
        self.segments.iter().map(fixed).collect()
    }

    /// Returns in which order to try routes: fixed parts go before parameters.
    pub fn rank(&self) -> Vec<bool> {
        let is_parameter = |segment: &Segment| matches!(segment, Segment::Parameter(_));
        self.segments.iter().map(is_parameter).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(text: &str) -> Route {
        Route::new(text).expect(text)
    }

    #[test]
    fn parameters_are_found_and_decoded() {
        let found = route("/orders/:id/lines/:line-no").parameters("/orders/S%C3%A3o%2F1/lines/2");
        let expected = [("id", "São/1"), ("line-no", "2")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(found, Some(expected.to_vec()));
        assert_eq!(route("/orders/new").parameters("/orders/new"), Some(Vec::new()));
        for other in [
            "/orders",
            "/orders/",
            "/orders/1/",
            "/orders/1/2",
            "/order/1",
            "orders/1",
            "/orders/%zz",
        ] {
            assert_eq!(route("/orders/:id").parameters(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_no_route_is_refused() {
        for wrong in [
            "", "orders", "/", "/a//b", "/a/", "/a?b", "/a b", "/:", "/a/:b c", "/a/:x/:x", "/:any",
        ] {
            assert!(Route::new(wrong).is_err(), "{wrong}");
        }
        for own in ["/pipeline/x", "/api/v1/runs", "/events", "/metrics", "/livez"] {
            assert!(matches!(Route::new(own), Err(RouteError::Own { .. })), "{own}");
        }
    }

    #[test]
    fn fixed_parts_go_before_parameters_and_collisions_are_seen() {
        let mut routes = [route("/a/:x"), route("/a/b")];
        routes.sort_by_key(Route::rank);
        assert_eq!(routes[0].as_str(), "/a/b");
        assert_eq!(route("/a/:x").form(), route("/a/:y").form());
        assert_eq!(route("/a/S%C3%A3o").form(), route("/a/São").form());
        assert_ne!(route("/a/:x").form(), route("/a/b").form());
        assert_ne!(route("/a/:x").form(), route("/a/:x/c").form());
    }
}
