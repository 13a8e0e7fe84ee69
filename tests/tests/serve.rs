//! `pipepost serve`, through the binary.

#[path = "serve/answers.rs"]
mod answers;
#[path = "serve/fixture.rs"]
mod fixture;
#[path = "serve/life.rs"]
mod life;
