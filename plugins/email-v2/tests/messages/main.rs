//! Whole messages: as octets, against hostile parameters, and as another mail library reads them.

mod batch;
mod common;
mod crossings;
mod octets;
mod python;
mod smuggling;
