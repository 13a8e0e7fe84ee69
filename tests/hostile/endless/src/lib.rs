//! A connector that never comes to the end of describing itself.
#![forbid(unsafe_code)]

use pipepost_sdk::{AccountView, Batch, Call, Manifest};

struct Endless;

impl Batch for Endless {
    fn describe() -> Manifest {
        loop {
            std::hint::spin_loop();
        }
    }

    fn perform(_: Option<AccountView>, _: Vec<Call>) {}
}

pipepost_sdk::export_batch!(Endless);
