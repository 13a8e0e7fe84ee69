//! `pipepost serve`, through the binary.

#[path = "serve/answers.rs"]
mod answers;
#[path = "serve/api.rs"]
mod api;
#[path = "serve/bad_input.rs"]
mod bad_input;
#[path = "serve/disk.rs"]
mod disk;
#[path = "serve/documents.rs"]
mod documents;
#[path = "serve/durability.rs"]
mod durability;
#[path = "serve/fixture.rs"]
mod fixture;
#[path = "serve/kills.rs"]
mod kills;
#[path = "serve/life.rs"]
mod life;
#[path = "serve/metrics.rs"]
mod metrics;
#[path = "serve/other_pipelines.rs"]
mod other_pipelines;
#[path = "serve/rules.rs"]
mod rules;
#[path = "serve/shares.rs"]
mod shares;
#[path = "serve/sign_in.rs"]
mod sign_in;
#[path = "serve/soak.rs"]
mod soak;
#[path = "serve/starts.rs"]
mod starts;
#[path = "serve/traces.rs"]
mod traces;
