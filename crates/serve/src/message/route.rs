//! A document's own routes: paths with `:name` parameters.
//!
//! A route such as `/orders/:id` is there as it is written, and as on the platform, `/pipeline/{realm}/v{major}/orders/:id`; it
//! may be written that way too. One that begins with a parameter, such as `/:id`, is below its pipeline's own path.

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
    /// Without the platform's `/pipeline/{realm}/v{major}`.
    segments: Vec<Segment>,
    /// It begins behind the pipeline's name.
    is_below_name: bool,
}

/// A path below that of the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlatformPath<'p> {
    /// The major version, `1` of `v1`.
    pub major: &'p str,
    /// The path behind it, with its `/`.
    pub below: &'p str,
}

impl<'p> PlatformPath<'p> {
    /// Returns the parts of `/pipeline/{realm}/v{major}/...`; none for another path.
    pub fn of(path: &'p str) -> Option<Self> {
        let (realm, rest) = path.strip_prefix("/pipeline/")?.split_once('/')?;
        let at = rest.find('/').filter(|_| !realm.is_empty())?;
        let (version, below) = rest.split_at(at);
        let major = version.strip_prefix('v')?;
        let is_number = !major.is_empty() && major.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then_some(Self { major, below })
    }
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
        let platform = PlatformPath::of(text);
        let path = platform.map_or(text, |platform| platform.below);
        let path = path.strip_prefix('/').ok_or_else(wrong)?;
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
        let own = |first: &str| RouteError::Own {
            route: text.to_owned(),
            first: first.to_owned(),
        };
        let is_below_name = matches!(segments.first(), Some(Segment::Parameter(_)));
        match segments.first() {
            Some(Segment::Fixed(first)) if OWN.contains(&first.as_str()) => Err(own(first)),
            // It would answer for every pipeline.
            Some(Segment::Parameter(_)) if platform.is_some() => Err(own("pipeline")),
            _ => Ok(Self {
                text: text.to_owned(),
                segments,
                is_below_name,
            }),
        }
    }

    /// Returns the route as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the parameters' values if the path is one of this route, which is of this pipeline.
    pub fn parameters(&self, pipeline: &str, path: &str) -> Option<Vec<(String, String)>> {
        let platform = PlatformPath::of(path);
        let mut path = platform.map_or(path, |platform| platform.below);
        if self.is_below_name {
            let below = match platform {
                Some(_) => path.strip_prefix('/')?,
                None => path.strip_prefix("/pipeline/")?,
            };
            let (name, rest) = below.split_at(below.find('/')?);
            percent_decoded(name).filter(|name| name == pipeline)?;
            path = rest;
        }
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

    /// Returns its fixed parts, and `None` for each parameter, as of this pipeline. A path of two routes with the same form could
    /// be of either, with nothing to choose between them.
    pub fn form(&self, pipeline: &str) -> Vec<Option<String>> {
        let name = self.is_below_name.then(|| Some(pipeline.to_owned()));
        let parts = self.segments.iter().map(|segment| match segment {
            Segment::Fixed(text) => Some(text.clone()),
            Segment::Parameter(_) => None,
        });
        name.into_iter().chain(parts).collect()
    }

    /// Returns in which order to try routes: fixed parts go before parameters.
    pub fn rank(&self) -> Vec<bool> {
        let name = self.is_below_name.then_some(false);
        let is_parameter = |segment: &Segment| matches!(segment, Segment::Parameter(_));
        name.into_iter().chain(self.segments.iter().map(is_parameter)).collect()
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
        let of = |text: &str, path: &str| route(text).parameters("shop", path);
        let found = of("/orders/:id/lines/:line-no", "/orders/S%C3%A3o%2F1/lines/2");
        let expected = [("id", "São/1"), ("line-no", "2")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(found, Some(expected.to_vec()));
        assert_eq!(of("/orders/new", "/orders/new"), Some(Vec::new()));
        for other in [
            "/orders",
            "/orders/",
            "/orders/1/",
            "/orders/1/2",
            "/order/1",
            "orders/1",
            "/orders/%zz",
        ] {
            assert_eq!(of("/orders/:id", other), None, "{other}");
        }
    }

    #[test]
    fn a_route_is_also_below_the_platforms_path() {
        let id = |route_text: &str, path: &str| {
            let found = route(route_text).parameters("a shop", path)?;
            Some(found.into_iter().map(|(_, value)| value).collect::<Vec<_>>().join(" "))
        };
        for (route_text, path) in [
            ("/orders/:id", "/orders/7"),
            ("/orders/:id", "/pipeline/realm/v1/orders/7"),
            ("/pipeline/realm/v1/orders/:id", "/pipeline/realm/v1/orders/7"),
            ("/pipeline/realm/v1/orders/:id", "/orders/7"),
            ("/:id", "/pipeline/realm/v12/a%20shop/7"),
            ("/:id", "/pipeline/a%20shop/7"),
        ] {
            assert_eq!(id(route_text, path).as_deref(), Some("7"), "{route_text} {path}");
        }
        for (route_text, path) in [
            ("/:id", "/7"),
            ("/:id", "/a%20shop/7"),
            ("/:id", "/pipeline/realm/v1/7"),
            ("/:id", "/pipeline/realm/v1/other/7"),
            ("/orders/:id", "/pipeline/realm/v/orders/7"),
            ("/orders/:id", "/pipeline/orders/7"),
        ] {
            assert_eq!(id(route_text, path), None, "{route_text} {path}");
        }
        assert_eq!(route("/:id").form("orders"), route("/orders/:x").form("other"));
    }

    #[test]
    fn what_is_no_route_is_refused() {
        for wrong in [
            "", "orders", "/", "/a//b", "/a/", "/a?b", "/a b", "/:", "/a/:b c", "/a/:x/:x",
        ] {
            assert!(Route::new(wrong).is_err(), "{wrong}");
        }
        for own in [
            "/pipeline/x",
            "/pipeline/realm/v1/:id",
            "/pipeline/realm/v1/events",
            "/api/v1/runs",
            "/events",
            "/metrics",
            "/livez",
        ] {
            assert!(matches!(Route::new(own), Err(RouteError::Own { .. })), "{own}");
        }
    }

    #[test]
    fn fixed_parts_go_before_parameters_and_collisions_are_seen() {
        let mut routes = [route("/a/:x"), route("/a/b")];
        routes.sort_by_key(Route::rank);
        assert_eq!(routes[0].as_str(), "/a/b");
        let form = |text: &str| route(text).form("shop");
        assert_eq!(form("/a/:x"), form("/a/:y"));
        assert_eq!(form("/a/S%C3%A3o"), form("/a/São"));
        assert_ne!(form("/a/:x"), form("/a/b"));
        assert_ne!(form("/a/:x"), form("/a/:x/c"));
    }
}
