//! The header `Prefer` (RFC 7240): whether the caller waits for the end of the run, and for how long.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};

use crate::trigger::TIMEOUT_MAX;

/// The preferences that are understood. What else a caller prefers is ignored, as the RFC asks (section 2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prefer {
    /// `respond-async`: the caller wants 202 and looks at the run later (section 4.1): at once, unless it states `wait` too.
    pub respond_async: bool,
    /// `wait`: how long the caller waits at most (section 4.3). No longer than a run may take.
    pub wait: Option<Duration>,
}

impl Prefer {
    /// Reads every header `Prefer`. Where a preference is there twice, the first one counts (section 2).
    pub fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        let mut seen_wait = false;
        for value in headers.get_all("prefer") {
            let Ok(value) = value.to_str() else { continue };
            for preference in split_outside_quotes(value, ',') {
                // What follows a semicolon are parameters of the preference.
                let Some(preference) = split_outside_quotes(preference, ';').next() else {
                    continue;
                };
                let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
                let value = value.trim().trim_matches('"');
                match name.trim().to_ascii_lowercase().as_str() {
                    "respond-async" => found.respond_async = true,
                    "wait" if !seen_wait => {
                        seen_wait = true;
                        let wait = value.parse().ok().map(Duration::from_secs);
                        found.wait = wait.map(|wait| wait.min(TIMEOUT_MAX));
                    }
                    _ => {}
                }
            }
        }
        found
    }

    /// Returns whether the caller takes 202 for an answer, so that the run is the service's from the beginning.
    pub const fn leaves_the_run(self) -> bool {
        self.respond_async || self.wait.is_some()
    }

    /// Returns what `Preference-Applied` says of them (section 3); nothing if there is none.
    pub fn applied(self) -> Option<HeaderValue> {
        let respond_async = self.respond_async.then(|| "respond-async".to_owned());
        let wait = self.wait.map(|wait| format!("wait={}", wait.as_secs()));
        let applied: Vec<String> = respond_async.into_iter().chain(wait).collect();
        HeaderValue::from_str(&applied.join(", "))
            .ok()
            .filter(|value| !value.is_empty())
    }
}

/// The parts of a header's value between separators that are not within a quoted string.
fn split_outside_quotes(value: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    value.split(move |c| {
        let is_escaped = std::mem::take(&mut escaped);
        match c {
            '"' if !is_escaped => quoted = !quoted,
            '\\' if quoted && !is_escaped => escaped = true,
            _ => {}
        }
        c == separator && !quoted
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn prefer(values: &[&str]) -> Prefer {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("prefer", HeaderValue::from_str(value).expect("a header"));
        }
        Prefer::of(&headers)
    }

    fn expect(respond_async: bool, wait: Option<u64>) -> Prefer {
        Prefer {
            respond_async,
            wait: wait.map(Duration::from_secs),
        }
    }

    #[test]
    fn preferences_are_found_in_every_form() {
        assert_eq!(prefer(&[]), expect(false, None));
        assert_eq!(prefer(&["respond-async"]), expect(true, None));
        assert_eq!(prefer(&["Respond-Async, wait=10"]), expect(true, Some(10)));
        assert_eq!(prefer(&["wait = 10 ; strict", "respond-async"]), expect(true, Some(10)));
        assert_eq!(prefer(&["wait=\"5\""]), expect(false, Some(5)));
        assert_eq!(
            prefer(&["return=minimal; foo=\"a, respond-async\""]),
            expect(false, None)
        );
        assert_eq!(prefer(&[r#"x="a\", respond-async", wait=3"#]), expect(false, Some(3)));
    }

    #[test]
    fn the_first_of_two_counts_and_nonsense_is_ignored() {
        assert_eq!(prefer(&["wait=1, wait=2"]), expect(false, Some(1)));
        assert_eq!(prefer(&["wait=soon", "wait=2"]), expect(false, None));
        assert_eq!(prefer(&["wait=-1"]), expect(false, None));
        assert_eq!(prefer(&["wait=18446744073709551615"]), expect(false, Some(900)));
    }

    #[test]
    fn what_is_applied_is_named() {
        for (sent, applied) in [
            ("return=minimal", None),
            ("respond-async", Some("respond-async")),
            ("wait=0", Some("wait=0")),
            ("wait=5, respond-async", Some("respond-async, wait=5")),
        ] {
            let preference = prefer(&[sent]);
            let named = preference.applied();
            assert_eq!(named.as_ref().and_then(|value| value.to_str().ok()), applied, "{sent}");
            assert_eq!(preference.leaves_the_run(), applied.is_some(), "{sent}");
        }
    }
}
