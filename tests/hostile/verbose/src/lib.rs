//! A connector that says more of itself than anybody reads.
#![forbid(unsafe_code)]

use pipepost_sdk::{AccountView, Batch, Call, Manifest};

struct Verbose;

impl Batch for Verbose {
    fn describe() -> Manifest {
        // Not a megabyte of text, and many times that for whoever reads it.
        let values = "[],".repeat(100_000);
        Manifest {
            name: "verbose".to_owned(),
            aliases: Vec::new(),
            version: "0.1.0".to_owned(),
            summary: "Has a schema without end.".to_owned(),
            parameters: format!(r#"{{"enum": [{values}0]}}"#),
            output: "{}".to_owned(),
            account_types: Vec::new(),
        }
    }

    fn perform(_: Option<AccountView>, _: Vec<Call>) {}
}

pipepost_sdk::export_batch!(Verbose);
