//! Whole messages: as octets, against hostile parameters, and as another mail library reads them.

// A batch over connections that break.
mod batch;
mod cases;
// Files in memory, and messages made in one call.
mod common;
// How often a batch crosses the sandbox's boundary.
mod crossings;
// Messages as octets: structure, headers, envelope.
mod octets;
// Messages as Python's `email` package reads them.
mod python;
// Hostile parameters: no header, recipient or line of their own.
mod smuggling;
