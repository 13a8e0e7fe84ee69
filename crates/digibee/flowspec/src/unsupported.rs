//! Steps of the platform that nobody performs here, for which more can be said than that.

/// Why a step of this name is not performed, as a clause that follows `steps of type ... are not supported`.
pub(crate) fn reason(name: &str) -> Option<&'static str> {
    Some(match name.to_ascii_lowercase().as_str() {
        "jslt" | "jslt-connector" | "jslt-connector-v2" | "transformer-jslt" => {
            "it is written in JSLT, a language of its own, of which there is no complete implementation here"
        }
        "transformer" | "jolt" | "jolt-connector" | "jolt-connector-v2" => {
            "it is written in JOLT, a language of its own, of which there is no complete implementation here"
        }
        "json-transformer" | "json-transformer-connector" => {
            "its mapping is a language of its own, of which there is no implementation here"
        }
        "capsule" => "it runs a capsule of the platform, and there are none here",
        _ => return None,
    })
}

/// What helps instead.
pub(crate) fn advice(name: &str) -> &'static str {
    match name.to_ascii_lowercase().as_str() {
        "capsule" => "pin the step to an output to try the rest",
        _ => "make the new message with a `json-generator-connector`, or pin the step to an output to try the rest",
    }
}
