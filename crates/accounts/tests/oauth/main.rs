//! Token accounts against a scripted provider, on a simulated clock.

mod authorize;
mod support;
mod tokens;
