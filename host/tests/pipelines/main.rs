//! Pipelines through the library, against the local inbox: what each step type does, as it is documented.

mod bench;
mod bodies;
mod command_line;
mod connections;
mod control;
mod documents;
mod files;
mod ledger;
mod merge;
mod resending;
mod retrying;
mod speed;
mod transformers;
mod watching;
