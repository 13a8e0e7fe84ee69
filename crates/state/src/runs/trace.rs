//! The trace that a request belongs to, as W3C's Trace Context writes it.

/// How long a `tracestate` is kept: the specification has everybody pass on at least this much (section 3.3.1.5).
const STATE_BYTES_MAX: usize = 512;

/// The trace and the span in which a run was ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    parent: String,
    state: Option<String>,
}

impl TraceContext {
    /// Reads the headers `traceparent` and `tracestate`. Returns `None` for a `traceparent` that is none: a trace begins anew
    /// then, as the specification asks (section 3.2.2.3). A `tracestate` that is too long or no text is left out.
    pub fn new(parent: &str, state: Option<&str>) -> Option<Self> {
        let parent = parent.trim();
        let is_printable = |text: &&str| text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
        let state = state
            .map(str::trim)
            .filter(|state| !state.is_empty() && state.len() <= STATE_BYTES_MAX)
            .filter(is_printable);
        is_parent(parent).then(|| Self {
            parent: parent.to_owned(),
            state: state.map(str::to_owned),
        })
    }

    /// Returns the value of `traceparent`.
    pub fn parent(&self) -> &str {
        &self.parent
    }

    /// Returns the value of `tracestate`, if there is one.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

/// Whether a text is a `traceparent` (section 3.2). One of a later version may go on after the flags.
fn is_parent(text: &str) -> bool {
    let mut fields = text.splitn(5, '-');
    let mut digits = |length: usize| {
        let field = fields.next().unwrap_or_default();
        let is_hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (field.len() == length && field.bytes().all(is_hexadecimal)).then_some(field)
    };
    let (Some(version), Some(trace), Some(span), Some(_)) = (digits(2), digits(32), digits(16), digits(2)) else {
        return false;
    };
    let rest = fields.next();
    let has_value = |field: &str| field.bytes().any(|byte| byte != b'0');
    let is_known = version == "00";
    version != "ff" && has_value(trace) && has_value(span) && (rest.is_none() || !is_known) && text.len() <= 128
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_is_kept_as_it_came() {
        let trace = TraceContext::new(PARENT, Some(" vendor=1,other=2 ")).expect("a trace");
        assert_eq!((trace.parent(), trace.state()), (PARENT, Some("vendor=1,other=2")));
        let later = format!("01{}-more", &PARENT[2..]);
        assert_eq!(TraceContext::new(&later, None).expect("a trace").parent(), later);
    }

    #[test]
    fn what_is_none_begins_no_trace() {
        for text in [
            "",
            "00",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
        ] {
            assert_eq!(TraceContext::new(text, None), None, "{text}");
        }
    }

    #[test]
    fn a_state_that_nobody_has_to_pass_on_is_left_out() {
        for state in ["", "  ", "é=1", "a=\u{7f}", &"x".repeat(513)] {
            let trace = TraceContext::new(PARENT, Some(state)).expect("a trace");
            assert_eq!(trace.state(), None, "{state}");
        }
    }
}
