//! The second connector, and the documents by which anybody writes the third: every command of theirs is run here.
#![cfg(unix)]

mod second_connector {
    mod digest;
    mod document;
    mod guide;
}
