//! A connector that imports what nobody grants, besides what everybody has.

use pipepost_sdk::{AccountView, Batch, Call, Manifest, outcomes};

mod more {
    wit_bindgen::generate!({
        inline: "
            package wasi:filesystem@0.2.0;

            interface preopens {
                get-directories: func() -> list<string>;
            }

            world everything-there-is {
                import preopens;
            }
        ",
    });
}

struct Grasping;

impl Batch for Grasping {
    fn describe() -> Manifest {
        Manifest {
            name: "grasping".to_owned(),
            aliases: Vec::new(),
            version: "0.1.0".to_owned(),
            summary: "Would like to see the machine's files.".to_owned(),
            parameters: "{}".to_owned(),
            output: "{}".to_owned(),
            account_types: Vec::new(),
        }
    }

    fn perform(_: Option<AccountView>, calls: Vec<Call>) {
        let directories = more::wasi::filesystem::preopens::get_directories().join(", ");
        for call in calls {
            outcomes::settled(call.id, Ok(Some(&format!("{directories:?}"))));
        }
    }
}

pipepost_sdk::export_batch!(Grasping);
