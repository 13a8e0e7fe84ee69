//! Several `pipepost serve` on one state in PostgreSQL, through the binary.

#[path = "several_machines/book.rs"]
mod book;
#[path = "several_machines/chaos.rs"]
mod chaos;
#[path = "several_machines/copy.rs"]
mod copy;
#[path = "several_machines/fencing.rs"]
mod fencing;
#[path = "several_machines/machine.rs"]
mod machine;
#[path = "several_machines/orders.rs"]
mod orders;
#[path = "several_machines/plans.rs"]
mod plans;
#[path = "several_machines/rates.rs"]
mod rates;
#[path = "several_machines/store.rs"]
mod store;
