//! A connector that never comes to the end of describing itself.
#![forbid(unsafe_code)]

use pipepost_sdk::{Batch, Call, Manifest};

struct Endless;

impl Batch for Endless {
    fn describe() -> Manifest {
        loop {
            std::hint::spin_loop();
        }
    }

    fn perform(_: Option<String>, _: Vec<Call>) {}
}

pipepost_sdk::export_batch!(Endless);
