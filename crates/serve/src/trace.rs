//! The headers `traceparent` and `tracestate` (W3C Trace Context): the trace in which a run is ordered.

use axum::http::HeaderMap;
use pipepost_state::runs::TraceContext;

/// Reads the trace that a request belongs to. Two `traceparent` are none (section 3.2), and several `tracestate` are one
/// list (section 3.3).
pub(crate) fn of_headers(headers: &HeaderMap) -> Option<TraceContext> {
    let mut parents = headers.get_all("traceparent").into_iter();
    let (Some(parent), None) = (parents.next(), parents.next()) else {
        return None;
    };
    let states: Vec<&str> = headers
        .get_all("tracestate")
        .into_iter()
        .map(|value| value.to_str().unwrap_or_default())
        .collect();
    TraceContext::new(parent.to_str().ok()?, Some(&states.join(",")))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn one_parent_counts_and_all_states() {
        let mut headers = HeaderMap::new();
        assert_eq!(of_headers(&headers), None);
        headers.append("traceparent", HeaderValue::from_static(PARENT));
        headers.append("tracestate", HeaderValue::from_static("a=1"));
        headers.append("tracestate", HeaderValue::from_static("b=2"));
        assert_eq!(of_headers(&headers), TraceContext::new(PARENT, Some("a=1,b=2")));
        headers.append("traceparent", HeaderValue::from_static(PARENT));
        assert_eq!(of_headers(&headers), None);
    }
}
