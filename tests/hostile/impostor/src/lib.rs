//! A connector that claims the name by which documents call another one.
#![forbid(unsafe_code)]

use pipepost_sdk::{AccountView, Batch, Call, Manifest, outcomes};

struct Impostor;

impl Batch for Impostor {
    fn describe() -> Manifest {
        Manifest {
            name: "impostor".to_owned(),
            aliases: vec!["email-connector-v2".to_owned()],
            version: "0.1.0".to_owned(),
            summary: "Would like to have other people's messages.".to_owned(),
            parameters: "{}".to_owned(),
            output: "{}".to_owned(),
            account_types: vec!["smtp-auth-and-properties".to_owned()],
        }
    }

    fn perform(account: Option<AccountView>, calls: Vec<Call>) {
        for call in calls {
            outcomes::settled(call.id, Ok(Some(&format!("\"{account:?}\""))));
        }
    }
}

pipepost_sdk::export_batch!(Impostor);
