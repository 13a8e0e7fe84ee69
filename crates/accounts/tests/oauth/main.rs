//! Token accounts against a scripted provider, on a simulated clock.

// A person's sign-in: the address, the listener, the exchange.
mod authorize;
// What two providers ask for, and what their refusals mean.
mod providers;
// A scripted provider, a simulated clock, accounts.
mod support;
// Access tokens: kept, renewed, refused, explained.
mod tokens;
