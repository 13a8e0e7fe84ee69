//! JSONPath in Jayway's dialect, the one that Digibee's pipelines are written in.
#![forbid(unsafe_code)]
