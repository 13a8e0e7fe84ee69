//! The second connector, and the document by which anybody writes the third: every command of it is run here.
#![cfg(unix)]

mod digest;
mod document;
mod guide;
